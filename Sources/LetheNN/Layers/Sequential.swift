import LetheCore

/// Layers in a row, each taking what the one before gives.
///
///     let model = Sequential(input: [28, 28], seed: 1) {
///       LSTM(128)
///       Dense(64, activation: .relu)
///       Dense(10, activation: .softmax)
///     }
///     let probabilities = model.predict(images)
///
/// *Shapes*: `input` and `output` are those of one example; x [batch, …input] → [batch, …output].
/// *Parameters*: those of layer number i under "i.", as in PyTorch's `nn.Sequential`.
public struct Sequential: Layer, LogitsModel {
  public static let kind = "sequential"
  /// The shape of one example; `.any` in its first place stands for any number of time steps. Empty until
  /// built.
  public private(set) var input: [Int]
  /// The layers, first to last.
  public private(set) var layers: [any Layer]
  /// The shape of one example after each layer; empty until built.
  public private(set) var outputs: [[Int]] = []

  /// A model ready for use; every parameter draws from the seed by its own name.
  ///
  /// - Precondition: the layers fit the input shape and each other.
  public init(input: [Int], seed: UInt64 = 0, @LayerBuilder _ layers: () -> [any Layer]) {
    do { try self.init(input: input, layers: layers(), seed: seed) } catch { stop("\(error)") }
  }

  /// A model ready for use, of layers from a file or a command line.
  ///
  /// - Throws: `LetheError` naming the layer that does not fit.
  public init(input: [Int], layers: [any Layer], seed: UInt64 = 0) throws(LetheError) {
    self.init(layers: layers)
    _ = try build(input: input)
    initialize(key: RandomKey(seed: seed))
  }

  /// Layers to be built inside another `Sequential`.
  public init(@LayerBuilder _ layers: () -> [any Layer]) { self.init(layers: layers()) }

  /// Layers to be built inside another `Sequential`.
  public init(layers: [any Layer]) { self.init(layers, input: []) }

  init(_ layers: [any Layer], input: [Int]) {
    self.input = input
    self.layers = layers
  }

