import LetheCore
import LetheData
import LetheNN

/// Say which symbols may follow in aⁿbⁿ or aⁿbⁿcⁿ: to know when the b end, the a have to be counted.
///
/// A string is shown after a start symbol: S a … a b … b, and its end T is only ever an answer. While there are a, both a and
/// b may follow; from the first b on one symbol is right. Strings to learn from have n of 1 to `most`. Held out are the
/// longer ones up to ten times that, each once: every third for validation, the others for the test. A string counts
/// as right when all its steps are, so the share of right strings says how far beyond its examples a network counts.
///
/// *Shapes*: [count, longest, letters + 2] with lengths, targets the same: S, a, b, (c,) T.
/// *Source*: Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive languages".
public struct CountingTask: SequenceTask {
  public let name: String
  public let meaning: String
  public let inputSize: Int
  public let outputSize: Int
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 0.0
  public let goal = 0.95
  public let answersEachStep = true
  public var length: Int { letters * most + 1 }
  private let letters: Int
  private let most: Int

  /// Strings of 2 or 3 different letters, each up to `most` times, 2 to 50.
  public init(letters: Int = 2, most: Int = 10) {
    require((2...3).contains(letters), "CountingTask: expected 2 or 3 letters, got \(letters)")
    (self.letters, self.most) = (letters, most)
    (inputSize, outputSize) = (letters + 2, letters + 2)
    name = letters == 2 ? "anbn" : "anbncn"
    meaning =
      "say which symbols may follow in \(letters == 2 ? "aⁿbⁿ" : "aⁿbⁿcⁿ"), on longer strings than were learned from"
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count)
    return strings((0..<count).map { _ in 1 + draws.below(most) })
  }

  public func heldOut(_ part: HeldOut) -> Dataset {
    strings((most + 1...10 * most).filter { ($0 % 3 == 0) == (part == .validation) })
  }

  /// All steps of a string.
  public func questions(_ data: Dataset) -> [[Int]] {
    guard let answers = StepAnswers(data) else { return [] }
    return (0..<data.count).map { answers.asked(row: $0) }
  }

  private func strings(_ numbers: [Int]) -> Dataset {
    var strings = SymbolStrings()
    for n in numbers {
      strings.begin()
      strings.add(0, [1])
      for letter in 1...letters {
        for index in 1...n {
          strings.add(letter, letter == 1 ? [1, 2] : [index < n ? letter : letter + 1])
        }
      }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }
}
