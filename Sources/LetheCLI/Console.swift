import ArgumentParser
import LetheCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Standard output, standard error and the way out.
///
/// Results go to standard output, everything else to standard error.
enum Console {
  /// Lets the signals that matter here through, and a closed pipe (`lethe … | head`) end the program without
  /// a word, whatever was inherited: threads of other programs often block or ignore them.
  static func takeSignals() {
    signal(SIGPIPE, SIG_DFL)
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGPIPE, SIGINT, SIGTERM] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_UNBLOCK, &signals, nil)
  }

  /// Writes a line to standard output.
  ///
  /// - Throws: `LetheError` when it cannot be written, on a full disk say.
  static func line(_ text: String) throws(LetheError) { try output(text + "\n") }

  /// Writes one JSON object as a line to standard output.
  ///
  /// - Throws: as `line`.
  static func json(_ fields: JSONFields) throws(LetheError) { try line(fields.text) }

  /// Writes text to standard output as it is.
  ///
  /// - Throws: as `line`.
  static func output(_ text: String) throws(LetheError) {
    if let reason = send(text, to: STDOUT_FILENO) {
      throw LetheError("standard output", "cannot be written: \(reason)")
    }
  }

  /// Writes a line to standard error; failures there have nobody to be told.
  static func note(_ text: String) { _ = send(text + "\n", to: STDERR_FILENO) }

  /// A variable of the environment, if it is set.
  static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// Ends the program.
  static func leave(_ status: ExitCode) -> Never { exit(status.rawValue) }

  /// Text from a file, for a terminal: without control characters, which could do anything there.
  static func printable(_ text: String) -> String {
    let isControl = { (value: UInt32) in value < 0x20 || (0x7f..<0xa0).contains(value) }
    return String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0.value) ? "\u{fffd}" : $0 }))
  }

  private static func send(_ text: String, to descriptor: Int32) -> String? {
    var text = text
    return text.withUTF8 { bytes -> String? in
      guard let start = bytes.baseAddress else { return nil }
      var done = 0
      while done < bytes.count {
        let step = write(descriptor, start + done, bytes.count - done)
        if step >= 0 {
          done += step
        } else if errno != EINTR {
          return strerror(errno).map { String(cString: $0) } ?? "error \(errno)"
        }
      }
      return nil
    }
  }
}

extension LetheError {
  /// The error on one line, whatever a file name or a field in it may hold.
  var inOneLine: String { Console.printable(description) }
}
