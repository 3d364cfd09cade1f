import LetheCore

/// A kind of cell: its gates and how they start. `Recurrent` gives it layers, directions, lengths and the time loop.
public protocol RecurrentCell: Sendable, Codable {
  /// Its name in model files.
  static var kind: String { get }
  /// The width of its state.
  var hiddenSize: Int { get }
  /// What the engine must know of it.
  var description: CellDescription { get }
  /// How the input bias starts, gate by gate in the order of `description.gates`; the recurrent bias starts at 0.
  /// Described cells say it in their description.
  var biasInitializers: [Initializer] { get }
  /// Throws for options that contradict each other; called before `description` is asked for.
  func check() throws(LetheError)
}

extension RecurrentCell {
  public func check() throws(LetheError) {}
  public var biasInitializers: [Initializer] { description.biasInitializers }
}

/// Which outputs a recurrent layer gives.
public enum RecurrentOutputs: String, Sendable, Codable {
  /// Those of every step: [batch, time, directions · hidden].
  case all
  /// The final hidden states: [batch, directions · hidden].
  case last
}

/// The state of a recurrent layer between two calls: a value, to keep, copy, save or start again from.
///
/// One entry for each layer and direction, in PyTorch's order: layer 0 forward, layer 0 backward, layer 1 forward, …
/// *Shapes*: each [batch, hidden]. A missing state means zeros.
public struct RecurrentState {
  /// h.
  public var hidden: [Variable]
  /// c, for cells that have one; cells with more states have all but h here, those of a layer side by side.
  public var cell: [Variable]

  /// A state of the given parts.
  public init(hidden: [Variable], cell: [Variable] = []) {
    self.hidden = hidden
    self.cell = cell
  }

  /// The same numbers as constants, so that no gradient flows further back (truncated backpropagation).
  public var detached: RecurrentState {
    RecurrentState(hidden: hidden.map { Variable($0.tensor) }, cell: cell.map { Variable($0.tensor) })
  }
}

// On the heap: a description is large, and layers are copied often.
private final class Described: Sendable {
  let value: CellDescription
  init(_ value: CellDescription) { self.value = value }
}

/// A stack of recurrent layers of one kind of cell, in one or both directions.
///
///     c_t = f_t ⊙ c_{t−1} + i_t ⊙ u_t        h_t = readout(c_t, o_t)
///
/// *Shapes*: x [batch, time, features] → [batch, time, directions · hidden], or [batch, directions · hidden] with
/// `outputs: .last`. Parameters of layer k are PyTorch's: `weight_ih_l{k}` [gates · hidden, width below],
/// `weight_hh_l{k}` [gates · hidden, hidden], `bias_ih_l{k}`, `bias_hh_l{k}` [gates · hidden], each also with
/// `_reverse`.
/// *State*: nothing is kept between calls; `run` takes and gives it. No initial state is the same as zeros.
/// *Gradient*: into inputs, weights and initial state, from outputs and final state.
/// *Cost*: 2 · batch · time · gates · hidden · (features + hidden) forward, twice that again backward.
public struct Recurrent<Cell: RecurrentCell>: Layer {
  public static var kind: String { Cell.kind }
  /// The kind of cell, its width and its options.
  public var cell: Cell { didSet { described = Described(cell.description) } }
  /// How many layers lie on top of each other.
  public var layers: Int
  /// Whether each layer also runs backward in time; outputs are then side by side.
  public var isBidirectional: Bool
  /// Every step's output or the last.
  public var outputs: RecurrentOutputs
  /// Chances of zeroing, in training.
  public var dropout: RecurrentDropout
  /// The width of y_t = tanh(W [h_t, x_t] + b), in place of h_t as output; `nil`: none. Its x_t is the input before
  /// input dropout.
  public var headSize: Int?

  struct Weights: Sendable {
    /// In the order of `CellDescription.parts`.
    var parts: [Parameter]
    let cache = PackedCache()
  }
  // The width of the input, once built.
  private(set) var features = 0
  // Layer by layer, forward then backward.
  var weights: [Weights] = []
  // Made once for each change of the cell.
  private var described: Described?
  var description: CellDescription { described?.value ?? cell.description }
  var head = Dense(1, activation: .tanh)

  /// A layer that learns its input width when it is built, inside `Sequential`.
  public init(
    _ cell: Cell, layers: Int = 1, bidirectional: Bool = false, outputs: RecurrentOutputs = .last,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil
  ) {
    self.cell = cell
    self.layers = layers
    isBidirectional = bidirectional
    self.outputs = outputs
    self.dropout = dropout
    self.headSize = headSize
  }

