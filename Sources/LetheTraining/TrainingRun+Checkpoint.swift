#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import LetheCore
import LetheData
import LetheFormats
import LetheNN

// A checkpoint is a safetensors file: `model.NAME` for each parameter, `optimizer.KIND.NAME` for what the
// optimizer remembers, `best.NAME` for the best epoch's parameters, and one note in JSON with the rest.

/// The note in a checkpoint.
private struct CheckpointNote: Codable {
  var version = 1
  /// What has to be the same for training to go on, as text by name.
  var options: [String: String]
  var counts: TrainingCounts
  /// The steps that each parameter has taken.
  var steps: [String: Int]

  static let key = "lethe.checkpoint"
}

extension TrainingRun {
  /// Writes the state to the checkpoint's path, if there is one; whole or not at all.
  func saveCheckpoint(of model: some Model) throws {
    guard let path = options.checkpoint else { return }
    var file = Safetensors()
    file.tensors = model.parameters.map { ("model.\($0.name)", $0.value) }
    file.tensors += state.optimizer.tensors.map { ("optimizer.\($0.name)", $0.tensor) }
    file.tensors += state.best.map { ("best.\($0.key)", $0.value) }
    let note = CheckpointNote(
      options: agreement(of: model), counts: state.counts, steps: state.optimizer.steps)
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    // A loss may be infinite or NaN, which JSON has no numbers for.
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    file.metadata[CheckpointNote.key] = String(decoding: try encoder.encode(note), as: UTF8.self)
    try file.write(to: path)
  }

  /// Writes the first state, unless training goes on from one: a path that cannot be written shows before
  /// training, and no state of an earlier run is left to be taken for this one's.
  func tryCheckpoint(of model: some Model) throws {
    guard let path = options.checkpoint, !options.resumes || !FileBytes.exists(path) else { return }
    try saveCheckpoint(of: model)
  }

  /// Takes up model and state from the checkpoint, if the options want that and there is one.
  ///
  /// - Throws: a `LetheError` when the file is no checkpoint of this model, or of a run with other options;
  ///   the model is as it was.
  mutating func resume(_ model: inout some Model) throws {
    guard options.resumes, let path = options.checkpoint, FileBytes.exists(path) else { return }
    let file = try Safetensors(contentsOf: path)
    let note = try Self.note(in: file, path: path)
    try checkAgreement(
      with: note.options, agreement.merging(["model": note.options["model"] ?? "none"]) { a, _ in a },
      path: path)
    if note.counts.epoch > options.epochs {
      throw LetheError(
        path, "has more epochs behind it than are asked for", expected: "\(note.counts.epoch) epochs or more",
        found: "\(options.epochs)")
    }
    let tensors = Dictionary(uniqueKeysWithValues: file.tensors.map { ($0.name, $0.tensor) })

    var loaded = model
    try loaded.load(Self.part("model.", of: tensors), from: path)
    // After the parameters, whose names tell more when even their shapes differ.
    try checkAgreement(with: note.options, agreement(of: model), path: path)
    let shapes = Dictionary(uniqueKeysWithValues: loaded.parameters.map { ($0.name, $0.value.shape) })
    let best = Self.part("best.", of: tensors)
    if !best.isEmpty {
      var twin = model
      try twin.load(best, from: "\(path): best epoch")
    }
    let optimizer = try OptimizerState(options.optimizer, steps: note.steps) { name in
      guard let tensor = tensors["optimizer.\(name)"] else {
        throw LetheError(path, "the tensor 'optimizer.\(name)' is missing")
      }
      let parameter = String(name.drop { $0 != "." }.dropFirst())
      if tensor.shape != shapes[parameter] {
        throw LetheError(
          "\(path): tensor 'optimizer.\(name)'", "does not fit its parameter",
          expected: shapes[parameter].map { "\($0)" } ?? "a parameter '\(parameter)'",
          found: "\(tensor.shape)")
      }
      return tensor
    }
    let place = (epoch: note.counts.epoch, batch: note.counts.batch, step: note.counts.step)
    let (before, overflows) = place.epoch.multipliedReportingOverflow(by: batches)
    guard place.epoch >= 0, (0...batches).contains(place.batch), !overflows,
      place.step == before &+ place.batch
    else {
      throw LetheError(
        path, "the place where training stopped does not exist",
        expected: "\(batches) steps an epoch", found: "\(place)")
    }
    model = loaded
    state.counts = note.counts
    state.optimizer = optimizer
    state.best = best
  }

  private static func note(in file: Safetensors, path: String) throws -> CheckpointNote {
    guard let text = file.metadata[CheckpointNote.key] else {
      throw LetheError(
        path, "is no checkpoint", expected: "a note '\(CheckpointNote.key)'",
        advice: "a model file has no state of training; train anew from it")
    }
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      let note = try decoder.decode(CheckpointNote.self, from: Data(text.utf8))
      if note.version == 1 { return note }
      throw LetheError(
        "\(path): version", "is unknown to this release", expected: "1", found: "\(note.version)")
    } catch let error as DecodingError {
      throw LetheError(
        "\(path): note '\(CheckpointNote.key)'", "cannot be understood", found: "\(error)")
    }
  }

  /// The tensors whose names begin with `prefix`, without it.
  private static func part(_ prefix: String, of tensors: [String: Tensor]) -> [String: Tensor] {
    var part: [String: Tensor] = [:]
    for (name, tensor) in tensors where name.hasPrefix(prefix) {
      part[String(name.dropFirst(prefix.count))] = tensor
    }
    return part
  }

  /// What another run of this model must share with this one.
  private func agreement(of model: some Model) -> [String: String] {
    var all = agreement
    let configuration = (model as? Sequential).flatMap { try? ModelFile.configuration(of: $0) }
    all["model"] = configuration ?? "\(type(of: model))"
    return all
  }

  private func checkAgreement(
    with saved: [String: String], _ agreement: [String: String], path: String
  ) throws {
    for name in Set(saved.keys).union(agreement.keys).sorted() where saved[name] != agreement[name] {
      throw LetheError(
        "\(path): \(name)", "differs from the run that is to go on", expected: saved[name] ?? "none",
        found: agreement[name] ?? "none",
        advice: "resume with the same options, or start anew under another path")
    }
  }
}

extension FitOptions {
  /// What two runs share when one can go on where the other stopped, as text by name.
  func agreement(_ train: Dataset, _ validation: Dataset?) -> [String: String] {
    let length = schedule.dependsOnLength ? ", epochs \(epochs)" : ""
    return [
      "batch size": "\(batchSize)",
      "optimizer": "\(optimizer)",
      "schedule": "\(schedule.course)\(length)",
      "warmup": "\(schedule.warmup)",
      "loss": "\(loss)",
      "clipping": "\(clipping)",
      "seed": "\(seed)",
      "shuffles": "\(shuffles)",
      "early stopping": earlyStopping.map { "\($0)" } ?? "none",
      "training data": train.digest,
      "validation data": validation?.digest ?? "none",
    ]
  }
}

extension Dataset {
  /// A line that other data are unlikely to share.
  fileprivate var digest: String {
    let answers =
      switch targets {
      case .classes(let labels, _): "\(labels.reduce(into: 0) { $0 = $0 &* 31 &+ Int($1) })"
      case .values(let values): "\(values.sum)"
      }
    let steps = lengths.map { ", lengths \($0.reduce(into: 0) { $0 = $0 &* 31 &+ $1 })" } ?? ""
    return "\(inputs.shape), sums \(inputs.sum) and \(answers)\(steps)"
  }
}
