import LetheCore
import LetheData
import LetheNN

/// Say symbols that were shown in their order, one for each mark that asks: past blanks or after a long wait.
///
/// *Shapes*: [count, longest, 10]: symbol 0…7, blank, mark; targets [count, longest, 8]; selective with lengths.
public struct CopyTask: SequenceTask {
  /// Where the symbols lie.
  public enum Problem: Sendable {
    /// Selective copying: four symbols somewhere among so many steps, 4 or more, the others blanks; then four marks.
    ///
    /// Where they lie says nothing, so gates have to tell a symbol from a blank by what they see: averages that weigh by time
    /// alone cannot. Examples to learn from have 4 to `steps` steps before the marks, short ones more often; those held
    /// out have `steps`. *Source*: Gu & Dao 2023, arXiv 2312.00752, section 4.1.1, there with 16 symbols of 16 kinds among
    /// 4,096 steps.
    case selective(steps: Int)
    /// The copy memory problem: ten symbols at once, `wait` − 1 blanks, 1 or more to wait, and eleven marks.
    ///
    /// The first mark ends the wait, at each of the others a symbol is asked for. Every sequence has the full wait. Who
    /// remembers nothing is right once in eight. *Source*: Arjovsky, Shah & Bengio 2016, arXiv 1511.06464, with the end mark
    /// repeated as in Bai, Kolter & Koltun 2018, arXiv 1803.01271; there the blanks before are asked for as well, which
    /// lowers the mean loss of who remembers nothing.
    case memory(wait: Int)
  }

  /// How many kinds of symbols there are.
  static let kinds = 8

  public let name: String
  public let meaning: String
  public let inputSize = kinds + 2
  public let outputSize = kinds
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 1 / Double(kinds)
  public let goal = 0.95
  public let answersEachStep = true
  public let length: Int
  private let problem: Problem
  /// How many symbols a sequence has.
  private let symbols: Int

  /// The problem, of a length.
  public init(_ problem: Problem) {
    self.problem = problem
    switch problem {
    case .selective(let steps):
      (name, symbols) = ("copying", 4)
      (meaning, length) = ("say the four tokens among blanks in their order", steps + symbols)
    case .memory(let wait):
      (name, symbols) = ("copy-memory", 10)
      (meaning, length) = ("say ten symbols in their order after a long wait", wait + 2 * symbols)
    }
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    switch problem {
    case .selective(let steps):
      var draws = Draws(key.child("lengths"), count: 2 * count)
      return selective(lengths: draws.lengths(count, in: symbols...steps), key: key)
    case .memory(let wait): return memory(count, wait: wait, key: key)
    }
  }

  public func heldOut(_ part: HeldOut) -> Dataset {
    guard case .selective(let steps) = problem else { return examples(part.count, key: key(of: part)) }
    return selective(lengths: Array(repeating: steps, count: part.count), key: key(of: part))
  }

  private func selective(lengths: [Int], key: RandomKey) -> Dataset {
    var strings = SymbolStrings()
    for (row, length) in lengths.enumerated() {
      let places = Set(key.child("places").child(row).permutation(length).prefix(symbols))
      var draws = Draws(key.child("tokens").child(row), count: symbols)
      var shown: [Int] = []
      strings.begin()
      for step in 0..<length {
        if places.contains(step) { shown.append(draws.below(Self.kinds)) }
        strings.add(places.contains(step) ? shown[shown.count - 1] : Self.kinds)
      }
      for symbol in shown { strings.add(Self.kinds + 1, [symbol]) }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }

  private func memory(_ count: Int, wait: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count * symbols)
    var strings = SymbolStrings()
    for _ in 0..<count {
      let shown = (0..<symbols).map { _ in draws.below(Self.kinds) }
      strings.begin()
      for symbol in shown { strings.add(symbol) }
      for _ in 1..<wait { strings.add(Self.kinds) }
      strings.add(Self.kinds + 1)
      for symbol in shown { strings.add(Self.kinds + 1, [symbol]) }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }
}
