import LetheCore
import LetheData
import LetheNN

/// Keep one symbol for a long time among others that look the same.
///
/// The first step shows one of eight symbols and a mark that says "keep". Then come distractors, drawn from the same eight
/// symbols without a mark. The last step shows no symbol but a mark that says "answer". Sequences to learn from have 2 to
/// `length` steps, short ones more often: from full length alone the gradient of most cells finds nothing for a long time.
/// Those held out have `length` steps.
///
/// *Shapes*: [count, longest, 10] with lengths: symbol 0…7, keep, answer.
public struct RecallTask: SequenceTask {
  /// How many symbols there are.
  static let symbols = 8

  public let name = "recall"
  public let meaning = "name the symbol of the first step at the last, past distractors"
  public let inputSize = symbols + 2
  public let outputSize = symbols
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 1 / Double(symbols)
  public let goal = 0.95
  public let length: Int

  /// Sequences of the given length, 2 or more.
  public init(length: Int = 50) { self.length = length }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key.child("lengths"), count: 2 * count)
    return examples(lengths: draws.lengths(count, in: 2...length), key: key)
  }

  public func heldOut(_ part: HeldOut) -> Dataset {
    examples(lengths: Array(repeating: length, count: part.count), key: key(of: part))
  }

  private func examples(lengths: [Int], key: RandomKey) -> Dataset {
    let time = lengths.max() ?? 0
    var draws = Draws(key.child("symbols"), count: lengths.count * time)
    var labels: [Int32] = []
    var x = [Float](repeating: 0, count: lengths.count * time * inputSize)
    for (row, length) in lengths.enumerated() {
      let first = row * time * inputSize
      for t in 0..<length - 1 {
        let symbol = draws.below(Self.symbols)
        x[first + t * inputSize + symbol] = 1
        if t == 0 { labels.append(Int32(symbol)) }
      }
      x[first + Self.symbols] = 1
      x[first + (length - 1) * inputSize + Self.symbols + 1] = 1
    }
    return Dataset(
      inputs: Tensor(x, shape: [lengths.count, time, inputSize]),
      targets: .classes(labels, count: Self.symbols), lengths: lengths)
  }
}
