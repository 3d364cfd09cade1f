import LetheTestSupport
import Foundation
import LetheTestSupport
import Testing

/// What the commands say and do when they cannot.
@Suite struct FailureTests {
  @Test(arguments: [
    "", "digits --no-such-option", "digits extra", "letters", "mnist", "digits --data x", "digits --epochs 0",
    "digits --epochs -3", "digits --epochs few", "digits --batch 0", "digits --hidden 0",
    "digits --hidden 5000",
    "digits --lr 0", "digits --lr nan", "digits --lr inf", "digits --seed -1", "digits --model cnn",
    "digits --threads 0", "digits --threads 1000", "digits --resume", "digits --out a --checkpoint a",
    "digits --split middle", "mnist --data x --split last-rows",
  ])
  func wrongUsageOfTrain(words: String) throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(
      ["train"] + words.split(separator: " ").map(String.init), in: folder.path)
    #expect(result.status == 64)
    #expect(result.errors.hasPrefix("lethe: error: "))
    #expect(result.errors.contains("lethe train --help"))
    #expect(result.output.isEmpty)
    #expect(try folder.names().isEmpty)
  }

  @Test(arguments: [
    ["nothing"], ["--nothing"], ["evaluate"], ["evaluate", "m"], ["predict", "m", "digits", "more"],
    ["info"], ["info", "m", "--threads", "2"], ["evaluate", "m", "folder", "--split", "last-rows"],
    ["demo", "--epochs", "0"], ["evaluate", "m", "digits", "--seed", "1"],
  ])
  func wrongUsage(words: [String]) throws {
    let result = try LetheProgram.run(words)
    #expect(result.status == 64)
    #expect(result.errors.hasPrefix("lethe: error: "))
    #expect(result.output.isEmpty)
  }

  @Test(arguments: [
    ["evaluate", "missing", "digits"], ["predict", "missing", "digits"], ["info", "missing"],
    ["info", "missing", "--json"], ["info", "/"], ["train", "mnist", "--data", "missing"],
    ["evaluate", "missing\nname", "digits"], ["demo", "--out", "missing/folder"],
    ["train", "digits", "--out", "missing/model"], ["train", "digits", "--out", "."],
    ["train", "digits", "--out", "/dev/null/model"], ["train", "digits", "--out", ""],
    ["train", "digits", "--checkpoint", "missing/checkpoint"], ["train", "digits", "--out", "folder/"],
  ])
  func failuresOfTheWorldAreOneLine(words: [String]) throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(words, in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1, "\(result.errors)")
    #expect(result.errors.hasPrefix("lethe: error: "))
    #expect(result.output.isEmpty)
    #expect(try folder.names().isEmpty)
  }

  @Test func damagedModelFilesAreRefused() throws {
    let folder = try TemporaryFolder()
    let training = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "m"), in: folder.path)
    try #require(training.status == 0)
    let model = try folder.bytes("m")
    let header = model[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    var damaged: [(name: String, bytes: [UInt8], word: String)] = [
      ("empty", [], "empty"), ("short", Array(model.prefix(100)), "short"),
      ("cut", Array(model.dropLast()), "cut"), ("long", model + [0], "long"),
      ("random", (0..<5000).map { UInt8(truncatingIfNeeded: $0 &* 7919 >> 3) }, "random"),
    ]
    // A number that is none, in the last tensor.
    damaged.append(("nan", Array(model.dropLast(4)) + [0, 0, 0xc0, 0x7f], "not finite"))
    // A configuration that does not fit the tensors.
    let text = String(decoding: model[8..<8 + header], as: UTF8.self)
    let other = text.replacingOccurrences(of: "\\\"hidden_size\\\":8", with: "\\\"hidden_size\\\":9")
    try #require(other != text)
    damaged.append(("other", Array(model[0..<8]) + Array(other.utf8) + model[(8 + header)...], "shape"))
    for (name, bytes, word) in damaged {
      try folder.write(bytes, to: name)
      for command in [["info", name], ["evaluate", name, "digits"], ["predict", name, "digits", "--json"]] {
        let result = try LetheProgram.run(command, in: folder.path)
        #expect(result.status == 1, "\(command)")
        #expect(result.errorLines.count == 1, "\(command): \(result.errors)")
        #expect(result.errors.hasPrefix("lethe: error: ") && result.errors.contains(name), "\(result.errors)")
        #expect(result.errors.contains(word), "\(result.errors)")
        #expect(result.output.isEmpty)
      }
    }
  }

  @Test func damagedImagesAreRefused() throws {
    let folder = try TemporaryFolder()
    try TinyMNIST.write(to: folder)
    let name = "train-images-idx3-ubyte"
    try folder.write(Array(try folder.bytes(name).dropLast(10)), to: name)
    let before = try folder.names()
    let result = try LetheProgram.run(["train", "mnist", "--data", ".", "--out", "m"], in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains(name))
    #expect(try folder.names() == before)
  }

  @Test func aLossThatIsNotFiniteNamesStepAndLayer() throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(
      tinyTraining("--epochs", "1", "--lr", "1e38", "--out", "m"), in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains("step") && result.errors.contains("not finite"), "\(result.errors)")
    #expect(try folder.names().isEmpty)
  }

  @Test func aFullDiskIsNoticed() throws {
    guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
    let folder = try TemporaryFolder()
    _ = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "m"), in: folder.path)
    let result = try LetheProgram.shell("\"$LETHE\" predict m digits > /dev/full", in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains("standard output"))
    let training = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "/dev/full"), in: folder.path)
    #expect(training.status == 1)
    #expect(training.errors.contains("/dev/full"))
  }

  @Test func anUnknownInstructionSetIsWrongUsage() throws {
    for words in [["info", "missing"], tinyTraining("--epochs", "1")] {
      let result = try LetheProgram.run(words, environment: ["LETHE_ISA": "abacus"])
      #expect(result.status == 64)
      #expect(result.errorLines.count == 1)
      #expect(result.errors.contains("LETHE_ISA") && result.errors.contains("abacus"))
    }
    #expect(try LetheProgram.run(["--help"], environment: ["LETHE_ISA": "abacus"]).status == 0)
  }
}
