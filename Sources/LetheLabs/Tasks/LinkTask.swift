import LetheCore
import LetheData
import LetheNN

/// One link through time: a number of the first step is asked for after so many steps of noise.
///
/// The first step shows −1 or 1 beside a mark; all later ones show noise, normal with the given deviation, without it.
/// The answer, after the last step, is which of the two it was. Every sequence has the full length.
///
/// *Shapes*: [count, length, 2]: number, mark.
/// *Source*: the latch problem of Bengio, Simard & Frasconi 1994, with noise as wide as the signal is large.
struct LinkTask: SequenceTask {
  let name = "link"
  let meaning = "say whether the first number was 1 or -1, past noise"
  let inputSize = 2
  let outputSize = 2
  let loss = Loss.categoricalCrossEntropy
  let baseline = 0.5
  let goal = 0.95
  /// Steps from the number to the answer, both included.
  let length: Int
  /// How strong the noise is.
  var noise: Float = 0.5

  func examples(_ count: Int, key: RandomKey) -> Dataset {
    var x = [Float](repeating: 0, count: count * length * 2)
    let distractors = key.child("noise").normal(shape: [count * length], deviation: noise).scalars
    for i in 0..<count * length { x[2 * i] = distractors[i] }
    var draws = Draws(key.child("bits"), count: count)
    let labels = (0..<count).map { row -> Int32 in
      let bit = draws.below(2)
      x[row * length * 2] = Float(2 * bit - 1)
      x[row * length * 2 + 1] = 1
      return Int32(bit)
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, length, 2]), targets: .classes(labels, count: 2))
  }
}
