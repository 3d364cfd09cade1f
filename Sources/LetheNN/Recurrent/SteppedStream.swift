import LetheCore

/// A layer of stepped cells run one step at a time.
///
///     var stream = layer.stream()
///     while let x = source.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once: a step is a sequence of length 1. A copy is a
/// fork: both go on from the same state, each with its own.
/// *Shapes*: one sequence; x is all of an input, as the layer's output is all of an output, in one row.
/// *Cost*: that of a step of the layer: its operations one by one, with their tensors allocated anew.
public struct SteppedStream<Cell: SteppedCell>: SequenceStream {
  private let layer: SteppedRecurrent<Cell>
  private var parts: [Tensor]
  /// The last output, kept while it is looked at.
  private var output = Tensor(zeros: [0])

  init(_ layer: SteppedRecurrent<Cell>) {
    require(!layer.isReversed, "stream: a layer that runs backward needs the whole sequence")
    var layer = layer, isFilled = layer.features > 0
    layer.forEachParameter { isFilled = isFilled && $1.value.shape == $1.shape }
    require(isFilled, "stream: the layer is not built; give inputSize, or build it in Sequential")
    layer.outputs = .all
    self.layer = layer
    parts = layer.cell.stateSizes.map { Tensor(zeros: [1, $0]) }
  }

  /// The numbers of an input.
  public var inputSize: Int { layer.features }
  /// The width of an output.
  public var outputSize: Int { parts[0].count }

  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    let result = layer.run(Variable(Tensor(Array(x), shape: [1, 1, inputSize])), from: state)
    parts = (result.state.hidden + result.state.cell).map(\.tensor)
    output = result.output.tensor
    return UnsafeBufferPointer(start: output.pointer, count: output.count)
  }

  /// The state after the steps so far, or the one to go on from. *Shapes*: as the layer's, with a batch of 1.
  public var state: RecurrentState {
    get { RecurrentState(hidden: [Variable(parts[0])], cell: parts.dropFirst().map { Variable($0) }) }
    set {
      newValue.requireNumbersAlone("stream")
      let given = (newValue.hidden + newValue.cell).map(\.tensor)
      require(
        newValue.hidden.count == 1 && given.map(\.shape) == parts.map(\.shape),
        "stream: expected a state of the shapes \(parts.map(\.shape)), got \(given.map(\.shape))")
      parts = given
    }
  }

  /// Goes back to the zero state.
  public mutating func reset() { parts = parts.map { Tensor(zeros: $0.shape) } }
}

extension SteppedRecurrent {
  /// This layer as a stream, from the zero state.
  ///
  /// - Precondition: it is built, and runs forward.
  public func stream() -> SteppedStream<Cell> { SteppedStream(self) }
}
