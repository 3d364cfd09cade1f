import ArgumentParser
import Lethe

extension RecurrentBenchmark.Mode: ExpressibleByArgument {}

/// `lethe bench`: times one recurrent layer at one shape, or at all shapes of a grid.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract:
      "Time a recurrent layer at a shape or a grid of shapes, or a model, beside the peak of this machine.",
    discussion: """
      A training step (train) is forward with all outputs, mean squared error, and backward with the gradients of the \
      input and of all weights; adam adds Adam's step. infer is the outputs of whole sequences, record the \
      same with every gate and state kept, of cells that name them (not matrix memories, fox and attentive). stream is one step at batch 1, the state carried; latency the same with a clock around every step, for the slowest one. Operations \
      are counted as 2 · R · H · (G · I + U · H) for R real steps, with G gates that see the input and U that see a state \
      (4 and 4 for lstm, 3 and 3 for gru), which is 2 for each number of the matrices; of mlstm, gla, hgrn2 and deltanet \
      also 5 (deltanet 7) for each number of the state; of fox and attentive the matrices alone, not the steps they weigh. A training step counts three times that. The peak is what independent multiply-adds reach on one core in the same run, \
      the median of several bursts, times the cores in use.

      EXAMPLES:
        lethe bench --cell lstm --batch 64 --time 35 --input 200 --hidden 200
        lethe bench --cell gru --mode stream --input 32 --hidden 32 --json
        lethe bench --mode train --ragged --batch 64
        lethe bench --cell peephole --batch 32 --time 28 --input 28 --hidden 128
        lethe bench grid --mode train --threads 1
        lethe bench cells --mode train --threads 1
        lethe bench ptb --json
      """)

  enum Work: String, CaseIterable, ExpressibleByArgument {
    case shape, grid, cells, mnist, ptb, convlstm, forecaster
    var model: ModelBenchmark.Work? { ModelBenchmark.Work(rawValue: rawValue) }
  }

  @Argument(
    help: """
      One shape; a grid of shapes (lstm and gru in all modes unless --cell or --mode say less); all cells at one shape \
      (train and infer unless --mode says less); or a whole model: a training step of the recipe for MNIST, of the small \
      language model on Penn Treebank, or of a convolutional LSTM over images; a step of a small forecaster as a stream, in groups of 200 on one clock.
      """)
  var work = Work.shape
  @Option(
    help: ArgumentHelp(
      "The kind of cell: \(CellName.list). (default: lstm; grid: lstm and gru)", valueName: "cell"))
  var cell: CellName?
  @Option(help: ArgumentHelp("What is timed. (default: train; grid: train, infer and stream)"))
  var mode: RecurrentBenchmark.Mode?
  @Option(help: "Sequences in the batch; 1 in stream and latency mode. (default: 32)") var batch: Int?
  @Option(help: "Steps of a sequence (default: 100); in stream mode, of a group on one clock. (default: 200)")
  var time: Int?
  @Option(help: "Input features. (default: 128; of cells as wide as their input: as many as units)")
  var input: Int?
  @Option(help: "Units. (default: 256)") var hidden: Int?
  @Flag(help: "Sequences of lengths drawn evenly from 1 to --time instead of full ones.") var ragged = false
  @Option(help: "For how many seconds to repeat. (default: 1)") var seconds: Double?
  @Option(
    help: ArgumentHelp(
      "Repeat so often instead, without warm-up and peak: for counting instructions and allocations.",
      valueName: "n"))
  var repeats: Int?
  @OptionGroup var options: RunOptions

  func validate() throws {
    if let seconds, !(seconds > 0 && seconds <= 3600) {
      throw ValidationError("--seconds takes a number above 0 and up to 3600, not \(seconds).")
    }
    if seconds != nil, repeats != nil {
      throw ValidationError("--seconds and --repeats both say how long to go on; give one of them.")
    }
    for (name, value) in [("--batch", batch), ("--time", time), ("--input", input), ("--hidden", hidden)]
    where value != nil && work != .shape && work != .cells {
      throw ValidationError("\(name) does not go with \(work), which has shapes of its own.")
    }
    for (name, isGiven) in [("--cell", cell != nil), ("--mode", mode != nil), ("--ragged", ragged)]
    where isGiven && work.model != nil {
      throw ValidationError("\(name) does not go with \(work), which is a model of its own.")
    }
    if cell != nil, work == .cells {
      throw ValidationError("--cell does not go with cells, which are all of them.")
    }
    if ragged, work == .grid, mode == nil {
      throw ValidationError(
        "--ragged does not go with streams, which are in the grid; say --mode train or infer.")
    }
    for (name, isGiven) in [
      ("--batch", (batch ?? 1) != 1), ("--time", (time ?? 1) != 1 && mode == .latency), ("--ragged", ragged),
    ] where isGiven && mode?.isStreaming ?? false {
      throw ValidationError(
        "\(name) does not go with stream and latency, which make single steps at batch 1.")
    }
  }

  func run() throws {
    if let model = work.model { return try time(model) }
    for benchmark in work == .grid ? grid : work == .cells ? cells : [shape] {
      var benchmark = benchmark
      benchmark.isRagged = ragged && !benchmark.mode.isStreaming
      benchmark.repeats = repeats
      let report = try options.withThreads { try benchmark.run() }
      if options.json {
        try Console.json(fields(benchmark, report))
      } else if work != .shape {
        try Console.line(row(benchmark, report))
      } else {
        try Console.line(text(benchmark, report))
      }
    }
  }

  private func time(_ model: ModelBenchmark.Work) throws {
    let report = try options.withThreads {
      try ModelBenchmark(model, seconds: seconds ?? 1, repeats: repeats).run()
    }
    let epoch = model.stepsPerEpoch.map { report.medianSeconds * Double($0) }
    if options.json {
      try Console.json(
        JSONFields([
          ("model", .text(model.rawValue)), ("threads", .whole(report.threads)),
          ("isa", .text(report.isa.rawValue)),
          ("repeats", .whole(report.repeats)), ("median_seconds", .number(report.medianSeconds)),
          ("min_seconds", .number(report.minSeconds)), ("epoch_seconds", .number(epoch)),
        ]))
    } else {
      try Console.line(
        """
        \(model.rawValue), \(report.threads) thread\(report.threads == 1 ? "" : "s"), \(report.isa.rawValue)
        median \(microseconds(report.medianSeconds)) µs, best \(microseconds(report.minSeconds)) µs a \(model.isStream ? "step" : "training step"), \
        \(report.repeats) repeats
        """)
      if let epoch, let steps = model.stepsPerEpoch {
        try Console.line("\((epoch * 10).rounded() / 10) s an epoch of \(steps) steps")
      }
    }
  }

  private var shape: RecurrentBenchmark { shape(of: cell?.entry ?? CellName.usual[0], mode ?? .train) }

  /// All of them, those as wide as their input with as many inputs as units.
  private var cells: [RecurrentBenchmark] {
    CellCatalog.all.flatMap { cell in
      (mode.map { [$0] } ?? [.train, .infer]).compactMap { mode in
        if mode == .record && type(of: cell.layer(1, .all)).recordingLimit != nil { return nil }
        var own = shape(of: cell, mode)
        if cell.isAsWideAsItsInput { own.input = own.hidden }
        return own
      }
    }
  }

  private func shape(of cell: CellCatalog.Entry, _ mode: RecurrentBenchmark.Mode) -> RecurrentBenchmark {
    let hidden = hidden ?? 256
    return RecurrentBenchmark(
      cell: cell, mode: mode, batch: batch ?? 32, time: time ?? (mode == .stream ? 200 : 100),
      input: input ?? (cell.isAsWideAsItsInput ? hidden : 128), hidden: hidden, seconds: seconds ?? 1)
  }

  private var grid: [RecurrentBenchmark] {
    RecurrentBenchmark.grid(
      cells: cell.map { [$0.entry] } ?? CellName.usual,
      modes: mode.map { [$0] } ?? [.train, .infer, .stream],
      seconds: seconds ?? 1)
  }

  private func fields(_ benchmark: RecurrentBenchmark, _ report: RecurrentBenchmark.Report) -> JSONFields {
    JSONFields([
      ("cell", .text(benchmark.cell.name)), ("mode", .text(benchmark.mode.rawValue)),
      ("batch", .whole(benchmark.batch)), ("time", .whole(benchmark.time)),
      ("input", .whole(benchmark.input)),
      ("hidden", .whole(benchmark.hidden)), ("ragged", .flag(benchmark.isRagged)),
      ("real_steps", .whole(report.realSteps)), ("threads", .whole(report.threads)),
      ("isa", .text(report.isa.rawValue)), ("repeats", .whole(report.repeats)),
      ("median_seconds", .number(report.medianSeconds)), ("min_seconds", .number(report.minSeconds)),
      ("p999_seconds", .number(report.nearlyAllSeconds)), ("max_seconds", .number(report.maxSeconds)),
      ("gflops", .number(report.gflops)),
      ("peak_gflops", report.peakGflops > 0 ? .number(report.peakGflops) : .null),
      ("handover_seconds", .number(report.handoverSeconds)),
      ("system_allocations", .whole(report.systemCalls)),
      ("memory_growth_bytes", .whole(report.memoryGrowth)),
    ])
  }

  private func row(_ benchmark: RecurrentBenchmark, _ report: RecurrentBenchmark.Report) -> String {
    let shape = [benchmark.batch, benchmark.time, benchmark.input, benchmark.hidden].map(String.init)
    return [
      padded("\(benchmark.cell.name) \(benchmark.mode.rawValue)", work == .cells ? 24 : 12),
      padded(shape.joined(separator: ","), 18),
      padded(microseconds(report.medianSeconds) + " µs", 16, right: true),
      padded("\(Int(report.gflops.rounded())) GFLOP/s", 12, right: true),
      padded(report.peakGflops > 0 ? "\(report.percentOfPeak) %" : "", 6, right: true),
      benchmark.isRagged ? " ragged" : "",
    ].joined(separator: " ")
  }

  private func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let space = String(repeating: " ", count: max(0, width - text.count))
    return right ? space + text : text + space
  }

  private func text(_ benchmark: RecurrentBenchmark, _ report: RecurrentBenchmark.Report) -> String {
    let unit =
      switch benchmark.mode {
      case .stream, .latency: "a step"
      case .train, .adam: "a training step"
      case .infer, .record: "a batch of sequences"
      }
    let share =
      report.peakGflops > 0
      ? ", \(report.percentOfPeak) % of the peak of \(Int(report.peakGflops.rounded())) GFLOP/s" : ""
    return """
      \(benchmark.cell.name) \(benchmark.mode.rawValue), batch \(benchmark.batch), time \(benchmark.time)\
      \(benchmark.isRagged ? " (\(report.realSteps) real steps in all)" : ""), input \(benchmark.input), \
      hidden \(benchmark.hidden), \(report.threads) thread\(report.threads == 1 ? "" : "s"), \(report.isa.rawValue)
      median \(microseconds(report.medianSeconds)) µs, best \(microseconds(report.minSeconds)) µs, 99.9 % within \
      \(microseconds(report.nearlyAllSeconds)) µs, slowest \(microseconds(report.maxSeconds)) µs \(unit), \
      \(report.repeats) repeats
      \(Int(report.gflops.rounded())) GFLOP/s\(share)
      memory grew by \(report.memoryGrowth >> 20) MiB from the first repeat on; requests for memory that went to the system \
      while timed: \(report.systemCalls)
      """
  }

  private func microseconds(_ seconds: Double) -> String { "\((seconds * 1e8).rounded() / 100)" }
}
