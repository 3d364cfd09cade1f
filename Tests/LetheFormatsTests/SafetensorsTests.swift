import Lethe
import LetheTestSupport
import Testing

@Suite struct SafetensorsTests {
  @Test func readsWhatPythonWrote() throws {
    let file = try Safetensors(bytes: pythonF32, name: "python")
    #expect(file.tensors.map(\.name) == ["empty", "rnn.bias", "rnn.weight", "scalar"])
    #expect(file.metadata == ["made by": "a \"script\""])
    #expect(file["empty"]?.shape == [0, 4])
    #expect(file["rnn.bias"] == Tensor([1.5, -2]))
    #expect(file["rnn.weight"] == Tensor([-0.5, -0.25, 0, 0.25, 0.5, 0.75], shape: [2, 3]))
    #expect(file["scalar"] == Tensor(7))
    #expect(file["nothing"] == nil)
  }

  @Test func writesWhatPythonWrote() throws {
    var file = Safetensors()
    file["scalar"] = Tensor(7)
    file["rnn.weight"] = Tensor([-0.5, -0.25, 0, 0.25, 0.5, 0.75], shape: [2, 3])
    file["empty"] = Tensor(zeros: [0, 4])
    file["rnn.bias"] = Tensor([1.5, -2])
    file.metadata["made by"] = "a \"script\""
    #expect(file.encoded() == pythonF32)
  }

  @Test func convertsOtherElementTypes() throws {
    let file = try Safetensors(bytes: pythonMixed, name: "python")
    #expect(file["f64"] == Tensor([0.1, -3]))
    #expect(file["f16"] == Tensor([0x1.554p-2, 0x1p-24, 65504, -.infinity]))
    #expect(file["bf16"] == Tensor([1, -3.140625]))
    #expect(file["i32"] == Tensor([7, -7]))
    #expect(file["i64"] == Tensor([0x1p40, -1]))
    #expect(file["u8"] == Tensor([0, 255, 3]))
  }

  @Test func everyHalfIsExact() throws {
    // A half is m · 2^e; both are exact in Double, so the Double says what the Float must be.
    let header = #"{"h":{"dtype":"F16","shape":[65536],"data_offsets":[0,131072]}}"#
    let bytes = safetensorsFile(header) + (0..<65_536).flatMap { [UInt8($0 & 0xff), UInt8($0 >> 8)] }
    let numbers = try Safetensors(bytes: bytes, name: "halves")["h"]?.scalars ?? []
    try #require(numbers.count == 65_536)
    var wrong: [Int] = []
    for (bits, number) in numbers.enumerated() {
      let exponent = bits >> 10 & 31
      let fraction = Double(bits & 1023)
      let magnitude =
        exponent == 31
        ? fraction == 0 ? Double.infinity : .nan
        : exponent == 0
          ? fraction * 0x1p-24
          : (1024 + fraction) * Double(sign: .plus, exponent: exponent - 25, significand: 1)
      let expected = Float(bits >> 15 == 1 ? -magnitude : magnitude)
      if number.bitPattern != expected.bitPattern && !(number.isNaN && expected.isNaN) { wrong.append(bits) }
    }
    #expect(wrong.isEmpty)
  }

  @Test func roundTripKeepsBits() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/weights.safetensors"
    var file = Safetensors()
    file.metadata = ["ünï \"q\" \\ \u{1}\n\t": "🙂 value", "a": ""]
    file["z"] = Tensor(
      [.nan, -.infinity, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude], shape: [5, 1])
    file["größe/🙂"] = Tensor((0..<3000).map { Float($0) }, shape: [10, 3, 100])
    file["a\"b"] = Tensor(zeros: [3, 0, 2])
    try file.write(to: path)
    #expect(try FileBytes.read(path, limit: 1 << 20) == file.encoded())
    for again in [
      try Safetensors(contentsOf: path), try Safetensors(bytes: file.encoded(), name: "memory"),
    ] {
      #expect(again.metadata == file.metadata)
      #expect(again.tensors.map(\.name) == ["a\"b", "größe/🙂", "z"])
      for (name, tensor) in file.tensors {
        #expect(again[name]?.shape == tensor.shape)
        #expect(again[name]?.scalars.map(\.bitPattern) == tensor.scalars.map(\.bitPattern))
      }
      #expect(again.encoded() == file.encoded())
    }
  }

  @Test func bytesDoNotDependOnTheOrderOfAdding() {
    var one = Safetensors()
    var two = Safetensors()
    let names = (0..<50).map { "layer \($0 * 37 % 50)" }
    for name in names {
      one[name] = Tensor([1, 2])
      one.metadata[name] = name
    }
    for name in names.reversed() {
      two[name] = Tensor([1, 2])
      two.metadata[name] = name
    }
    #expect(one.encoded() == two.encoded())
    #expect(one.encoded().prefix(8).first.map { $0 % 8 } == 0)
  }

  @Test func emptyFileIsAFile() throws {
    let bytes = Safetensors().encoded()
    #expect(bytes == [8, 0, 0, 0, 0, 0, 0, 0] + Array("{}      ".utf8))
    #expect(try Safetensors(bytes: bytes, name: "empty").tensors.isEmpty)
  }

  @Test func settingReplacesAppendsAndRemoves() {
    var file = Safetensors()
    file["a"] = Tensor(1)
    file["b"] = Tensor(2)
    file["a"] = Tensor(3)
    #expect(file.tensors.map(\.name) == ["a", "b"])
    #expect(file["a"] == Tensor(3))
    file["a"] = nil
    file["nothing"] = nil
    #expect(file.tensors.map(\.name) == ["b"])
  }

  @Test func tensorsComeInTheOrderOfTheirBytes() throws {
    let header =
      #" {"a" : {"data_offsets":[4,8], "shape":[1],"dtype":"F32"},"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#
    let bytes = safetensorsFile(String(header.dropFirst()) + "\n ", data: 8)
    #expect(try Safetensors(bytes: bytes, name: "order").tensors.map(\.name) == ["b", "a"])
  }

  @Test func escapesAreUndone() throws {
    let header = #"{"__metadata__":{"\u0041\n\/\\\"":"\ud83d\ude42\b\f\r\t\u00e9"}}"#
    let file = try Safetensors(bytes: safetensorsFile(header), name: "escapes")
    #expect(file.metadata == ["A\n/\\\"": "🙂\u{8}\u{c}\r\té"])
  }

  @Test func aFailedWriteKeepsTheOldFile() throws {
    let error = #expect(throws: LetheError.self) { try Safetensors().write(to: "/none/such/file") }
    #expect(error?.place == "/none/such/file")
  }
}
