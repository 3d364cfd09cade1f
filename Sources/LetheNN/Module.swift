import LetheCore

/// Something with trainable parameters: a layer, or a model of your own.
///
/// One method names every parameter and module inside; optimisers, files and counts all follow it.
///
///     struct Tagger: Module {
///       var memory = LSTM(inputSize: 7, hiddenSize: 20)
///       var head = Dense(inputSize: 20, units: 3)
///       mutating func visitParameters(_ visitor: inout ParameterVisitor) {
///         visitor.visit("memory", &memory)
///         visitor.visit("head", &head)
///       }
///       func callAsFunction(_ x: Variable) -> Variable { head(memory(x)) }
///     }
public protocol Module: Sendable {
  /// Visits every parameter and every module inside, each under its name, in the same order each time.
  mutating func visitParameters(_ visitor: inout ParameterVisitor)
}

/// Walks the parameters of a module; names of nested modules are joined by dots, as in PyTorch.
public struct ParameterVisitor {
  private var path = ""
  private let body: (String, inout Parameter) -> Void

  fileprivate init(_ body: @escaping (String, inout Parameter) -> Void) { self.body = body }

  /// Visits one parameter.
  public mutating func visit(_ name: String, _ parameter: inout Parameter) { body(path + name, &parameter) }

  /// Visits the parameters of a module inside.
  public mutating func visit(_ name: String, _ module: inout some Module) {
    let outer = path
    path += name + "."
    module.visitParameters(&self)
    path = outer
  }
}

/// A trainable tensor of a module: declared with its shape and initialiser, then filled from a key or a file.
public struct Parameter: Sendable {
  /// The numbers; of shape `[0]` until the parameter is filled.
  public var value = Tensor(zeros: [0])
  /// The shape it is declared with.
  public let shape: [Int]
  /// What `Module.initialize(key:)` fills it with.
  public let initializer: Initializer
  // Its number in the gradients of the tape at hand; -1 outside training.
  package var slot = -1

  /// Declares a parameter.
  public init(shape: [Int], _ initializer: Initializer) {
    self.shape = shape
    self.initializer = initializer
  }

  /// A parameter whose module is not built yet.
  public init() { self.init(shape: [0], .zeros) }

  /// A parameter that holds the given numbers.
  public init(_ value: Tensor) {
    self.init(shape: value.shape, .zeros)
    self.value = value
  }
}

extension Module {
  /// Calls `body` with the name of each parameter and the parameter, to read or change.
  public mutating func forEachParameter(_ body: (String, inout Parameter) -> Void) {
    withoutActuallyEscaping(body) { body in
      var visitor = ParameterVisitor(body)
      visitParameters(&visitor)
    }
  }

  /// The name and value of each parameter.
  public var parameters: [(name: String, value: Tensor)] {
    var copy = self
    var list: [(name: String, value: Tensor)] = []
    copy.forEachParameter { name, parameter in list.append((name, parameter.value)) }
    return list
  }

  /// How many trainable numbers there are.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.value.count } }

  /// Fills every parameter from its initialiser; each draws from the key's child of its own name.
  public mutating func initialize(key: RandomKey) {
    forEachParameter { name, parameter in
      parameter.value = parameter.initializer.make(shape: parameter.shape, key: key.child(name))
    }
  }

  /// Fills every parameter by name.
  ///
  /// - Throws: `LetheError` when one is missing or has another shape, or `named` holds a name that no parameter has.
  public mutating func load(_ named: [String: Tensor], from place: String) throws(LetheError) {
    var unused = Set(named.keys)
    var failure: LetheError?
    forEachParameter { name, parameter in
      guard failure == nil else { return }
      unused.remove(name)
      guard let tensor = named[name] else {
        failure = LetheError(
          place, "the parameter '\(name)' is missing", expected: "shape \(parameter.shape)")
        return
      }
      if tensor.shape != parameter.shape {
        failure = LetheError(
          "\(place): parameter '\(name)'", "has another shape than the model", expected: "\(parameter.shape)",
          found: "\(tensor.shape)")
      }
    }
    if let failure { throw failure }
    if let extra = unused.min() {
      throw LetheError(place, "holds a tensor '\(extra)' that the model has no parameter for")
    }
    // Only now that all of it fits: an error leaves the module as it was.
    forEachParameter { name, parameter in parameter.value = named[name] ?? parameter.value }
  }

