import LetheCore

/// A layer or a model run one step at a time: its outputs have the same bits as those of the whole sequence at once. A copy
/// is a fork: both go on from the same state, each with its own.
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
  /// What is remembered of the steps so far, or what to go on from: a state for each layer that has one, first to last.
  ///
  /// - Precondition: as many states as it has, of the same shapes.
  var states: [RecurrentState] { get set }
  /// Goes back to the state it began with.
  mutating func reset()
}

/// A stream of one layer with a state.
public protocol StateStream: SequenceStream {
  /// The state after the steps so far, or the one to go on from. *Shapes*: as the layer's, with a batch of 1.
  var state: RecurrentState { get set }
}

extension SequenceStream {
  /// One step, with arrays.
  ///
  /// - Precondition: x has `inputSize` numbers.
  public mutating func step(_ x: [Float]) -> [Float] { x.withUnsafeBufferPointer { Array(step($0)) } }
}

extension StateStream {
  public var states: [RecurrentState] {
    get { [state] }
    set {
      require(newValue.count == 1, "stream: expected one state, got \(newValue.count)")
      state = newValue[0]
    }
  }
}

/// A stream of what remembers nothing.
protocol StatelessStream: SequenceStream {}

extension StatelessStream {
  var states: [RecurrentState] {
    get { [] }
    set { require(newValue.isEmpty, "stream: expected no state, got \(newValue.count)") }
  }
  mutating func reset() {}
}

/// What a layer of a stream is given at once.
public struct StepShape: Sendable, Equatable {
  /// The sizes without batch and time: those of one step; of a whole example, where `hasTime` is false.
  public var sizes: [Int]
  /// Whether there is a step after it: not behind a layer that gives its last output alone.
  public var hasTime: Bool

  /// The shape of a step or, with `hasTime` false, of an example.
  public init(_ sizes: [Int], hasTime: Bool) {
    self.sizes = sizes
    self.hasTime = hasTime
  }

  /// How many numbers that is.
  public var count: Int { sizes.reduce(1, *) }
}
