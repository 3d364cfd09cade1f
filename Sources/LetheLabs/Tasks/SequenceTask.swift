import LetheCore
import LetheData
import LetheNN

/// Something to learn from sequences, of which examples can be made or taken for ever.
///
/// One answer is asked for each sequence, after its last step, or one at each step (`answersEachStep`). Equal keys give
/// equal examples, on every machine.
public protocol SequenceTask: Sendable {
  /// Its name on the command line.
  var name: String { get }
  /// What its examples are drawn under: its name, or the first it had, so that a new one leaves the figures as they are.
  var drawName: String { get }
  /// What is asked, in a sentence.
  var meaning: String { get }
  /// Features of a step.
  var inputSize: Int { get }
  /// Classes of the answer, or numbers in it.
  var outputSize: Int { get }
  /// What is minimised; with `meanSquaredError` it is also the metric, else accuracy is.
  var loss: Loss { get }
  /// What the best answer that ignores the input reaches, by the metric.
  var baseline: Double { get }
  /// From where on the task counts as solved, by the metric.
  var goal: Double { get }
  /// Steps of the longest sequence to learn from.
  var length: Int { get }

  /// Whether an answer is asked at every step. Targets are then [count, time, outputs]: which answers are right, as
  /// probabilities; zeros where nothing is asked.
  var answersEachStep: Bool { get }
  /// What is counted where an answer is asked at each step: steps, numbered row by row, whose answers must all be right.
  func questions(_ data: Dataset) -> [[Int]]

  /// Examples to learn from.
  func examples(_ count: Int, key: RandomKey) -> Dataset
  /// Examples that are never learned from: always the same.
  func heldOut(_ part: HeldOut) -> Dataset
}

/// Which examples are held out.
public enum HeldOut: String, Sendable, CaseIterable {
  /// For looking at while training, and for choices.
  case validation
  /// For the end.
  case test

  /// How many there are where they are made.
  public var count: Int { self == .test ? 1024 : 512 }
}

extension SequenceTask {
  public var drawName: String { name }
  public var answersEachStep: Bool { false }

  /// Each step at which something is asked.
  public func questions(_ data: Dataset) -> [[Int]] {
    StepAnswers(data)?.asked.map { [$0] } ?? []
  }

  /// How many answers the metric is taken from.
  func answers(in data: Dataset) -> Int { answersEachStep ? questions(data).count : data.count }

  /// The metric where an answer is asked at each step: the share of the questions at all of whose steps the largest output
  /// is a right answer. *Shapes*: outputs as the targets.
  public func shareRight(_ outputs: Tensor, _ data: Dataset) -> Double {
    guard let answers = StepAnswers(data) else { return .nan }
    let best = outputs.argmax, questions = questions(data)
    let right = questions.count { $0.allSatisfy { answers.isRight(best[$0], at: $0) } }
    return Double(right) / Double(max(questions.count, 1))
  }

  /// Whether the metric is the share of right answers; else it is the mean squared error.
  public var isAccuracy: Bool { loss != .meanSquaredError }

  /// The name of the metric.
  public var metric: String { isAccuracy ? "accuracy" : "mean squared error" }

  /// Whether a value of the metric is better than another.
  public func isBetter(_ a: Double, than b: Double) -> Bool { isAccuracy ? a > b : a < b }

  /// Whether a value of the metric over so many examples is what luck may give: within three standard errors of the baseline
  /// for an accuracy, within a tenth of it for an error.
  public func isLuck(_ value: Double, of count: Int) -> Bool {
    if !isAccuracy { return value > 0.9 * baseline }
    return value <= baseline + 3 * (baseline * (1 - baseline) / Double(max(count, 1))).squareRoot()
  }

  /// Examples for a training step; the same for every network with this seed.
  public func batch(seed: UInt64, step: Int, count: Int) -> Dataset {
    examples(count, key: RandomKey(seed: seed).child(drawName).child("train").child(step))
  }

  public func heldOut(_ part: HeldOut) -> Dataset { examples(part.count, key: key(of: part)) }

  func key(of part: HeldOut) -> RandomKey { RandomKey(seed: 0).child(drawName).child(part.rawValue) }
}

/// A task whose held-out sequences are as long as those to learn from or longer, so that only what holds for any length is
/// rewarded.
protocol LongerWhenHeldOut: SequenceTask {
  /// The longest sequence to learn from has so many steps, 3 or more, or as many as are asked for.
  var most: Int { get }
  func examples(lengths: [Int], key: RandomKey) -> Dataset
}

extension LongerWhenHeldOut {
  /// The longest test sequence.
  static var longest: Int { 256 }

  /// Of 3 to `most` steps, short ones more often.
  func shortExamples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key.child("lengths"), count: 2 * count)
    return examples(lengths: draws.lengths(count, in: 3...most), key: key)
  }

  /// Of `most` to `longest` steps, evenly.
  func longExamples(_ part: HeldOut) -> Dataset {
    let key = key(of: part), range = most...Self.longest
    var draws = Draws(key.child("lengths"), count: part.count)
    return examples(
      lengths: (0..<part.count).map { _ in range.lowerBound + draws.below(range.count) }, key: key)
  }
}

/// Whole numbers from a random stream, one after the other.
struct Draws {
  private let words: [UInt32]
  private var used = 0

  /// As many numbers as will be taken.
  init(_ key: RandomKey, count: Int) { words = key.words(count) }

  /// The next number, in `0..<bound`.
  mutating func below(_ bound: Int) -> Int {
    require(used < words.count, "Draws: more than \(words.count) numbers were taken")
    defer { used += 1 }
    return Int((UInt64(words[used]) * UInt64(bound)) >> 32)
  }

  /// Lengths to learn from, each from two draws: even up to a bound that is itself drawn evenly, so that short sequences
  /// are common enough to begin with and long ones not rare.
  mutating func lengths(_ count: Int, in range: ClosedRange<Int>) -> [Int] {
    (0..<count).map { _ in range.lowerBound + below(1 + below(range.count)) }
  }
}
