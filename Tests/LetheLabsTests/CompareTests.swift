import Lethe
import LetheTestSupport
import Testing

@Suite struct CompareTests {
  private static func entries(_ names: String...) -> [CellCatalog.Entry] {
    names.compactMap { CellCatalog.entry($0) }
  }

  /// Ragged and full sequences, a cell that needs a Dense layer before it, two rates.
  @Test func stepsGiveTheSameBitsForAnyNumberOfThreads() throws {
    for task in [RecallTask(length: 6), AddingTask(length: 9)] as [any SequenceTask] {
      func report(_ task: some SequenceTask, threads: Int) throws -> ComparisonReport {
        let comparison = try Comparison(
          task, cells: Self.entries("gru", "ema", "peephole"), budget: .steps(4), hidden: 12, seeds: 2,
          rates: [0.01, 0.002])
        return try Parallel.$threads.withValue(threads) { try comparison.run() }
      }
      let one = try report(task, threads: 1), two = try report(task, threads: 2)
      #expect(one.rows.count == 3 && one.isComplete)
      for (a, b) in zip(one.rows, two.rows) {
        #expect(a.contestant.cell.name == b.contestant.cell.name)
        #expect(a.values.map(\.bitPattern) == b.values.map(\.bitPattern) && a.values.count == 2)
        #expect(a.rate == b.rate && a.steps == 4 && b.steps == 4 && a.goal?.steps == b.goal?.steps)
      }
    }
  }

