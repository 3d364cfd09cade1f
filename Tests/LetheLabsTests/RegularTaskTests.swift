import Lethe
import Testing

/// Regular languages, each held against another way to say what is right.
@Suite struct RegularTaskTests {
  private static func strings(_ task: RegularTask, _ data: Dataset) -> [(symbols: [Int], answer: Int)] {
    guard case .classes(let labels, _) = data.targets else { return [] }
    return (0..<data.count).map { row in
      let length = data.lengths?[row] ?? data.inputs.shape[1]
      let symbols = (0..<length).map { t in
        let shown = (0..<task.inputSize).filter { data.inputs[row, t, $0] != 0 }
        #expect(shown.count == 1 && data.inputs[row, t, shown[0]] == 1)
        return shown[0]
      }
      for t in length..<data.inputs.shape[1] {
        for i in 0..<task.inputSize { #expect(data.inputs[row, t, i] == 0) }
      }
      return (symbols, Int(labels[row]))
    }
  }

  @Test(arguments: RegularTask.Language.allCases)
  func lengthsAreWhatItSays(language: RegularTask.Language) throws {
    let task = RegularTask(language, most: 20)
    let learned = try #require(task.examples(500, key: RandomKey(seed: 1)).lengths)
    let odd = language == .modular
    let possible = Set(3...20).filter { !odd || $0 % 2 == 1 }
    #expect(Set(learned).isSubset(of: possible) && Set(learned).count >= possible.count - 1)
    let test = try #require(task.heldOut(.test).lengths)
    #expect(test.count == 1024 && (test.min() ?? 0) >= (odd ? 19 : 20) && (test.min() ?? 0) < 24)
    #expect((250...256).contains(test.max() ?? 0))
    #expect(task.name == language.rawValue && TaskCatalog.entry(task.name) != nil)
  }

  /// Where a and b follow each other evenly often, the last symbol is the first.
  @Test func evenPairsEndAsTheyBegin() {
    let task = RegularTask(.evenPairs)
    for (symbols, answer) in Self.strings(task, task.examples(300, key: RandomKey(seed: 2))) {
      #expect(answer == (symbols.first == symbols.last ? 0 : 1))
    }
  }

  @Test func walksEndWhereTheMovesLead() {
    let task = RegularTask(.cycle)
    for (symbols, answer) in Self.strings(task, task.examples(300, key: RandomKey(seed: 3))) {
      let net = symbols.count { $0 == 2 } - symbols.count { $0 == 0 }
      #expect((net - answer) % 5 == 0 && (0..<5).contains(answer))
    }
  }

  /// The value in whole numbers, term by term, without any modulus on the way.
  @Test func expressionsHaveTheirValue() {
    let task = RegularTask(.modular, most: 15)
    var signs: Set<Int> = []
    for (symbols, answer) in Self.strings(task, task.examples(400, key: RandomKey(seed: 4))) {
      #expect(symbols.count % 2 == 1)
      var terms: [(sign: Int, value: Int)] = [(1, symbols[0])]
      for t in stride(from: 1, to: symbols.count, by: 2) {
        let (sign, digit) = (symbols[t] - 5, symbols[t + 1])
        signs.insert(sign)
        #expect((0..<3).contains(sign) && (0..<5).contains(digit))
        if sign == 2 {
          terms[terms.count - 1].value *= digit
        } else {
          terms.append((sign == 0 ? 1 : -1, digit))
        }
      }
      let value = terms.reduce(0) { $0 + $1.sign * $1.value }
      #expect((value - answer) % 5 == 0 && (0..<5).contains(answer), "\(symbols) \(value) \(answer)")
    }
    #expect(signs == [0, 1, 2])
  }
}
