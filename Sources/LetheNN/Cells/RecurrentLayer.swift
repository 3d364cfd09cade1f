import LetheCore

/// A layer that walks along a sequence and hands a state from step to step.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …] or, with only the last output, [batch, …].
public protocol RecurrentLayer: Layer {
  /// The widths of the state's parts for one sequence, those of `RecurrentState.hidden` first; none where what is kept is an
  /// `AttentionCache`, which grows.
  var stateSizes: [Int] { get }
  /// How many numbers are kept of a sequence after so many steps.
  func stateSize(after steps: Int) -> Int
  /// The outputs and the final state, from an initial state (`nil`: zeros, or what is learned).
  ///
  /// - Precondition: the layer is built, and input and state have its shapes.
  func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState)
}

extension RecurrentLayer {
  public func stateSize(after steps: Int) -> Int { stateSizes.reduce(0, +) }
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

extension ForgettingAttention: RecurrentLayer {
  public var stateSizes: [Int] { [] }

  /// Without pruning: each head keeps a key, a value and a sum of log f for every step.
  public func stateSize(after steps: Int) -> Int { steps * heads * (2 * headSize + 1) }

  /// The outputs and what was seen after the last step, from the cache of a state; `nil`, or a state without one: nothing was
  /// seen.
  ///
  /// - Precondition: as of `run(_:cache:)`, and the state has no hidden or cell part.
  public func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState) {
    require(
      state.map { $0.hidden.isEmpty && $0.cell.isEmpty } ?? true,
      "\(Self.kind): expected a state with a cache alone, got hidden or cell parts too")
    let (output, cache) = run(x, cache: state?.attention)
    return (output, RecurrentState(hidden: [], attention: cache))
  }
}
