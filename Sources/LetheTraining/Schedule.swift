import LetheCore

/// How the learning rate changes in the course of training.
///
///     .cosine(to: 0.01, warmup: 100)
///
/// The rate of a step follows from the step's number, the length of training and, for `plateau`, the
/// validation losses so far; so a resumed run goes on as if it had never stopped.
public struct Schedule: Sendable, Codable, Equatable {
  /// How the rate changes after the warm-up.
  public enum Course: Sendable, Codable, Equatable {
    /// Not at all.
    case constant
    /// Times `factor` after every so many epochs.
    case step(every: Int, factor: Float)
    /// Along half a cosine from the full rate down to a fraction of it, over all steps.
    ///
    /// *Source*: Loshchilov and Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    /// equation 5, without restarts.
    case cosine(to: Float)
    /// Times `factor` after each `patience` epochs in which the validation loss did not fall.
    case plateau(factor: Float, patience: Int)
  }

  /// How the rate changes after the warm-up.
  public var course: Course
  /// The number of steps over which the rate first rises in a straight line; 0 for none.
  public var warmup: Int

  /// A course after a warm-up.
  public init(_ course: Course, warmup: Int = 0) {
    self.course = course
    self.warmup = warmup
  }

  /// The same rate throughout.
  public static let constant = Schedule(.constant)

  /// The same rate throughout, after a warm-up of so many steps.
  public static func constant(warmup: Int) -> Schedule { Schedule(.constant, warmup: warmup) }

  /// Times `factor` after every so many epochs.
  public static func step(every epochs: Int, factor: Float = 0.1, warmup: Int = 0) -> Schedule {
    Schedule(.step(every: epochs, factor: factor), warmup: warmup)
  }

  /// Along half a cosine down to a fraction of the rate, over all steps after the warm-up.
  public static func cosine(to fraction: Float = 0, warmup: Int = 0) -> Schedule {
    Schedule(.cosine(to: fraction), warmup: warmup)
  }

  /// Times `factor` after each `patience` epochs in which the validation loss did not fall.
  public static func plateau(factor: Float = 0.1, patience: Int = 5, warmup: Int = 0) -> Schedule {
    Schedule(.plateau(factor: factor, patience: patience), warmup: warmup)
  }

  /// The rate of a step.
  ///
  /// - Parameters:
  ///   - base: the optimizer's rate.
  ///   - step: the step's number over all epochs, from 0.
  ///   - stepsPerEpoch: the number of batches of an epoch.
  ///   - epochs: the length of training.
  ///   - reductions: how often a plateau has been met.
  public func rate(_ base: Float, step: Int, stepsPerEpoch: Int, epochs: Int, reductions: Int = 0) -> Float {
    if step < warmup { return Float(Double(base) * Double(step + 1) / Double(warmup)) }
    let fraction: Double
    switch course {
    case .constant: fraction = 1
    case .step(let every, let factor):
      fraction = Elementary.pow(Double(factor), step / max(stepsPerEpoch, 1) / max(every, 1))
    case .cosine(let last):
      let done = Double(step - warmup) / Double(max(stepsPerEpoch * epochs - warmup, 1))
      let height = (1 + Elementary.sinCos(Double.pi * min(done, 1)).cos) / 2
      fraction = Double(last) + (1 - Double(last)) * height
    case .plateau(let factor, _): fraction = Elementary.pow(Double(factor), reductions)
    }
    return Float(Double(base) * fraction)
  }

  /// Whether rates depend on the number of epochs.
  package var dependsOnLength: Bool {
    if case .cosine = course { true } else { false }
  }

  /// Whether rates depend on validation losses.
  package var needsValidation: Bool {
    if case .plateau = course { true } else { false }
  }

  /// The same schedule, if its numbers make sense.
  ///
  /// - Throws: a `LetheError` that names the number out of range.
  @discardableResult
  public func validated() throws(LetheError) -> Schedule {
    try Self.check("schedule: warmup", "\(warmup)", "0 or more steps", warmup >= 0)
    switch course {
    case .constant: break
    case .step(let every, let factor):
      try Self.check("schedule: every", "\(every)", "1 epoch or more", every >= 1)
      try Self.check("schedule: factor", "\(factor)", "above 0, at most 1", factor > 0 && factor <= 1)
    case .cosine(let last):
      try Self.check("schedule: to", "\(last)", "a fraction from 0 to 1", last >= 0 && last <= 1)
    case .plateau(let factor, let patience):
      try Self.check("schedule: patience", "\(patience)", "1 epoch or more", patience >= 1)
      try Self.check("schedule: factor", "\(factor)", "above 0, below 1", factor > 0 && factor < 1)
    }
    return self
  }

  private static func check(
    _ name: String, _ found: String, _ expected: String, _ holds: Bool
  ) throws(LetheError) {
    if !holds { throw LetheError(name, "is out of range", expected: expected, found: found) }
  }
}

/// The plateaus that `Schedule.plateau` has met.
package struct PlateauState: Sendable, Codable, Equatable {
  private var lowest = LowestLoss()
  /// How often the rate has been reduced.
  package private(set) var reductions = 0

  package init() {}

  /// Takes in the validation loss of an epoch.
  package mutating func observe(_ loss: Double, epoch: Int, schedule: Schedule) {
    guard case .plateau(_, let patience) = schedule.course else { return }
    if !lowest.observe(loss, epoch: epoch) && lowest.wait >= patience {
      reductions += 1
      lowest.resetWait()
    }
  }
}
