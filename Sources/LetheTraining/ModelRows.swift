#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
import LetheCore
import LetheData
import LetheFormats
import LetheNN

/// Rows for a trained model to read, and what is known of them: from the built-in digits, MNIST's folder, a numpy file or a
/// text.
public struct ModelRows: Sendable {
  /// What a row is to a person.
  public enum Kind: Sendable, Equatable {
    /// A picture, read from top to bottom.
    case image
    /// Numbers over time.
    case series
    /// A token a step; the separator stands between them.
    case text(tokens: [String], separator: String)
  }

  /// The rows, `[rows, …]` as the model takes them.
  public var inputs: Tensor
  /// The class of each row, where it is known.
  public var labels: [Int32] = []
  /// What a row is.
  public var kind: Kind
  /// The names of the classes that the model chooses from, where they are known.
  public var classes: [String] = []
  /// What the rows are, in words.
  public var meaning: String

  /// The name of the note in a model file that holds its tokens, in order, as a JSON array of strings.
  public static let tokensNote = "lethe.tokens"
  /// The name of the note that holds the names of its classes, likewise; without it they are the tokens, if as many.
  public static let classesNote = "lethe.classes"
  /// The steps of the longest sequence that is read.
  public static let mostSteps = 4096
  /// More bytes of text than this are not read.
  static let mostText = 1 << 24

  /// Reads what a word of a command line names: `digits`, a folder with MNIST's files, a `.npy` file of numbers, or a text
  /// for a model whose notes name its tokens.
  ///
  /// - Parameter most: of a text, so many tokens are taken.
  /// - Throws: `LetheError` when it cannot be read or does not fit the model.
  public init(_ name: String, for file: ModelFile, split: Recipe.Split?, most: Int = 1000) throws {
    let isDigits = name == Recipe.Source.digits.rawValue
    if !isDigits, FileBytes.isFile(name) {
      if name.hasSuffix(".npy") {
        try self.init(numbers: name, for: file.model)
      } else {
        try self.init(text: name, for: file, most: most)
      }
      return
    }
    let chosen = split ?? Recipe.split(notes: file.metadata) ?? .everyFifth
    let test = try Recipe.testData(name, split: chosen)
    _ = try file.model.evaluate(test[0..<1], loss: Recipe.loss)
    self.init(inputs: test.inputs, kind: .image, meaning: "test rows")
    labels = test.labels
    classes = (0..<10).map(String.init)
  }

  private init(inputs: Tensor, kind: Kind, meaning: String) {
    (self.inputs, self.kind, self.meaning) = (inputs, kind, meaning)
  }

  private init(numbers path: String, for model: Sequential) throws {
    var tensor = try NPY.read(path)
    if tensor.shape.count == model.input.count { tensor = tensor.reshaped([1] + tensor.shape) }
    let fits =
      tensor.shape.count == model.input.count + 1
      && zip(tensor.shape.dropFirst(), model.input).allSatisfy { $1 == .any ? $0 > 0 : $0 == $1 }
    guard fits, tensor.shape[0] > 0 else {
      let wanted = model.input.map { $0 == .any ? "any" : "\($0)" }.joined(separator: ", ")
      throw LetheError(
        path, "does not fit the model", expected: "an array of shape [\(wanted)] or [rows, \(wanted)]",
        found: "\(tensor.shape)")
    }
    guard tensor.isFinite else {
      throw LetheError(path, "holds numbers that are not finite", advice: "fill gaps before")
    }
    if let embedding = model.layers.first as? Embedding,
      let wrong = tensor.scalars.first(where: { $0 != $0.rounded() || $0 < 0 || Int($0) >= embedding.count })
    {
      throw LetheError(
        path, "holds a number that is no token of the model",
        expected: "whole numbers in 0...\(embedding.count - 1)", found: "\(wrong)")
    }
    // What instruments keep grows with the square of the steps.
    if tensor.shape.count > 2, tensor.shape[1] > Self.mostSteps {
      throw LetheError(
        path, "has sequences too long to look into", expected: "at most \(Self.mostSteps) steps",
        found: "\(tensor.shape[1])", advice: "cut out the part that matters")
    }
    self.init(inputs: tensor, kind: .series, meaning: "rows")
  }

  private init(text path: String, for file: ModelFile, most: Int) throws {
    guard let list = file.metadata[Self.tokensNote] else {
      throw LetheError(
        path, "is not a file this model can read",
        expected: "a .npy file, or a model whose notes name tokens",
        found: "a model without the note '\(Self.tokensNote)'")
    }
    let tokens = try Self.strings(list, Self.tokensNote)
    guard file.model.input.count == 1 else {
      throw LetheError(
        path, "is a text, but the model does not take tokens", expected: "an input of shape [any]",
        found: "\(file.model.input)")
    }
    let bytes = try FileBytes.read(path, limit: Self.mostText)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw LetheError(path, "is no UTF-8 text")
    }
    if let embedding = file.model.layers.first as? Embedding, tokens.count > embedding.count {
      throw LetheError(
        "the note '\(Self.tokensNote)' of the model", "names more tokens than the model has",
        expected: "\(embedding.count)", found: "\(tokens.count)")
    }
    let numbers = Dictionary(zip(tokens, tokens.indices), uniquingKeysWith: { a, _ in a })
    // Single characters, but for names in brackets such as <unk>.
    let isCharacters = tokens.allSatisfy { $0.unicodeScalars.count == 1 || $0.hasPrefix("<") }
    let pieces =
      isCharacters
      ? text.unicodeScalars.map { String($0) } : text.split(whereSeparator: \.isWhitespace).map(String.init)
    let unknown = numbers["<unk>"]
    var ids: [Float] = [], shown: [String] = []
    for (place, piece) in pieces.prefix(most).enumerated() {
      guard let number = numbers[piece] ?? unknown else {
        throw LetheError(
          path, "holds a token that the model does not know: '\(piece)', number \(place + 1)",
          expected: "its \(tokens.count) tokens, such as "
            + tokens.prefix(5).map { "'\($0)'" }.joined(separator: ", "))
      }
      ids.append(Float(number))
      shown.append(piece)
    }
    let wanted = file.model.input[0]
    guard !ids.isEmpty, wanted == .any || wanted <= ids.count else {
      throw LetheError(
        path, "is too short", expected: "\(wanted == .any ? 1 : wanted) tokens", found: "\(ids.count)")
    }
    if wanted != .any {
      ids = Array(ids.prefix(wanted))
      shown = Array(shown.prefix(wanted))
    }
    self.init(
      inputs: Tensor(ids, shape: [1, ids.count]),
      kind: .text(tokens: shown, separator: isCharacters ? "" : " "), meaning: "this text")
    let answers = try file.metadata[Self.classesNote].map { try Self.strings($0, Self.classesNote) } ?? tokens
    if file.model.output.last == answers.count { classes = answers }
  }

  private static func strings(_ list: String, _ note: String) throws -> [String] {
    guard let decoded = try? JSONDecoder().decode([String].self, from: Data(list.utf8)), !decoded.isEmpty
    else {
      throw LetheError(
        "the note '\(note)' of the model", "cannot be read", expected: "a JSON array of strings")
    }
    return decoded
  }
}
