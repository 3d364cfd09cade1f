/// The fields of one JSON object, in the order they were given.
///
///     JSONFields([("epoch", .whole(3)), ("loss", .number(0.25))]).text  // {"epoch":3,"loss":0.25}
struct JSONFields {
  /// A value in JSON.
  enum Value {
    case null
    case flag(Bool)
    case whole(Int)
    /// A number; one that is not finite, or none, becomes `null`.
    case number(Double?)
    /// A number with as many digits as tell it from its neighbours.
    case single(Float)
    case text(String)
    case list([Value])
    case object(JSONFields)
    /// A value that is JSON already.
    case encoded(String)
  }

  private let fields: [(key: String, value: Value)]

  /// The given fields.
  init(_ fields: [(key: String, value: Value)]) { self.fields = fields }

  /// The object, without spaces.
  var text: String {
    "{" + fields.map { "\(Self.quoted($0.key)):\($0.value.text)" }.joined(separator: ",") + "}"
  }

  fileprivate static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        result += "\\u00" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

extension JSONFields.Value {
  fileprivate var text: String {
    switch self {
    case .null: "null"
    case .flag(let value): value ? "true" : "false"
    case .whole(let value): "\(value)"
    case .number(let value): value.map { $0.isFinite ? "\($0)" : "null" } ?? "null"
    case .single(let value): value.isFinite ? "\(value)" : "null"
    case .text(let value): JSONFields.quoted(value)
    case .list(let values): "[" + values.map(\.text).joined(separator: ",") + "]"
    case .object(let fields): fields.text
    case .encoded(let text): text
    }
  }
}
