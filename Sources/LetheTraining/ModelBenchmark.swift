import LetheCore
import LetheNN

/// Times a whole model on made-up data: a training step, which is forward, loss, backward and the optimizer's step, or a step
/// of a stream.
public struct ModelBenchmark: Sendable {
  /// The models.
  public enum Work: String, CaseIterable, Sendable {
    /// The default recipe for MNIST: two convolutions and a Forgetting Gate Network, batch 100, Adam.
    case mnist
    /// The small language model on Penn Treebank of Zaremba, Sutskever and Vinyals (2014), without its clipping: an
    /// embedding of 10,000 words, two LSTMs of 200, batch 20, 20 steps, gradient descent.
    case ptb
    /// A convolutional LSTM of 16 filters of 3 × 3 over ten images of 16 × 16 pixels, a dense layer, batch 16, Adam.
    case convlstm
    /// A small forecaster as a stream: windows of two steps of 12 features, two LSTMs of 32, the second beside what it reads, a
    /// dense layer to one number.
    case forecaster

    /// Whether it is run one step at a time, not trained.
    public var isStream: Bool { self == .forecaster }

    /// Training steps in an epoch of the data the model is meant for: 55,000 images; 929,589 words.
    public var stepsPerEpoch: Int? {
      switch self {
      case .mnist: 550
      case .ptb: 2323
      case .convlstm, .forecaster: nil
      }
    }
  }

  /// The model.
  public var work: Work
  /// For how long to repeat, in seconds.
  public var seconds: Double
  /// So many steps instead, with no warm-up.
  public var repeats: Int?

  /// A benchmark of a model.
  public init(_ work: Work, seconds: Double = 1, repeats: Int? = nil) {
    self.work = work
    self.seconds = seconds
    self.repeats = repeats
  }

  /// What was measured.
  public struct Report: Sendable {
    /// The median of all steps, in seconds; of a stream, of groups of steps.
    public var medianSeconds: Double
    /// The best of all steps, in seconds.
    public var minSeconds: Double
    /// Steps; of a stream, groups of them.
    public var repeats: Int
    /// The instruction set.
    public var isa: InstructionSet
    /// The threads allowed.
    public var threads: Int
  }

  /// Runs it on `Parallel.threads` threads.
  ///
  /// - Throws: `LetheError` where the instruction set asked for is not there.
  public func run() throws -> Report {
    let isa = try InstructionSet.chosen()
    let result: RepeatedTiming.Result
    // Steps on one clock; counts of instructions are of single steps.
    let group = work.isStream && repeats == nil ? 200 : 1
    switch work {
    case .mnist:
      let recipe = Recipe(.mnist, .fgn), batch = recipe.batchSize
      let images = RandomKey(seed: 2).uniform(shape: [batch, 28, 28, 1], in: 0..<1)
      result = time(
        try recipe.model(), images, labels: (0..<batch).map { Int32($0 % 10) }, .adam(rate: recipe.rate))
    case .ptb:
      let words = 10_000, batch = 20, steps = 20
      let model = try Sequential(
        input: [steps],
        layers: [
          Embedding(words, 200), LSTM(200, layers: 2, outputs: .all), Dense(words, activation: .softmax),
        ], seed: 1)
      let text = RandomKey(seed: 2).words(batch * steps + 1).map { Int32($0 % UInt32(words)) }
      let x = Tensor(text.dropLast().map { Float($0) }, shape: [batch, steps])
      result = time(model, x, labels: Array(text.dropFirst()), .sgd(rate: 1))
    case .convlstm:
      let model = try Sequential(
        input: [10, 16, 16, 1],
        layers: [
          SteppedRecurrent(ConvLSTMCell(filters: 16, 3), outputs: .last), Flatten(),
          Dense(10, activation: .softmax),
        ], seed: 1)
      let images = RandomKey(seed: 2).uniform(shape: [16, 10, 16, 16, 1], in: 0..<1)
      result = time(model, images, labels: (0..<16).map { Int32($0 % 10) }, .adam(rate: 0.001))
    case .forecaster:
      let model = try Sequential(
        input: [.any, 12],
        layers: [
          TimeWindow(2), LSTM(32, outputs: .all), DenseConnection { LSTM(32, outputs: .all) }, Dense(1),
        ], seed: 1)
      var stream = try model.stream()
      let x = RandomKey(seed: 2).uniform(shape: [12], in: -1..<1)
      result = x.withUnsafeBuffer { x in
        RepeatedTiming(seconds: seconds, repeats: repeats, most: 100_000).run {
          for _ in 0..<group { stream.step(x) }
        }
      }
    }
    return Report(
      medianSeconds: result.median / Double(group), minSeconds: result.times[0] / Double(group),
      repeats: result.times.count, isa: isa, threads: Parallel.threads)
  }

  private func time(
    _ model: Sequential, _ x: Tensor, labels: [Int32], _ rule: Optimizer
  ) -> RepeatedTiming.Result {
    var (model, optimizer, step) = (model, OptimizerState(rule), 0)
    let loss = Loss.categoricalCrossEntropy
    return RepeatedTiming(seconds: seconds, repeats: repeats, most: 100_000).run {
      let (_, gradients) = model.gradients(key: RandomKey(seed: 3).child(step)) { model, tape in
        loss(loss.output(of: model, for: tape.constant(x)), labels)
      }
      optimizer.update(&model, gradients: gradients)
      step += 1
    }
  }
}
