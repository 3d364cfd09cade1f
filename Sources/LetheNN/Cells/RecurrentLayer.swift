import LetheCore

/// A layer that walks along a sequence and hands a state from step to step.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …] or, with only the last output, [batch, …].
public protocol RecurrentLayer: Layer {
  /// The layer one step at a time.
  associatedtype Stream: StateStream
  /// Whether it walks from the last step to the first: a row of a batch within its own length, outputs in time order. A reset
  /// then cuts what comes before it in time off from what comes after.
  var isReversed: Bool { get set }
  /// Whether it walks both ways by itself, each with weights of its own.
  var isBidirectional: Bool { get }
  /// The widths of the state's parts for one sequence, those of `RecurrentState.hidden` first; none where what is kept is an
  /// `AttentionCache`, which grows.
  var stateSizes: [Int] { get }
  /// How many numbers are kept of a sequence after so many steps.
  func stateSize(after steps: Int) -> Int
  /// The state of having seen nothing, for so many sequences: zeros, or an empty cache. `nil` is the same, unless the layer
  /// learns what it begins with.
  ///
  /// - Precondition: the layer is built.
  func emptyState(batch: Int) -> RecurrentState
  /// The outputs and the final state, from an initial state (`nil`: zeros, or what is learned).
  ///
  /// - Precondition: the layer is built, and input and state have its shapes.
  func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState)
  /// This layer as a stream, from what `run` begins with where no state is given.
  ///
  /// - Precondition: it is built, and runs forward only.
  func stream() -> Stream
}

extension RecurrentLayer {
  /// One way only.
  public var isBidirectional: Bool { false }
  public func stateSize(after steps: Int) -> Int { stateSizes.reduce(0, +) }
  public func emptyState(batch: Int) -> RecurrentState { zeros(batch: batch, hidden: 1) }

  /// Zeros of the state's widths, the first of them as hidden parts.
  fileprivate func zeros(batch: Int, hidden count: Int) -> RecurrentState {
    let parts = stateSizes.map { Variable(Tensor(zeros: [batch, $0])) }
    return RecurrentState(hidden: Array(parts.prefix(count)), cell: Array(parts.dropFirst(count)))
  }
}

extension Recurrent: RecurrentLayer {
  public var stateSizes: [Int] {
    let count = layers * directions
    return Array(repeating: cell.outputSize, count: count)
      + Array(repeating: cell.hiddenSize, count: count * (description.states.count - 1))
  }
  public func emptyState(batch: Int) -> RecurrentState { zeros(batch: batch, hidden: layers * directions) }
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
  public func emptyState(batch: Int) -> RecurrentState {
    RecurrentState(
      hidden: [], attention: AttentionCache(batch: batch, heads: heads, headSize: headSize))
  }

  /// Without pruning: each head keeps a key, a value and a sum of log f for every step.
  public func stateSize(after steps: Int) -> Int { steps * heads * (2 * headSize + 1) }

  /// The outputs and what was seen after the last step, from the cache of a state; `nil`, or a state without one: nothing was
  /// seen.
  ///
  /// - Precondition: as of `run(_:cache:)`, and the state has no hidden or cell part.
  public func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState) {
    state?.requireCacheAlone(Self.kind)
    let (output, cache) = run(x, cache: state?.attention)
    return (output, RecurrentState(hidden: [], attention: cache))
  }
}
