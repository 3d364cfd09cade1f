import LetheCore

/// Reads the JSON header of a safetensors file by its own grammar, without a tree in between.
///
/// The grammar nests at most three deep, so nothing recurses, however deep a hostile header is. A general
/// JSON decoder would not do: it merges keys that occur twice.
struct SafetensorsHeader {
  private(set) var entries: [SafetensorsEntry] = []
  private(set) var metadata: [String: String] = [:]

  private let bytes: [UInt8]
  private let name: String
  private var position = 0
  /// The tensor, or `__metadata__`, that is being read.
  private var tensor: String?
  /// Its field, or note, that is being read.
  private var field: String?

  init(_ bytes: [UInt8], name: String) {
    self.bytes = bytes
    self.name = name
  }

  mutating func read() throws {
    var names: Set<String> = []
    if bytes.first != UInt8(ascii: "{") { throw unexpected("{ as the first byte") }
    try object { reader, key in
      reader.tensor = key
      if !names.insert(key).inserted { throw reader.error("the name occurs twice") }
      if key == "__metadata__" {
        try reader.readMetadata()
      } else {
        try reader.readEntry(key)
      }
      reader.tensor = nil
    }
    if next() != nil { throw unexpected("only spaces after the last }") }
  }

  private mutating func readMetadata() throws {
    try object { reader, key in
      reader.field = key
      let value = try reader.string("text in quotes")
      if reader.metadata.updateValue(value, forKey: key) != nil {
        throw reader.error("the note occurs twice")
      }
      reader.field = nil
    }
  }

  private mutating func readEntry(_ name: String) throws {
    var kind: SafetensorsKind?
    var shape: [Int]?
    var offsets: [Int]?
    try object { reader, key in
      reader.field = key
      switch key {
      case "dtype" where kind == nil:
        let text = try reader.string("an element type in quotes")
        kind = SafetensorsKind(rawValue: text)
        if kind == nil {
          throw reader.error(
            "the element type cannot be read",
            expected: SafetensorsKind.allCases.map(\.rawValue).joined(separator: ", "), found: quoted(text))
        }
      case "shape" where shape == nil: shape = try reader.integers(atMost: 32)
      case "data_offsets" where offsets == nil: offsets = try reader.integers(atMost: 2)
      case "dtype", "shape", "data_offsets": throw reader.error("the field occurs twice")
      default: throw reader.error("the field is unknown", expected: "dtype, shape and data_offsets")
      }
      reader.field = nil
    }
    guard let kind, let shape, let offsets else {
      let missing = kind == nil ? "dtype" : shape == nil ? "shape" : "data_offsets"
      throw error("the field \(missing) is missing", expected: "dtype, shape and data_offsets")
    }
    guard offsets.count == 2, offsets[0] <= offsets[1] else {
      throw error("data_offsets are no range", expected: "[begin, end]", found: "\(offsets)")
    }
    guard let size = Self.byteCount(of: shape, kind) else {
      throw error("the shape is too large", expected: "a number of bytes below 2^63", found: "\(shape)")
    }
    guard size == offsets[1] - offsets[0] else {
      throw error(
        "shape and data_offsets disagree", expected: "\(size) bytes for \(kind.rawValue) \(shape)",
        found: "\(offsets[1] - offsets[0])")
    }
    entries.append(SafetensorsEntry(name: name, kind: kind, shape: shape, range: offsets[0]..<offsets[1]))
  }

  /// The bytes of a tensor; `nil` if they, or the product of the dimensions that are not 0, overflow.
  private static func byteCount(of shape: [Int], _ kind: SafetensorsKind) -> Int? {
    var size = kind.size
    for dimension in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: max(dimension, 1))
      if overflow { return nil }
      size = product
    }
    return shape.contains(0) ? 0 : size
  }
}

