import LetheInsight
import LetheTraining

/// Where a comparison stands: a moment of one run, or its end.
public struct ComparisonProgress: Sendable {
  /// What is learned.
  public let task: any SequenceTask
  /// By which cell.
  public let cell: String
  /// From which seed.
  public let seed: Int
  /// How many runs there are.
  public let runs: Int
  /// How many of them are done.
  public var done = 0
  /// The learning rate, where there are several.
  public var rate: Float?
  /// The share of this run's budget that is used up.
  public var share = 0.0
  /// The metric on the validation examples when it was last looked at.
  public var value: Double?
  /// At the end: the metric on the test examples, the steps and the seconds of training.
  public var ended: (value: Double, steps: Int, seconds: Double)?
  /// Whether this run was given up, as it was told to stop.
  public var isStopped = false

  init(task: any SequenceTask, cell: String, seed: Int, runs: Int) {
    (self.task, self.cell, self.seed, self.runs) = (task, cell, seed, runs)
  }

  /// Reports to standard error: a line for each run, and on a terminal the run at hand.
  public static func automatic() -> (ComparisonProgress) -> Void {
    let status = StatusLine()
    return { event in
      if event.isStopped { return status.leave() }
      status.show(event.line(status.separator), isEnd: event.ended != nil)
    }
  }

  /// `2/6 · gru · seed 1 · 45% · accuracy 91.2%`.
  private func line(_ separator: String) -> String {
    var parts = ["\(ended == nil ? done + 1 : done)/\(runs)", cell, "seed \(seed)"]
    if let rate { parts.append("rate \(rate)") }
    if let ended {
      parts.append("\(task.metric) \(ComparisonText.value(ended.value, task))")
      let steps = "\(DecimalText.grouped(ended.steps)) step\(ended.steps == 1 ? "" : "s")"
      parts.append("\(steps) in \(ComparisonText.seconds(ended.seconds))")
    } else {
      parts.append(DecimalText.percent(share, 0))
      if let value { parts.append("\(task.metric) \(ComparisonText.value(value, task))") }
    }
    return parts.joined(separator: separator)
  }
}
