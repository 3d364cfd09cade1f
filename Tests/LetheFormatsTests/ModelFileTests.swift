import Lethe
import LetheTestSupport
import Testing

@Suite struct ModelFileTests {
  private func model(seed: UInt64 = 3) -> Sequential {
    Sequential(input: [.any, 4], seed: seed) {
      GRU(5, outputs: .all)
      Dense(3, activation: .softmax)
    }
  }

  @Test func comesBackWithTheSameBits() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/model.safetensors"
    try ModelFile(model(), metadata: ["lethe.data": "digits", "note": "ä\n"]).write(to: path)
    let file = try ModelFile(contentsOf: path)
    #expect(file.metadata == ["lethe.data": "digits", "note": "ä\n"])
    #expect(file.model.input == [.any, 4] && file.model.output == [.any, 3])
    for (found, expected) in zip(file.model.parameters, model().parameters) {
      #expect(found.name == expected.name && sameBits(found.value, expected.value))
    }
    let x = numbers("x", [2, 6, 4])
    #expect(sameBits(file.model(x), model()(x)))
    #expect(try file.encoded() == ModelFile(model(), metadata: file.metadata).encoded())
  }

  @Test func equalModelsGiveEqualBytes() throws {
    #expect(try ModelFile(model()).encoded() == ModelFile(model()).encoded())
    #expect(try ModelFile(model()).encoded() != ModelFile(model(seed: 4)).encoded())
    let file = try Safetensors(bytes: ModelFile(model()).encoded(), name: "model")
    #expect(Set(file.metadata.keys) == ["lethe.format", "lethe.model"])
    #expect(file.metadata["lethe.format"] == "1")
  }

  @Test func refusesToWriteWhatCannotComeBack() throws {
    var broken = model()
    broken.forEachParameter { name, parameter in if name == "1.bias" { parameter.value[2] = .nan } }
    let message = message { _ = try ModelFile(broken).encoded() }
    #expect(message == "parameter '1.bias': holds a number that is not finite")
    #expect(
      self.message { _ = try ModelFile(model(), metadata: ["lethe.model": "x"]).encoded() }
        .hasPrefix("metadata 'lethe.model'"))
  }

  /// What is thrown, or "nothing".
  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "nothing"
    } catch {
      #expect(error is LetheError)
      return "\(error)"
    }
  }

  private func message(changing change: (inout Safetensors) throws -> Void) throws -> String {
    var file = try Safetensors(bytes: ModelFile(model()).encoded(), name: "model")
    try change(&file)
    return message { _ = try ModelFile(bytes: file.encoded(), name: "m") }
  }

  @Test func tensorsHaveToBeThoseOfTheConfiguration() throws {
    #expect(try message { $0.metadata["note"] = "fine" } == "nothing")
    #expect(try message { $0["1.bias"] = nil } == "m: parameter '1.bias': is missing; expected shape [3]")
    #expect(
      try message { $0["1.bias"] = Tensor(zeros: [4]) }
        == "m: parameter '1.bias': has another shape than the configuration says; expected [3], found [4]")
    #expect(
      try message { $0["1.weight"] = $0["1.weight"]?.reshaped([5, 3]) }
        .contains("'1.weight': has another shape than the configuration says; expected [3, 5], found [5, 3]"))
    #expect(
      try message { $0["2.bias"] = Tensor(zeros: [3]) }
        == "m: tensor '2.bias': is no parameter of the configuration; expected 6 parameters, found 7 tensors")
    for bad: Float in [.nan, .infinity, -.infinity] {
      #expect(
        try message { $0["1.bias"] = Tensor([0, bad, 0]) }
          == "m: parameter '1.bias': holds a number that is not finite; expected finite numbers")
    }
  }

  @Test func notesHaveToBeThere() throws {
    #expect(
      try message { $0.metadata["lethe.format"] = nil }.contains(
        "is no model of Lethe: 'lethe.format' is missing"))
    #expect(
      try message { $0.metadata["lethe.format"] = "2" }.hasPrefix(
        "m: lethe.format: is another version; expected 1, found 2"))
    #expect(try message { $0.metadata["lethe.model"] = nil }.contains("'lethe.model' is missing"))
  }

  /// Configurations that are no model, and a part of what the error says.
  static let hostile: [(String, String)] = [
    ("", "lethe.model: cannot be read"),
    ("{", "lethe.model: cannot be read"),
    ("[]", "lethe.model"),
    ("7", "lethe.model"),
    ("{}", "layers: the field is missing"),
    (#"{"layers":[]}"#, "input: the field is missing"),
    (#"{"input":[4],"layers":[]}"#, "sequential: holds no layers; expected one or more"),
    (#"{"input":[4],"layers":[{}]}"#, "layers[0].kind: the field is missing"),
    (
      #"{"input":[4],"layers":[{"kind":"magic"}]}"#,
      "layers[0].kind: is an unknown kind of layer; expected activation"
    ),
    (#"{"input":[4],"layers":[{"kind":"dense"}]}"#, "layers[0].units: the field is missing"),
    (dense("\"3\""), "layers[0].units: is of another type"),
    (dense("2.5"), "layers[0]: an option cannot be read"),
    (
      dense("1e15"),
      "layers[0].units: the number is too large; expected at most 2147483647, found 1000000000000000"
    ),
    (dense("-1e15"), "layers[0].units: the number is too large"),
    (dense("1e400"), "lethe.model"),
    (dense("9223372036854775807"), "layers[0].units: the number is too large"),
    (dense("-3"), "layer 0, dense: cannot be built"),
    (dense("0"), "layer 0, dense: cannot be built"),
    (dense("2147483647"), "parameter '0.weight': is missing; expected shape [2147483647, 4]"),
    (
      dense("3,\"colour\":1"),
      "layers[0].colour: the field is unknown; expected activation, kind, units, uses_bias"
    ),
    (
      #"{"input":[4],"layers":[{"kind":"flatten"}],"extra":0}"#,
      "extra: the field is unknown; expected input, layers"
    ),
    (
      #"{"input":[4],"layers":[{"kind":"dense","units":3,"uses_bias":1,"activation":"relu"}]}"#,
      "layers[0].uses_bias"
    ),
    (#"{"input":[4],"layers":[{"kind":"activation","activation":"magic"}]}"#, "layers[0].activation"),
    (
      #"{"input":[2147483647,2147483647,2147483647],"layers":[{"kind":"flatten"}]}"#,
      "sequential: the input has no possible shape"
    ),
    (
      #"{"input":[2147483647,2147483647],"layers":[{"kind":"embedding","count":3,"width":2147483647}]}"#,
      "no possible shape"
    ),
    (#"{"input":[-2],"layers":[{"kind":"flatten"}]}"#, "the input has no possible shape"),
    (#"{"input":[],"layers":[{"kind":"flatten"}]}"#, "the input has no possible shape"),
    (#"{"input":[4],"layers":[{"kind":"dropout","rate":7}]}"#, "layer 0, dropout: the rate is out of range"),
    (lstm(#""hidden_size":1000000000000000"#), "layers[0].cell.hidden_size: the number is too large"),
    (lstm(#""hidden_size":-8"#), "layer 0, lstm: sizes are out of range"),
    (lstm(#""hidden_size":1000000"#), "parameter '0.weight_ih_l0': is missing; expected shape [4000000, 4]"),
    (String(repeating: "[", count: 100_000), "lethe.model"),
    (
      #"{"input":[4],"layers":"# + String(repeating: "[", count: 300) + String(repeating: "]", count: 300)
        + "}", "lethe.model"
    ),
    (String(repeating: " ", count: 2_000_000), "lethe.model: is too long"),
  ]

  private static func dense(_ units: String) -> String {
    #"{"input":[4],"layers":[{"activation":"linear","kind":"dense","uses_bias":true,"units":\#(units)}]}"#
  }

  private static func lstm(_ cell: String) -> String {
    #"{"input":[-1,4],"layers":[{"kind":"lstm","bidirectional":false,"layers":1,"outputs":"last","#
      + #""dropout":{"input":0,"between":0,"output":0,"recurrent":0},"cell":{"forget_bias":1,"#
      + #""gate_activation":{"sigmoid":{}},\#(cell)}}]}"#
  }

  @Test(arguments: hostile.indices)
  func hostileConfigurations(_ index: Int) throws {
    let (text, words) = Self.hostile[index]
    var file = Safetensors()
    file.metadata = ["lethe.format": "1", "lethe.model": text]
    file["1.bias"] = Tensor(zeros: [3])
    let message = message { _ = try ModelFile(bytes: file.encoded(), name: "m") }
    #expect(message.hasPrefix("m: ") && message.contains(words), "\(text.prefix(200)) gave: \(message)")
  }

  @Test func deepConfigurationsEnd() throws {
    let depth = 100
    let text =
      String(repeating: #"{"input":[4],"layers":[{"kind":"sequential","input":[4],"layers":["#, count: 1)
      + String(repeating: #"{"kind":"sequential","input":[4],"layers":["#, count: depth)
      + #"{"kind":"flatten"}"# + String(repeating: "]}", count: depth) + "]}]}"
    var file = Safetensors()
    file.metadata = ["lethe.format": "1", "lethe.model": text]
    #expect(try ModelFile(bytes: file.encoded(), name: "m").model.output == [4])
  }
}
