/// What `fit` tells of its progress.
public enum TrainingEvent: Sendable, Equatable {
  /// An epoch begins, or goes on after a resume; `rowsDone` of its `rows` are behind it.
  case epochBegan(epoch: Int, of: Int, rows: Int, rowsDone: Int)
  /// A training step is done.
  case batchEnded(BatchRecord)
  /// An epoch is done, its validation included.
  case epochEnded(EpochRecord, of: Int)
  /// Training is over: done, interrupted, or ended by an error.
  case ended(History)
}

/// The results of one training step, and where in its epoch it stands.
public struct BatchRecord: Sendable, Codable, Equatable {
  /// The epoch, counted from 1.
  public var epoch: Int
  /// The number of epochs.
  public var epochs: Int
  /// The batch in its epoch, counted from 1.
  public var batch: Int
  /// The number of batches of an epoch.
  public var batches: Int
  /// The steps taken since the start of training.
  public var step: Int
  /// The rows of this epoch seen so far.
  public var rowsDone: Int
  /// The rows of an epoch.
  public var rows: Int
  /// The loss of this batch.
  public var batchLoss: Double
  /// The mean loss of the epoch so far.
  public var loss: Double
  /// The fraction of right classes of the epoch so far; `nil` for targets that are numbers.
  public var accuracy: Double?
  /// The norm of the gradient, before clipping.
  public var gradientNorm: Double
  /// The learning rate of the step.
  public var rate: Float

  /// Puts a record together.
  public init(
    epoch: Int, epochs: Int, batch: Int, batches: Int, step: Int, rowsDone: Int, rows: Int,
    batchLoss: Double, loss: Double, accuracy: Double? = nil, gradientNorm: Double, rate: Float
  ) {
    self.epoch = epoch
    self.epochs = epochs
    self.batch = batch
    self.batches = batches
    self.step = step
    self.rowsDone = rowsDone
    self.rows = rows
    self.batchLoss = batchLoss
    self.loss = loss
    self.accuracy = accuracy
    self.gradientNorm = gradientNorm
    self.rate = rate
  }

  enum CodingKeys: String, CodingKey {
    case epoch, epochs, batch, batches, step, rows, loss, accuracy, rate
    case rowsDone = "rows_done"
    case batchLoss = "batch_loss"
    case gradientNorm = "gradient_norm"
  }
}
