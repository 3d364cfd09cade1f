/// The text that shows training's progress: a function of the events so far and the time of each.
package struct ProgressMeter: Sendable {
  /// How much is shown.
  package enum Style: Sendable {
    /// One line that is drawn anew, at most so many characters wide, and a line for each epoch.
    case bar(width: Int)
    /// A line for each epoch.
    case lines
  }

  private let style: Style
  private let isUnicode: Bool
  private var epochStart = 0.0
  private var rowsAtStart = 0
  private var lastDrawn: Double?
  private var drawn = 0

  /// A meter that has shown nothing yet. Without `isUnicode` its text is ASCII.
  package init(style: Style, isUnicode: Bool) {
    self.style = style
    self.isUnicode = isUnicode
  }

  /// What to write after an event; `seconds` counts from any one moment.
  ///
  /// - Returns: text with its carriage returns and line ends; `nil` for nothing.
  package mutating func text(for event: TrainingEvent, at seconds: Double) -> String? {
    switch event {
    case .epochBegan(_, _, _, let rowsDone):
      (epochStart, rowsAtStart) = (seconds, rowsDone)
      return nil
    case .batchEnded(let batch):
      guard case .bar(let width) = style else { return nil }
      if let lastDrawn, seconds - lastDrawn < 0.1 { return nil }
      lastDrawn = seconds
      // The last column stays free: some terminals begin a new line once it is filled.
      return overdraw(line(batch, elapsed: seconds - epochStart, width: width - 1))
    case .epochEnded(let record, let epochs):
      let text = overdraw(summary(record, of: epochs)) + "\n"
      drawn = 0
      return text
    case .ended:
      defer { drawn = 0 }
      return drawn > 0 ? "\n" : nil
    }
  }

  /// The line over the one before it, with spaces to its end.
  private mutating func overdraw(_ line: String) -> String {
    let count = line.count
    defer { drawn = count }
    return (drawn > 0 ? "\r" : "") + line + String(repeating: " ", count: max(drawn - count, 0))
  }

  private var separator: String { isUnicode ? " · " : " | " }

  private func summary(_ record: EpochRecord, of epochs: Int) -> String {
    var parts = ["epoch \(record.epoch)/\(epochs)", "loss \(NumberText.significant(record.loss))"]
    if let accuracy = record.accuracy { parts.append("accuracy \(NumberText.percent(accuracy))") }
    if let loss = record.valLoss { parts.append("val loss \(NumberText.significant(loss))") }
    if let accuracy = record.valAccuracy { parts.append("val accuracy \(NumberText.percent(accuracy))") }
    parts.append(NumberText.duration(record.seconds))
    return parts.joined(separator: separator)
  }

  private func line(_ batch: BatchRecord, elapsed: Double, width: Int) -> String {
    let fraction = Double(batch.rowsDone) / Double(max(batch.rows, 1))
    let head = "epoch \(batch.epoch)/\(batch.epochs)"
    // With the first to go at the end, when the line is narrow.
    var parts: [(place: Int, text: String)] = [
      (2, "loss \(NumberText.significant(batch.loss))")
    ]
    if let accuracy = batch.accuracy { parts.append((3, "accuracy \(NumberText.percent(accuracy))")) }
    if elapsed > 0, batch.rowsDone > rowsAtStart {
      let speed = Double(batch.rowsDone - rowsAtStart) / elapsed
      let left = Double(batch.rows - batch.rowsDone) / speed
      parts.append((4, "\(NumberText.duration(left.rounded(.up))) left"))
      parts.append((1, "\(NumberText.grouped(speed)) rows/s"))
    }
    let percent = "\(Int(fraction * 100)) %"
    while true {
      let text = ([percent] + parts.sorted { $0.place < $1.place }.map(\.text)).joined(separator: separator)
      let room = width - head.count - text.count - 2
      if room >= 6 { return "\(head) \(bar(fraction, width: min(room, 24))) \(text)" }
      if parts.popLast() == nil { return String("\(head) \(percent)".prefix(max(width, 0))) }
    }
  }

  private func bar(_ fraction: Double, width: Int) -> String {
    if isUnicode {
      let halves = Int((fraction * Double(2 * width)).rounded(.down))
      let half = halves % 2 == 1 ? "╸" : ""
      let rest = width - halves / 2 - half.count
      return String(repeating: "━", count: halves / 2) + half + String(repeating: "─", count: rest)
    }
    let inside = width - 2
    let full = Int((fraction * Double(inside)).rounded(.down))
    let tip = full < inside ? ">" : ""
    return "[" + String(repeating: "=", count: full) + tip
      + String(repeating: " ", count: inside - full - tip.count) + "]"
  }
}

/// Numbers as people read them.
enum NumberText {
  /// Four significant digits: `0.04321`, `2.303`, `1.235e-06`.
  static func significant(_ x: Double) -> String {
    if x == 0 { return "0.000" }
    guard x.isFinite else { return "\(x)" }
    var exponent = 0
    var mantissa = x.magnitude
    while mantissa >= 10 {
      mantissa /= 10
      exponent += 1
    }
    while mantissa < 1 {
      mantissa *= 10
      exponent -= 1
    }
    if exponent < -4 || exponent > 6 {
      let sign = exponent < 0 ? "-" : "+"
      let digits = "\(exponent.magnitude)"
      return (x < 0 ? "-" : "") + fixed(mantissa, 3) + "e" + sign + (digits.count < 2 ? "0" : "") + digits
    }
    return fixed(x, max(3 - exponent, 0))
  }

  /// `98.7 %`.
  static func percent(_ fraction: Double) -> String { fixed(100 * fraction, 1) + " %" }

  /// `5,123`.
  static func grouped(_ x: Double) -> String {
    guard x.isFinite, x.magnitude < 1e15 else { return "\(x)" }
    var text = ""
    for (i, digit) in "\(Int(x.rounded()))".reversed().enumerated() {
      if i > 0 && i % 3 == 0 && digit != "-" { text.append(",") }
      text.append(digit)
    }
    return String(text.reversed())
  }

  /// `0.42 s`, `12.3 s`, `2 min 5 s`, `1 h 12 min`.
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite, seconds < 1e15 else { return "\(seconds) s" }
    let whole = Int(seconds.rounded())
    if seconds == seconds.rounded() && whole < 60 { return "\(whole) s" }
    if seconds < 9.995 { return fixed(seconds, 2) + " s" }
    if seconds < 59.95 { return fixed(seconds, 1) + " s" }
    if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
    return "\(whole / 3600) h \(whole % 3600 / 60) min"
  }

  /// A number with so many digits after the point.
  static func fixed(_ x: Double, _ digits: Int) -> String {
    var scale = 1
    for _ in 0..<digits { scale *= 10 }
    let scaled = (x.magnitude * Double(scale)).rounded()
    guard scaled < 1e15 else { return "\(x)" }
    let number = Int(scaled)
    let sign = x < 0 && number > 0 ? "-" : ""
    if digits == 0 { return "\(sign)\(number)" }
    let tail = "\(number % scale)"
    return "\(sign)\(number / scale)." + String(repeating: "0", count: digits - tail.count) + tail
  }
}
