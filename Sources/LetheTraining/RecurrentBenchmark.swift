import LetheCore
import LetheNN

/// Times one recurrent layer at one shape, the way the peers are timed: warm, many repeats, the median.
///
/// Operations are counted as forward 2 · R · H · (G · I + U · H) for R real steps (batch · time, or the sum of the lengths)
/// with G gates that see the input and U that see a state (4 and 4 for LSTM, 3 and 3 for GRU, 1 and 1 for RNN): 2 for each
/// number of its matrices; matrix memories also count what they do with their state. Of attention the matrices alone count:
/// how many steps it weighs depends on what it prunes.
///
/// A training step counts three times that: forward with all outputs, mean squared error, backward with
/// the gradients of the input and of all weights.
public struct RecurrentBenchmark: Sendable {
  /// What is timed.
  public enum Mode: String, CaseIterable, Sendable {
    /// A training step.
    case train
    /// A training step and Adam's.
    case adam
    /// The outputs of whole sequences.
    case infer
    /// The same with every gate and state recorded, of layers that have them by name: without a `recordingLimit`.
    case record
    /// One step at a time at batch 1, the state carried, `groupSteps` steps on one clock.
    case stream
    /// The same, each step on its own clock: for the slowest one. The clock itself costs about 0.03 µs.
    case latency

    /// Whether a repeat is a step at batch 1.
    public var isStreaming: Bool { self == .stream || self == .latency }
  }

  /// The kind of cell.
  public var cell: CellCatalog.Entry
  /// What is timed.
  public var mode: Mode
  /// Sequences in the batch.
  public var batch: Int
  /// Steps a sequence.
  public var time: Int
  /// Steps that are timed together in stream mode.
  public var groupSteps: Int
  /// Input features.
  public var input: Int
  /// Units.
  public var hidden: Int
  /// Whether the sequences have lengths, drawn evenly from 1...time.
  public var isRagged = false
  /// For how long to repeat, in seconds.
  public var seconds: Double
  /// So many repeats instead (in stream mode, steps), with no warm-up and no measuring of the peak: for counting
  /// instructions and allocations.
  public var repeats: Int?

  /// A benchmark of the given shape; streams use batch 1 and as many groups of `time` steps as fit the seconds.
  public init(
    cell: CellCatalog.Entry, mode: Mode, batch: Int, time: Int, input: Int, hidden: Int, seconds: Double = 1
  ) {
    self.cell = cell
    self.mode = mode
    self.batch = mode.isStreaming ? 1 : batch
    self.time = mode.isStreaming ? 1 : time
    groupSteps = mode == .stream ? time : 1
    self.input = input
    self.hidden = hidden
    self.seconds = seconds
  }

  /// What was measured; in stream and latency mode times are those of one step.
  public struct Report: Sendable {
    /// The median of all repeats, in seconds.
    public var medianSeconds: Double
    /// The best of all repeats, in seconds.
    public var minSeconds: Double
    /// What 99.9 % of the repeats stay within, in seconds.
    public var nearlyAllSeconds: Double
    /// The slowest repeat, in seconds.
    public var maxSeconds: Double
    /// Repeats.
    public var repeats: Int
    /// The steps of all sequences together.
    public var realSteps: Int
    /// Operations a second at the median, in units of 10⁹.
    public var gflops: Double
    /// What one core reaches with independent multiply-adds, the median of several bursts before and after, times the
    /// cores in use, in units of 10⁹; 0 where it was not measured.
    public var peakGflops: Double
    /// Requests for memory that went to the system during the repeats.
    public var systemCalls: Int
    /// By how much the most memory this process ever held grew from before the first repeat to the end, in bytes.
    public var memoryGrowth: Int
    /// What sharing a loop of two empty calls with a second thread takes, in seconds, the median of many; `nil` with one
    /// thread. It tells how far apart the cores are just now.
    public var handoverSeconds: Double?
    /// The instruction set.
    public var isa: InstructionSet
    /// The threads allowed.
    public var threads: Int

    /// The share of the peak that was reached, in percent.
    public var percentOfPeak: Int { peakGflops > 0 ? Int((100 * gflops / peakGflops).rounded()) : 0 }
  }

