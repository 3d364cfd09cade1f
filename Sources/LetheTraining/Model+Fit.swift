import LetheCore
import LetheData
import LetheNN

extension Model {
  /// Trains on `train`, and checks each epoch against `validation`.
  ///
  ///     let history = try model.fit(
  ///       train, validation: test, epochs: 10, batchSize: 32, optimizer: .adam(),
  ///       loss: .categoricalCrossEntropy, progress: .automatic)
  ///
  /// All further options are in `fit(_:validation:options:progress:shouldStop:afterEpoch:)`.
  ///
  /// - Returns: what each epoch gave.
  /// - Throws: as the longer form.
  @discardableResult
  public mutating func fit(
    _ train: Dataset, validation: Dataset? = nil, epochs: Int = 10, batchSize: Int = 32,
    optimizer: Optimizer = .adam(), loss: Loss, seed: UInt64 = 0, progress: TrainingProgress = .silent
  ) throws -> History {
    var options = FitOptions(loss: loss)
    options.epochs = epochs
    options.batchSize = batchSize
    options.optimizer = optimizer
    options.seed = seed
    return try fit(train, validation: validation, options: options, progress: progress)
  }

  /// Trains on `train` as the options say, and checks each epoch against `validation`.
  ///
  /// The result follows from model, data and options alone: it has the same bits on every machine, with
  /// any number of threads, and with any interruptions and resumes in between.
  ///
  /// `shouldStop` is asked after every batch. When it says so, the checkpoint is written, the model keeps the
  /// parameters of that moment, and `fit` returns with `wasInterrupted` in the history.
  ///
  /// `afterEpoch` is shown the model after each epoch with the epoch's results, and can change neither.
  ///
  /// - Returns: what each epoch gave, including those before a resume.
  /// - Throws: a `LetheError`, before training begins, when options, data and model do not fit together or
  ///   the checkpoint cannot be taken up; during training, when a loss or a gradient is not finite (it names
  ///   epoch, step, and where the first such number came up; parameters are those before that step),
  ///   or the checkpoint cannot be written.
  ///
  /// *Cost*: beside the steps themselves a copy of each batch, and one of the parameters for each best epoch.
  @discardableResult
  public mutating func fit(
    _ train: Dataset, validation: Dataset? = nil, options: FitOptions,
    progress: TrainingProgress = .silent, shouldStop: @escaping () -> Bool = { false },
    afterEpoch: (Self, EpochRecord) -> Void = { _, _ in }
  ) throws -> History {
    var run = TrainingRun(
      train: train, validation: validation, options: options, progress: progress, shouldStop: shouldStop)
    try run.check(self)
    try run.resume(&self)
    try run.tryCheckpoint(of: self)
    try run.run(&self, afterEpoch: afterEpoch)
    return run.state.counts.history
  }
}
