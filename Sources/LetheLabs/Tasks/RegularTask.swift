import LetheCore
import LetheData
import LetheNN

/// A regular language: what a machine with a handful of states says of a string, which has to be found from short ones.
///
/// Strings to learn from have 3 to `most` symbols, short ones more often; those held out have `most` to 256, evenly, so that
/// only the machine itself is rewarded. An expression has an odd number of symbols: one less where the number is even.
///
/// *Shapes*: [count, longest, symbols] with lengths.
/// *Source*: Delétang et al. 2023, "Neural networks and the Chomsky hierarchy", arXiv 2207.02098, whose test strings have up to
/// 500 symbols; the languages as in google-deepmind/neural_networks_chomsky_hierarchy.
public struct RegularTask: LongerWhenHeldOut {
  /// The languages.
  public enum Language: String, Sendable, CaseIterable {
    /// Symbols a, b: whether ab and ba together occur evenly often. Two states beside the first symbol.
    case evenPairs = "even-pairs"
    /// Moves −1, 0, 1: where on a ring of five places they lead.
    case cycle
    /// Digits 0…4 with +, −, × between them, × first: the value modulo 5. What is added up so far, and the open product.
    case modular
  }

  /// Places of the ring, and the modulus.
  static let modulus = 5

  public let language: Language
  public let meaning: String
  public let inputSize: Int
  public let outputSize: Int
  public let loss = Loss.categoricalCrossEntropy
  public let goal = 0.95
  public var length: Int { steps(of: most) }
  let most: Int

  /// Strings of up to `most` symbols to learn from, 3 to 256.
  public init(_ language: Language, most: Int = 40) {
    (self.language, self.most) = (language, most)
    switch language {
    case .evenPairs:
      (inputSize, outputSize) = (2, 2)
      meaning =
        "say whether a and b follow each other evenly often, on strings at least as long as were learned from"
    case .cycle:
      (inputSize, outputSize) = (3, Self.modulus)
      meaning = "say where on a ring of five the moves lead, on walks at least as long as were learned from"
    case .modular:
      (inputSize, outputSize) = (Self.modulus + 3, Self.modulus)
      meaning = "give an expression's value modulo 5, of ones at least as long as were learned from"
    }
  }

  public var name: String { language.rawValue }
  public var baseline: Double { 1 / Double(outputSize) }

  public func examples(_ count: Int, key: RandomKey) -> Dataset { shortExamples(count, key: key) }
  public func heldOut(_ part: HeldOut) -> Dataset { longExamples(part) }

  func examples(lengths asked: [Int], key: RandomKey) -> Dataset {
    let lengths = asked.map(steps)
    let time = lengths.max() ?? 0
    var draws = Draws(key.child("symbols"), count: lengths.reduce(0, +))
    var labels: [Int32] = []
    var x = [Float](repeating: 0, count: lengths.count * time * inputSize)
    for (row, length) in lengths.enumerated() {
      let symbols = (0..<length).map { symbol(at: $0, &draws) }
      for (t, symbol) in symbols.enumerated() { x[(row * time + t) * inputSize + symbol] = 1 }
      labels.append(Int32(answer(symbols)))
    }
    return Dataset(
      inputs: Tensor(x, shape: [lengths.count, time, inputSize]),
      targets: .classes(labels, count: outputSize), lengths: lengths)
  }

  /// The symbols of a string for which so many were asked.
  private func steps(of asked: Int) -> Int { language == .modular ? asked - 1 + asked % 2 : asked }

  private func symbol(at step: Int, _ draws: inout Draws) -> Int {
    switch language {
    case .evenPairs: draws.below(2)
    case .cycle: draws.below(3)
    case .modular: step % 2 == 0 ? draws.below(Self.modulus) : Self.modulus + draws.below(3)
    }
  }

  /// What the machine says after the last symbol.
  private func answer(_ symbols: [Int]) -> Int {
    let modulus = Self.modulus
    switch language {
    case .evenPairs: return zip(symbols, symbols.dropFirst()).count { $0 != $1 } % 2
    case .cycle: return symbols.reduce(0) { ($0 + $1 + modulus - 1) % modulus }
    case .modular:
      var sum = 0, product = symbols[0]
      for (sign, digit) in zip(symbols, symbols.dropFirst()) where sign >= modulus {
        switch sign - modulus {
        case 0: (sum, product) = (sum + product, digit)
        case 1: (sum, product) = (sum + product, modulus - digit)
        default: product = product * digit % modulus
        }
      }
      return (sum + product) % modulus
    }
  }
}
