import LetheCore
import LetheNN

/// Times one recurrent layer at one shape, the way the peers are timed: warm, many repeats, the median.
///
/// Operations are counted as forward 2 · B · T · G · H · (I + H) with G = 4 gates for LSTM, 3 for GRU, 1 for RNN; a training
/// step counts three times that: forward with all outputs, mean squared error, backward with the gradients of
/// the input and of all weights.
public struct RecurrentBenchmark: Sendable {
  /// The kinds of cells that can be timed.
  public enum Cell: String, CaseIterable, Sendable {
    /// `LSTM`.
    case lstm
    /// `GRU`, reset after.
    case gru
    /// `RNN`, tanh.
    case rnn
  }

  /// What is timed.
  public enum Mode: String, CaseIterable, Sendable {
    /// A training step.
    case train
    /// The outputs of whole sequences.
    case infer
    /// One step at a time at batch 1, the state carried.
    case stream
  }

  /// The kind of cell.
  public var cell: Cell
  /// What is timed.
  public var mode: Mode
  /// Sequences in the batch.
  public var batch: Int
  /// Steps a sequence.
  public var time: Int
  /// Input features.
  public var input: Int
  /// Units.
  public var hidden: Int
  /// For how long to repeat, in seconds.
  public var seconds: Double

  /// A benchmark of the given shape; streams use batch 1 and as many steps as fit the time.
  public init(
    cell: Cell, mode: Mode, batch: Int, time: Int, input: Int, hidden: Int, seconds: Double = 1
  ) {
    self.cell = cell
    self.mode = mode
    self.batch = mode == .stream ? 1 : batch
    self.time = mode == .stream ? 1 : time
    self.input = input
    self.hidden = hidden
    self.seconds = seconds
  }

  /// What was measured; in stream mode times are those of one step.
  public struct Report: Sendable {
    /// The median of all repeats, in seconds.
    public var medianSeconds: Double
    /// The best of all repeats, in seconds.
    public var minSeconds: Double
    /// Repeats.
    public var repeats: Int
    /// Operations a second at the median, in units of 10⁹.
    public var gflops: Double
    /// What one core reaches with independent multiply-adds, the better of before and after, times the cores in
    /// use, in units of 10⁹.
    public var peakGflops: Double
    /// The instruction set.
    public var isa: InstructionSet
    /// The share of the peak that was reached, in percent.
    public var percentOfPeak: Int { Int((100 * gflops / peakGflops).rounded()) }
    /// The threads allowed.
    public var threads: Int
  }

  /// Runs it on `Parallel.threads` threads.
  ///
  /// - Throws: `LetheError` when a size is not above 0 or is too large to try.
  public func run() throws -> Report {
    for (name, size, most) in [
      ("--batch", batch, 1 << 16), ("--time", time, 1 << 20), ("--input", input, 1 << 16),
      ("--hidden", hidden, 1 << 13),
    ] where size < 1 || size > most {
      throw LetheError(name, "is out of range", expected: "1...\(most)", found: "\(size)")
    }
    let rows = batch * time
    guard rows * (input + 8 * hidden) < 1 << 31 else {
      throw LetheError(
        "--batch and --time", "would need more than about 8 GB", expected: "fewer steps, features or units")
    }
    let isa = try InstructionSet.chosen()
    let threads = mode == .stream ? 1 : Parallel.threads
    let before = isa.measurePeak()
    let times: [Double]
    switch cell {
    case .lstm: times = measure(LSTM(inputSize: input, hiddenSize: hidden, key: RandomKey(seed: 1)))
    case .gru: times = measure(GRU(inputSize: input, hiddenSize: hidden, key: RandomKey(seed: 1)))
    case .rnn: times = measure(RNN(inputSize: input, hiddenSize: hidden, key: RandomKey(seed: 1)))
    }
    let peak = max(before, isa.measurePeak()) * Double(min(threads, Parallel.processorCount))
    let sorted = times.sorted()
    let median = sorted[sorted.count / 2]
    let gates =
      switch cell {
      case .lstm: 4
      case .gru: 3
      case .rnn: 1
      }
    let operations = Double(2 * rows * gates * hidden) * Double(input + hidden) * (mode == .train ? 3 : 1)
    return Report(
      medianSeconds: median, minSeconds: sorted[0], repeats: sorted.count, gflops: operations / median * 1e-9,
      peakGflops: peak * 1e-9, isa: isa, threads: threads)
  }

  private func measure<C: RecurrentCell>(_ layer: Recurrent<C>) -> [Double] {
    let x = RandomKey(seed: 2).normal(shape: [batch, time, input])
    switch mode {
    case .train:
      let target = RandomKey(seed: 3).normal(shape: [batch, time, hidden])
      return repeated {
        _ = layer.gradients { layer, tape in meanSquaredError(layer(tape.watched(x)), target) }
      }
    case .infer:
      return repeated { _ = layer(Variable(x)) }
    case .stream:
      var stream = layer.stream()
      let steps = 200
      return x.withUnsafeBuffer { x in
        repeated { for _ in 0..<steps { stream.step(x) } }.map { $0 / Double(steps) }
      }
    }
  }

  /// Warms up for a third of the time, then collects the time of each call for at least five calls.
  private func repeated(_ body: () -> Void) -> [Double] {
    let clock = ContinuousClock()
    func elapsed(since start: ContinuousClock.Instant) -> Double {
      let (whole, atto) = start.duration(to: clock.now).components
      return Double(whole) + Double(atto) * 1e-18
    }
    let warm = clock.now
    repeat { body() } while elapsed(since: warm) < min(0.3, seconds / 3)
    var times: [Double] = []
    let start = clock.now
    while times.count < 5 || (elapsed(since: start) < seconds && times.count < 100_000) {
      let one = clock.now
      body()
      times.append(elapsed(since: one))
    }
    return times
  }
}
