import LetheCore
import LetheData

/// Languages in which what may come next depends on a count.
///
/// A network reads S and then the word, letter by letter, and says of each letter and of the end T whether it may come next.
/// *Source*: Gers & Schmidhuber 2001, "LSTM recurrent networks learn simple context-free and context-sensitive languages",
/// whose targets these are.
enum CountingLanguage: String, CaseIterable {
  /// aⁿ bⁿ.
  case two = "a^n b^n"
  /// aⁿ bⁿ cⁿ.
  case three = "a^n b^n c^n"
  /// Balanced brackets: a opens, b closes.
  case brackets = "brackets"

  /// What is read: S, a, b, c.
  static let inputs = 4
  /// What is asked of: a, b, c, T.
  static let outputs = 4

  /// The word of a size: n letters of each kind; brackets twice nested n deep, with flat ones between.
  func word(_ n: Int) -> [Int] {
    func run(_ letter: Int, _ count: Int) -> [Int] { Array(repeating: letter, count: count) }
    return switch self {
    case .two: run(1, n) + run(2, n)
    case .three: run(1, n) + run(2, n) + run(3, n)
    case .brackets: run(1, n) + run(2, n) + [1, 2] + run(1, n) + run(2, n)
    }
  }

  /// A word to learn from, of size `most` or less.
  func word(upTo most: Int, _ draws: inout Draws) -> [Int] {
    guard self == .brackets else { return word(1 + draws.below(most)) }
    // A walk that turns down at the top, and at its end goes down to the ground.
    var (letters, depth) = ([Int](), 0)
    for _ in 0..<2 + draws.below(4 * most) {
      let rises = depth == 0 || depth < most && draws.below(2) == 0
      letters.append(rises ? 1 : 2)
      depth += rises ? 1 : -1
    }
    return letters + Array(repeating: 2, count: depth)
  }

  /// Numbers that a word to learn from takes at most.
  static func draws(upTo most: Int) -> Int { 4 * most + 4 }

  /// What may come after S and each prefix of a word: flags of a, b, c, T.
  func legal(_ word: [Int]) -> [[Bool]] {
    var counts = [0, 0, 0, 0]
    return ([0] + word).map { letter in
      if letter > 0 { counts[letter] += 1 }
      let (a, b, c) = (counts[1], counts[2], counts[3])
      return switch self {
      case .two: [b == 0, a > b, false, a > 0 && a == b]
      case .three: [b == 0, a > b && c == 0, a > 0 && a == b && b > c, a > 0 && a == c]
      case .brackets: [true, a > b, false, a == b]
      }
    }
  }

  /// The letter counts' difference that has to be kept, after S and each prefix.
  func counter(_ word: [Int]) -> [Double] {
    var count = 0.0
    return ([0] + word).map { letter in
      count += letter == 1 ? 1 : letter == 2 ? -1 : 0
      return count
    }
  }

  /// Words as a data set.
  static func dataset(_ language: CountingLanguage, _ words: [[Int]]) -> Dataset {
    let time = (words.map(\.count).max() ?? 0) + 1
    var x = [Float](repeating: 0, count: words.count * time * inputs)
    var y = [Float](repeating: 0, count: words.count * time * outputs)
    for (row, word) in words.enumerated() {
      for (t, letter) in ([0] + word).enumerated() { x[(row * time + t) * inputs + letter] = 1 }
      for (t, flags) in language.legal(word).enumerated() {
        for (k, flag) in flags.enumerated() where flag { y[(row * time + t) * outputs + k] = 1 }
      }
    }
    return Dataset(
      inputs: Tensor(x, shape: [words.count, time, inputs]),
      targets: .values(Tensor(y, shape: [words.count, time, outputs])), lengths: words.map { $0.count + 1 })
  }
}
