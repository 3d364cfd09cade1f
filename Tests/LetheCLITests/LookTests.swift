import Foundation
import Lethe
import LetheTestSupport
import Testing

/// `lethe look`, run as a user runs it.
@Suite struct LookTests {
  /// A trained model of the digits, 8 units wide.
  func digitsModel(in folder: borrowing TemporaryFolder) throws {
    let result = try LetheProgram.run(tinyTraining("--epochs", "1", "--out", "m"), in: folder.path)
    #expect(result.status == 0)
  }

  @Test func looksAtDigits() throws {
    let folder = try TemporaryFolder()
    var recipe = Recipe(.digits, .lstm)
    recipe.hiddenSize = 9
    try ModelFile(try recipe.model(), metadata: ["lethe.data": "digits/every-fifth"]).write(
      to: folder.file("m"))
    let result = try LetheProgram.run(
      ["look", "m", "digits", "--row", "5", "--npz", "g.npz"], in: folder.path)
    #expect(result.status == 0 && result.errors.isEmpty)
    #expect(result.output.contains("Row 5 of digits, 8 steps."))
    #expect(result.lines.suffix(2) == ["page: lethe-look.html  (open it in a browser)", "gates: g.npz"])
    let page = try folder.text("lethe-look.html")
    for part in [
      "What it read", "What its gates did", "What is in memory", "How long it remembers", "forget",
    ] {
      #expect(page.contains(part), "\(part)")
    }
    #expect(!page.contains("http://") && !page.contains("https://"))
    // The gates are those of the model on that row.
    let gates = try NPZ(contentsOf: folder.file("g.npz"))
    let x = Digits.split().test.inputs.rows(5..<6)
    let model = try ModelFile(contentsOf: folder.file("m")).model
    let own = try #require(model.record(x).layers.first)
    let saved = try #require(gates.tensors.first { $0.name.hasSuffix(".forget") }).tensor
    #expect(saved.scalars == own["forget"]?.scalars)
  }

  @Test func printsTextAndJSON() throws {
    let folder = try TemporaryFolder()
    try digitsModel(in: folder)
    let text = try LetheProgram.run(["look", "m", "digits", "--text"], in: folder.path)
    #expect(text.status == 0 && text.output.contains("GATES") && text.lines.allSatisfy { $0.count <= 80 })
    let json = try LetheProgram.run(["look", "m", "digits", "--json", "--row", "2"], in: folder.path)
    let fields = try #require(try json.objects().first)
    #expect(fields["steps"] as? Int == 8 && fields["row"] as? Int == 2)
    // What the steps add, what they do not, and the logit.
    let steps = try #require(fields["contributions"] as? [Double])
    let (remainder, logit) = (
      try #require(fields["remainder"] as? Double), try #require(fields["logit"] as? Double)
    )
    #expect(steps.count == 8 && abs(steps.reduce(0, +) + remainder - logit) < 1e-6)
    #expect(try folder.names() == ["m"])
  }

  @Test func saysWhichGradientsWalkBackward() throws {
    let folder = try TemporaryFolder()
    let model = Sequential(input: [.any, 3], seed: 1) { LSTM(4, bidirectional: true) }
    try ModelFile(model).write(to: folder.file("m"))
    try NPY.write(numbers("look", [9, 3]), to: folder.file("x.npy"))
    let result = try LetheProgram.run(["look", "m", "x.npy", "--json"], in: folder.path)
    let flows = try #require(try result.objects().first?["gradient_flow"] as? [[String: Any]])
    #expect(flows.map { $0["reversed"] as? Bool } == [false, true])
    let norms = flows.compactMap { $0["norms"] as? [Double] }
    #expect(norms.map(\.count) == [9, 9] && norms[0].last == 1 && norms[1].first == 1)
  }

  /// Of a memory that cannot be read the answer is told nevertheless.
  @Test func tellsTheAnswerOfWhatItCannotRead() throws {
    let folder = try TemporaryFolder()
    let model = Sequential(input: [.any, 3], seed: 1) {
      MatrixMemory(4, rule: .mLSTM, keySize: 2, valueSize: 2)
      Dense(2, activation: .softmax)
    }
    try ModelFile(model).write(to: folder.file("m"))
    try NPY.write(numbers("look", [20, 3]), to: folder.file("x.npy"))
    let result = try LetheProgram.run(["look", "m", "x.npy", "--text"], in: folder.path)
    #expect(result.status == 0 && result.output.contains("20 steps. It answered class "), "\(result.output)")
    #expect(result.output.contains("Not looked into: layer 0 matrix_memory"))
  }

