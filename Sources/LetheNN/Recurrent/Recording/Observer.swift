import LetheCore

/// What looks on while a model runs in evaluation mode, and may change gates on the way.
///
/// `Layer.observed(_:by:)` carries it through a model; `record`, `operated` and `gateGradients` make one for you.
public final class Observer {
  /// Which gates and states are kept, by name.
  let keeps: (String) -> Bool
  /// What is changed.
  let interventions: [Intervention]
  /// Where gradients with respect to gates are recorded, if they are wanted.
  let tape: Tape?
  /// What the layers did, in the order in which they ran.
  public internal(set) var recordings: [LayerRecording] = []
  /// Layers that it could not look into, and why.
  public internal(set) var unread: [String] = []
  /// The watched changes of gates, states and outputs, all zero: their gradients are those of the values.
  var watched: [Watched] = []
  /// Whether a `Sequential` at the top gives logits: its output without the last activation.
  public var givesLogits = false
  private var path: [String] = []

  struct Watched {
    var path: String
    var layer: Int
    var isReversed: Bool
    var name: String
    /// Step by step in the order of time, [batch, units] each; or all in one, [batch, time, units].
    var changes: [Variable]
  }

  /// An observer that keeps what `keeps` says and changes what the interventions say.
  public init(
    keeping keeps: @escaping (String) -> Bool = { _ in true }, interventions: [Intervention] = []
  ) {
    (self.keeps, self.interventions, tape) = (keeps, interventions, nil)
  }

  init(tape: Tape, interventions: [Intervention]) {
    (keeps, self.interventions, self.tape) = ({ _ in true }, interventions, tape)
  }

  /// Runs `body` for a part of a model.
  public func inside<R>(_ name: String, _ body: () throws -> R) rethrows -> R {
    path.append(name)
    defer { path.removeLast() }
    return try body()
  }

  /// Says that the layer at this place could not be looked into, and why.
  func leaveOut(_ kind: String, _ limit: String) { unread.append("layer \(place) \(kind): \(limit)") }

  /// The names of the parts that the model is in now.
  var place: String { path.joined(separator: ".") }

  func own(layer: Int, isReversed: Bool) -> [Intervention] {
    interventions.filter { action in
      (action.path ?? place) == place && (action.layer ?? layer) == layer
        && (action.isReversed ?? isReversed) == isReversed
    }
  }
}

/// A change of a gate or state while a model runs: "what if it had not forgotten at step 37".
///
///     .init("forget", .set(1), steps: 37..<38)
///     .init("output", .set(0), units: [3, 5])
///     .init("input", .freeze, steps: 10..<20)
public struct Intervention: Sendable {
  /// What is done to a value.
  public enum Action: Sendable, Equatable {
    /// It becomes this number.
    case set(Float)
    /// It is multiplied.
    case scale(Float)
    /// It stays as it was a step before; at the first step, at 0.
    case freeze
    /// It becomes these values, of shape [batch, time, units].
    case replace(Tensor)
  }
  /// The gate, candidate or state. A state is changed when its step is over: what follows has the change, that step's own
  /// output has not.
  public var name: String
  /// What is done.
  public var action: Action
  /// The units; `nil`: all.
  public var units: Set<Int>?
  /// The times; `nil`: all.
  public var steps: Range<Int>?
  /// The path of the layer in the model, as in `LayerRecording`; `nil`: all.
  public var path: String?
  /// The layer of a stack; `nil`: all.
  public var layer: Int?
  /// The direction; `nil`: both.
  public var isReversed: Bool?

  /// A change of the gate or state of that name, everywhere unless it is narrowed down.
  public init(
    _ name: String, _ action: Action, units: Set<Int>? = nil, steps: Range<Int>? = nil, path: String? = nil,
    layer: Int? = nil, isReversed: Bool? = nil
  ) {
    (self.name, self.action, self.units, self.steps) = (name, action, units, steps)
    (self.path, self.layer, self.isReversed) = (path, layer, isReversed)
  }
}

/// A run that was looked at.
public struct Recording: Sendable {
  /// What the model gave.
  public let output: Tensor
  /// What its recurrent layers did, in the order in which they ran.
  public let layers: [LayerRecording]
  /// Layers that remember but could not be looked into, and why.
  public let unread: [String]

  init(_ output: Tensor, _ observer: Observer) {
    (self.output, layers, unread) = (output, observer.recordings, observer.unread)
  }
}

/// The gradient of a number with respect to the values of a gate or state.
public struct GateGradient: Sendable {
  /// The layer; see `LayerRecording`.
  public let path: String
  public let layer: Int
  public let isReversed: Bool
  /// The gate or state; or `layerOutput`.
  public let name: String
  /// What a layer gives to the next one, apart from what it gives to its own next step.
  public static let layerOutput = "layer output"
  /// [batch, time, units]; for a state through the steps that follow, not through that step's own output.
  public let values: Tensor
}

