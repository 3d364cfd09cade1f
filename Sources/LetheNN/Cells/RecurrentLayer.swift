import LetheCore

/// A layer that walks along a sequence and hands a state from step to step.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …] or, with only the last output, [batch, …].
public protocol RecurrentLayer: Layer {
  /// The layer one step at a time.
  associatedtype Stream: SequenceStream
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

/// A recurrent layer run one step at a time: its outputs have the same bits as those of the whole sequence at once. A copy is a
/// fork: both go on from the same state, each with its own.
///
/// *Shapes*: one sequence; x is all of an input, as the output is all of an output, in one row.
public protocol SequenceStream: Sendable {
  /// The numbers of an input.
  var inputSize: Int { get }
  /// The width of an output.
  var outputSize: Int { get }
  /// One step; the output stays valid until the next, or until the stream goes.
  ///
  /// - Precondition: x has `inputSize` numbers.
  @discardableResult
  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float>
  /// The state after the steps so far, or the one to go on from. *Shapes*: as the layer's, with a batch of 1.
  var state: RecurrentState { get set }
  /// Goes back to the state it began with.
  mutating func reset()
}

extension SequenceStream {
  /// One step, with arrays.
  ///
  /// - Precondition: x has `inputSize` numbers.
  public mutating func step(_ x: [Float]) -> [Float] { x.withUnsafeBufferPointer { Array(step($0)) } }
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
