import Lethe
import LetheTestSupport
import Testing

/// What the commands print and write when all is well.
@Suite struct RunTests {
  @Test func trainingPrintsEpochsAndModelsCanBeUsed() throws {
    let folder = try TemporaryFolder()
    let training = try LetheProgram.run(
      tinyTraining("--epochs", "2", "--out", "m.safetensors"), in: folder.path)
    #expect(training.status == 0, "\(training.errors)")
    #expect(training.errors.isEmpty)
    let lines = try training.objects()
    try #require(lines.count == 3)
    for (index, line) in lines.dropLast().enumerated() {
      #expect(line["epoch"] as? Int == index + 1)
      for key in ["loss", "val_loss", "val_accuracy", "seconds"] {
        #expect(line[key] is Double || line[key] is Int, "\(key) in \(line)")
      }
    }
    let accuracy = try #require(lines[2]["test_accuracy"] as? Double)
    #expect(lines[2]["test_loss"] is Double)
    #expect(try folder.names() == ["m.safetensors"])

    let evaluation = try LetheProgram.run(["evaluate", "m.safetensors", "digits", "--json"], in: folder.path)
    #expect(evaluation.status == 0)
    let measured = try #require(try evaluation.objects().last)
    #expect(measured["accuracy"] as? Double == accuracy)
    #expect(measured["loss"] as? Double == lines[2]["test_loss"] as? Double)

    try answersAgree(with: accuracy, in: folder.path)
    try notesAreShown(in: folder.path)
  }

  private func answersAgree(with accuracy: Double, in folder: String) throws {
    let prediction = try LetheProgram.run(["predict", "m.safetensors", "digits", "--json"], in: folder)
    #expect(prediction.status == 0)
    let answers = try prediction.objects()
    #expect(answers.count == 359)
    for (index, answer) in answers.enumerated() {
      #expect(answer["index"] as? Int == index)
      #expect((0..<10).contains(try #require(answer["class"] as? Int)))
      #expect((0.1...1).contains(try #require(answer["probability"] as? Double)))
    }
    let plain = try LetheProgram.run(["predict", "m.safetensors", "digits"], in: folder)
    let classes = plain.lines.map { $0.split(separator: "\t")[1] }
    #expect(classes.map { Int($0) } == answers.map { $0["class"] as? Int })
    #expect(accuracy > 0.3, "even two epochs of a tiny network learn something")
  }

  private func notesAreShown(in folder: String) throws {
    let info = try LetheProgram.run(["info", "m.safetensors", "--json"], in: folder)
    #expect(info.status == 0)
    let shown = try #require(try info.objects().first)
    // rnn: 8 · (8 + 8) weights, 2 · 8 biases; dense: 8 · 10 + 10.
    #expect(shown["parameters"] as? Int == 8 * 16 + 16 + 90)
    #expect((shown["layers"] as? [[String: Any]])?.map { $0["kind"] as? String } == ["rows", "rnn", "dense"])
    #expect((shown["notes"] as? [String: String])?["lethe.data"] == "digits/every-fifth")
    let words = try LetheProgram.run(["info", "m.safetensors"], in: folder)
    #expect(words.output.contains("1.weight_hh_l0 [8, 8]"))
    #expect(words.output.contains("lethe.seed = 1"))
  }

