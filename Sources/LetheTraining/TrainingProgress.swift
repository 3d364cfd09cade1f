#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Where `fit` reports its progress.
///
///     try model.fit(train, loss: .categoricalCrossEntropy, progress: .automatic)
///     try model.fit(train, loss: .categoricalCrossEntropy, progress: TrainingProgress { event in … })
public struct TrainingProgress {
  /// Called on the training thread, with every event in turn.
  public let report: (TrainingEvent) -> Void

  /// Reports to a function.
  public init(_ report: @escaping (TrainingEvent) -> Void) { self.report = report }

  /// Reports nothing.
  public static var silent: TrainingProgress { TrainingProgress { _ in } }

  /// On a terminal a bar, elsewhere lines, both on standard error.
  public static var automatic: TrainingProgress { Terminal.standardError.takesBars ? bar() : lines() }

  /// One line that is drawn anew at most ten times a second, and a line of results for each epoch.
  public static func bar(to descriptor: Int32 = 2) -> TrainingProgress {
    let terminal = Terminal(descriptor: descriptor)
    return metered(ProgressMeter(style: .bar(width: terminal.width), isUnicode: terminal.isUnicode), terminal)
  }

  /// A line of results for each epoch.
  public static func lines(to descriptor: Int32 = 2) -> TrainingProgress {
    let terminal = Terminal(descriptor: descriptor)
    return metered(ProgressMeter(style: .lines, isUnicode: terminal.isUnicode), terminal)
  }

  private static func metered(_ meter: ProgressMeter, _ terminal: Terminal) -> TrainingProgress {
    var meter = meter
    let start = ContinuousClock.now
    return TrainingProgress { event in
      let seconds = (ContinuousClock.now - start) / .seconds(1)
      if let text = meter.text(for: event, at: seconds) { terminal.write(text) }
    }
  }
}

/// A file descriptor that may lead to a terminal.
package struct Terminal: Sendable {
  /// The descriptor.
  package let descriptor: Int32

  /// Descriptor 2.
  package static let standardError = Terminal(descriptor: 2)

  /// Whatever the descriptor leads to.
  package init(descriptor: Int32) { self.descriptor = descriptor }

  /// Whether a line can be drawn over: it is a terminal, and not a dumb one.
  package var takesBars: Bool { isatty(descriptor) == 1 && Self.environment("TERM") != "dumb" }

  /// The characters of a line: what the terminal says, else `COLUMNS`, else 80.
  package var width: Int {
    var size = winsize()
    if ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 { return Int(size.ws_col) }
    return Self.environment("COLUMNS").flatMap { Int($0) }.map { max($0, 1) } ?? 80
  }

  /// Whether the locale's characters are UTF-8, by `LC_ALL`, `LC_CTYPE` or `LANG`, the first that is set.
  package var isUnicode: Bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(Self.environment).first ?? ""
    let name = locale.lowercased()
    return name.contains("utf-8") || name.contains("utf8")
  }

  private static func environment(_ name: String) -> String? {
    guard let value = getenv(name) else { return nil }
    let text = String(cString: value)
    return text.isEmpty ? nil : text
  }

  /// Writes as much as can be written; progress is not worth an error.
  package func write(_ text: String) {
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { systemWrite(descriptor, $0) }
      if count < 0 && errno == EINTR { continue }
      if count <= 0 { return }
      rest = rest.dropFirst(count)
    }
  }
}

/// The system's `write`, under a name that the method of the same name does not hide.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, bytes.count)
}
