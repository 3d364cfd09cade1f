import ArgumentParser
import Lethe

/// `lethe info`: what is in a model file.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Show what is in a model file: layers, shapes, parameters and notes.",
    discussion: """
      EXAMPLES:
        lethe info lethe-demo/model.lethe.safetensors
        lethe info lethe-demo/model.lethe.safetensors --json
      """)

  @Argument(help: ArgumentHelp("A model file, as 'lethe train' writes it.", valueName: "model"))
  var modelPath: String

  @Flag(help: "Print one JSON object on standard output.")
  var json = false

  func run() throws {
    let file = try ModelFile(contentsOf: modelPath)
    let notes = file.metadata.sorted { $0.key < $1.key }
    if json { return try Console.json(fields(file.model, notes)) }
    try Console.line(
      "\(modelPath): input \(Self.words(file.model.input)), output \(Self.words(file.model.output))")
    try Console.line("\n" + file.model.summary())
    try Console.line("\nparameters")
    for (name, value) in file.model.parameters { try Console.line("  \(name) \(value.shape)") }
    if notes.isEmpty { return }
    try Console.line("\nnotes")
    for (key, value) in notes { try Console.line(Console.printable("  \(key) = \(value)")) }
  }

  private func fields(_ model: Sequential, _ notes: [(key: String, value: String)]) throws -> JSONFields {
    let layers = zip(model.layers, model.outputs).enumerated().map { index, layer in
      JSONFields.Value.object(
        JSONFields([
          ("index", .whole(index)), ("kind", .text(type(of: layer.0).kind)),
          ("on_tape", .flag(layer.0.runsOnTape)), ("output", Self.list(layer.1)),
          ("parameters", .whole(layer.0.parameterCount)),
          ("direction", layer.0.direction.map { .text($0.rawValue) } ?? .null),
          ("inside", .list(layer.0.inside.map { .text($0.title) })),
        ]))
    }
    let tensors = model.parameters.map { name, value in
      JSONFields.Value.object(JSONFields([("name", .text(name)), ("shape", Self.list(value.shape))]))
    }
    return JSONFields([
      ("model", .text(modelPath)), ("input", Self.list(model.input)), ("output", Self.list(model.output)),
      ("parameters", .whole(model.parameterCount)), ("layers", .list(layers)), ("tensors", .list(tensors)),
      ("notes", .object(JSONFields(notes.map { ($0.key, .text($0.value)) }))),
      ("configuration", .encoded(try ModelFile.configuration(of: model))),
    ])
  }

  /// A shape; a length that may be anything is null.
  private static func list(_ shape: [Int]) -> JSONFields.Value {
    .list(shape.map { $0 == .any ? .null : .whole($0) })
  }

  private static func words(_ shape: [Int]) -> String {
    "[" + shape.map { $0 == .any ? "any" : "\($0)" }.joined(separator: ", ") + "]"
  }
}
