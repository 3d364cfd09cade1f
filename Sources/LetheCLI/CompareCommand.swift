import ArgumentParser
import Lethe

extension Comparison.Matching: ExpressibleByArgument {}

/// `lethe compare`: which cell for a task, by trying.
struct CompareCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Train networks of several cells on a task and show which does best, and by how much.",
    discussion: """
      Each cell is trained from each seed on the same examples with the same budget: a recurrent layer (--layers) and a read-out, \
      Adam, the rate falling to 0 along half a cosine. Examples to learn from, to choose by and to test on are \
      apart. The table has medians over the seeds and their range; where ranges overlap, cells are not separable. With \
      --steps the metric has the same bits for any number of threads; with --budget the processor's speed decides.

      TASKS:
        recall           the symbol of the first step, past distractors (50 steps)
        adding           the sum of two marked numbers (100 steps)
        parity           whether the ones are odd (3 to 40 steps, tested on 40 to 256)
        order            in which order three symbols came (50 steps)
        reber            which symbol ends an embedded Reber string (up to 40 steps)
        reber-continual  the same, string after string (streams of 150 steps, tested on 5,000)
        anbn, anbncn     what may follow in a..ab..b(c..c) (up to 10 each, tested on 11 to 100)
        copying          selective copying: four tokens among blanks, in their order (64 steps)
        copy-memory      ten symbols after a wait, in their order (100 steps)
        spikes           when the time between two spikes is over again (150 steps)
        even-pairs       whether ab and ba are even (3 to 40 steps, tested on 40 to 256)
        cycle, modular   a walk round five places; sums and products modulo 5 (as long)
        digits           the built-in digits, row by row (8 rows of 8)
        digits-pixels    the same, pixel by pixel (64 steps)
        digits-means, digits-means-permuted
                         the same, by means of 2 x 2 pixels (16 steps); these in a fixed random order
        mnist-rows       MNIST, row by row (28 rows of 28); needs --data
        mnist-pixels     the same, pixel by pixel (784 steps); needs --data
        mnist-means, mnist-means-permuted
                         the same, by means of 2 x 2 pixels (196 steps); these in a fixed random order; need --data

      EXAMPLES:
        lethe compare --task recall
        lethe compare --task parity --cells lstm,slstm --budget 60s --out r.html
        lethe compare --task adding --cells all --steps 500 --seeds 1 --json
        lethe compare --task order --lr 0.002,0.01 --match width --hidden 32
        lethe compare --task copying --cells mingru,mlstm,deltanet --layers 2
        lethe compare --task cycle --cells lstm,gru,mingru,attentive --steps 2000
        lethe compare --task mnist-rows --data data/mnist --cells lstm,gru
      """)

  private static let usual = ["lstm", "gru", "rnn", "mgu", "janet", "minlstm", "mingru"]
  private static let taskNames = TaskCatalog.all.map(\.name).joined(separator: ", ")

  @Option(help: ArgumentHelp("What is to be learned: \(Self.taskNames).", valueName: "task"))
  var task: String
  @Option(
    help: ArgumentHelp(
      "Cells, with commas between, or all: \(CellName.list). (default: \(Self.usual.joined(separator: ",")))",
      valueName: "cells"))
  var cells: String?
  @Option(
    help: ArgumentHelp(
      "Training time of each cell and seed, as 60s, 2m or 500ms. (default: 10s)", valueName: "time"))
  var budget: String?
  @Option(help: ArgumentHelp("Train each cell and seed for so many steps instead.", valueName: "n"))
  var steps: Count?
  @Option(
    help: ArgumentHelp(
      "What is made equal: the networks' parameters, as many as an LSTM's, or the cells' width."))
  var match = Comparison.Matching.parameters
  @Option(
    help: ArgumentHelp("Units of the LSTM that the others are matched with, up to 4096.", valueName: "n"))
  var hidden = Count(64)
  @Option(help: ArgumentHelp("Recurrent layers on top of each other, up to 16.", valueName: "n"))
  var layers = Count(1)
  @Option(help: ArgumentHelp("Runs of each cell, from the seeds 1, 2, … up to 1000.", valueName: "n"))
  var seeds = Count(3)
  @Option(
    help: ArgumentHelp(
      "The length that TASKS gives, another one: steps of a sequence, of the wait, letters of a kind.",
      valueName: "n"))
  var length: Int?
  @Option(
    help: ArgumentHelp(
      "Learning rate. Of several, with commas between, each cell keeps the best. (default: \(Comparison.defaultRate))",
      valueName: "rates"))
  var lr: String?
  @Option(
    help: ArgumentHelp("The folder with MNIST's files, for the tasks named after it.", valueName: "folder"))
  var data: String?
  @Option(
    help: ArgumentHelp("A page with the table and the learning curves, for a browser.", valueName: "file"))
  var out: String?
  @OptionGroup var shared: RunOptions

  func validate() throws {
    guard let entry = TaskCatalog.entry(task) else {
      throw ValidationError("There is no task '\(Console.printable(task))'. Tasks: \(Self.taskNames).")
    }
    _ = try parsedCells()
    _ = try parsedBudget()
    _ = try parsedRates()
    if hidden.value > 4096 {
      throw ValidationError("--hidden takes a number from 1 to 4096, not \(hidden.value).")
    }
    if layers.value > 16 {
      throw ValidationError("--layers takes a number from 1 to 16, not \(layers.value).")
    }
    if seeds.value > 1000 {
      throw ValidationError("--seeds takes a number from 1 to 1000, not \(seeds.value).")
    }
    if entry.readsFiles != (data != nil) {
      throw ValidationError(
        entry.readsFiles
          ? "'\(task)' needs --data <folder>, the folder with its four IDX files."
          : "--data is for the tasks of MNIST; '\(task)' needs no files.")
    }
    if let length {
      guard let lengths = entry.lengths else {
        throw ValidationError("--length does not go with \(task): its images say it.")
      }
      if !lengths.range.contains(length) {
        throw ValidationError(
          "--length takes a number from \(lengths.range.lowerBound) to \(lengths.range.upperBound) for \(task), "
            + "not \(length).")
      }
    }
  }

  func run() throws {
    if let out { try OutputPath.check(out) }
    guard let task = try TaskCatalog.entry(task)?.task(length: length, folder: data ?? "") else { return }
    let comparison = try comparison(of: task)
    Interruption.catchSignals()
    if !shared.json { Console.note(comparison.introduction) }
    let report = try shared.withThreads {
      try comparison.run(progress: shared.json ? { _ in } : ComparisonProgress.automatic()) {
        Interruption.isRequested
      }
    }
    try shared.json ? printFields(report) : printWords(report)
    if let out, !report.rows.isEmpty {
      try FileBytes.writeAtomically([Array(report.html().utf8)], to: out)
      if !shared.json { try Console.line("report: \(Console.printable(out))  (open it in a browser)") }
    }
    if !report.isComplete {
      Console.note("lethe: interrupted; what is shown is of the runs that were done")
      Console.leave(ExitCode(128 + Interruption.signal))
    }
  }

  /// A cell that cannot take the task's input is wrong usage.
  private func comparison(of task: any SequenceTask) throws -> Comparison {
    func make(_ task: some SequenceTask) throws -> Comparison {
      try Comparison(
        task, cells: parsedCells() ?? Comparison.cells(for: task), budget: parsedBudget(), match: match,
        hidden: hidden.value, layers: layers.value, seeds: seeds.value, rates: parsedRates())
    }
    do {
      return try make(task)
    } catch let error as LetheError {
      Console.note("lethe: error: \(error.inOneLine)")
      throw ExitCode.validationFailure
    }
  }

  /// `nil` for all that fit the task.
  private func parsedCells() throws -> [CellCatalog.Entry]? {
    if cells == "all" { return nil }
    var entries: [CellCatalog.Entry] = []
    for name in cells.map({ $0.split(separator: ",").map(String.init) }) ?? Self.usual {
      guard let entry = CellCatalog.entry(name) else {
        throw ValidationError("There is no cell '\(Console.printable(name))'. Cells: \(CellName.list).")
      }
      if entries.contains(where: { $0.name == name }) {
        throw ValidationError("--cells names '\(name)' twice.")
      }
      entries.append(entry)
    }
    if entries.isEmpty { throw ValidationError("--cells names no cell. Cells: \(CellName.list).") }
    return entries
  }

  private func parsedBudget() throws -> ComparisonBudget {
    if let steps {
      if budget != nil { throw ValidationError("--budget and --steps both say how long; give one of them.") }
      return .steps(steps.value)
    }
    guard let parsed = ComparisonBudget(time: budget ?? "10s") else {
      throw ValidationError(
        "--budget takes a time from 1ms to 24h, as 60s, 2m or 500ms, not '\(Console.printable(budget ?? ""))'."
      )
    }
    return parsed
  }

  private func parsedRates() throws -> [Float] {
    guard let lr else { return [Comparison.defaultRate] }
    let rates = lr.split(separator: ",").compactMap { Rate(argument: String($0))?.value }
    guard !rates.isEmpty, rates.count == lr.split(separator: ",").count, Set(rates).count == rates.count
    else {
      throw ValidationError(
        "--lr takes numbers above 0, different ones, with commas between, not '\(Console.printable(lr))'.")
    }
    return rates
  }

  private func printWords(_ report: ComparisonReport) throws {
    for line in report.rows.isEmpty ? [report.verdict] : report.lines { try Console.line(line) }
  }

  private func printFields(_ report: ComparisonReport) throws {
    let task = report.comparison.task
    for (index, row) in report.rows.enumerated() {
      try Console.json(
        JSONFields([
          ("rank", .whole(index + 1)), ("task", .text(task.name)), ("cell", .text(row.contestant.cell.name)),
          ("metric", .text(task.metric)), ("median", .number(row.median)), ("worst", .number(row.worst)),
          ("best", .number(row.best)), ("values", .list(row.values.map { .number($0) })),
          ("baseline", .number(task.baseline)), ("test_count", .whole(report.testCount)),
          ("behind_first", .flag(report.rows.first.map { report.separates($0, from: row) } ?? false)),
          ("broken_runs", .whole(row.brokenRuns)), ("steps", .whole(row.steps)),
          ("seconds_per_step", .number(row.secondsPerStep)), ("goal", .number(task.goal)),
          ("goal_steps", row.goal.map { .whole($0.steps) } ?? .null),
          ("goal_seconds", .number(row.goal?.seconds)), ("rate", .single(row.rate)),
          ("units", .whole(row.contestant.width)), ("parameters", .whole(row.contestant.parameters)),
          ("state", .whole(row.contestant.stateSize)), ("memory_bytes", .whole(row.heldBytes)),
        ]))
    }
  }
}
