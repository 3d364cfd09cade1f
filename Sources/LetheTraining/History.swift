/// What became of a training run, epoch by epoch.
public struct History: Sendable, Codable, Equatable {
  /// The epochs that ended, in order; after a resume also those before it.
  public var epochs: [EpochRecord] = []
  /// Whether training was stopped from outside before its end.
  public var wasInterrupted = false
  /// Whether early stopping ended training.
  public var stoppedEarly = false
  /// The epoch whose parameters were put back at the end, counted from 1; `nil` where the last are kept.
  public var restoredEpoch: Int?

  /// An empty history.
  public init() {}

  enum CodingKeys: String, CodingKey {
    case epochs
    case wasInterrupted = "was_interrupted"
    case stoppedEarly = "stopped_early"
    case restoredEpoch = "restored_epoch"
  }
}

/// The results of one epoch.
public struct EpochRecord: Sendable, Codable, Equatable {
  /// The epoch, counted from 1.
  public var epoch: Int
  /// The mean loss over the training data, each batch with the parameters it met.
  public var loss: Double
  /// The fraction of right classes over the training data, likewise; `nil` for targets that are numbers.
  public var accuracy: Double?
  /// The mean loss over the validation data, after the epoch.
  public var valLoss: Double?
  /// The fraction of right classes over the validation data, after the epoch.
  public var valAccuracy: Double?
  /// The time the epoch took, validation included.
  public var seconds: Double
  /// The learning rate of the epoch's last step.
  public var rate: Float

  /// Puts a record together.
  public init(
    epoch: Int, loss: Double, accuracy: Double? = nil, valLoss: Double? = nil, valAccuracy: Double? = nil,
    seconds: Double, rate: Float
  ) {
    self.epoch = epoch
    self.loss = loss
    self.accuracy = accuracy
    self.valLoss = valLoss
    self.valAccuracy = valAccuracy
    self.seconds = seconds
    self.rate = rate
  }

  enum CodingKeys: String, CodingKey {
    case epoch, loss, accuracy, seconds, rate
    case valLoss = "val_loss"
    case valAccuracy = "val_accuracy"
  }
}
