import LetheCore
import LetheNN

/// Everything about a training run but the model and the data.
public struct FitOptions: Sendable {
  /// How often training passes over the data.
  public var epochs = 10
  /// The rows of a step; the last batch of an epoch may be shorter.
  public var batchSize = 32
  /// How parameters follow their gradients.
  public var optimizer = Optimizer.adam()
  /// How the learning rate changes.
  public var schedule = Schedule.constant
  /// What is minimised.
  public var loss: Loss
  /// The bound on gradients; 5 for their norm unless set, which a network that learns well rarely meets.
  public var clipping = Clipping.norm(5)
  /// What shuffling and dropout follow from; the same seed gives the same model, bit by bit.
  public var seed: UInt64 = 0
  /// Whether each epoch takes the rows in another order.
  public var shuffles = true
  /// Whether training ends when the validation loss no longer falls; `nil` for not.
  public var earlyStopping: EarlyStopping?
  /// The file that keeps the state of training, written after each epoch and on interruption; `nil` for none.
  public var checkpoint: String?
  /// Whether training goes on from the checkpoint, when there is one.
  public var resumes = false

  /// The defaults, for a loss.
  public init(loss: Loss) { self.loss = loss }

  /// The same options, if they make sense.
  ///
  /// - Throws: a `LetheError` that names the option.
  @discardableResult
  public func validated() throws(LetheError) -> FitOptions {
    // The bound keeps counts of steps far from overflow.
    for (name, count) in [("epochs", epochs), ("batch size", batchSize)]
    where !(1...1_000_000_000).contains(count) {
      throw LetheError(name, "is out of range", expected: "1 to 1,000,000,000", found: "\(count)")
    }
    try optimizer.validated()
    try schedule.validated()
    try clipping.validated()
    if let stop = earlyStopping {
      if stop.patience < 1 {
        throw LetheError(
          "early stopping: patience", "is out of range", expected: "1 epoch or more",
          found: "\(stop.patience)"
        )
      }
      if !(stop.minimumImprovement >= 0) {
        throw LetheError(
          "early stopping: minimumImprovement", "is out of range", expected: "0 or more",
          found: "\(stop.minimumImprovement)")
      }
    }
    if resumes && checkpoint == nil {
      throw LetheError("resume", "has no checkpoint to go on from", expected: "the path of a checkpoint")
    }
    return self
  }
}
