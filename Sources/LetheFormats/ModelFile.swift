#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import LetheCore
import LetheNN

/// A `Sequential` in a file: its configuration, its parameters, and notes about it.
///
///     try ModelFile(model, metadata: ["lethe.data": "mnist"]).write(to: "digits.safetensors")
///     let model = try ModelFile(contentsOf: "digits.safetensors").model
///
/// The file is of the safetensors format, so other tools can read the parameters. Its notes hold
/// "lethe.format": "1" and "lethe.model", the configuration in JSON; no time, path or number of threads, so
/// equal models give equal bytes.
public struct ModelFile: Sendable {
  /// The version of the format that is written, and the only one that is read.
  public static let format = "1"
  /// Files above this many bytes of configuration are refused.
  static let configurationLimit = 1 << 20

  /// The model, ready for use.
  public var model: Sequential
  /// Notes of the caller's, without the two above.
  public var metadata: [String: String]

  /// A file to be written.
  public init(_ model: Sequential, metadata: [String: String] = [:]) {
    self.model = model
    self.metadata = metadata
  }

  /// Reads a file.
  ///
  /// Whatever it says is compared with the tensors that are really there before anything of the sizes it
  /// claims is allocated.
  /// - Parameter layers: types of layers beside Lethe's that the file may hold, such as `Recurrent<MyCell>.self`.
  /// - Throws: `LetheError` naming the file and the field or parameter, what was expected and what is there.
  ///
  /// *Cost*: one copy of the parameters in memory.
  public init(contentsOf path: String, layers: [any Layer.Type] = []) throws {
    try self.init(Safetensors(contentsOf: path), name: path, layers: layers)
  }

  /// Reads a file that is in memory; `name` is what errors call it.
  ///
  /// - Throws: as `init(contentsOf:)`.
  public init(bytes: [UInt8], name: String, layers: [any Layer.Type] = []) throws {
    try self.init(Safetensors(bytes: bytes, name: name), name: name, layers: layers)
  }

  /// Writes the bytes of `encoded()` to a file, whole or not at all.
  ///
  /// - Throws: `LetheError` for a layer or a number that no file can hold, or with the system's reason.
  public func write(to path: String) throws { try safetensors().write(to: path) }

  /// The bytes of the file; equal models and notes give equal bytes.
  ///
  /// - Throws: `LetheError` for a layer whose kind is another's, or a parameter that is not finite.
  public func encoded() throws -> [UInt8] { try safetensors().encoded() }

  private func safetensors() throws -> Safetensors {
    var file = Safetensors()
    file.metadata = metadata
    for key in [Key.format, Key.model] where metadata[key] != nil {
      throw LetheError("metadata '\(key)'", "is written by the file itself", advice: "choose another name")
    }
    file.metadata[Key.format] = Self.format
    file.metadata[Key.model] = try Self.configuration(of: model)
    file.tensors = model.parameters.map { ($0.name, $0.value) }
    for (name, tensor) in file.tensors where !tensor.isFinite {
      throw LetheError("parameter '\(name)'", "holds a number that is not finite")
    }
    return file
  }

  private enum Key {
    static let format = "lethe.format"
    static let model = "lethe.model"
  }

  private init(_ file: Safetensors, name: String, layers: [any Layer.Type]) throws {
    guard let format = file.metadata[Key.format] else {
      throw LetheError(
        name, "is no model of Lethe: '\(Key.format)' is missing", expected: Self.format,
        advice: "weights of other programs need their own importer")
    }
    guard format == Self.format else {
      throw LetheError(
        "\(name): \(Key.format)", "is another version", expected: Self.format, found: format,
        advice: "read it with the version of Lethe that wrote it")
    }
    guard let text = file.metadata[Key.model] else {
      throw LetheError(name, "is no model of Lethe: '\(Key.model)' is missing")
    }
    do {
      model = try Self.model(configuration: text, layers: layers)
    } catch {
      throw LetheError(
        "\(name): \(Key.model)\(error.place.isEmpty ? "" : ": ")\(error.place)", error.problem,
        expected: error.expected, found: error.found, advice: error.advice)
    }
    metadata = file.metadata
    metadata[Key.format] = nil
    metadata[Key.model] = nil
    try Self.fill(&model, from: file, name: name)
  }

  /// Parameters of exactly the declared names and shapes, and finite.
  private static func fill(_ model: inout Sequential, from file: Safetensors, name: String) throws(LetheError)
  {
    var found: [String: Tensor] = [:]
    for (parameter, tensor) in file.tensors { found[parameter] = tensor }
    var failure: LetheError?
    var declared: Set<String> = []
    model.forEachParameter { parameter, value in
      declared.insert(parameter)
      guard failure == nil else { return }
      let place = "\(name): parameter '\(parameter)'"
      guard let tensor = found[parameter] else {
        failure = LetheError(place, "is missing", expected: "shape \(value.shape)")
        return
      }
      if tensor.shape != value.shape {
        failure = LetheError(
          place, "has another shape than the configuration says", expected: "\(value.shape)",
          found: "\(tensor.shape)")
      } else if !tensor.isFinite {
        failure = LetheError(place, "holds a number that is not finite", expected: "finite numbers")
      }
    }
    if let failure { throw failure }
    if let extra = file.tensors.first(where: { !declared.contains($0.name) }) {
      throw LetheError(
        "\(name): tensor '\(extra.name)'", "is no parameter of the configuration",
        expected: "\(declared.count) parameters", found: "\(file.tensors.count) tensors")
    }
    try model.load(found, from: name)
  }
}

