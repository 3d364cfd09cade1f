import ArgumentParser
import Lethe

extension RecurrentBenchmark.Cell: ExpressibleByArgument {}
extension RecurrentBenchmark.Mode: ExpressibleByArgument {}

/// `lethe bench`: times one recurrent layer at one shape.
struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Time a recurrent layer at a shape, beside the peak of this machine.",
    discussion: """
      A training step is forward with all outputs, mean squared error, and backward with the gradients of the input \
      and of all weights. In stream mode a time is that of one step at batch 1, the state carried. Operations are \
      counted as 2 · B · T · G · H · (I + H), with G = 4 gates for lstm, 3 for gru, 1 for rnn, three times that for a \
      training step. The peak is what independent multiply-adds reach on one core in the same run, times the cores in use.

      EXAMPLES:
        lethe bench --cell lstm --mode train --batch 32 --time 100 --input 128 --hidden 256 --threads 1
        lethe bench --cell gru --mode stream --input 32 --hidden 32 --json
        LETHE_ISA=avx2 lethe bench --cell lstm --mode infer --batch 64 --time 35 --input 200 --hidden 200
      """)

  @Option(help: "The kind of cell.") var cell = RecurrentBenchmark.Cell.lstm
  @Option(help: "What is timed.") var mode = RecurrentBenchmark.Mode.train
  @Option(help: "Sequences in the batch; always 1 in stream mode.") var batch = 32
  @Option(help: "Steps of a sequence; always 1 in stream mode.") var time = 100
  @Option(help: "Input features.") var input = 128
  @Option(help: "Units.") var hidden = 256
  @Option(help: "For how many seconds to repeat.") var seconds = 1.0
  @OptionGroup var options: RunOptions

  func validate() throws {
    guard seconds > 0, seconds <= 3600 else {
      throw ValidationError("--seconds takes a number above 0 and up to 3600, not \(seconds).")
    }
  }

  func run() throws {
    let benchmark = RecurrentBenchmark(
      cell: cell, mode: mode, batch: batch, time: time, input: input, hidden: hidden, seconds: seconds)
    let report = try options.withThreads { try benchmark.run() }
    if options.json {
      try Console.json(
        JSONFields([
          ("cell", .text(cell.rawValue)), ("mode", .text(mode.rawValue)), ("batch", .whole(benchmark.batch)),
          ("time", .whole(benchmark.time)), ("input", .whole(input)), ("hidden", .whole(hidden)),
          ("threads", .whole(report.threads)), ("isa", .text(report.isa.rawValue)),
          ("repeats", .whole(report.repeats)),
          ("median_seconds", .number(report.medianSeconds)), ("min_seconds", .number(report.minSeconds)),
          ("gflops", .number(report.gflops)), ("peak_gflops", .number(report.peakGflops)),
        ]))
      return
    }
    let unit = mode == .stream ? "a step" : mode == .train ? "a training step" : "a batch of sequences"
    try Console.line(
      """
      \(cell.rawValue) \(mode.rawValue), batch \(benchmark.batch), time \(benchmark.time), input \(input), \
      hidden \(hidden), \(report.threads) thread\(report.threads == 1 ? "" : "s"), \(report.isa.rawValue)
      median \(microseconds(report.medianSeconds)) µs, best \(microseconds(report.minSeconds)) µs \(unit), \
      \(report.repeats) repeats
      \(Int(report.gflops.rounded())) GFLOP/s, \(report.percentOfPeak) % of the peak of \
      \(Int(report.peakGflops.rounded())) GFLOP/s
      """)
  }

  private func microseconds(_ seconds: Double) -> String { "\((seconds * 1e8).rounded() / 100)" }
}
