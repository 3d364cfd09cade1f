import ArgumentParser
import Lethe

/// `--tensorboard`, which the commands that train take.
struct TensorBoardOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "A folder for an event file with loss, forget gates, half-lives and gradients of each epoch.",
      valueName: "folder"))
  var tensorboard: String?

  /// Makes the folder, if one is wanted; before other names are checked, so that none of them is the folder's.
  ///
  /// - Throws: `LetheError` with the system's reason.
  func makeFolder() throws { if let tensorboard { try OutputPath.makeFolder(tensorboard) } }

  /// Begins the file in the folder, if it is wanted; the gates are looked at on the first of `rows`.
  ///
  /// - Throws: `LetheError` with the system's reason.
  func begin(probe rows: Dataset) throws -> EpochEvents? {
    guard let tensorboard else { return nil }
    return EpochEvents(try EventFile(folder: tensorboard), probe: rows[0..<min(rows.count, EpochEvents.rows)])
  }
}

/// Writes each epoch to an event file; a failure is told once and does not end the training.
final class EpochEvents {
  /// How many rows the gates are looked at on.
  static let rows = 16

  private let file: EventFile
  private let probe: Dataset
  private var hasFailed = false

  init(_ file: EventFile, probe: Dataset) { (self.file, self.probe) = (file, probe) }

  func write(_ model: Sequential, _ record: EpochRecord) {
    do {
      try file.append(record, TrainingProfile(of: model, on: probe, loss: Recipe.loss))
    } catch {
      if !hasFailed { Console.note("lethe: warning: \(error); training goes on") }
      hasFailed = true
    }
  }
}