  /// Layers ready for use.
  ///
  /// - Precondition: cell and sizes are sensible.
  public init(
    _ cell: Cell, inputSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil, key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      cell, layers: layers, bidirectional: bidirectional, outputs: outputs, dropout: dropout,
      headSize: headSize)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case cell, layers, outputs, dropout
    case isBidirectional = "bidirectional"
    case headSize = "head_size"
  }

  var directions: Int { isBidirectional ? 2 : 1 }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let units = cell.hiddenSize
    try cell.check()
    guard input.count == 2, let features = input.last, features > 0 else {
      throw LetheError(
        Cell.kind, "cannot take this input", expected: "[time, features]", found: "\(input)",
        advice: "use Rows() to read an image row by row")
    }
    guard units > 0, layers > 0, units < 1 << 20, layers <= 64, features < 1 << 24, (headSize ?? 1) > 0
    else {
      throw LetheError(
        Cell.kind, "sizes are out of range", expected: "hidden, layers and head above 0 and sensible",
        found: "hidden \(units), layers \(layers), features \(features), head \(headSize ?? 0)")
    }
    try dropout.check(Cell.kind)
    if cell.description.scalars > 0 && (layers > 1) {
      throw LetheError(
        Cell.kind, "takes columns of its input that only the first layer has", expected: "1 layer",
        found: "\(layers)")
    }
    if dropout.between > 0 && layers == 1 {
      throw LetheError(
        Cell.kind, "dropout between layers needs layers to lie between", expected: "2 layers or more",
        found: "1",
        advice: "use output dropout")
    }
    if headSize != nil && outputs == .last && isBidirectional {
      throw LetheError(
        Cell.kind, "a head on the last step of both directions is not defined",
        advice: "take all outputs, or one direction: backward in time the last step comes first")
    }
    described = Described(cell.description)
    weights = []
    self.features = features
    for layer in 0..<layers {
      let width = layer == 0 ? features : directions * units
      if let complaint = description.complaint(inputs: width, units: units) {
        throw LetheError(
          Cell.kind, "layer \(layer + 1) cannot take its input", expected: complaint.expected,
          found: "\(width)",
          advice: complaint.advice)
      }
      let parts = description.parts(inputs: width, units: units, biases: cell.biasInitializers)
      for _ in 0..<directions {
        weights.append(Weights(parts: parts.map { Parameter(shape: $0.shape, $0.initializer) }))
      }
    }
    var width = directions * units
    if let headSize {
      head = Dense(headSize, activation: .tanh)
      _ = try head.build(input: [width + features])
      width = headSize
    }
    return outputs == .all ? [input[0], width] : [width]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    for index in weights.indices {
      let suffix = "_l\(index / directions)" + (index % directions == 1 ? "_reverse" : "")
      let names = description.parts(inputs: 1, units: 1, biases: []).map(\.name)
      for (part, name) in names.enumerated() { visitor.visit(name + suffix, &weights[index].parts[part]) }
    }
    if headSize != nil { visitor.visit("head", &head) }
  }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The outputs as `outputs` asks for, and the final state, from an initial state (`nil`: zeros).
  ///
  /// - Precondition: x is [batch, time, features] and the state has this layer's shapes.
  public func run(_ x: Variable, from state: RecurrentState? = nil) -> (
    output: Variable, state: RecurrentState
  ) {
    let result = runAll(x, from: state)
    return (result.output, result.state)
  }

  /// What every gate of the top layer did at every step, forward in time, by the gate's name (`description.gates`); in
  /// evaluation mode. Empty for cells without gates.
  ///
  /// *Shapes*: x [batch, time, features] → each [batch, time, hidden].
  public func gateValues(_ x: Variable, from state: RecurrentState? = nil) -> [String: Tensor] {
    runAll(Variable(x.tensor, timing: x.timing), from: state, wantsGates: true).gates
  }

  func runAll(
    _ x: Variable, from state: RecurrentState? = nil, wantsOutputGate: Bool = false, wantsGates: Bool = false
  ) -> (output: Variable, state: RecurrentState, outputGate: Variable?, gates: [String: Tensor]) {
    let (name, units) = (Cell.kind, cell.hiddenSize)
    require(!weights.isEmpty, "\(name): not built; give inputSize, or put it into Sequential")
    require(
      x.shape.count == 3 && x.shape[2] == features,
      "\(name): expected an input of shape [batch, time, \(features)], got \(x.shape)")
    let count = layers * directions, others = description.states.count - 1
    if let state {
      let cells = others * count
      require(
        state.hidden.count == count && state.cell.count == cells
          && (state.hidden + state.cell).allSatisfy { $0.shape == [x.shape[0], units] },
        "\(name): expected a state of \(count) hidden and \(cells) cell parts of shape \([x.shape[0], units]), got "
          + "\(state.hidden.map(\.shape)) and \(state.cell.map(\.shape))")
    }
    let (batch, time, timing) = (x.shape[0], x.shape[1], x.timing)
    let layouts = [false, true].prefix(directions).map {
      SequenceLayout(batch: batch, time: time, timing: timing, isReversed: $0)
    }
    var input = x.dropped(dropout.input)
    var final = RecurrentState(hidden: [])
    var gate: Variable?
    var gates: [String: Tensor] = [:]
    for layer in 0..<layers {
      let isTop = layer == layers - 1
      let wantsSteps = !isTop || outputs == .all || headSize != nil
      var sides: [Variable] = []
      for direction in 0..<directions {
        let index = layer * directions + direction
        let own = weights[index]
        let pass = RecurrentPass(
          description: description, layout: layouts[direction], inputs: input.shape[2], units: units,
          hiddenMask: recurrentMask(x, batch: batch))
        let result = pass.run(
          input,
          weights: .init(parts: own.parts.map { x.with($0) }, cache: own.cache),
          initial: state.map { [$0.hidden[index]] + $0.cell[index * others..<(index + 1) * others] } ?? [],
          wantsOutputs: wantsSteps, wantsOutputGate: wantsOutputGate && isTop,
          wantsGates: wantsGates && isTop && direction == 0)
        if direction == 0 { gates = result.gates }
        final.hidden.append(result.states[0])
        final.cell += result.states.dropFirst()
        gate = result.outputGate
        sides.append(wantsSteps ? result.outputs ?? result.states[0] : result.states[0])
      }
      input = sides.count == 1 ? sides[0] : .concatenated(sides)
      if !isTop { input = input.dropped(dropout.between) }
    }
    var output = input
    if headSize != nil {
      output = head(.concatenated([output, x]).timed(timing))
      if outputs == .last { output = output.lastStep() }
    }
    return (output.dropped(dropout.output), final, gate, gates)
  }

  private func recurrentMask(_ x: Variable, batch: Int) -> Tensor? {
    guard x.isTraining, dropout.recurrent > 0, let tape = x.tape else { return nil }
    return tape.nextKey().dropoutMask(shape: [batch, cell.hiddenSize], keep: 1 - dropout.recurrent)
  }
}