  /// The loss that `body` computes with the model on a tape, and its gradients.
  ///
  ///     let (loss, gradients) = model.gradients { model, tape in
  ///       crossEntropy(model(tape.constant(x)), labels)
  ///     }
  public func gradients(
    key: RandomKey = RandomKey(seed: 0), isTraining: Bool = true, of body: (Self, Tape) throws -> Variable
  ) rethrows -> (loss: Float, gradients: Gradients) {
    var model = self
    var slot = 0
    model.forEachParameter { _, parameter in
      parameter.slot = slot
      slot += 1
    }
    let tape = Tape(key: key, isTraining: isTraining)
    let loss = try body(model, tape)
    require(
      loss.isRecorded && loss.tape === tape,
      "gradients: the loss depends on no parameter; begin with tape.constant(x) or tape.watched(x)")
    return (loss.tensor.scalar, tape.gradients(of: loss))
  }
}

extension Gradients {
  /// The gradient of each parameter of `model` by name; zeros where the loss does not depend on it.
  public func named(for model: some Module) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (slot, parameter) in model.parameters.enumerated() {
      result[parameter.name] = self[slot: slot] ?? Tensor(zeros: parameter.value.shape)
    }
    return result
  }
}

extension Variable {
  /// A parameter as a value of the computation this value belongs to.
  public func with(_ parameter: Parameter) -> Variable {
    tape?.leaf(slot: parameter.slot, parameter.value) ?? Variable(parameter.value)
  }
}

/// A module from one value to one value: what `Sequential` stacks and `fit` trains.
public protocol Model: Module {
  /// The output for a batch. *Shapes*: the first dimension of both is the batch.
  func callAsFunction(_ x: Variable) -> Variable
}

extension Model {
  /// The output for a batch, in evaluation mode, recording nothing.
  public func callAsFunction(_ x: Tensor) -> Tensor { self(Variable(x)).tensor }
}

/// A building block of `Sequential`. What encodes of it is its configuration, without parameters.
public protocol Layer: Model, Codable {
  /// Its name in model files.
  static var kind: String { get }

  /// Declares the parameters for inputs of the given shape, and says what comes out.
  ///
  /// *Shapes* are those of one example, without the batch: `[time, features]`, `[height, width, channels]`,
  /// `[features]`. A time of `.any` stands for any length.
  /// - Throws: `LetheError` when the layer cannot take such an input or is configured wrongly.
  mutating func build(input: [Int]) throws(LetheError) -> [Int]

  /// Why instruments cannot read what is remembered inside; `nil` where they can, or where nothing is.
  static var recordingLimit: String? { get }

  /// The layers it is made of, for one that wraps others; none for all others.
  var inside: [any Layer] { get }

  /// Whether it, or a layer inside, is computed operation by operation on the tape, step after step, with no
  /// fused engine behind it.
  var runsOnTape: Bool { get }

  /// Whether it takes every step of a sequence alone, so that it can be part of a stream.
  static var isPerStep: Bool { get }

  /// The output, with an observer looking on: layers that hold recurrent ones hand it on.
  func observed(_ x: Variable, by observer: Observer) -> Variable
}

extension Layer {
  /// None.
  public static var recordingLimit: String? { nil }

  /// No, for all that is known of it.
  public static var isPerStep: Bool { false }

  /// None.
  public var inside: [any Layer] { [] }

  /// Whether a layer inside is.
  public var runsOnTape: Bool { inside.contains { $0.runsOnTape } }

  /// Just the output: nothing recurrent is inside.
  public func observed(_ x: Variable, by observer: Observer) -> Variable { self(x) }

  /// No parameters.
  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {}

  /// Declares and fills the parameters; for layers made in code.
  ///
  /// - Precondition: the layer takes such an input.
  package mutating func builtOrStop(input: [Int], key: RandomKey) {
    do { _ = try build(input: input) } catch { stop("\(error)") }
    initialize(key: key)
  }
}

extension Int {
  /// In an input shape: any number of time steps.
  public static var any: Int { -1 }
}
