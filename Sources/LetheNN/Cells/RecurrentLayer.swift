import LetheCore

/// A layer that walks along a sequence and hands a state from step to step.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …] or, with only the last output, [batch, …].
public protocol RecurrentLayer: Layer {
  /// The widths of the state's parts for one sequence, those of `RecurrentState.hidden` first.
  var stateSizes: [Int] { get }
  /// The outputs and the final state, from an initial state (`nil`: zeros, or what is learned).
  ///
  /// - Precondition: the layer is built, and input and state have its shapes.
  func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState)
}

extension Recurrent: RecurrentLayer {
  public var stateSizes: [Int] {
    let count = layers * directions
    return Array(repeating: cell.outputSize, count: count)
      + Array(repeating: cell.hiddenSize, count: count * (description.states.count - 1))
  }
}

extension ForgettingGateNetwork: RecurrentLayer {
  public var stateSizes: [Int] { memory.stateSizes }
}

extension SteppedRecurrent: RecurrentLayer {
  public var stateSizes: [Int] { cell.stateSizes }
}

extension MatrixMemory: RecurrentLayer {}
