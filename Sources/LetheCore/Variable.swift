/// A tensor in a computation: what layers take and give.
///
/// With a tape, operations on it are recorded so that gradients can be taken; without one it is just its tensor.
/// A batch of sequences carries its lengths and resets with it, through every operation that keeps its steps.
public struct Variable {
  /// The numbers.
  public let tensor: Tensor
  /// Where the computation is recorded, if it is.
  public let tape: Tape?
  /// Lengths and resets, when this is a batch of sequences that has any.
  public var timing: Timing?
  let id: Int32

  init(_ tensor: Tensor, id: Int32, tape: Tape?, timing: Timing?) {
    self.tensor = tensor
    self.id = id
    self.tape = tape
    self.timing = timing
  }

  /// A value outside any tape, for inference.
  public init(_ tensor: Tensor, timing: Timing? = nil) {
    self.init(tensor, id: -1, tape: nil, timing: timing)
  }

  /// The size of each dimension.
  public var shape: [Int] { tensor.shape }
  /// Whether dropout and its like are on.
  public var isTraining: Bool { tape?.isTraining ?? false }
  /// Whether a gradient flows into this value.
  public var isRecorded: Bool { id >= 0 }

  /// The same values with other lengths and resets.
  public func timed(_ timing: Timing?) -> Variable {
    var copy = self
    copy.timing = timing
    return copy
  }

  /// One operation from this and other values to one result; see `Tape.record`.
  public static func operation(
    _ name: String, _ inputs: [Variable], _ output: Tensor, timing: Timing? = nil,
    pullback: @escaping (Tensor) -> [Tensor?]
  ) -> Variable {
    guard let tape = inputs.lazy.compactMap(\.tape).first else { return Variable(output, timing: timing) }
    let count = inputs.count
    let results = tape.record(name, inputs: inputs, outputs: [output]) { gradients in
      guard let gradient = gradients[0] else { return [Tensor?](repeating: nil, count: count) }
      return pullback(gradient)
    }
    return results[0].timed(timing)
  }
}

/// The lengths of a batch of sequences, and where each one's state starts anew.
///
/// Steps past a sequence's length are neither read nor learned from: recurrent layers give zeros there, losses skip them.
public struct Timing: Sendable, Equatable {
  /// The number of real steps of each sequence; `nil`: all steps of all.
  public var lengths: [Int]?
  /// For each sequence and step (`[batch][time]`), whether a new sequence begins with it: the state before it is zero, or
  /// what a layer has learned to begin with; `nil`: never.
  public var resets: [[Bool]]?

  /// Lengths and resets, each optional.
  public init(lengths: [Int]? = nil, resets: [[Bool]]? = nil) {
    self.lengths = lengths
    self.resets = resets
  }
}