/// The chances with which a recurrent layer zeroes numbers in training; what stays is scaled up to the same mean.
public struct RecurrentDropout: Sendable, Codable, Equatable {
  /// Of the inputs, fresh at every step.
  public var input: Float
  /// Of the outputs of every layer but the last, fresh at every step: PyTorch's `dropout`.
  public var between: Float
  /// Of the outputs of the last layer.
  public var output: Float
  /// Of the hidden state that the gates see, one mask for each sequence (Gal & Ghahramani 2016).
  public var recurrent: Float

  /// No dropout but what is given; each in 0..<1.
  public init(input: Float = 0, between: Float = 0, output: Float = 0, recurrent: Float = 0) {
    self.input = input
    self.between = between
    self.output = output
    self.recurrent = recurrent
  }

  func check(_ place: String) throws(LetheError) {
    for rate in [input, between, output, recurrent] where !(rate >= 0 && rate < 1) {
      throw LetheError(place, "a dropout rate is out of range", expected: "0..<1", found: "\(rate)")
    }
  }
}

extension Variable {
  /// Zeroes scalars with the given chance and scales the rest, in training only.
  package func dropped(_ rate: Float) -> Variable {
    guard isTraining, rate > 0, let tape else { return self }
    let mask = tape.nextKey().dropoutMask(shape: shape, keep: 1 - rate)
    return .operation("dropout", [self], tensor * mask, timing: timing) { [$0 * mask] }
  }

  /// The last real step of each sequence: [batch, time, features] → [batch, features]; zeros for empty ones.
  public func lastStep() -> Variable {
    require(shape.count == 3, "lastStep: expected [batch, time, features], got \(shape)")
    let (batch, time, width) = (shape[0], shape[1], shape[2])
    let last = (0..<batch).map { (timing?.lengths?[$0] ?? time) - 1 }
    let result = Tensor(zeros: [batch, width])
    for (row, step) in last.enumerated() where step >= 0 {
      (result.pointer + row * width).update(from: tensor.pointer + (row * time + step) * width, count: width)
    }
    return .operation("lastStep", [self], result) { gradient in
      let wide = Tensor(zeros: [batch, time, width])
      for (row, step) in last.enumerated() where step >= 0 {
        (wide.pointer + (row * time + step) * width).update(
          from: gradient.pointer + row * width, count: width)
      }
      return [wide]
    }
  }
}