  @Test func readsNumbersAndTokens() throws {
    let folder = try TemporaryFolder()
    let series = Sequential(input: [.any, 3], seed: 1) {
      GRU(6)
      Dense(1)
    }
    try ModelFile(series).write(to: folder.file("series"))
    let numbers = (0..<60).map { Float($0 % 7) / 7 }
    try NPY.write(Tensor(numbers, shape: [20, 3]), to: folder.file("x.npy"))
    let result = try LetheProgram.run(["look", "series", "x.npy", "--text"], in: folder.path)
    #expect(result.status == 0 && result.output.contains("20 steps") && result.output.contains("feature 2"))

    let tokens = Sequential(input: [.any], seed: 1) {
      Embedding(3, 4)
      LSTM(5, outputs: .all)
      Dense(3, activation: .softmax)
    }
    try ModelFile(tokens, metadata: ["lethe.tokens": "[\"a\",\"b\",\"<unk>\"]"]).write(
      to: folder.file("tokens"))
    try folder.write(Array("abba</script>".utf8), to: "t.txt")
    let read = try LetheProgram.run(["look", "tokens", "t.txt", "--tokens", "6"], in: folder.path)
    #expect(read.status == 0 && read.output.contains("6 steps"))
    #expect(try !folder.text("lethe-look.html").contains("abba</script>"))
  }

  @Test func wrongDataIsNamed() throws {
    let folder = try TemporaryFolder()
    try digitsModel(in: folder)
    try folder.write(Array("hello".utf8), to: "t.txt")
    try folder.write([0x93, 0x4e], to: "cut.npy")
    try NPY.write(Tensor(zeros: [2, 5]), to: folder.file("shape.npy"))
    try NPY.write(Tensor([.nan], shape: [1, 1, 1]), to: folder.file("nan.npy"))
    let tokens = Sequential(input: [.any], seed: 1) {
      Embedding(2, 4)
      LSTM(5)
    }
    try ModelFile(tokens, metadata: ["lethe.tokens": "[\"a\",\"b\"]"]).write(to: folder.file("tokens"))
    try ModelFile(tokens, metadata: ["lethe.tokens": "[\"a\",7]"]).write(to: folder.file("bad"))
    try ModelFile(tokens, metadata: ["lethe.tokens": "[\"a\",\"b\",\"c\"]"]).write(to: folder.file("many"))
    try NPY.write(Tensor([0, 0.5, 7], shape: [3]), to: folder.file("ids.npy"))
    try ModelFile(Sequential(input: [.any, 1]) { RNN(2) }).write(to: folder.file("long"))
    try NPY.write(Tensor(zeros: [4097, 1]), to: folder.file("long.npy"))
    for (words, part) in [
      (["look", "m", "digits", "--row", "360"], "beyond the data"),
      (["look", "m", "missing"], "no such folder"),
      (["look", "m", "t.txt"], "lethe.tokens"), (["look", "m", "cut.npy"], "cut.npy"),
      (["look", "m", "shape.npy"], "does not fit the model"),
      (["look", "tokens", "t.txt"], "does not know: 'h'"),
      (["look", "bad", "t.txt"], "cannot be read"), (["look", "tokens", "ids.npy"], "no token"),
      (["look", "many", "t.txt"], "more tokens than the model"),
      (["look", "long", "long.npy"], "4096 steps"), (["look", "missing", "digits"], "missing"),
      (["look", "m", "digits", "--out", "no/where.html"], "no/where.html"),
    ] {
      let result = try LetheProgram.run(words, in: folder.path)
      #expect(result.status == 1 && result.output.isEmpty, "\(words)")
      #expect(result.errorLines.count == 1 && result.errors.contains(part), "\(words): \(result.errors)")
    }
    for words in [
      ["look", "m"], ["look", "m", "digits", "--row", "-1"], ["look", "m", "t.txt", "--split", "last-rows"],
    ] {
      #expect(try LetheProgram.run(words, in: folder.path).status == 64)
    }
    #expect(try !folder.names().contains("lethe-look.html"))
  }
}
