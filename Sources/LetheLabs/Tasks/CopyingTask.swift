import LetheCore
import LetheData
import LetheNN

/// Selective copying: four tokens lie somewhere among blanks; then say them in their order.
///
/// After the tokens and blanks come four steps with a mark that says "answer", at which the first to the fourth token are
/// asked. Where the tokens lie says nothing, so gates have to tell a token from a blank by what they see: averages that
/// weigh by time alone cannot. Examples to learn from have 4 to `steps` steps before the answers, short ones more often;
/// those held out have `steps`.
///
/// *Shapes*: [count, longest, 10] with lengths: token 0…7, blank, answer; targets [count, longest, 8].
/// *Source*: Gu & Dao 2023, arXiv 2312.00752, section 4.1.1, there with 16 tokens of 16 kinds among 4,096 steps.
public struct CopyingTask: SequenceTask {
  /// How many kinds of tokens there are.
  static let kinds = 8
  /// How many tokens a sequence has.
  static let tokens = 4

  public let name = "copying"
  public let meaning = "say the four tokens among blanks in their order"
  public let inputSize = kinds + 2
  public let outputSize = kinds
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 1 / Double(kinds)
  public let goal = 0.95
  public let answersEachStep = true
  public var length: Int { steps + Self.tokens }
  private let steps: Int

  /// Sequences with up to so many steps before the answers, 4 or more.
  public init(steps: Int = 64) { self.steps = steps }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key.child("lengths"), count: 2 * count)
    return examples(lengths: draws.lengths(count, in: Self.tokens...steps), key: key)
  }

  public func heldOut(_ part: HeldOut) -> Dataset {
    examples(lengths: Array(repeating: steps, count: part.count), key: key(of: part))
  }

  private func examples(lengths: [Int], key: RandomKey) -> Dataset {
    var strings = SymbolStrings()
    for (row, length) in lengths.enumerated() {
      let places = Set(key.child("places").child(row).permutation(length).prefix(Self.tokens))
      var draws = Draws(key.child("tokens").child(row), count: Self.tokens)
      var tokens: [Int] = []
      strings.begin()
      for step in 0..<length {
        if places.contains(step) { tokens.append(draws.below(Self.kinds)) }
        strings.add(places.contains(step) ? tokens[tokens.count - 1] : Self.kinds)
      }
      for token in tokens { strings.add(Self.kinds + 1, [token]) }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }
}
