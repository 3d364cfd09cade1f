import ArgumentParser
import Lethe

/// One run of `fit` as the commands do it: epochs printed as they end, and Ctrl-C that ends it well.
struct TrainingSession {
  private let history: History

  /// The epochs, in order.
  var epochs: [EpochRecord] { history.epochs }

  /// Trains `model`; a line of JSON for each epoch, or progress on standard error; and `events`, if there are to be any.
  ///
  /// When it is interrupted, it prints `advice` and leaves the program as a shell expects: with status 130
  /// after Ctrl-C, 143 after SIGTERM.
  /// - Throws: `LetheError` as `fit`, or when standard output cannot be written.
  init(
    _ model: inout Sequential, on train: Dataset, validation: Dataset?, options: FitOptions, json: Bool,
    events: EpochEvents?, advice: String, afterEpoch: (Sequential) -> Void = { _ in }
  ) throws {
    Interruption.catchSignals()
    let lines = EpochLines()
    history = try model.fit(
      train, validation: validation, options: options,
      progress: json ? TrainingProgress(lines.report) : .automatic
    ) {
      Interruption.isRequested || lines.failure != nil
    } afterEpoch: {
      events?.write($0, $1)
      afterEpoch($0)
    }
    if let failure = lines.failure { throw failure }
    if history.wasInterrupted {
      Console.note("lethe: interrupted in epoch \(history.epochs.count + 1) of \(options.epochs); \(advice)")
      Console.leave(ExitCode(128 + Interruption.signal))
    }
  }
}

/// Prints a JSON object for each epoch; a failure ends the training at the next question.
private final class EpochLines {
  private(set) var failure: LetheError?

  func report(_ event: TrainingEvent) {
    guard case .epochEnded(let record, _) = event, failure == nil else { return }
    do {
      try Console.json(
        JSONFields([
          ("epoch", .whole(record.epoch)), ("loss", .number(record.loss)),
          ("accuracy", .number(record.accuracy)),
          ("val_loss", .number(record.valLoss)), ("val_accuracy", .number(record.valAccuracy)),
          ("rate", .single(record.rate)), ("seconds", .number(record.seconds)),
        ]))
    } catch {
      failure = error
    }
  }
}
