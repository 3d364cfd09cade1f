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

  /// Reports to standard error: a line for each run, and on a terminal the run at hand, drawn anew at most ten times a
  /// second.
  public static func automatic() -> (ComparisonProgress) -> Void {
    let terminal = Terminal.standardError
    let (takesBars, separator) = (terminal.takesBars, terminal.isUnicode ? " · " : " | ")
    let clock = ContinuousClock()
    var last: ContinuousClock.Instant?
    var drawn = 0
    return { event in
      if event.isStopped { return terminal.write(drawn > 0 ? "\n" : "") }
      let isEnd = event.ended != nil
      if !isEnd && (!takesBars || last.map { clock.now - $0 < .milliseconds(100) } ?? false) { return }
      var line = event.line(separator)
      if takesBars && !isEnd { line = String(line.prefix(max(terminal.width - 1, 1))) }
      let start = drawn > 0 ? "\r" : ""
      let rest = String(repeating: " ", count: max(drawn - line.count, 0))
      terminal.write(start + line + rest + (isEnd ? "\n" : ""))
      (last, drawn) = isEnd ? (nil, 0) : (clock.now, line.count)
    }
  }

  /// `2/6 · gru · seed 1 · 45% · accuracy 91.2%`.
  private func line(_ separator: String) -> String {
    var parts = ["\(ended == nil ? done + 1 : done)/\(runs)", cell, "seed \(seed)"]
    if let rate { parts.append("rate \(rate)") }
    if let ended {
      parts.append("\(task.metric) \(ComparisonText.value(ended.value, task))")
      parts.append("\(DecimalText.grouped(ended.steps)) steps in \(ComparisonText.seconds(ended.seconds))")
    } else {
      parts.append(DecimalText.percent(share, 0))
      if let value { parts.append("\(task.metric) \(ComparisonText.value(value, task))") }
    }
    return parts.joined(separator: separator)
  }
}
