import LetheTraining

/// One line on standard error that is drawn anew, at most ten times a second, where a terminal can do that; elsewhere only
/// the lines that end something are written.
final class StatusLine {
  private let terminal = Terminal.standardError
  private let clock = ContinuousClock()
  private var last: ContinuousClock.Instant?
  private var drawn = 0

  /// What stands between parts of a line.
  var separator: String { terminal.isUnicode ? " · " : " | " }

  /// Shows a line in the place of the one before; one that ends something stays.
  func show(_ line: String, isEnd: Bool) {
    let takesBars = terminal.takesBars
    if !isEnd && (!takesBars || last.map { clock.now - $0 < .milliseconds(100) } ?? false) { return }
    let line = takesBars && !isEnd ? String(line.prefix(max(terminal.width - 1, 1))) : line
    let rest = String(repeating: " ", count: max(drawn - line.count, 0))
    terminal.write((drawn > 0 ? "\r" : "") + line + rest + (isEnd ? "\n" : ""))
    (last, drawn) = isEnd ? (nil, 0) : (clock.now, line.count)
  }

  /// Leaves what is drawn as it is and goes to the next line.
  func leave() {
    if drawn > 0 { terminal.write("\n") }
    drawn = 0
  }

  /// Wipes what is drawn.
  func clear() {
    if drawn > 0 { terminal.write("\r" + String(repeating: " ", count: drawn) + "\r") }
    (last, drawn) = (nil, 0)
  }
}
