import LetheCore
import LetheData
import LetheNN

/// Two spikes are seen; say when as much time has passed after the second as lay between them.
///
/// Of `length` steps, the spikes lie `length` / 5 to 2 · `length` / 5 apart, the first in the first fifth; all other steps show
/// 0. Asked is every step after the second spike: whether it is the one. A sequence counts as right when each of its steps
/// is, so a step early or late is wrong.
///
/// *Shapes*: [count, length, 1]; targets [count, length, 2]: wait, now.
/// *Source*: measuring spike distances as the study schmidhuber-problems has it (150 steps, distances of 30 to 60, mean squared
/// error to a single 1), after Gers, Schraudolph & Schmidhuber 2002, "Learning precise timing with LSTM recurrent networks".
public struct SpikesTask: SequenceTask {
  public let name = "spikes"
  public let meaning = "say when the time between two spikes has passed again"
  public let inputSize = 1
  public let outputSize = 2
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 0.0
  public let goal = 0.95
  public let answersEachStep = true
  public let length: Int

  /// Sequences of the given length, 10 or more.
  public init(length: Int = 150) { self.length = length }

  /// How far apart the spikes may lie.
  var distances: ClosedRange<Int> { length / 5...2 * length / 5 }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: 2 * count)
    var x = [Float](repeating: 0, count: count * length)
    var y = [Float](repeating: 0, count: count * length * outputSize)
    for row in 0..<count {
      let first = draws.below(length - 2 * distances.upperBound)
      let distance = distances.lowerBound + draws.below(distances.count)
      x[row * length + first] = 1
      x[row * length + first + distance] = 1
      for t in first + distance + 1..<length {
        y[(row * length + t) * outputSize + (t == first + 2 * distance ? 1 : 0)] = 1
      }
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, length, 1]),
      targets: .values(Tensor(y, shape: [count, length, outputSize])))
  }

  /// All steps of a sequence that are asked for.
  public func questions(_ data: Dataset) -> [[Int]] {
    guard let answers = StepAnswers(data) else { return [] }
    return (0..<data.count).map { answers.asked(row: $0) }
  }
}