  /// The shape of one example of the output.
  public var output: [Int] { outputs.last ?? input }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard !layers.isEmpty else {
      throw LetheError(Self.kind, "holds no layers", expected: "one or more")
    }
    try Self.check(input, "the input")
    self.input = input
    outputs = []
    for index in layers.indices {
      do {
        let shape = try layers[index].build(input: output)
        try Self.check(shape, "the output")
        outputs.append(shape)
      } catch {
        throw error.inLayer(index)
      }
    }
    return output
  }

  private static func check(_ shape: [Int], _ name: String) throws(LetheError) {
    let sizes = shape.first == .any ? shape.dropFirst() : shape[...]
    guard !shape.isEmpty, sizes.allSatisfy({ $0 > 0 }), product(of: sizes) != nil else {
      throw LetheError(
        kind, "\(name) has no possible shape",
        expected: "sizes above 0, the first perhaps .any (-1) for any number of time steps", found: "\(shape)"
      )
    }
  }

  public var inside: [any Layer] { layers }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    for index in layers.indices { visitor.visit("\(index)", &layers[index]) }
  }

  /// The output of the last layer.
  ///
  /// - Precondition: x is a batch of the input shape.
  public func callAsFunction(_ x: Variable) -> Variable {
    checkInput(x)
    return layers.indices.reduce(x) { run($1, $0) { $0($1) } }
  }

  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    checkInput(x)
    let logits = observer.givesLogits
    return layers.enumerated().reduce(x) { x, entry in
      let isLast = entry.offset == layers.count - 1
      if logits, isLast, !(entry.element is Sequential), let last = entry.element as? any LogitsModel {
        return last.logits(x)
      }
      // Only the very last layer gives logits.
      observer.givesLogits = logits && isLast
      defer { observer.givesLogits = logits }
      return observer.inside("\(entry.offset)") {
        if let limit = type(of: entry.element).recordingLimit {
          observer.leaveOut(type(of: entry.element).kind, limit)
        }
        return entry.element.observed(x, by: observer)
      }
    }
  }

  /// The activation of the last layer.
  public var finalActivation: Activation { (layers.last as? any LogitsModel)?.finalActivation ?? .linear }

  /// The output without the last layer's activation: what cross-entropy takes.
  ///
  /// - Precondition: x is a batch of the input shape.
  public func logits(_ x: Variable) -> Variable {
    checkInput(x)
    guard let last = layers.indices.last else { return x }
    let before = layers.indices.dropLast().reduce(x) { run($1, $0) { $0($1) } }
    return run(last, before) { ($0 as? any LogitsModel)?.logits($1) ?? $0($1) }
  }

  private func run(_ index: Int, _ x: Variable, _ body: (any Layer, Variable) -> Variable) -> Variable {
    let layer = layers[index]
    guard let tape = x.tape else { return body(layer, x) }
    return tape.named("\(index) \(type(of: layer).kind)") { body(layer, x) }
  }

  private func checkInput(_ x: Variable) {
    require(!outputs.isEmpty, "sequential: not built; give it an input shape")
    require(
      x.shape.count == input.count + 1
        && zip(x.shape.dropFirst(), input).allSatisfy { $1 == .any || $0 == $1 },
      "sequential: layer 0 (\(layers.first.map { type(of: $0).kind } ?? "none")) expected an input of shape "
        + "[batch, \(input.map(Self.name).joined(separator: ", "))], got \(x.shape)")
  }

  static func name(_ size: Int) -> String { size == .any ? "any" : "\(size)" }

  /// The layers with their output shapes and numbers of parameters, as a table.
  public func summary() -> String {
    var rows = [("layer", "output", "parameters")]
    for (index, layer) in layers.enumerated() {
      let shape = index < outputs.count ? outputs[index].map(Self.name).joined(separator: ", ") : "not built"
      rows.append(("\(index) \(layer.title)", "[\(shape)]", grouped(layer.parameterCount)))
    }
    rows.append(("total", "", grouped(parameterCount)))
    let widths = (
      rows.map(\.0.count).max() ?? 0, rows.map(\.1.count).max() ?? 0, rows.map(\.2.count).max() ?? 0
    )
    func spaces(_ count: Int) -> String { String(repeating: " ", count: count) }
    return rows.map { a, b, c in
      a + spaces(widths.0 - a.count + 2) + b + spaces(widths.1 - b.count + 2 + widths.2 - c.count) + c
    }.joined(separator: "\n")
  }
}

extension LetheError {
  /// The same of a layer by its number.
  func inLayer(_ index: Int) -> LetheError {
    LetheError("layer \(index), \(place)", problem, expected: expected, found: found, advice: advice)
  }
}

/// 1234567 as 1,234,567.
private func grouped(_ number: Int) -> String {
  var text = "\(number)"
  var place = text.count - 3
  while place > 0 {
    text.insert(",", at: text.index(text.startIndex, offsetBy: place))
    place -= 3
  }
  return text
}

/// Writes a list of layers as statements.
@resultBuilder
public enum LayerBuilder {
  /// One layer.
  public static func buildExpression(_ layer: some Layer) -> [any Layer] { [layer] }
  /// Several layers made elsewhere.
  public static func buildExpression(_ layers: [any Layer]) -> [any Layer] { layers }
  /// All statements in order.
  public static func buildBlock(_ parts: [any Layer]...) -> [any Layer] { parts.flatMap { $0 } }
  /// An `if` without `else`.
  public static func buildOptional(_ part: [any Layer]?) -> [any Layer] { part ?? [] }
  /// The first side of an `if`.
  public static func buildEither(first part: [any Layer]) -> [any Layer] { part }
  /// The other side of an `if`.
  public static func buildEither(second part: [any Layer]) -> [any Layer] { part }
  /// A loop.
  public static func buildArray(_ parts: [[any Layer]]) -> [any Layer] { parts.flatMap { $0 } }
}