extension Layer {
  /// Runs in evaluation mode and keeps what every recurrent layer did at every step.
  ///
  /// *Cost*: up to a third more than to run; what `keeping` leaves out is not copied.
  /// - Precondition: sequences that a layer with a learned initial state reads have no resets but at their first step.
  public func record(
    _ x: Tensor, timing: Timing? = nil, keeping: @escaping (String) -> Bool = { _ in true }
  ) -> Recording {
    let observer = Observer(keeping: keeping)
    let output = observed(Variable(x, timing: timing), by: observer)
    return Recording(output.tensor, observer)
  }

  /// The same with gates or states changed on the way, which go on from what they have become.
  ///
  /// It runs step by step, an operation at a time, far slower than the engine. Layers on the tape (`SteppedRecurrent`) and matrix
  /// memories are not changed.
  /// - Precondition: no sequence of the batch is shorter than others or starts anew on the way.
  /// - Throws: `LetheError` when no layer has such a gate, unit or step.
  public func operated(_ x: Tensor, _ interventions: [Intervention]) throws(LetheError) -> Recording {
    try check(interventions, x)
    let observer = Observer(interventions: interventions)
    let output = observed(Variable(x), by: observer)
    return Recording(output.tensor, observer)
  }

  /// The gradient of a number that `of` makes of the output with respect to every gate and state at every step, in evaluation
  /// mode, perhaps after a change.
  ///
  /// - Parameter logits: whether the output is taken without the last layer's activation.
  ///
  /// *Gradient*: exact, through all that follows. *Cost*: as `operated`, three times.
  /// - Throws: as `operated`.
  public func gateGradients(
    _ x: Tensor, _ interventions: [Intervention] = [], logits: Bool = false, of: (Variable) -> Variable
  ) throws(LetheError) -> (value: Float, recording: Recording, gradients: [GateGradient]) {
    try check(interventions, x)
    let tape = Tape(isTraining: false)
    let observer = Observer(tape: tape, interventions: interventions)
    observer.givesLogits = logits
    let output = observed(tape.constant(x), by: observer)
    let value = of(output)
    let recording = Recording(output.tensor, observer)
    guard value.isRecorded else { return (value.tensor.scalar, recording, []) }
    let found = tape.gradients(of: value)
    let gradients = observer.watched.map { watched -> GateGradient in
      let shape = watched.changes.first?.shape ?? [0, 0]
      let steps = watched.changes.map { Variable(found[$0] ?? Tensor(zeros: shape)) }
      return GateGradient(
        path: watched.path, layer: watched.layer, isReversed: watched.isReversed, name: watched.name,
        values: shape.count == 3
          ? steps[0].tensor : Variable.stacked(steps, batch: shape[0], width: shape[1]).tensor)
    }
    return (value.tensor.scalar, recording, gradients)
  }

  /// Makes sure that every change finds something to change.
  private func check(_ interventions: [Intervention], _ x: Tensor) throws(LetheError) {
    if interventions.isEmpty { return }
    let layers = record(x, keeping: { _ in false }).layers
    for change in interventions {
      let own = layers.filter {
        (change.path ?? $0.path) == $0.path && (change.layer ?? $0.layer) == $0.layer
          && (change.isReversed ?? $0.isReversed) == $0.isReversed
      }
      let named = own.filter { ($0.gates + $0.states).contains(change.name) }
      guard let first = named.first else {
        throw LetheError(
          "a change of '\(change.name)'", "finds no such gate or state",
          expected: own.isEmpty
            ? "a recurrent layer: " + layers.map(\.name).joined(separator: "; ")
            : Set(own.flatMap { $0.gates + $0.states }).sorted().joined(separator: ", "),
          found: own.isEmpty ? "layer '\(change.path ?? "")' \(change.layer ?? 0)" : change.name)
      }
      let time = first.input.shape[1]
      let units =
        first.states.firstIndex(of: change.name).map {
          first.description.width(ofState: $0, units: first.units)
        } ?? first.units
      if let steps = change.steps, steps.lowerBound < 0 || steps.upperBound > time {
        throw LetheError(
          "a change of '\(change.name)'", "is at steps that are not there", expected: "0..<\(time)",
          found: "\(steps)")
      }
      if let wrong = change.units?.first(where: { !(0..<units).contains($0) }) {
        throw LetheError(
          "a change of '\(change.name)'", "is of a unit that is not there", expected: "0..<\(units)",
          found: "\(wrong)")
      }
      if case .replace(let tensor) = change.action, tensor.shape != [first.input.shape[0], time, units] {
        throw LetheError(
          "a change of '\(change.name)'", "has values of another shape",
          expected: "\([first.input.shape[0], time, units])", found: "\(tensor.shape)")
      }
    }
  }
}
