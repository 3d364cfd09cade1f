import LetheCore
import LetheData
import LetheNN

/// Embedded Reber strings, symbol by symbol: say which may come next, and at the end the T or P that came second.
///
///     B T [B … E] T E        B P [B … E] P E        [B … E]: a string of Reber's grammar
///
/// What lies between the two T or P says nothing about them. Counted are the steps where only the grammar's memory tells
/// T from P ("outer T or P"); who knows all but that is right half the time. Alone, each string begins anew and has up to
/// `length` steps. Continual, strings follow each other without a sign: streams to learn from have `length` steps, those
/// held out 5,000, so that a memory has to be emptied by the network itself.
///
/// *Shapes*: [count, longest, 7] with lengths, targets the same: B, T, P, S, X, V, E.
/// *Source*: Hochreiter & Schmidhuber 1997, experiment 1; continual: Gers, Schmidhuber & Cummins 2000, section 4.
public struct ReberTask: SequenceTask {
  /// The symbols, in the order of the input's places.
  static let symbols = Array("BTPSXVE")
  /// From each state of Reber's grammar: a symbol, and the state that it leads to. The last state's leads out.
  static let grammar: [[(symbol: Character, to: Int)]] = [
    [("T", 1), ("P", 2)], [("S", 1), ("X", 3)], [("T", 2), ("V", 4)], [("X", 2), ("S", 5)],
    [("P", 3), ("V", 5)], [("E", 6)],
  ]

  public let name: String
  public let meaning: String
  public let inputSize = 7
  public let outputSize = 7
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 0.5
  public let goal = 0.99
  public let answersEachStep = true
  public let length: Int
  private let isContinual: Bool

  /// Strings of at most `length` steps, 8 or more; or streams of that length.
  public init(length: Int = 40) {
    (self.length, isContinual, name) = (length, false, "reber")
    meaning =
      "say which symbols may follow in embedded Reber strings; the second symbol comes again at the end"
  }

  /// Strings one after the other, in streams of `length` steps.
  public init(continual length: Int) {
    (self.length, isContinual, name) = (length, true, "reber-continual")
    meaning = "embedded Reber strings one after the other, on longer streams than were learned from"
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    isContinual ? streams(count, steps: length, key: key) : strings(count, key: key)
  }

  public func heldOut(_ part: HeldOut) -> Dataset {
    isContinual
      ? streams(part == .test ? 16 : 4, steps: 5000, key: key(of: part))
      : strings(part.count, key: key(of: part))
  }

  /// The steps at which T, or P, is the only one that may follow.
  public func questions(_ data: Dataset) -> [[Int]] {
    guard let answers = StepAnswers(data) else { return [] }
    return answers.asked.filter { [[1], [2]].contains(answers.right(at: $0)) }.map { [$0] }
  }

  private func strings(_ count: Int, key: RandomKey) -> Dataset {
    var strings = SymbolStrings()
    for row in 0..<count {
      strings.begin()
      // The last E is not shown: nothing follows.
      for (symbol, next) in Self.string(atMost: length + 1, key: key.child(row)).dropLast() {
        strings.add(symbol, next)
      }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }

  private func streams(_ count: Int, steps: Int, key: RandomKey) -> Dataset {
    var strings = SymbolStrings()
    for row in 0..<count {
      strings.begin()
      var done = 0, number = 0
      while done < steps {
        let string = Self.string(atMost: 60, key: key.child(row).child(number)).prefix(steps - done)
        for (symbol, next) in string { strings.add(symbol, next) }
        done += string.count
        number += 1
      }
    }
    return strings.dataset(inputs: inputSize, outputs: outputSize)
  }

  /// The symbols of a string, each with those that may follow it; B after the last.
  static func string(atMost most: Int, key: RandomKey) -> [(symbol: Int, next: [Int])] {
    let place = Dictionary(uniqueKeysWithValues: symbols.enumerated().map { ($1, $0) })
    func places(_ characters: [Character]) -> [Int] { characters.compactMap { place[$0] } }
    // Strings that grow too long are drawn anew.
    for attempt in 0... {
      var draws = Draws(key.child(attempt), count: most)
      let outer: Character = draws.below(2) == 0 ? "T" : "P"
      var text: [Character] = ["B", outer, "B"], next: [[Character]] = [["T", "P"], ["B"]]
      var state = 0
      while state < grammar.count && text.count + 2 < most {
        let ways = grammar[state]
        next.append(ways.map(\.symbol))
        let way = ways[ways.count == 1 ? 0 : draws.below(ways.count)]
        text.append(way.symbol)
        state = way.to
      }
      guard state == grammar.count else { continue }
      text += [outer, "E"]
      next += [[outer], ["E"], ["B"]]
      return zip(places(text), next.map(places)).map { ($0, $1) }
    }
    return []
  }
}