  @Test func lstmLearnsShortRecall() throws {
    let comparison = try Comparison(
      RecallTask(length: 10), cells: Self.entries("ema", "lstm"), budget: .steps(250), hidden: 32, seeds: 2)
    let report = try comparison.run()
    #expect(report.rows.map(\.contestant.cell.name) == ["lstm", "ema"])
    #expect(report.rows[0].worst > 0.95, "\(report.rows[0].values)")
    // What all steps are averaged into cannot tell the first symbol from the others.
    #expect(report.rows[1].best < 0.8, "\(report.rows[1].values)")
    #expect(report.rows[0].goal != nil && report.rows[1].goal == nil)
    #expect(report.separates(report.rows[0], from: report.rows[1]))
    #expect(report.verdict.hasPrefix("lstm won: "), "\(report.verdict)")
    let lines = report.lines
    #expect(lines[0].hasPrefix("cell") && lines[1].hasPrefix("lstm") && lines[2].hasPrefix("ema"))
    #expect(report.explanation.contains("chance is 12.5%"))
    let page = report.html()
    #expect(page.contains("Which cell for recall?") && page.contains("lstm won"))
    #expect(
      page.contains("<svg") && !page.contains("<script") && !page.contains("http://")
        && !page.contains("https://"))
  }

  @Test func parametersAreMatched() throws {
    func check(_ task: some SequenceTask) throws {
      let cells = Comparison.cells(for: task)
      #expect(cells.count == CellCatalog.all.count - 3)
      let comparison = try Comparison(task, cells: cells, budget: .steps(1))
      let lstm = try #require(comparison.contestants.first { $0.cell.name == "lstm" })
      #expect(lstm.width == 64 && lstm.stateSize == 128)
      for contestant in comparison.contestants {
        let ratio = Double(contestant.parameters) / Double(lstm.parameters)
        #expect((0.95...1.05).contains(ratio), "\(contestant.cell.name): \(contestant.parameters)")
      }
    }
    for task in [RecallTask(), ParityTask(), AddingTask()] as [any SequenceTask] { try check(task) }
  }

  /// What attention keeps grows to the end of the longest sequence. Of width 16 a step leaves 36 numbers: four heads have a key
  /// and a value of 4 and a sum.
  @Test(arguments: [
    ("recall", 50 * 36), ("copying", 68 * 36), ("copy-memory", 120 * 36), ("anbn", 21 * 36),
    ("anbncn", 31 * 36), ("modular", 39 * 36), ("digits-pixels", 64 * 36),
  ])
  func attentionKeepsEveryStep(name: String, state: Int) throws {
    func contestant(_ task: some SequenceTask) throws -> Contestant {
      try Contestant(Self.entries("fox")[0], width: 16, task: task)
    }
    let task = try #require(try TaskCatalog.entry(name)?.task())
    #expect(try contestant(task).stateSize == state)
  }

  /// Counted from declared shapes, and by hand: 4 · 5 · (10 + 5) weights, 2 · 4 · 5 biases, the read-out 8 · 5 + 8.
  @Test func parametersAreCounted() throws {
    let lstm = try Contestant(Self.entries("lstm")[0], width: 5, task: RecallTask())
    #expect(lstm.parameters == 300 + 40 + 48)
    // As wide as its input: 10 · 5 + 5 before it.
    let ema = try Contestant(Self.entries("ema")[0], width: 5, task: RecallTask())
    #expect(ema.parameters == 55 + 5 + 48 && ema.stateSize == 5)
  }

  @Test func widthsAreMatchedOnRequest() throws {
    let comparison = try Comparison(
      OrderTask(), cells: Self.entries("rnn", "slstm", "sru"), budget: .steps(1), match: .width, hidden: 24)
    #expect(comparison.contestants.map(\.width) == [24, 24, 24])
    #expect(comparison.contestants.map(\.stateSize) == [24, 96, 48])
  }

  @Test func layersLieOnTopOfEachOther() throws {
    let one = try Contestant(Self.entries("lstm")[0], width: 5, layers: 3, task: RecallTask())
    // 4 · 5 · (10 + 5) + 40, twice 4 · 5 · (5 + 5) + 40, the read-out 8 · 5 + 8.
    #expect(one.parameters == 340 + 2 * 240 + 48 && one.stateSize == 30)
    // Of width 8 a memory has 4 heads with a key of 1 and a value of 2, n and m; 10 · 8 + 8 before it.
    let memory = try Contestant(Self.entries("mlstm")[0], width: 8, layers: 2, task: RecallTask())
    let layer = 2 * 4 * 8 + 8 * 8 + 8 * 8 + 8 + 2 + 8 * 8
    #expect(memory.parameters == 88 + 2 * layer + 72 && memory.stateSize == 2 * (8 + 4 + 4))
  }

  /// Averages do not keep the second symbol past the inner string.
  @Test func anAnswerAtEachStepIsLearned() throws {
    let comparison = try Comparison(
      ReberTask(), cells: Self.entries("lstm", "ema"), budget: .steps(400), match: .width, hidden: 20,
      seeds: 2, rates: [0.01])
    let report = try comparison.run()
    #expect(report.rows.map(\.contestant.cell.name) == ["lstm", "ema"])
    #expect(report.rows[0].worst > 0.95 && report.rows[1].best < 0.75, "\(report.rows.map(\.values))")
    #expect(report.testCount == 1024)
  }

  /// Cells, matrix memories, layers on the tape: each as a stack under a read-out of every step.
  @Test func everyCellStands() throws {
    let task = CountingTask(most: 3)
    let comparison = try Comparison(
      task, cells: Comparison.cells(for: task), budget: .steps(3), match: .width, hidden: 8, layers: 2,
      seeds: 1)
    let report = try comparison.run()
    #expect(report.rows.count == CellCatalog.all.count - 3 && report.isComplete)
    for row in report.rows { #expect(row.brokenRuns == 0 && row.steps == 3, "\(row.contestant.cell.name)") }
  }

  @Test(arguments: ["augru", "gru_d", "time_lstm"])
  func cellsWithColumnsOfTheirOwnAreRefused(name: String) {
    let error = #expect(throws: LetheError.self) {
      try Comparison(RecallTask(), cells: Self.entries("lstm", name), budget: .steps(1))
    }
    #expect(error?.description.contains(name) == true && error?.description.contains("recall") == true)
  }

  @Test func timesAreRead() {
    let read = ["60s", "2m", "500ms", "1.5s", "1h"].map { ComparisonBudget(time: $0) }
    #expect(read == [60, 120, 0.5, 1.5, 3600].map { .seconds($0) })
    for text in ["", "60", "s", "ms", "-1s", "0s", "1e3s", "25h", "nans", "0x1s", "1 s", "..s", "1d"] {
      #expect(ComparisonBudget(time: text) == nil, "\(text)")
    }
  }

  @Test func aTimeBudgetIsKept() throws {
    let comparison = try Comparison(
      RecallTask(length: 5), cells: Self.entries("rnn"), budget: .seconds(0.05), hidden: 8, seeds: 1)
    var shares: [Double] = []
    let report = try comparison.run(progress: { shares.append($0.share) })
    let row = report.rows[0]
    #expect(row.steps > 1 && abs(row.secondsPerStep * Double(row.steps) - 0.05) < 0.05)
    #expect(shares.last == 1 && shares == shares.sorted())
    #expect(report.verdict.contains("rnn") || report.verdict.contains("chance"))
  }

  @Test func anInterruptionKeepsWhatIsDone() throws {
    let comparison = try Comparison(
      RecallTask(length: 5), cells: Self.entries("rnn", "gru"), budget: .steps(3), hidden: 8, seeds: 2)
    var ended = 0
    let report = try comparison.run(
      progress: { if $0.ended != nil { ended += 1 } }, shouldStop: { ended == 3 })
    #expect(!report.isComplete && ended == 3)
    let done = Dictionary(
      uniqueKeysWithValues: report.rows.map { ($0.contestant.cell.name, $0.values.count) })
    #expect(done == ["rnn": 2, "gru": 1])
    #expect(!report.separates(report.rows[0], from: report.rows[1]))
    let nothing = try comparison.run(shouldStop: { true })
    #expect(nothing.rows.isEmpty && nothing.verdict == "No run was done.")
  }

  @Test func whatIsNotFiniteEndsARunAndNotTheComparison() throws {
    let comparison = try Comparison(
      AddingTask(length: 8), cells: Self.entries("indrnn", "lstm"), budget: .steps(30), hidden: 8, seeds: 2,
      rates: [1e30])
    let report = try comparison.run()
    let row = try #require(report.rows.first { $0.contestant.cell.name == "indrnn" })
    #expect(row.brokenRuns == 2 && row.steps < 30)
    #expect(report.lines.contains { $0.contains("indrnn: 2 of 2 runs ended early") })
    #expect(report.isComplete && report.verdict.hasPrefix("Not separable"))
  }
}
