import Lethe
import LetheTestSupport
import Testing

@Suite struct SafetensorsBadInputTests {
  /// A header that is wrong, how much data follows it, and what the error has to say.
  static let bad: [(header: String, data: Int, error: String)] = [
    ("", 0, "f: the header: the header is no valid JSON at byte 8 of the file; expected { as the first byte"),
    ("[]", 0, "expected { as the first byte, found \"[\""),
    (" {}", 0, "expected { as the first byte, found the byte 32"),
    ("{", 0, "at byte 9 of the file; expected a name in quotes, found its end"),
    ("{}x", 0, "expected only spaces after the last }, found \"x\""),
    (#"{"a"}"#, 0, #"expected a colon after "a""#),
    (#"{"a":{},}"#, 0, #"f: tensor "a": the field dtype is missing"#),
    (
      #"{"a":3}"#, 0,
      #"f: tensor "a": the header is no valid JSON at byte 13 of the file; expected {, found "3""#
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#, 4, "expected a comma or }, found its end"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},}"#, 4, "expected a name in quotes, found \"}\""
    ),
    (#"{"a":{"dtype":"F32","shape":[1]}}"#, 4, #"f: tensor "a": the field data_offsets is missing"#),
    (#"{"a":{"dtype":"F32","data_offsets":[0,4]}}"#, 4, "the field shape is missing"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"more":1}}"#, 4, #""more": the field is unknown"#
    ),
    (#"{"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 4, "the field occurs twice"),
    (
      #"{"a":{"dtype":"F8","shape":[1],"data_offsets":[0,4]}}"#, 4,
      #"expected F32, F64, F16, BF16, I32, I64, U8, found "F8""#
    ),
    (#"{"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}}"#, 4, #"tensor "a", "dtype": "#),
    (#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}"#, 4, #"from 0 to 2^63 - 1, found "-""#),
    (#"{"a":{"dtype":"F32","shape":[1e30],"data_offsets":[0,4]}}"#, 4, #"2^63 - 1, found "e""#),
    (#"{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}"#, 4, #"2^63 - 1, found ".""#),
    (
      #"{"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,4]}}"#, 4,
      "the number is too large"
    ),
    (#"{"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}"#, 4, "a whole number"),
    (#"{"a":{"dtype":"F32","shape":[[1]],"data_offsets":[0,4]}}"#, 4, "a whole number"),
    (#"{"a":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}}"#, 4, "a whole number"),
    (#"{"a":{"dtype":"F32","shape":[01],"data_offsets":[0,4]}}"#, 4, "a whole number"),
    (#"{"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}"#, 4, "expected ["),
    (#"{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}"#, 4, "expected ["),
    (#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4, "expected 8 bytes for F32 [2], found 4"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}"#, 8,
      "there are too many numbers; expected at most 2"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4]}}"#, 8, "expected [begin, end], found [4]"),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#, 4, "data_offsets are no range"),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 4,
      "the bytes reach beyond the 4 bytes of data"
    ),
    (#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#, 8, "there is a gap before the bytes"),
    (
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#, 8,
      "f: the tensors do not fill the file; expected 4 bytes of data, found 8"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      8,
      #"f: tensor "b", data_offsets: the bytes overlap another tensor's; expected a start at 8, found [4, 8]"#
    ),
    (
      #"{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]}}"#,
      8, #"f: tensor "a": the name occurs twice"#
    ),
    (#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#, 4, "reach beyond"),
    (
      #"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}"#, 0,
      "the shape is too large"
    ),
    (
      #"{"a":{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}}"#, 0,
      "the shape is too large"
    ),
    (
      #"{"a":{"dtype":"F32","shape":["# + Array(repeating: "1", count: 33).joined(separator: ",") + "]}}", 4,
      "at most 32"
    ),
    (
      #"{"__metadata__":{"a":1}}"#, 0,
      #"f: __metadata__, "a": the header is no valid JSON at byte 29 of the file; expected text in quotes"#
    ),
    (#"{"__metadata__":{"a":{"b":"c"}}}"#, 0, "expected text in quotes"),
    (#"{"__metadata__":{"a":"1","a":"2"}}"#, 0, #"f: __metadata__, "a": the note occurs twice"#),
    (#"{"__metadata__":{},"__metadata__":{}}"#, 0, "occurs twice"),
    (#"{"__metadata__":"a"}"#, 0, "expected {"),
    (#"{"__metadata__":{"a":"\x"}}"#, 0, "after the backslash"),
    (#"{"__metadata__":{"a":"\u12"}}"#, 0, "four hexadecimal digits"),
    (#"{"__metadata__":{"a":"\u+123"}}"#, 0, "four hexadecimal digits"),
    (#"{"__metadata__":{"a":"\ud83d"}}"#, 0, "a \\u escape is no character"),
    (#"{"__metadata__":{"a":"\ud83d\u0041"}}"#, 0, "a \\u escape is no character"),
    (#"{"__metadata__":{"a":"\"#, 0, "a character after the backslash, found its end"),
    ("{\"__metadata__\":{\"a\":\"\n\"}}", 0, "the end of a text in quotes, found the byte 10"),
    (#"{"evil\u001b[2J\n":1}"#, 0, #"f: tensor "evil\u{1B}[2J\n": the header is no valid JSON"#),
  ]

  @Test(arguments: bad.indices)
  func isNamed(_ index: Int) {
    let (header, data, expected) = Self.bad[index]
    let error = #expect(throws: LetheError.self) {
      try Safetensors(bytes: safetensorsFile(header, data: data), name: "f")
    }
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "nothing")")
    #expect(error?.description.contains("\n") == false)
  }

  @Test func lengthOfTheHeaderIsChecked() {
    let good = safetensorsFile("{}")
    for bytes in [[], Array(good.prefix(7)), Array(good.dropLast()), [UInt8](repeating: 255, count: 20)] {
      #expect(throws: LetheError.self) { try Safetensors(bytes: bytes, name: "f") }
    }
  }

  @Test func badTextIsRefused() {
    let start = Array(#"{"__metadata__":{"a":""#.utf8)
    let end = Array(#""}}"#.utf8)
    for text: [UInt8] in [[0xff, 0xfe], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xc3]] {
      let header = start + text + end
      let bytes = [UInt8(header.count), 0, 0, 0, 0, 0, 0, 0] + header
      let error = #expect(throws: LetheError.self) { try Safetensors(bytes: bytes, name: "f") }
      #expect(error?.problem == "the text in quotes is no valid UTF-8")
    }
  }

  @Test func deepAndLongHeadersNeitherCrashNorHang() {
    let deep = String(repeating: "[", count: 100_000)
    let objects = String(repeating: #"{"a":"#, count: 100_000)
    for header in [
      deep, "{\"a\":" + deep, objects, "{\"a\":{\"shape\":" + deep, "{\"__metadata__\":{\"a\":" + deep,
      "{\"__metadata__\":" + objects, "{\"" + String(repeating: "a", count: 1_000_000),
      "{\"" + String(repeating: "\\u0041", count: 200_000) + "\":1}",
      "{\"a\":{\"shape\":[" + String(repeating: "9", count: 1_000_000),
    ] {
      let error = #expect(throws: LetheError.self) {
        try Safetensors(bytes: safetensorsFile(header), name: "f")
      }
      #expect((error?.description.utf8.count ?? 0) < 1000)
    }
  }

  static let good = ["F32": pythonF32, "mixed": pythonMixed]

  @Test(arguments: good.keys.sorted())
  func everyTruncationIsRefused(_ name: String) throws {
    let file = try #require(Self.good[name])
    for count in 0..<file.count {
      #expect(throws: LetheError.self) { try Safetensors(bytes: Array(file.prefix(count)), name: "f") }
    }
    #expect(throws: LetheError.self) { try Safetensors(bytes: file + [0], name: "f") }
  }

  @Test(arguments: good.keys.sorted())
  func everyFlippedBitThrowsOrReads(_ name: String) throws {
    let file = try #require(Self.good[name])
    for position in file.indices {
      for change: UInt8 in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
        var damaged = file
        damaged[position] ^= change
        do {
          _ = try Safetensors(bytes: damaged, name: "f")
        } catch {
          #expect(error is LetheError, "byte \(position), change \(change)")
        }
      }
    }
  }

  @Test func truncatedFileOnDiskIsRefused() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/cut.safetensors"
    for count in [0, 5, 8, 100, pythonF32.count - 1] {
      try FileBytes.writeAtomically([Array(pythonF32.prefix(count))], to: path)
      let error = #expect(throws: LetheError.self) { try Safetensors(contentsOf: path) }
      #expect(error?.place.hasPrefix(path) == true)
    }
    #expect(throws: LetheError.self) { try Safetensors(contentsOf: folder.path) }
    #expect(throws: LetheError.self) { try Safetensors(contentsOf: folder.path + "/none") }
  }
}
