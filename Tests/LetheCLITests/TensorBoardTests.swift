import Foundation
import LetheTestSupport
import Testing

/// `--tensorboard` of the commands that train.
@Suite struct TensorBoardTests {
  private func events(_ folder: borrowing TemporaryFolder, _ name: String) throws -> [EventRecord] {
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.file(name)).sorted()
    return try names.flatMap { try EventRecord.all(in: folder.bytes("\(name)/\($0)")) }
  }

  @Test func trainingWritesEachEpochAndTheSameModel() throws {
    let folder = try TemporaryFolder()
    let plain = try LetheProgram.run(tinyTraining("--epochs", "3", "--out", "a"), in: folder.path)
    #expect(plain.status == 0)
    let watched = try LetheProgram.run(
      tinyTraining("--epochs", "3", "--out", "b", "--tensorboard", "runs"), in: folder.path)
    #expect(watched.status == 0 && watched.errors.isEmpty, "\(watched.errors)")
    #expect(try folder.names() == ["a", "b", "runs"])
    #expect(try folder.bytes("a") == folder.bytes("b"))
    let events = try events(folder, "runs")
    #expect(events.map(\.step) == [0, 1, 2, 3] && events[0].version == "brain.Event:2")
    for (event, line) in zip(events.dropFirst(), try watched.objects()) {
      #expect(event.scalars["loss/train"] == (line["loss"] as? Double).map { Float($0) })
      #expect(event.scalars["loss/validation"] == (line["val_loss"] as? Double).map { Float($0) })
      #expect(event.scalars["accuracy/validation"] == (line["val_accuracy"] as? Double).map { Float($0) })
      #expect((event.scalars["gradient/1.layer0.forward/lag 0"] ?? 0) > 0)
    }
    // Another run has a file of its own.
    _ = try LetheProgram.run(
      tinyTraining("--epochs", "1", "--out", "b", "--tensorboard", "runs"), in: folder.path)
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("runs")).count == 2)
  }

  @Test func theDemoShowsItsForgetGates() throws {
    let folder = try TemporaryFolder()
    let demo = try LetheProgram.run(
      ["demo", "--epochs", "1", "--out", "d", "--tensorboard", "d/runs", "--json"], in: folder.path)
    #expect(demo.status == 0, "\(demo.errors)")
    let last = try #require(try events(folder, "d/runs").last)
    let keep = try #require(last.scalars["keep/3.memory.layer0.forward/median"])
    #expect(keep > 0 && keep < 1)
    #expect(last.scalars.keys.contains("saturation/3.memory.layer0.forward/forget open"))
  }

  @Test(arguments: ["missing/runs", "file", "file/runs", ""])
  func aFolderThatCannotBeIsToldBeforeTraining(name: String) throws {
    let folder = try TemporaryFolder()
    try folder.write([1], to: "file")
    let result = try LetheProgram.run(tinyTraining("--out", "m", "--tensorboard", name), in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1 && result.errors.hasPrefix("lethe: error: "), "\(result.errors)")
    #expect(result.output.isEmpty)
    #expect(try folder.names() == ["file"])
  }

  @Test func theModelsNameIsNotTheFolders() throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(tinyTraining("--out", "m", "--tensorboard", "m"), in: folder.path)
    #expect(result.status == 1 && result.output.isEmpty)
    #expect(result.errors.contains("m: is a directory"), "\(result.errors)")
  }

  /// Where no file may be larger than 8 KiB the events end, told once; the model is written, and what is there can be read.
  @Test func aFullDiskLosesNoModel() throws {
    let folder = try TemporaryFolder()
    let words = tinyTraining("--epochs", "24", "--out", "m", "--tensorboard", "runs").joined(separator: " ")
    let result = try LetheProgram.shell(
      "ulimit -f 16; trap '' XFSZ; \"$LETHE\" \(words) | cat", in: folder.path)
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.hasPrefix("lethe: warning: runs/events.out.tfevents."), "\(result.errors)")
    #expect(try result.objects().last?["test_accuracy"] is Double)
    #expect(try LetheProgram.run(["evaluate", "m", "digits"], in: folder.path).status == 0)
    let steps = try events(folder, "runs").map(\.step)
    #expect(steps.count > 1 && steps.count < 25 && steps.first == 0)
  }
}
