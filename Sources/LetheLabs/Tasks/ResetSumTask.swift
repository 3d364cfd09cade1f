import LetheCore
import LetheData
import LetheNN

/// The sum of the numbers since the last reset mark: what cannot be had without forgetting.
///
/// Numbers are uniform in −0.3..<0.3. The first step is marked, each later one with the given chance; the answer, after the
/// last step, is the sum from the last mark on, that step included.
///
/// *Shapes*: [count, length, 2]: number, mark.
struct ResetSumTask: SequenceTask {
  let name = "resetsum"
  let meaning = "give the sum of the numbers since the last mark"
  let inputSize = 2
  let outputSize = 1
  let loss = Loss.meanSquaredError
  let goal = 0.01
  let length: Int
  /// The chance of a mark.
  var chance = 0.1

  /// The variance of the sum: that of a number times the mean count of summed steps, (1 − (1 − p)ᵀ) / p.
  var baseline: Double { 0.03 * (1 - Elementary.pow(1 - chance, length)) / chance }

  func examples(_ count: Int, key: RandomKey) -> Dataset {
    let numbers = key.child("numbers").uniform(shape: [count, length], in: -0.3..<0.3).scalars
    let coins = key.child("marks").uniform(shape: [count, length], in: 0..<1).scalars
    var sums: [Float] = []
    var x = [Float](repeating: 0, count: count * length * 2)
    for row in 0..<count {
      var sum: Float = 0
      for t in 0..<length {
        let at = row * length + t
        let isMarked = t == 0 || Double(coins[at]) < chance
        sum = (isMarked ? 0 : sum) + numbers[at]
        (x[2 * at], x[2 * at + 1]) = (numbers[at], isMarked ? 1 : 0)
      }
      sums.append(sum)
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, length, 2]), targets: .values(Tensor(sums, shape: [count, 1])))
  }
}
