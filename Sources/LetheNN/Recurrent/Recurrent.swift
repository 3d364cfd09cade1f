import LetheCore

// On the heap: a description is large, and layers are copied often.
private final class Described: Sendable {
  let value: CellDescription
  let names: [String]
  init(_ value: CellDescription) {
    self.value = value
    names = value.partNames()
  }
}

/// A stack of recurrent layers of one kind of cell, in one or both directions.
///
///     c_t = f_t ⊙ c_{t−1} + i_t ⊙ u_t        h_t = readout(c_t, o_t)
///
/// *Shapes*: x [batch, time, features] → [batch, time, directions · hidden], or [batch, directions · hidden]
/// with `outputs: .last`, where hidden is the cell's `outputSize`; directions may also be merged.
/// *Parameters* of layer k are PyTorch's: `weight_ih_l{k}` [gates · units, width below], `weight_hh_l{k}`
/// [gates · units, hidden], `bias_ih_l{k}`, `bias_hh_l{k}` [gates · units], where units is the cell's
/// `hiddenSize`, each also with `_reverse`. A described cell has the rows its gates ask for, one bias, and its
/// vectors by name.
/// *State*: nothing is kept between calls; `run` takes and gives it. No initial state is the same as zeros,
/// or as what is learned.
/// *Gradient*: into inputs, weights and initial state, from outputs and final state.
/// *Cost*: 2 · batch · time · gates · hidden · (features + hidden) forward, twice that again backward.
public struct Recurrent<Cell: RecurrentCell>: Layer {
  public static var kind: String { Cell.kind }
  /// The kind of cell, its width and its options.
  public var cell: Cell { didSet { described = nil } }
  /// How many layers lie on top of each other.
  public var layers: Int
  /// Whether each layer also runs backward in time; outputs are then side by side.
  public var isBidirectional: Bool
  /// Whether it walks from the last step to the first instead; outputs stay in time order.
  public var isReversed = false
  /// How the outputs of the two directions become one, in every layer.
  public var merge = DirectionMerge.concat
  /// Whether the state that a sequence starts from is learned, where none is given and after each reset:
  /// `initial_hidden_l0` and so on.
  ///
  /// With resets after a first step, `record` and `gateValues` stop: take such sequences apart there. *Cost* of such resets: what
  /// lies between them goes through the engine as sequences of their own, which copies inputs and outputs into batches at most
  /// twice as large; one pass where that is enough, else one for each power of two of their lengths.
  public var learnsInitialState = false
  /// Whose rules matrices and biases start by.
  public var start = RecurrentStart.lethe
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
    /// The state to start from, [units] each, where it is learned.
    var initial: [Parameter] = []
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
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil, start: RecurrentStart = .lethe,
    reversed: Bool = false
  ) {
    self.cell = cell
    self.layers = layers
    isBidirectional = bidirectional
    self.outputs = outputs
    self.dropout = dropout
    self.headSize = headSize
    self.start = start
    isReversed = reversed
  }

  /// Layers ready for use.
  ///
  /// - Precondition: cell and sizes are sensible.
  public init(
    _ cell: Cell, inputSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil, start: RecurrentStart = .lethe,
    reversed: Bool = false, key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      cell, layers: layers, bidirectional: bidirectional, outputs: outputs, dropout: dropout,
      headSize: headSize, start: start, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case cell, layers, outputs, dropout, merge, start
    case isBidirectional = "bidirectional"
    case isReversed = "reversed"
    case headSize = "head_size"
    case learnsInitialState = "learns_initial_state"
  }

  /// Fields that files from before them lack are optional.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode(Cell.self, forKey: .cell), layers: try values.decode(Int.self, forKey: .layers),
      bidirectional: try values.decode(Bool.self, forKey: .isBidirectional),
      outputs: try values.decode(RecurrentOutputs.self, forKey: .outputs),
      dropout: try values.decode(RecurrentDropout.self, forKey: .dropout),
      headSize: try values.decodeIfPresent(Int.self, forKey: .headSize))
    merge = try values.decodeIfPresent(DirectionMerge.self, forKey: .merge) ?? .concat
    learnsInitialState = try values.decodeIfPresent(Bool.self, forKey: .learnsInitialState) ?? false
    start = try values.decodeIfPresent(RecurrentStart.self, forKey: .start) ?? .lethe
    isReversed = try values.decodeIfPresent(Bool.self, forKey: .isReversed) ?? false
  }

  /// What is as in files from before a field is left out.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(cell, forKey: .cell)
    try values.encode(layers, forKey: .layers)
    try values.encode(isBidirectional, forKey: .isBidirectional)
    try values.encode(outputs, forKey: .outputs)
    try values.encode(dropout, forKey: .dropout)
    try values.encodeIfPresent(headSize, forKey: .headSize)
    let all = encoder.writesEveryField
    if all || merge != .concat { try values.encode(merge, forKey: .merge) }
    if all || learnsInitialState { try values.encode(learnsInitialState, forKey: .learnsInitialState) }
    if all || start != .lethe { try values.encode(start, forKey: .start) }
    if all || isReversed { try values.encode(isReversed, forKey: .isReversed) }
  }

  var directions: Int { isBidirectional ? 2 : 1 }
  /// Whether each direction runs backward in time.
  var ways: [Bool] { isBidirectional ? [false, true] : [isReversed] }
  /// The width of a layer's output.
  private var sideBySide: Int { merge == .concat ? directions * cell.outputSize : cell.outputSize }

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
    if isBidirectional && isReversed {
      throw LetheError(
        Cell.kind, "both directions and the backward one alone contradict each other",
        advice: "leave one of them out")
    }
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
    if merge != .concat && !isBidirectional {
      throw LetheError(
        Cell.kind, "merges two directions, but has one", expected: "merge .concat, or bidirectional",
        found: "merge .\(merge.rawValue)")
    }
    described = Described(cell.description)
    guard description.width(ofState: 0, units: units) == cell.outputSize else {
      throw LetheError(
        Cell.kind, "outputSize is not the width of the h that its description returns",
        expected: "\(description.width(ofState: 0, units: units))", found: "\(cell.outputSize)")
    }
    let biases = cell.biasInitializers
    try description.check(Cell.kind, dropout: dropout, start: start, biases: biases)
    weights = []
    self.features = features
    for layer in 0..<layers {
      let width = layer == 0 ? features : sideBySide
      if let complaint = description.complaint(inputs: width, units: units) {
        throw LetheError(
          Cell.kind, "layer \(layer + 1) cannot be of these widths", expected: complaint.expected,
          found: "\(complaint.found)",
          advice: complaint.advice)
      }
      let parts = start.applied(
        to: description.parts(inputs: width, units: units, biases: biases), units: units)
      for _ in 0..<directions {
        weights.append(
          Weights(
            parts: parts.map { Parameter(shape: $0.shape, $0.initializer) },
            initial: learnsInitialState
              ? description.states.indices.map {
                Parameter(shape: [description.width(ofState: $0, units: units)], .zeros)
              } : []))
      }
    }
    var width = sideBySide
    if let headSize {
      head = Dense(headSize, activation: .tanh)
      _ = try head.build(input: [width + features])
      width = headSize
    }
    return outputs == .all ? [input[0], width] : [width]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    let names = described?.names ?? description.partNames()
    for index in weights.indices {
      let suffix = "_l\(index / directions)" + (index % directions == 1 ? "_reverse" : "")
      for (part, name) in names.enumerated() { visitor.visit(name + suffix, &weights[index].parts[part]) }
      for state in weights[index].initial.indices {
        visitor.visit("initial_\(description.states[state])" + suffix, &weights[index].initial[state])
      }
    }
    if headSize != nil { visitor.visit("head", &head) }
  }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The outputs as `outputs` asks for, and the final state, from an initial state (`nil`: zeros, or what is learned).
  ///
  /// - Precondition: x is [batch, time, features] and the state has this layer's shapes.
  public func run(_ x: Variable, from state: RecurrentState? = nil) -> (
    output: Variable, state: RecurrentState
  ) {
    let result = runAll(x, from: state)
    return (result.output, result.state)
  }

  /// What every gate of the top layer did at every step, by the gate's name (`description.gates`), in evaluation mode; of two
  /// directions that of the forward one. Empty for cells without gates. `record` tells more.
  ///
  /// *Shapes*: x [batch, time, features] → each [batch, time, hidden].
  /// - Precondition: a layer that learns its initial state has no resets, but for some at step 0 with no state given.
  public func gateValues(_ x: Variable, from state: RecurrentState? = nil) -> [String: Tensor] {
    let gates = Set(description.gates).subtracting(description.states)
    let observer = Observer(keeping: { gates.contains($0) })
    _ = runAll(Variable(x.tensor, timing: x.timing), from: state, observer: observer)
    return observer.recordings.last { $0.layer == layers - 1 && $0.isReversed == ways[0] }?.values ?? [:]
  }

  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    runAll(x, from: nil, observer: observer).output
  }

  func runAll(
    _ x: Variable, from state: RecurrentState? = nil, wantsOutputGate: Bool = false, observer: Observer? = nil
  ) -> (output: Variable, state: RecurrentState, outputGate: Variable?) {
    let (name, units) = (Cell.kind, cell.hiddenSize)
    require(!weights.isEmpty, "\(name): not built; give inputSize, or put it into Sequential")
    require(
      x.shape.count == 3 && x.shape[2] == features,
      "\(name): expected an input of shape [batch, time, \(features)], got \(x.shape)")
    let count = layers * directions, others = description.states.count - 1
    if let state {
      state.requireNumbersAlone(name)
      let cells = others * count
      require(
        state.hidden.count == count && state.cell.count == cells
          && state.hidden.allSatisfy { $0.shape == [x.shape[0], cell.outputSize] }
          && state.cell.allSatisfy { $0.shape == [x.shape[0], units] },
        "\(name): expected a state of \(count) hidden parts of shape \([x.shape[0], cell.outputSize]) and \(cells) cell parts "
          + "of shape \([x.shape[0], units]), got "
          + "\(state.hidden.map(\.shape)) and \(state.cell.map(\.shape))")
    }
    let (batch, time) = (x.shape[0], x.shape[1])
    require(!(isBidirectional && isReversed), "\(name): in both directions, and in the backward one alone")
    let ways = ways
    let pieces =
      learnsInitialState
      ? SequencePieces(
        batch: batch, time: time, timing: x.timing, followsState: state != nil && !isReversed) : nil
    require(
      pieces == nil || observer == nil,
      "\(name): sequences that begin anew from a learned state are recorded one by one")
    // What pieces leave of the resets is at first steps, where what is learned stands in any case.
    let timing = learnsInitialState ? x.timing.map { Timing(lengths: $0.lengths) } : x.timing
    let layouts = ways.map {
      SequenceLayout(batch: batch, time: time, timing: timing, isReversed: $0)
    }
    var input = x.dropped(dropout.input).timed(timing)
    var final = RecurrentState(hidden: [])
    var gate: Variable?
    for layer in 0..<layers {
      let isTop = layer == layers - 1
      let wantsSteps = !isTop || outputs == .all || headSize != nil
      var sides: [Variable] = []
      for direction in 0..<directions {
        let index = layer * directions + direction
        let own = weights[index]
        var pass = RecurrentPass(
          description: description, layout: layouts[direction], inputs: input.shape[2], units: units,
          hiddenMask: recurrentMask(x, batch: batch))
        if x.isTraining, let tape = x.tape {
          pass.noise = description.noises.map { noise in
            // Exactly 1 or 0, whatever 1 / rate rounds to.
            let mask = tape.nextKey().dropoutMask(shape: [batch, time, units], keep: noise.rate)
            return Tensor(mask.scalars.map { $0 > 0 ? 1 : 0 }, shape: mask.shape)
          }
        }
        let given = state.map { [$0.hidden[index]] + $0.cell[index * others..<(index + 1) * others] }
        let learned = own.initial.map { x.with($0) }
        let initial = given ?? learned.map { $0.repeated(batch) }
        let parts = RecurrentPass.Weights(parts: variables(own, x), cache: own.cache)
        let wantsGate = wantsOutputGate && isTop
        let result =
          observer?.run(
            pass, input, parts, initial: initial, wantsOutputGate: wantsGate, layer: layer,
            isReversed: ways[direction])
          ?? pieces.map {
            pass.run(
              input, pieces: $0, isReversed: ways[direction], weights: parts, given: given, learned: learned,
              wantsOutputs: wantsSteps, wantsOutputGate: wantsGate)
          }
          ?? pass.run(
            input, weights: parts, initial: initial, wantsOutputs: wantsSteps, wantsOutputGate: wantsGate)
        final.hidden.append(result.states[0])
        final.cell += result.states.dropFirst()
        gate = result.outputGate
        sides.append(wantsSteps ? result.outputs ?? result.states[0] : result.states[0])
      }
      input = sides.count == 1 ? sides[0] : merge(sides)
      if !isTop { input = input.dropped(dropout.between) }
    }
    var output = outputs == .all ? input.timed(x.timing) : input
    if headSize != nil {
      output = head(.concatenated([output, x]).timed(x.timing))
      if outputs == .last { output = output.lastStep(backward: isReversed) }
    }
    return (output.dropped(dropout.output), final, gate)
  }

  /// The parameters as values of x's computation; in training some recurrent weights are dropped.
  private func variables(_ own: Weights, _ x: Variable) -> [Variable] {
    own.parts.enumerated().map { number, part in
      let value = x.with(part)
      return number == description.hiddenPart ? value.dropped(dropout.weights) : value
    }
  }

  private func recurrentMask(_ x: Variable, batch: Int) -> Tensor? {
    guard x.isTraining, dropout.recurrent > 0, let tape = x.tape else { return nil }
    return tape.nextKey().dropoutMask(shape: [batch, cell.outputSize], keep: 1 - dropout.recurrent)
  }
}
