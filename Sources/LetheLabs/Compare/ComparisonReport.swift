import LetheCore
import LetheNN

/// What a comparison found, the best cell first.
public struct ComparisonReport: Sendable {
  /// One cell, over its seeds.
  public struct Row: Sendable {
    /// The cell and its network.
    public let contestant: Contestant
    /// The learning rate it was trained with: of several the best on the validation examples.
    public let rate: Float
    /// The metric on the test examples, seed by seed.
    public let values: [Double]
    /// How many runs ended early, at numbers that were not finite; their values are those of the last finite parameters.
    public let brokenRuns: Int
    /// Training steps, the median over the seeds.
    public let steps: Int
    /// The time of a training step, the median over the seeds of each one's mean.
    public let secondsPerStep: Double
    /// What the forward pass of a training step has held in tensors for the way back, at most, in bytes.
    public let heldBytes: Int
    /// When the task's goal was reached on the validation examples, the median over the seeds; `nil` where half of them
    /// or more did not reach it.
    public let goal: (steps: Int, seconds: Double)?
    /// The metric on the validation examples as training went on, medians over the seeds.
    let curve: [ComparisonTrial.Point]
    /// The median of `values`.
    public let median: Double
    /// The worst and the best of `values`.
    public let worst: Double
    public let best: Double
    /// The best less the worst, without sign.
    public var spread: Double { abs(best - worst) }

    init(
      _ contestant: Contestant, rate: Float, _ results: [ComparisonTrial.Result], task: any SequenceTask
    ) {
      self.contestant = contestant
      self.rate = rate
      values = results.map(\.value)
      brokenRuns = results.count { $0.isBroken }
      steps = Int(results.map { Double($0.steps) }.median)
      secondsPerStep = results.map { $0.seconds / Double(max($0.steps, 1)) }.median
      heldBytes = results.map(\.heldBytes).max() ?? 0
      let reached = results.map { $0.curve.first { !task.isBetter(task.goal, than: $0.value) } }
      let seconds = reached.map { $0?.seconds ?? .infinity }.median
      let goalSteps = reached.map { $0.map { Double($0.steps) } ?? .infinity }.median
      goal = seconds.isFinite ? (Int(goalSteps), seconds) : nil
      curve = Self.medians(of: results.map(\.curve))
      median = values.median
      let sorted = values.sorted { task.isBetter($0, than: $1) || $1.isNaN }
      (best, worst) = (sorted.first ?? .nan, sorted.last ?? .nan)
    }

    private static func medians(of curves: [[ComparisonTrial.Point]]) -> [ComparisonTrial.Point] {
      (0..<(curves.map(\.count).max() ?? 0)).map { index in
        let points = curves.filter { $0.count > index }.map { $0[index] }
        return ComparisonTrial.Point(
          steps: Int(points.map { Double($0.steps) }.median), seconds: points.map(\.seconds).median,
          value: points.map(\.value).median)
      }
    }
  }

  /// What was compared, and how.
  public let comparison: Comparison
  /// The cells with a run that was done, best first.
  public let rows: [Row]
  /// How many answers the metric was taken from: one an example, or as many as the task asks for.
  public let testCount: Int
  /// Whether all runs were done.
  public let isComplete: Bool

  init(
    _ comparison: Comparison, _ results: [[[ComparisonTrial.Result]]], testCount: Int, isComplete: Bool
  ) {
    let task = comparison.task
    self.comparison = comparison
    self.testCount = testCount
    self.isComplete = isComplete
    var rows: [Row] = []
    for (contestant, ofRates) in zip(comparison.contestants, results) {
      let trained = zip(comparison.rates, ofRates).filter { !$1.isEmpty }
      let checked = trained.map { $1.map { $0.curve.last?.value ?? .nan }.median }
      guard
        let choice = checked.indices.min(by: {
          task.isBetter(checked[$0], than: checked[$1]) || checked[$1].isNaN && !checked[$0].isNaN
        })
      else { continue }
      rows.append(Row(contestant, rate: trained[choice].0, trained[choice].1, task: task))
    }
    // Of equal ones the sooner at the goal comes first, by the budget's own measure; else the one given first.
    func delay(_ row: Row) -> Double {
      guard let goal = row.goal else { return .infinity }
      if case .steps = comparison.budget { return Double(goal.steps) }
      return goal.seconds
    }
    self.rows = rows.enumerated().sorted { a, b in
      if task.isBetter(a.element.median, than: b.element.median) { return true }
      if task.isBetter(b.element.median, than: a.element.median) { return false }
      if a.element.median.isNaN != b.element.median.isNaN { return b.element.median.isNaN }
      let (delayA, delayB) = (delay(a.element), delay(b.element))
      return delayA == delayB ? a.offset < b.offset : delayA < delayB
    }.map(\.element)
  }

  /// Whether every seed of a did better than every seed of b, and there are seeds enough to say so.
  public func separates(_ a: Row, from b: Row) -> Bool {
    a.values.count > 1 && b.values.count > 1 && comparison.task.isBetter(a.worst, than: b.best)
  }
}

extension [Double] {
  /// The middle number, or the mean of the middle two; NaN counts as the last.
  var median: Double {
    if isEmpty { return .nan }
    let sorted = sorted { $0 < $1 || $1.isNaN && !$0.isNaN }
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2
  }
}
