import LetheCore

/// JSON that can stand inside a `<script>` element and inside XML: no `<`, `>`, `&` and no control character
/// is ever written as itself.
indirect enum JSONText: Sendable {
  /// A string.
  case string(String)
  /// A number; null where it is none.
  case number(Double)
  /// A list.
  case list([JSONText])
  /// An object, its keys in this order.
  case object(KeyValuePairs<String, JSONText>)

  /// A list of numbers.
  static func numbers(_ values: some Sequence<Double>) -> JSONText { .list(values.map { .number($0) }) }
  /// A list of whole numbers.
  static func numbers(_ values: some Sequence<Int>) -> JSONText { .list(values.map { .number(Double($0)) }) }
  /// A list of strings.
  static func strings(_ values: some Sequence<String>) -> JSONText { .list(values.map { .string($0) }) }

  /// The text.
  var text: String {
    var text = ""
    write(into: &text)
    return text
  }

  private func write(into text: inout String) {
    switch self {
    case .string(let words): JSONText.quote(words, into: &text)
    case .number(let value): text += JSONText.digits(value)
    case .list(let items):
      text += "["
      for (index, item) in items.enumerated() {
        if index > 0 { text += "," }
        item.write(into: &text)
      }
      text += "]"
    case .object(let pairs):
      text += "{"
      for (index, pair) in pairs.enumerated() {
        if index > 0 { text += "," }
        JSONText.quote(pair.key, into: &text)
        text += ":"
        pair.value.write(into: &text)
      }
      text += "}"
    }
  }

  /// Five significant digits or whole numbers, which is more than a pointer can tell.
  private static func digits(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    if value == 0 { return "0" }
    if (1e-2..<1e9).contains(value.magnitude) { return DecimalText.short(value, 4) }
    return "\(Float(value))" == "inf" || "\(Float(value))" == "-inf" || Float(value) == 0
      ? "\(value)" : "\(Float(value))"
  }

  private static func quote(_ words: String, into text: inout String) {
    text += "\""
    for scalar in words.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "<", ">", "&", "\u{2028}", "\u{2029}", "\u{FFFE}",
        "\u{FFFF}":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    text += "\""
  }
}

/// Bytes as base64 text (RFC 4648, section 4).
enum Base64 {
  private static let digits = Array(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(_ bytes: [UInt8]) -> String {
    var result: [UInt8] = []
    result.reserveCapacity((bytes.count + 2) / 3 * 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let word = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
      for place in 0..<4 {
        result.append(
          place <= group.count ? digits[word >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}