// The JSON that a header is made of.
extension SafetensorsHeader {
  /// The next byte that is no space, left where it is.
  private mutating func next() -> UInt8? {
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 else { return byte }
      position += 1
    }
    return nil
  }

  /// Takes `byte` if it is next.
  private mutating func take(_ byte: Unicode.Scalar) -> Bool {
    guard next() == UInt8(ascii: byte) else { return false }
    position += 1
    return true
  }

  /// Reads `{`, keys with what `value` reads, and `}`.
  private mutating func object(_ value: (inout Self, String) throws -> Void) throws {
    if !take("{") { throw unexpected("{") }
    if take("}") { return }
    repeat {
      let key = try string("a name in quotes")
      if !take(":") { throw unexpected("a colon after \(quoted(key))") }
      try value(&self, key)
    } while take(",")
    if !take("}") { throw unexpected("a comma or }") }
  }

  private mutating func integers(atMost limit: Int) throws -> [Int] {
    var values: [Int] = []
    if !take("[") { throw unexpected("[") }
    if take("]") { return values }
    repeat {
      if values.count == limit { throw error("there are too many numbers", expected: "at most \(limit)") }
      values.append(try integer())
    } while take(",")
    if !take("]") { throw unexpected("a comma or ]") }
    return values
  }

  private mutating func integer() throws -> Int {
    let what = "a whole number from 0 to 2^63 - 1"
    guard let first = next(), (0x30...0x39).contains(first) else { throw unexpected(what) }
    let start = position
    var value = 0
    while position < bytes.count, (0x30...0x39).contains(bytes[position]) {
      let (tenfold, above) = value.multipliedReportingOverflow(by: 10)
      let (sum, beyond) = tenfold.addingReportingOverflow(Int(bytes[position] - 0x30))
      if above || beyond { throw error("the number is too large", expected: what) }
      value = sum
      position += 1
    }
    let isFraction = position < bytes.count && [0x2e, 0x45, 0x65].contains(bytes[position])
    if isFraction || (first == 0x30 && position > start + 1) { throw unexpected(what) }
    return value
  }

  /// Reads a string; `what` says which, for errors.
  private mutating func string(_ what: String) throws -> String {
    if !take("\"") { throw unexpected(what) }
    var text: [UInt8] = []
    var start = position
    while position < bytes.count {
      let byte = bytes[position]
      if byte < 0x20 { break }
      position += 1
      if byte == UInt8(ascii: "\"") {
        text += bytes[start..<position - 1]
        guard let string = String(validating: text, as: UTF8.self) else {
          throw error("the text in quotes is no valid UTF-8")
        }
        return string
      }
      if byte == UInt8(ascii: "\\") {
        text += bytes[start..<position - 1]
        text += String(try escaped()).utf8
        start = position
      }
    }
    throw unexpected("the end of a text in quotes")
  }

  /// What follows a backslash.
  private mutating func escaped() throws -> Unicode.Scalar {
    guard position < bytes.count else { throw unexpected("a character after the backslash") }
    let byte = bytes[position]
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{c}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if (0xd800..<0xdc00).contains(code), bytes[position...].starts(with: [0x5c, 0x75]) {
        position += 2
        let low = try hexadecimal()
        if (0xdc00..<0xe000).contains(low) { code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00) }
      }
      guard let scalar = Unicode.Scalar(code) else { throw error("a \\u escape is no character") }
      return scalar
    default:
      position -= 1
      throw unexpected("one of \" \\ / b f n r t u after the backslash")
    }
  }

  private mutating func hexadecimal() throws -> UInt32 {
    let digits = bytes[position...].prefix(4)
    guard digits.count == 4, !digits.contains(UInt8(ascii: "+")), !digits.contains(UInt8(ascii: "-")),
      let text = String(validating: digits, as: UTF8.self), let code = UInt32(text, radix: 16)
    else { throw unexpected("four hexadecimal digits after \\u") }
    position += 4
    return code
  }

  /// Where an error is: the file, the tensor and its field.
  private var place: String {
    guard let tensor else { return "\(name): the header" }
    let subject = tensor == "__metadata__" ? tensor : "tensor \(quoted(tensor))"
    return "\(name): \(subject)" + (field.map { ", \(quoted($0))" } ?? "")
  }

  private func error(_ problem: String, expected: String? = nil, found: String? = nil) -> LetheError {
    LetheError(place, problem, expected: expected, found: found)
  }

  /// The error for the byte at the present position.
  private func unexpected(_ expected: String) -> LetheError {
    let found =
      position >= bytes.count
      ? "its end"
      : bytes[position] > 0x20 && bytes[position] < 0x7f
        ? quoted(String(Unicode.Scalar(bytes[position]))) : "the byte \(bytes[position])"
    return error(
      "the header is no valid JSON at byte \(8 + position) of the file", expected: expected, found: found)
  }
}

/// A name from a file for an error: in quotes, on one line, and short.
func quoted(_ text: String) -> String {
  let limit = 100
  let head = String(String.UnicodeScalarView(text.unicodeScalars.prefix(limit)))
  return head.debugDescription + (head.utf8.count < text.utf8.count ? "…" : "")
}
