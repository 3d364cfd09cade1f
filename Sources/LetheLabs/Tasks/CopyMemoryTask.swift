import LetheCore
import LetheData
import LetheNN

/// The copy memory problem: ten symbols, a long wait, then the ten in their order.
///
/// After the symbols come `wait` − 1 blanks and eleven marks; the first mark ends the wait, at each of the others a symbol is
/// asked for. Every sequence has the full wait. Who remembers nothing is right once in eight.
///
/// *Shapes*: [count, wait + 20, 10]: symbol 0…7, blank, mark; targets [count, wait + 20, 8].
/// *Source*: Arjovsky, Shah & Bengio 2016, arXiv 1511.06464, with the end mark repeated as in Bai, Kolter & Koltun 2018, arXiv
/// 1803.01271; there the blanks before are asked for as well, which lowers the mean loss of who remembers nothing.
public struct CopyMemoryTask: SequenceTask {
  /// How many kinds of symbols there are.
  static let kinds = 8
  /// How many symbols a sequence has.
  static let symbols = 10

  public let name = "copy-memory"
  public let meaning = "say ten symbols in their order after a long wait"
  public let inputSize = kinds + 2
  public let outputSize = kinds
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 1 / Double(kinds)
  public let goal = 0.95
  public let answersEachStep = true
  public var length: Int { wait + 2 * Self.symbols }
  private let wait: Int

  /// Sequences with the given number of steps from the last symbol to the end of the wait, 1 or more.
  public init(wait: Int = 100) { self.wait = wait }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count * Self.symbols)
    var strings = SymbolStrings()
    for _ in 0..<count {
      let symbols = (0..<Self.symbols).map { _ in draws.below(Self.kinds) }
      strings.begin()
      for symbol in symbols { strings.add(symbol) }
      for _ in 1..<wait { strings.add(Self.kinds) }
      strings.add(Self.kinds + 1)
      for symbol in symbols { strings.add(Self.kinds + 1, [symbol]) }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }
}
