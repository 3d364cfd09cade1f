import LetheInsight

/// Numbers of a comparison in words.
enum ComparisonText {
  /// A value of a task's metric: `97.2%` or `0.0312`.
  static func value(_ value: Double, _ task: any SequenceTask) -> String {
    if task.isAccuracy { return DecimalText.percent(value) }
    return DecimalText.fixed(value, abs(value) < 0.001 ? 6 : 4)
  }

  /// A distance between two values: `2.1 points` or `0.0312`.
  static func distance(_ distance: Double, _ task: any SequenceTask) -> String {
    if !task.isAccuracy { return value(distance, task) }
    return DecimalText.fixed(distance * 100, 1) + " points"
  }

  /// A time: `350 µs`, `1.52 ms`, `10 s`, `2 min`.
  static func seconds(_ seconds: Double) -> String {
    switch seconds {
    case ..<0.001: DecimalText.fixed(seconds * 1e6, 0) + " µs"
    case ..<1: DecimalText.short(seconds * 1e3, seconds < 0.1 ? 2 : 0) + " ms"
    case ..<120: DecimalText.short(seconds, 1) + " s"
    case ..<7200: DecimalText.short(seconds / 60, 1) + " min"
    default: DecimalText.short(seconds / 3600, 1) + " h"
    }
  }

  /// A number of bytes: `640 KB`, `1.9 MB`, `35 MB`.
  static func bytes(_ count: Int) -> String {
    let bytes = Double(count)
    if bytes < 1e6 { return DecimalText.fixed(bytes / 1e3, 0) + " KB" }
    return bytes < 1e9
      ? DecimalText.short(bytes / 1e6, bytes < 1e7 ? 1 : 0) + " MB"
      : DecimalText.short(bytes / 1e9, 1) + " GB"
  }

  /// `a`, `a and b`, `a, b and c`.
  static func list(_ names: [String]) -> String {
    guard let last = names.last, names.count > 1 else { return names.first ?? "" }
    return names.dropLast().joined(separator: ", ") + " and " + last
  }

  /// Rows under a header in columns; the first is set flush left, the others right.
  static func table(_ rows: [[String]]) -> [String] {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
      row.enumerated().map { column, text in
        let space = String(repeating: " ", count: widths[column] - text.count)
        return column == 0 ? text + space : space + text
      }.joined(separator: "  ")
    }
  }
}

extension ComparisonReport {
  private var task: any SequenceTask { comparison.task }

  /// The names of the columns of `cells`.
  var header: [String] {
    [
      "cell", "median", "worst to best", "\(goalText) after", "a step", "steps", "units", "parameters",
      "state", "memory",
    ]
      + (comparison.rates.count > 1 ? ["rate"] : [])
  }

  /// The table, row by row.
  var cells: [[String]] {
    rows.map { row in
      [
        row.contestant.cell.name + (row.brokenRuns > 0 ? " *" : ""), ComparisonText.value(row.median, task),
        ComparisonText.value(row.worst, task) + " to " + ComparisonText.value(row.best, task),
        row.goal.map { ComparisonText.seconds($0.seconds) } ?? "–",
        ComparisonText.seconds(row.secondsPerStep),
        DecimalText.grouped(row.steps), "\(row.contestant.width)",
        DecimalText.grouped(row.contestant.parameters), DecimalText.grouped(row.contestant.stateSize),
        ComparisonText.bytes(row.heldBytes),
      ] + (comparison.rates.count > 1 ? ["\(row.rate)"] : [])
    }
  }

  /// The goal in words: `95%`, `0.04`.
  var goalText: String {
    task.isAccuracy ? DecimalText.percent(task.goal, 0) : DecimalText.short(task.goal, 4)
  }

  /// What the numbers of the table are.
  public var explanation: String {
    let seeds = rows.map(\.values.count).max() ?? 0
    let baseline = ComparisonText.value(task.baseline, task)
    let over = seeds == 1 ? "one seed" : "medians over \(seeds) seeds"
    return
      "\(task.metric) on \(DecimalText.grouped(testCount)) test examples after \(comparison.budget.words) of "
      + "training, \(over); "
      + (task.isAccuracy ? "chance is \(baseline)" : "the best constant answer has \(baseline)")
      + "; state: numbers kept of a sequence; memory: what a training step keeps for the way back"
  }

  /// The table, what its numbers are, and what to make of it, as lines of text.
  public var lines: [String] {
    var lines = ComparisonText.table([header] + cells) + ["", explanation]
    for row in rows where row.brokenRuns > 0 {
      lines.append(
        "* \(row.contestant.cell.name): \(row.brokenRuns) of \(row.values.count) runs ended early, at numbers that were not "
          + "finite")
    }
    return lines + [verdict]
  }

  /// What won, and by how much against the spread of the seeds, in a sentence or two.
  public var verdict: String {
    guard let first = rows.first else { return "No run was done." }
    let name = first.contestant.cell.name
    let value = ComparisonText.value(first.median, task)
    if task.isLuck(first.median, of: testCount) || !first.median.isFinite {
      return "Not separable: no cell did better than \(task.isAccuracy ? "chance" : "a constant answer"). "
        + "Give them more budget, or shorter sequences."
    }
    guard rows.count > 1 else { return "\(name) reached \(value)." }
    let next = rows[1]
    let against =
      "\(value) against \(ComparisonText.value(next.median, task)) of \(next.contestant.cell.name)"
    if first.values.count < 2 || next.values.count < 2 {
      let lead =
        first.median == next.median
        ? "\(name) is level with others at \(value)." : "\(name) came out first, \(against)."
      return lead + " Not separable: one seed does not tell skill from luck, take 3 or more."
    }
    let rivals = rows.dropFirst().filter { !separates(first, from: $0) }
    if rivals.isEmpty {
      let ahead = ComparisonText.distance(abs(first.median - next.median), task)
      let spreads = [first, next].map { ComparisonText.distance($0.spread, task) }
      return
        "\(name) won: \(against), \(ahead) \(task.isAccuracy ? "more" : "less"), while their seeds spread over "
        + "\(spreads[0]) and \(spreads[1])."
    }
    let level = [first] + rivals
    let names = ComparisonText.list(level.map(\.contestant.cell.name))
    let last = ComparisonText.value(level[level.count - 1].median, task)
    let range = last == value ? "at \(value)" : "from \(value) to \(last)"
    return "\(names) are not separable: their seeds overlap (medians \(range))." + firstAtGoal(level)
  }

  /// Which of several cells learned soonest, if more than one got there and they differ by a quarter: looks are that far
  /// apart early on.
  private func firstAtGoal(_ rows: [Row]) -> String {
    let times = rows.compactMap { row in row.goal.map { (name: row.contestant.cell.name, goal: $0) } }
      .sorted { $0.goal.seconds < $1.goal.seconds }
    guard times.count > 1, times[0].goal.seconds * 1.25 < times[1].goal.seconds else { return "" }
    return
      " \(times[0].name) was at \(goalText) first, after \(ComparisonText.seconds(times[0].goal.seconds)) of "
      + "training; \(times[1].name) after \(ComparisonText.seconds(times[1].goal.seconds))."
  }
}
