import Lethe
import LetheTestSupport
import Testing

/// Tasks with an answer at each step, read back from their tensors and held against another way to say what they are.
@Suite struct StepTasksTests {
  /// A row's symbols and, step by step, the answers with a probability, which are even.
  private static func row(_ data: Dataset, _ row: Int) -> [(symbol: Int, right: [Int])] {
    guard case .values(let targets) = data.targets else { return [] }
    let steps = data.lengths?[row] ?? data.inputs.shape[1]
    for t in steps..<data.inputs.shape[1] {
      for symbol in 0..<data.inputs.shape[2] { #expect(data.inputs[row, t, symbol] == 0) }
    }
    return (0..<steps).map { t in
      let shown = (0..<data.inputs.shape[2]).filter { data.inputs[row, t, $0] == 1 }
      let right = (0..<targets.shape[2]).filter { targets[row, t, $0] > 0 }
      for answer in right { #expect(targets[row, t, answer] == 1 / Float(right.count)) }
      #expect(shown.count == 1)
      return (shown.first ?? -1, right)
    }
  }

  private static func text(_ steps: [(symbol: Int, right: [Int])]) -> String {
    String(steps.map { Array("BTPSXVE")[$0.symbol] })
  }

  /// Reber's grammar as a regular expression: embedded strings without the last E.
  private static func isEmbedded(_ text: some StringProtocol) throws -> Bool {
    let low = "T*V(PXT*V)*(V|PS)"  // from the lower middle of the diagram to the end
    let inner = "B(TS*X(S|X\(low))|P\(low))E"
    return try Regex("BT\(inner)T|BP\(inner)P").wholeMatch(in: String(text)) != nil
  }

  @Test func reberStringsAreOfTheGrammar() throws {
    let data = ReberTask(length: 30).examples(400, key: RandomKey(seed: 1))
    var texts: Set<String> = []
    for row in 0..<400 {
      let steps = Self.row(data, row), text = Self.text(steps)
      #expect(try Self.isEmbedded(text), "\(text)")
      #expect((8...30).contains(text.count))
      // What comes is among what may, and the last two answers are the outer symbol and E.
      for (step, next) in zip(steps, steps.dropFirst()) { #expect(step.right.contains(next.symbol)) }
      #expect(steps.suffix(2).map(\.right) == [[steps[1].symbol], [6]])
      texts.insert(text)
    }
    #expect(
      texts.count > 100 && texts.contains { $0.hasPrefix("BT") } && texts.contains { $0.hasPrefix("BP") })
    // The shortest strings there are.
    #expect(ReberTask(length: 8).examples(50, key: RandomKey(seed: 1)).inputs.shape == [50, 8, 7])
  }

  /// After every beginning the answers are all symbols with which some string goes on.
  @Test func reberAnswersAreWhatMayFollow() {
    let data = ReberTask(length: 24).examples(3000, key: RandomKey(seed: 2))
    var follows: [String: Set<Int>] = [:]
    var told: [String: Set<Int>] = [:]
    for row in 0..<3000 {
      let steps = Self.row(data, row)
      for t in 0..<7 {
        let beginning = Self.text(Array(steps[...t]))
        follows[beginning, default: []].insert(steps[t + 1].symbol)
        told[beginning] = Set(steps[t].right)
      }
    }
    #expect(follows.count > 50)
    for (beginning, symbols) in follows where beginning.count < 6 {
      #expect(told[beginning] == symbols, "\(beginning)")
    }
  }

  @Test func onlyTheOuterSymbolIsAskedFor() throws {
    let task = ReberTask(length: 30), data = task.examples(60, key: RandomKey(seed: 3))
    let time = data.inputs.shape[1]
    let lengths = try #require(data.lengths)
    #expect(task.questions(data) == (0..<60).map { [$0 * time + lengths[$0] - 2] })
  }

  @Test func continualStreamsAreStringsWithoutABreak() throws {
    let task = ReberTask(continual: 150), data = task.examples(20, key: RandomKey(seed: 1))
    #expect(data.inputs.shape == [20, 150, 7] && data.lengths == nil)
    let end = try Regex("E[TP]E")
    var outer = 0
    for row in 0..<20 {
      let steps = Self.row(data, row)
      for (step, next) in zip(steps, steps.dropFirst()) { #expect(step.right.contains(next.symbol)) }
      var rest = Self.text(steps)[...]
      while let found = rest.firstRange(of: end) {
        #expect(try Self.isEmbedded(rest[..<found.upperBound].dropLast()), "\(rest)")
        rest = rest[found.upperBound...]
        outer += 1
      }
      // The last string is cut off, before or after the E inside.
      if rest.contains("E") { outer += 1 }
    }
    #expect(task.questions(data).count == outer)
    let test = task.heldOut(.test)
    #expect(test.inputs.shape == [16, 5000, 7] && task.questions(test).count > 5000)
  }

  @Test(arguments: [2, 3])
  func stringsToCountAreAllOfTheirLengths(letters: Int) {
    let task = CountingTask(letters: letters, most: 5)
    func numbers(_ data: Dataset) -> [Int] {
      (0..<data.count).map { row in
        let steps = Self.row(data, row), n = (steps.count - 1) / letters
        let expected = [0] + (1...letters).flatMap { Array(repeating: $0, count: n) }
        #expect(steps.map(\.symbol) == expected)
        for t in 0..<steps.count {
          // The next symbol, the end after the last; while there are a, also b.
          let next = t + 1 < expected.count ? expected[t + 1] : letters + 1
          #expect(steps[t].right == ((1...n).contains(t) ? [1, 2] : [next]))
        }
        return n
      }
    }
    #expect(Set(numbers(task.examples(200, key: RandomKey(seed: 1)))) == Set(1...5))
    let (validation, test) = (numbers(task.heldOut(.validation)), numbers(task.heldOut(.test)))
    #expect((validation + test).sorted() == Array(6...50))
    #expect(validation.count == 15 && test.count == 30)
    let data = task.heldOut(.test)
    #expect(task.questions(data).map(\.count) == test.map { 1 + letters * $0 })
  }

  @Test func copyingAsksForTheTokensInOrder() throws {
    let task = CopyTask(.selective(steps: 12)), data = task.examples(200, key: RandomKey(seed: 1))
    let lengths = try #require(data.lengths)
    #expect(Set(lengths) == Set(8...16))
    var places: Set<Int> = []
    for row in 0..<200 {
      let steps = Self.row(data, row)
      let tokens = steps.map(\.symbol).filter { $0 < 8 }
      #expect(tokens.count == 4)
      #expect(steps.suffix(4).map(\.symbol) == [9, 9, 9, 9])
      #expect(steps.suffix(4).map(\.right) == tokens.map { [$0] })
      #expect(steps.dropLast(4).allSatisfy { $0.right.isEmpty && $0.symbol < 9 })
      places.formUnion(steps.indices.filter { steps[$0].symbol < 8 })
    }
    #expect(places == Set(0..<12))
    #expect(task.questions(data).count == 800)
  }

  @Test(arguments: [1, 7]) func copyMemoryAsksAfterTheWait(wait: Int) {
    let task = CopyTask(.memory(wait: wait)), data = task.examples(100, key: RandomKey(seed: 1))
    #expect(data.inputs.shape == [100, wait + 20, 10] && data.lengths == nil)
    var seen: Set<Int> = []
    for row in 0..<100 {
      let steps = Self.row(data, row), symbols = steps.prefix(10).map(\.symbol)
      seen.formUnion(symbols)
      #expect(
        steps.dropFirst(10).map(\.symbol) == Array(repeating: 8, count: wait - 1)
          + Array(repeating: 9, count: 11))
      #expect(steps.suffix(10).map(\.right) == symbols.map { [$0] })
      #expect(steps.dropLast(10).allSatisfy { $0.right.isEmpty })
    }
    #expect(seen == Set(0..<8) && task.questions(data).count == 1000)
  }

  @Test func spikesAskForTheSameTimeAgain() {
    let task = SpikesTask(length: 50), data = task.examples(400, key: RandomKey(seed: 1))
    guard case .values(let targets) = data.targets else { return }
    var distances: Set<Int> = [], firsts: Set<Int> = []
    let questions = task.questions(data)
    for row in 0..<400 {
      let spikes = (0..<50).filter { data.inputs[row, $0, 0] == 1 }
      #expect(spikes.count == 2 && (0..<50).allSatisfy { [0, 1].contains(data.inputs[row, $0, 0]) })
      let distance = spikes[1] - spikes[0]
      distances.insert(distance)
      firsts.insert(spikes[0])
      #expect((0..<50).filter { targets[row, $0, 1] == 1 } == [spikes[1] + distance])
      #expect(questions[row] == (spikes[1] + 1..<50).map { row * 50 + $0 })
      for t in 0..<50 where t != spikes[1] + distance {
        #expect(targets[row, t, 0] == (t > spikes[1] ? 1 : 0))
      }
    }
    #expect(distances == Set(10...20) && firsts == Set(0..<10))
    // Who waits for ever is never right.
    var waits = targets
    for row in 0..<400 { for t in 0..<50 { (waits[row, t, 0], waits[row, t, 1]) = (1, 0) } }
    #expect(task.shareRight(waits, data) == task.baseline && task.shareRight(targets, data) == 1)
  }

  /// The metric by hand: of two rows the first is right at all its steps, the second wrong at one.
  @Test func theShareOfRightAnswersIsCounted() {
    let task = CountingTask(letters: 2, most: 2), data = task.heldOut(.validation)  // n = 3, 6, 9 …
    guard case .values(let targets) = data.targets else { return }
    var outputs = targets
    func share() -> Double { task.shareRight(outputs, data) }
    #expect(share() == 1)
    // While there are a, either answer will do.
    outputs[0, 1, 1] += 1
    #expect(share() == 1)
    outputs[0, 4, 3] = 2
    #expect(share() == 1 - 1 / Double(data.count))
    // Steps beyond a row's length do not count.
    outputs[0, 8, 0] = 5
    #expect(share() == 1 - 1 / Double(data.count))
  }
}