extension ModelFile {
  /// A model's configuration in JSON, keys sorted.
  ///
  /// - Throws: `LetheError` for a layer whose kind is another's.
  public static func configuration(of model: Sequential) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(model), as: UTF8.self)
  }

  /// The model a configuration describes, built, its parameters not filled yet.
  ///
  /// Parameters are only declared: what is allocated is bounded by the text's length and the 64 layers a recurrent
  /// stack may have, whatever sizes it claims.
  /// - Throws: `LetheError` naming the field.
  static func model(configuration text: String, layers: [any Layer.Type] = []) throws(LetheError)
    -> Sequential
  {
    guard text.utf8.count <= configurationLimit else {
      throw LetheError(
        "", "is too long", expected: "at most \(configurationLimit) bytes", found: "\(text.utf8.count)")
    }
    do {
      let data = Data(text.utf8)
      let given = try JSONDecoder().decode(ConfigurationValue.self, from: data)
      try given.checkNumbers(at: "")
      let decoder = JSONDecoder()
      if let key = CodingUserInfoKey.layers { decoder.userInfo[key] = layers }
      var model = try decoder.decode(Sequential.self, from: data)
      let encoder = JSONEncoder()
      if let key = CodingUserInfoKey.everyField { encoder.userInfo[key] = true }
      let understood = try JSONDecoder().decode(ConfigurationValue.self, from: encoder.encode(model))
      try given.checkFields(understood, at: "")
      _ = try model.build(input: model.input)
      return model
    } catch let error as LetheError {
      throw error
    } catch let error as DecodingError {
      throw LetheError(error)
    } catch {
      throw LetheError("", "cannot be read: \(error)")
    }
  }
}

/// A value of JSON, to look at what a configuration says before it is believed.
private enum ConfigurationValue: Decodable {
  case null
  case bool(Bool)
  case number(Double)
  case text(String)
  case list([ConfigurationValue])
  case fields([(name: String, value: ConfigurationValue)])

  struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  init(from decoder: any Decoder) throws {
    if let fields = try? decoder.container(keyedBy: Name.self) {
      let names = fields.allKeys.sorted { $0.stringValue < $1.stringValue }
      self = .fields(try names.map { ($0.stringValue, try fields.decode(Self.self, forKey: $0)) })
      return
    }
    if var list = try? decoder.unkeyedContainer() {
      var values: [ConfigurationValue] = []
      while !list.isAtEnd { values.append(try list.decode(Self.self)) }
      self = .list(values)
      return
    }
    let value = try decoder.singleValueContainer()
    if value.decodeNil() {
      self = .null
    } else if let bool = try? value.decode(Bool.self) {
      self = .bool(bool)
    } else if let number = try? value.decode(Double.self) {
      self = .number(number)
    } else {
      self = .text(try value.decode(String.self))
    }
  }

  /// Refuses numbers that no size can have, so that products of two sizes cannot overflow.
  func checkNumbers(at place: String) throws(LetheError) {
    switch self {
    case .number(let number):
      let limit = Double(Int32.max)
      if !(abs(number) <= limit) {
        throw LetheError(
          place, "the number is too large", expected: "at most \(Int32.max)",
          found: Int(exactly: number).map { "\($0)" } ?? "\(number)")
      }
    case .list(let values):
      for (index, value) in values.enumerated() { try value.checkNumbers(at: "\(place)[\(index)]") }
    case .fields(let fields):
      for (name, value) in fields { try value.checkNumbers(at: Self.path(place, name)) }
    case .null, .bool, .text: return
    }
  }

  /// Refuses fields that the model which was read does not have: an option that nobody understood.
  func checkFields(_ known: ConfigurationValue, at place: String) throws(LetheError) {
    switch (self, known) {
    case (.fields(let fields), .fields(let known)):
      for (name, value) in fields {
        guard let match = known.first(where: { $0.name == name }) else {
          if case .null = value { continue }
          throw LetheError(
            Self.path(place, name), "the field is unknown",
            expected: known.map(\.name).joined(separator: ", "), found: name,
            advice: "a newer version of Lethe may know it")
        }
        try value.checkFields(match.value, at: Self.path(place, name))
      }
    case (.list(let values), .list(let known)):
      for (index, (value, match)) in zip(values, known).enumerated() {
        try value.checkFields(match, at: "\(place)[\(index)]")
      }
    default: return
    }
  }

  private static func path(_ place: String, _ name: String) -> String {
    place.isEmpty ? name : "\(place).\(name)"
  }
}

extension LetheError {
  /// What a decoder says, in our words.
  fileprivate init(_ error: DecodingError) {
    switch error {
    case .keyNotFound(let key, let context):
      self.init(pathText(context.codingPath + [key]), "the field is missing")
    case .typeMismatch(let type, let context):
      self.init(pathText(context.codingPath), "is of another type", expected: "\(type)")
    case .valueNotFound(let type, let context):
      self.init(pathText(context.codingPath), "is null", expected: "\(type)")
    case .dataCorrupted(let context):
      self.init(pathText(context.codingPath), "cannot be read: \(context.debugDescription)")
    @unknown default:
      self.init("", "cannot be read: \(error)")
    }
  }
}
