import LetheCore
import LetheData
import LetheNN

/// The adding problem: many numbers, two of them marked; the answer is the sum of the two.
///
/// Numbers are uniform in −1..<1. One mark lies in the first half of the sequence, the other in the second. Answering 0
/// always has a mean squared error of 2/3, the variance of the sum.
///
/// *Shapes*: [count, length, 2]: number, mark.
/// *Source*: Hochreiter & Schmidhuber 1997, experiment 4, with marks placed as in Le, Jaitly & Hinton 2015,
/// arXiv 1504.00941, and the plain sum as target.
public struct AddingTask: SequenceTask {
  public let name = "adding"
  public let meaning = "give the sum of the two marked numbers"
  public let inputSize = 2
  public let outputSize = 1
  public let loss = Loss.meanSquaredError
  public let baseline = 2.0 / 3
  public let goal = 0.04
  public let length: Int

  /// Sequences of the given length, 2 or more.
  public init(length: Int = 100) { self.length = length }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    let numbers = key.child("numbers").uniform(shape: [count, length], in: -1..<1).scalars
    var draws = Draws(key.child("marks"), count: count * 2)
    var sums: [Float] = []
    var x = [Float](repeating: 0, count: count * length * 2)
    for row in 0..<count {
      let marks = [draws.below(length / 2), length / 2 + draws.below(length - length / 2)]
      for t in 0..<length { x[(row * length + t) * 2] = numbers[row * length + t] }
      for t in marks { x[(row * length + t) * 2 + 1] = 1 }
      sums.append(numbers[row * length + marks[0]] + numbers[row * length + marks[1]])
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, length, 2]), targets: .values(Tensor(sums, shape: [count, 1])))
  }
}