  /// Runs it on `Parallel.threads` threads.
  ///
  /// - Throws: `LetheError` when a size is not above 0 or is too large to try, or when there is nothing to record.
  public func run() throws -> Report {
    for (name, size, most) in [
      ("--batch", batch, 1 << 16), ("--time", mode == .stream ? groupSteps : time, 1 << 20),
      ("--input", input, 1 << 16),
      ("--hidden", hidden, 1 << 13), ("--repeats", repeats ?? 1, 1 << 24),
    ] where size < 1 || size > most {
      throw LetheError(name, "is out of range", expected: "1...\(most)", found: "\(size)")
    }
    guard batch * time * (input + 8 * hidden) < 1 << 31 else {
      throw LetheError(
        "--batch and --time", "would need more than about 8 GB", expected: "fewer steps, features or units")
    }
    if mode == .record, let limit = type(of: cell.layer(1, .all)).recordingLimit {
      throw LetheError(
        "--mode record", "finds nothing to record in '\(cell.name)': \(limit)",
        advice: "take --mode infer")
    }
    let isa = try InstructionSet.chosen()
    let threads = mode.isStreaming ? 1 : Parallel.threads
    let before = repeats == nil ? isa.measurePeak() : 0
    func build(_ layer: inout some RecurrentLayer, scalars: Int = 0) throws -> (operations: Int, width: Int) {
      let shape = try layer.build(input: [.any, input + scalars])
      layer.initialize(key: RandomKey(seed: 1))
      let ofState = (layer as? MatrixMemory)?.memoryOperations ?? 0
      let operations = layer.parameters.reduce(ofState) {
        $0 + ($1.value.shape.count == 2 ? 2 * $1.value.count : 0)
      }
      return (operations, shape[1])
    }
    func open<C: RecurrentCell>(_ cell: C) throws -> (RepeatedTiming.Result, operations: Int) {
      var layer = Recurrent(cell, outputs: .all)
      let scalars = cell.description.scalars
      let (operations, width) = try build(&layer, scalars: scalars)
      return (
        mode.isStreaming ? measureStream(layer) : measure(layer, scalars: scalars, width: width), operations
      )
    }
    func open(layer: some RecurrentLayer) throws -> (RepeatedTiming.Result, operations: Int) {
      var layer = layer
      let (operations, width) = try build(&layer)
      return (mode.isStreaming ? measureStream(layer) : measure(layer, width: width), operations)
    }
    // The built-in ones by name, as programs name them: the compiler makes code for each.
    let (measured, operations) =
      switch cell.cell?(hidden) {
      case let cell as LSTMCell: try open(cell)
      case let cell as GRUCell: try open(cell)
      case let cell as RNNCell: try open(cell)
      case let cell?: try open(cell)
      case nil: try open(layer: cell.layer(hidden, .all))
      }
    let peak = repeats == nil ? (before + isa.measurePeak()) / 2 : 0
    let sorted = measured.times, median = measured.median
    let realSteps = lengths?.reduce(0, +) ?? batch * time
    return Report(
      medianSeconds: median, minSeconds: sorted[0], nearlyAllSeconds: sorted[sorted.count * 999 / 1000],
      maxSeconds: sorted[sorted.count - 1], repeats: sorted.count, realSteps: realSteps,
      gflops: Double(realSteps * operations) * (mode == .train || mode == .adam ? 3 : 1) / median * 1e-9,
      peakGflops: peak * Double(min(threads, Parallel.processorCount)) * 1e-9,
      systemCalls: measured.systemCalls,
      memoryGrowth: measured.memoryGrowth, handoverSeconds: threads > 1 && repeats == nil ? handover() : nil,
      isa: isa,
      threads: threads)
  }

  private var lengths: [Int]? {
    if !isRagged { return nil }
    let draws = RandomKey(seed: 4).uniform(shape: [batch], in: 0..<1).scalars
    return draws.map { min(1 + Int($0 * Float(time)), time) }
  }

  private var timed: RepeatedTiming {
    RepeatedTiming(seconds: seconds, repeats: repeats, most: mode == .latency ? 4_000_000 : 100_000)
  }

  /// The last `scalars` columns are times or scores.
  private func inputs(scalars: Int) -> Tensor {
    let shape = [batch, time, input + scalars], key = RandomKey(seed: 2)
    return scalars == 0 ? key.normal(shape: shape) : key.uniform(shape: shape, in: 0..<1)
  }

  private func measure(_ layer: some RecurrentLayer, scalars: Int = 0, width: Int) -> RepeatedTiming.Result {
    let x = inputs(scalars: scalars), timing = Timing(lengths: lengths)
    if mode == .infer { return timed.run { _ = layer(Variable(x, timing: timing)) } }
    if mode == .record { return timed.run { _ = layer.record(x, timing: timing) } }
    var layer = layer
    let target = RandomKey(seed: 3).normal(shape: [batch, time, width])
    var optimizer = OptimizerState(.adam())
    return timed.run {
      let (_, gradients) = layer.gradients { layer, tape in
        meanSquaredError(layer(tape.watched(x, timing: timing)), target)
      }
      if mode == .adam { optimizer.update(&layer, gradients: gradients) }
    }
  }

  private func measureStream<C: RecurrentCell>(_ layer: Recurrent<C>) -> RepeatedTiming.Result {
    var stream = layer.stream()
    return inputs(scalars: layer.cell.description.scalars).withUnsafeBuffer { x in
      measureSteps { stream.step(x) }
    }
  }

  private func measureStream(_ layer: some RecurrentLayer) -> RepeatedTiming.Result {
    var stream = layer.stream()
    return inputs(scalars: 0).withUnsafeBuffer { x in measureSteps { stream.step(x) } }
  }

  private func measureSteps(_ step: () -> Void) -> RepeatedTiming.Result {
    if mode == .latency || repeats != nil { return timed.run(step) }
    let steps = groupSteps
    var measured = timed.run { for _ in 0..<steps { step() } }
    for index in measured.times.indices { measured.times[index] /= Double(steps) }
    return measured
  }

  private func handover() -> Double {
    let times = (0..<2001).map { _ in RepeatedTiming.seconds { Parallel.run(2, threads: 2) { _ in } } }
    return times.sorted()[1000]
  }
}