  @Test func infoSaysWhichWayLayersWalkAndWhatRunsOnTheTape() throws {
    let folder = try TemporaryFolder()
    let model = Sequential(input: [.any, 3], seed: 1) {
      ForgettingGateNetwork(3, outputs: .all, reversed: true)
      Residual { SteppedRecurrent(AttentiveLSTMCell(3), outputs: .all) }
      Bidirectional(MatrixMemory(4, rule: .mLSTM, keySize: 2, valueSize: 2))
      Dense(2)
    }
    try ModelFile(model).write(to: folder.file("m"))
    let words = try LetheProgram.run(["info", "m"], in: folder.path)
    for title in [
      "0 fgn, backward ", "1 residual, on the tape ", "2 bidirectional matrix_memory ", "3 dense ",
    ] {
      #expect(words.output.contains("\n" + title), "\(title)")
    }
    let info = try LetheProgram.run(["info", "m", "--json"], in: folder.path)
    let layers = try #require(try info.objects().first?["layers"] as? [[String: Any]])
    #expect(layers.map { $0["kind"] as? String } == ["fgn", "residual", "bidirectional", "dense"])
    #expect(layers.map { $0["on_tape"] as? Bool } == [false, true, false, false])
    #expect(layers.map { $0["direction"] as? String } == ["backward", nil, "both", nil])
    #expect(
      layers.map { $0["inside"] as? [String] } == [
        [], ["attentive_lstm, on the tape"], ["matrix_memory", "matrix_memory, backward"], [],
      ])
  }

  @Test func withoutJSONProgressGoesToStandardErrorAndResultsToStandardOutput() throws {
    let folder = try TemporaryFolder()
    let words = tinyTraining("--epochs", "1").filter { $0 != "--json" }
    let result = try LetheProgram.run(words, in: folder.path)
    #expect(result.status == 0)
    #expect(result.errors.contains("epoch 1/1"))
    #expect(!result.errors.contains("\u{1b}") && !result.errors.contains("\r"), "no terminal, no bar")
    #expect(result.lines.count == 3)
    #expect(result.output.contains("test accuracy"))
    #expect(try folder.names() == ["digits-rnn.lethe.safetensors"])
  }

  @Test func theHarderSplitIsAnotherTraining() throws {
    let folder = try TemporaryFolder()
    _ = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "a"), in: folder.path)
    let harder = try LetheProgram.run(
      tinyTraining("--epochs", "1", "--out", "b", "--split", "last-rows"), in: folder.path)
    #expect(try harder.objects().last?["test_count"] as? Int == 360)
    #expect(try folder.bytes("a") != folder.bytes("b"))
    // The file knows its split.
    let own = try LetheProgram.run(["evaluate", "b", "digits", "--json"], in: folder.path)
    #expect(own.errors.isEmpty)
    #expect(try own.objects().last?["count"] as? Int == 360)
    let other = try LetheProgram.run(["evaluate", "b", "digits", "--split", "every-fifth"], in: folder.path)
    #expect(other.status == 0)
    #expect(other.errors.contains("on some of these test rows"))
  }

  @Test(.enabled(if: isOptimized, "the convolutions take minutes without optimisation"))
  func theDemoWritesModelAndReport() throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(["demo", "--epochs", "2", "--json", "--out", "here"], in: folder.path)
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.errors.isEmpty)
    let last = try #require(try result.objects().last)
    #expect(try #require(last["test_accuracy"] as? Double) > 0.9)
    // 356 of 359: found once by scikit-learn, too.
    let nearest = try #require(last["nearest_neighbour_accuracy"] as? Double)
    #expect(abs(nearest - 356.0 / 359) < 1e-9)
    #expect(last["model"] as? String == "here/model.lethe.safetensors")
    let report = try folder.text("here/report.html")
    #expect(report.contains("Forget-gate layer f"))
    #expect(!report.contains("src=\"http") && !report.contains("href=\"http") && !report.contains("<script"))
    #expect(!report.contains(folder.path), "the report tells nobody where it was made")
    let evaluation = try LetheProgram.run(
      ["evaluate", "here/model.lethe.safetensors", "digits", "--json"], in: folder.path)
    #expect(try evaluation.objects().last?["accuracy"] as? Double == last["test_accuracy"] as? Double)
  }

  @Test func aClosedPipeIsNoError() throws {
    let folder = try TemporaryFolder()
    _ = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "m"), in: folder.path)
    let line = "for i in 1 2 3; do \"$LETHE\" predict m digits --json; done | head -n 1"
    let result = try LetheProgram.shell(line, in: folder.path)
    #expect(result.errors.isEmpty)
    #expect(result.lines.count == 1)
  }

  @Test func mnistIsReadFromAFolder() throws {
    let folder = try TemporaryFolder()
    try TinyMNIST.write(to: folder)
    let training = try LetheProgram.run(
      [
        "train", "mnist", "--data", ".", "--model", "rnn", "--hidden", "4", "--epochs", "1", "--batch", "50",
        "--out", "m", "--json",
      ], in: folder.path)
    #expect(training.status == 0, "\(training.errors)")
    let last = try #require(try training.objects().last)
    #expect(last["test_count"] as? Int == TinyMNIST.tests)
    let evaluation = try LetheProgram.run(["evaluate", "m", ".", "--json"], in: folder.path)
    #expect(try evaluation.objects().last?["accuracy"] as? Double == last["test_accuracy"] as? Double)
    let prediction = try LetheProgram.run(["predict", "m", "."], in: folder.path)
    #expect(prediction.lines.count == TinyMNIST.tests)
    // Other data than the model's.
    let digits = try LetheProgram.run(["evaluate", "m", "digits"], in: folder.path)
    #expect(digits.status == 1)
    #expect(digits.errorLines.count == 1)
    #expect(digits.errors.contains("[28, 28, 1]") && digits.errors.contains("[8, 8, 1]"))
  }
}

/// Files like MNIST's, as few images as will do.
enum TinyMNIST {
  static let tests = 20

  static func write(to folder: borrowing TemporaryFolder) throws {
    for (part, count) in [("train", 5100), ("t10k", tests)] {
      let labels = (0..<count).map { UInt8($0 % 10) }
      // Each class has ink in a row of its own.
      let pixels = labels.flatMap { label in (0..<784).map { $0 / 28 == Int(label) * 2 ? 200 as UInt8 : 3 } }
      try folder.write(head([count, 28, 28]) + pixels, to: "\(part)-images-idx3-ubyte")
      try folder.write(head([count]) + labels, to: "\(part)-labels-idx1-ubyte")
    }
  }

  private static func head(_ shape: [Int]) -> [UInt8] {
    [0, 0, 8, UInt8(shape.count)]
      + shape.flatMap { [UInt8($0 >> 24), UInt8($0 >> 16 & 255), UInt8($0 >> 8 & 255), UInt8($0 & 255)] }
  }
}

/// Whether C and Swift code are compiled for speed.
let isOptimized: Bool = {
  #if DEBUG
    false
  #else
    true
  #endif
}()
