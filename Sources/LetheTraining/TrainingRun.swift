import LetheCore
import LetheData
import LetheNN

/// One call of `fit`: the loop over epochs and batches.
struct TrainingRun {
  let train: Dataset
  let validation: Dataset?
  let options: FitOptions
  let progress: TrainingProgress
  let shouldStop: () -> Bool
  var state: TrainingState

  /// What a run that goes on where this one stops has to share with it; empty without a checkpoint.
  let agreement: [String: String]
  private let root: RandomKey

  init(
    train: Dataset, validation: Dataset?, options: FitOptions, progress: TrainingProgress,
    shouldStop: @escaping () -> Bool
  ) {
    self.train = train
    self.validation = validation
    self.options = options
    self.progress = progress
    self.shouldStop = shouldStop
    state = TrainingState(options.optimizer)
    root = RandomKey(seed: options.seed)
    agreement = options.checkpoint == nil ? [:] : options.agreement(train, validation)
  }

  var batches: Int { (train.count + options.batchSize - 1) / options.batchSize }
  private var rowsDone: Int { min(state.counts.batch * options.batchSize, train.count) }

  /// Trains until the last epoch, early stopping or an interruption.
  mutating func run<M: Model>(_ model: inout M, afterEpoch: (M, EpochRecord) -> Void) throws {
    defer { progress.report(.ended(state.counts.history)) }
    while state.counts.epoch < options.epochs && !state.counts.history.stoppedEarly {
      if try !runEpoch(&model, afterEpoch: afterEpoch) {
        try saveCheckpoint(of: model)
        state.counts.history.wasInterrupted = true
        return
      }
      try saveCheckpoint(of: model)
    }
    if !state.best.isEmpty {
      try model.load(state.best, from: "the best epoch")
      state.counts.history.restoredEpoch = state.counts.lowest.epoch
    }
  }

  /// Trains to the end of the epoch at hand.
  ///
  /// - Returns: `false` when it was interrupted.
  private mutating func runEpoch<M: Model>(
    _ model: inout M, afterEpoch: (M, EpochRecord) -> Void
  ) throws -> Bool {
    let start = ContinuousClock.now
    let secondsBefore = state.counts.seconds
    func seconds() -> Double { secondsBefore + (ContinuousClock.now - start) / .seconds(1) }
    let epoch = state.counts.epoch + 1
    progress.report(
      .epochBegan(epoch: epoch, of: options.epochs, rows: train.count, rowsDone: rowsDone))
    let order =
      options.shuffles
      ? root.child("shuffle").child(state.counts.epoch).permutation(train.count) : Array(0..<train.count)
    while state.counts.batch < batches {
      let first = state.counts.batch * options.batchSize
      let rows = Array(order[first..<min(first + options.batchSize, train.count)])
      let step = try step(&model, train[rows: rows])
      progress.report(.batchEnded(record(step, epoch: epoch)))
      if shouldStop() {
        state.counts.seconds = seconds()
        return false
      }
    }
    var checked: Score?
    if let validation {
      checked = model.score(
        validation, loss: options.loss, batchSize: 256, shouldStop: shouldStop)
      if checked == nil {
        state.counts.seconds = seconds()
        return false
      }
    }
    let record = EpochRecord(
      epoch: epoch, loss: state.counts.score.loss, accuracy: state.counts.score.accuracy,
      valLoss: checked?.loss, valAccuracy: checked?.accuracy, seconds: seconds(),
      rate: rate(of: state.counts.step - 1))
    endEpoch(record, of: model)
    progress.report(.epochEnded(record, of: options.epochs))
    afterEpoch(model, record)
    return true
  }

  /// Takes in the results of an epoch: the plateau, the best parameters, early stopping, the history.
  private mutating func endEpoch(_ record: EpochRecord, of model: some Model) {
    if let loss = record.valLoss {
      state.counts.plateau.observe(loss, epoch: record.epoch, schedule: options.schedule)
      if let stop = options.earlyStopping {
        let isBest = state.counts.lowest.observe(
          loss, epoch: record.epoch, minimumImprovement: stop.minimumImprovement)
        if isBest && stop.restoresBest {
          // Shared, not copied: the next step makes the one copy there is.
          state.best = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.value) })
        }
        state.counts.history.stoppedEarly = state.counts.lowest.wait >= stop.patience
      }
    }
    state.counts.history.epochs.append(record)
    state.counts.epoch += 1
    state.counts.batch = 0
    state.counts.score = Score()
    state.counts.seconds = 0
  }

  private func rate(of step: Int) -> Float {
    options.schedule.rate(
      options.optimizer.rate, step: step, stepsPerEpoch: batches, epochs: options.epochs,
      reductions: state.counts.plateau.reductions)
  }

  private struct Step {
    var loss: Double
    var norm: Double
    var rate: Float
  }

  private func record(_ step: Step, epoch: Int) -> BatchRecord {
    BatchRecord(
      epoch: epoch, epochs: options.epochs, batch: state.counts.batch, batches: batches,
      step: state.counts.step, rowsDone: rowsDone, rows: train.count, batchLoss: step.loss,
      loss: state.counts.score.loss, accuracy: state.counts.score.accuracy, gradientNorm: step.norm,
      rate: step.rate)
  }

  /// Gradients, clipping and the change of parameters, for one batch.
  private mutating func step(_ model: inout some Model, _ batch: Dataset) throws -> Step {
    let key = root.child("dropout").child(state.counts.step)
    let kind = options.loss
    var output = Variable(Tensor(zeros: [0]))
    var (loss, gradients) = model.gradients(key: key) { model, tape in
      let result = kind.output(of: model, for: tape.constant(batch.inputs, timing: batch.timing))
      output = Variable(result.tensor, timing: result.timing)
      return kind(result, batch)
    }
    if !loss.isFinite { throw notFinite(model, batch, key) }
    let norm = gradients.clip(options.clipping)
    if !norm.isFinite { throw notFinite(gradients, of: model) }
    let rate = rate(of: state.counts.step)
    state.optimizer.update(&model, gradients: gradients, rate: rate)
    state.counts.score += Score(output, batch, kind, loss: loss)
    state.counts.step += 1
    state.counts.batch += 1
    return Step(loss: Double(loss), norm: norm, rate: rate)
  }
}
