import CLetheKernels

/// Ctrl-C as a question: the first asks the program to finish, the second ends it.
///
///     Interruption.catchSignals()
///     try model.fit(train, loss: .categoricalCrossEntropy, shouldStop: { Interruption.isRequested })
public enum Interruption {
  /// From now on the first SIGINT or SIGTERM only sets `isRequested`.
  public static func catchSignals() { lethe_catch_interrupt() }

  /// Whether a signal has come.
  public static var isRequested: Bool { signal != 0 }

  /// The number of the signal that came, or 0.
  public static var signal: Int32 { lethe_interrupted() }
}
