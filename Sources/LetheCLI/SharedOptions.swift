import ArgumentParser
import Lethe

/// `--threads` and `--json`, which every command that computes takes.
struct RunOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Threads to use. Results do not depend on it. (default: all processors)", valueName: "n"))
  var threads: Int?

  @Flag(help: "Print one JSON object a line on standard output and, but for errors, nothing else.")
  var json = false

  func validate() throws {
    if let threads, !(1...256).contains(threads) {
      throw ValidationError("--threads takes a number from 1 to 256, not \(threads).")
    }
  }

  /// Runs `body` with the threads asked for.
  func withThreads<R>(_ body: () throws -> R) rethrows -> R {
    try Parallel.$threads.withValue(threads ?? Parallel.threads, operation: body)
  }
}
