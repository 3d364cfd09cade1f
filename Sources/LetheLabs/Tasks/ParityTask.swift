import LetheCore
import LetheData
import LetheNN

/// Say whether the number of ones is odd: one bit of state that every step may turn over.
///
/// A bit is −1 or 1. Sequences to learn from have 3 to `length` steps, short ones more often; those held out have `length`
/// to 256, evenly, so that only what holds for any length is rewarded.
///
/// *Shapes*: [count, longest, 1] with lengths.
/// *Source*: the lengths are those of the parity experiment of NX-AI/xlstm.
public struct ParityTask: LongerWhenHeldOut {
  public let name = "parity"
  public let meaning =
    "say whether the number of ones is odd, on sequences at least as long as were learned from"
  public let inputSize = 1
  public let outputSize = 2
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 0.5
  public let goal = 0.95
  public let length: Int
  var most: Int { length }

  /// Sequences of up to the given length to learn from, 3 to 256.
  public init(length: Int = 40) { self.length = length }

  public func examples(_ count: Int, key: RandomKey) -> Dataset { shortExamples(count, key: key) }
  public func heldOut(_ part: HeldOut) -> Dataset { longExamples(part) }

  func examples(lengths: [Int], key: RandomKey) -> Dataset {
    let count = lengths.count
    let time = lengths.max() ?? 0
    let bits = key.child("bits").words(count * time)
    var labels: [Int32] = []
    var x = [Float](repeating: 0, count: count * time)
    for row in 0..<count {
      var ones = 0
      for at in row * time..<row * time + lengths[row] {
        let bit = Int(bits[at] >> 31)
        ones += bit
        x[at] = bit == 1 ? 1 : -1
      }
      labels.append(Int32(ones % 2))
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, time, 1]), targets: .classes(labels, count: 2), lengths: lengths)
  }
}
