import LetheCore

/// A matrix memory run one step at a time.
///
///     var stream = memory.stream()
///     while let x = source.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once: a step is a sequence of length 1. A copy is a
/// fork: both go on from the same state, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden].
/// *Cost*: that of a step of the layer, with its tensors allocated anew.
public struct MatrixMemoryStream: Sendable {
  private let layer: MatrixMemory
  private var parts: [Tensor]

  /// The width of an input.
  public var inputSize: Int { layer.features }
  /// The width of an output.
  public var outputSize: Int { layer.hiddenSize }

  init(_ layer: MatrixMemory) {
    require(layer.features > 0, "stream: the layer is not built; give inputSize, or build it in Sequential")
    var layer = layer
    layer.outputs = .all
    self.layer = layer
    parts = layer.stateSizes.map { Tensor(zeros: [1, $0]) }
  }

  /// One step.
  ///
  /// - Precondition: x has `inputSize` numbers.
  public mutating func step(_ x: [Float]) -> [Float] {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    let result = layer.run(Variable(Tensor(x, shape: [1, 1, inputSize])), from: state)
    parts = (result.state.hidden + result.state.cell).map(\.tensor)
    return result.output.tensor.scalars
  }

  /// The state after the steps so far, or the one to go on from. *Shapes*: as the layer's, with a batch of 1.
  public var state: RecurrentState {
    get { RecurrentState(hidden: [Variable(parts[0])], cell: parts.dropFirst().map { Variable($0) }) }
    set {
      let given = (newValue.hidden + newValue.cell).map(\.tensor), shapes = layer.stateSizes.map { [1, $0] }
      require(
        newValue.hidden.count == 1 && given.map(\.shape) == shapes,
        "stream: expected a state of the shapes \(shapes), got \(given.map(\.shape))")
      parts = given
    }
  }

  /// Goes back to the zero state.
  public mutating func reset() { parts = parts.map { Tensor(zeros: $0.shape) } }
}
