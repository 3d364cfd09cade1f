import LetheCore
import LetheNN

/// A layer of some cell behind one face, with numbers in its parameters.
struct LawSubject: Sendable {
  typealias Run = (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)

  let name: String
  let inputs: Int
  let units: Int
  /// Columns of the input that are not for gates: kept within 0...1, as times and scores are.
  var scalars = 0
  /// States beside h.
  let others: Int
  /// The width of each part of the state, where it is not `units`.
  var stateSizes: [Int] = []
  let layer: any Layer
  let run: @Sendable (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)
  /// The loss that `body` makes of the layer, and all gradients.
  let gradients:
    @Sendable (_ body: (_ run: Run, Tape) -> Variable) -> (named: [(String, Tensor)], all: Gradients)
  /// The same layer run backward in time.
  var reversed: (@Sendable (Variable) -> Tensor)?
  /// A fresh stream: one step of inputs in, outputs out.
  var stream: (@Sendable () -> LawStream)?
  var twin: (any LawTwin)?
  var isStraightThrough = false

  /// The subject of a name in `CellLaws.cells`.
  static func named(_ name: String, units: Int) -> LawSubject? {
    switch name {
    case "fgn": return .forgettingGateNetwork(units: units)
    case "layer_norm": return stepped(name, LayerNormLSTMCell(units))
    case "projected": return stepped(name, ProjectedLSTMCell(units + 4, outputSize: units))
    default:
      if let (name, rule) = matrixMemories.first(where: { $0.name == name }) {
        return .matrixMemory(name, rule, units: units)
      }
      return CellCatalog.entry(name).map { .recurrent($0, units: units) }
    }
  }

  /// A described or built-in cell, by one layer of it.
  static func recurrent(_ entry: CellCatalog.Entry, units: Int) -> LawSubject {
    func open<Cell: RecurrentCell>(_ cell: Cell) -> LawSubject { make(entry, cell) }
    return open(entry.cell(units))
  }

  private static func make<Cell: RecurrentCell>(_ entry: CellCatalog.Entry, _ cell: Cell) -> LawSubject {
    let scalars = cell.description.scalars, units = cell.hiddenSize
    let takesItsInput = cell.description.complaint(inputs: units + scalars + 1, units: units) != nil
    let inputs = (takesItsInput ? units : 3) + scalars
    var layer = Recurrent(cell, inputSize: inputs)
    fill(&layer, entry.name)
    let built = layer
    var both = Recurrent(cell, inputSize: inputs, bidirectional: true)
    let own = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    both.forEachParameter { name, parameter in
      let plain = name.hasSuffix("_reverse") ? String(name.dropLast("_reverse".count)) : name
      parameter.value = own[plain] ?? parameter.value
    }
    let twoWays = both
    var subject = LawSubject(
      name: entry.name, inputs: inputs, units: units, scalars: scalars,
      others: cell.description.states.count - 1, layer: layer, run: { built.run($0, from: $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ layer.run($0, from: $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
    subject.reversed = { x in
      let sides = twoWays(x).tensor  // forward and backward side by side
      return columns(sides, units..<2 * units)
    }
    subject.stream = { LawStream(built.stream()) }
    subject.twin = NaiveTwin(
      cell.description, units: units, parts: layer.parameters.map { $0.value.scalars.map(Double.init) })
    subject.isStraightThrough = entry.isStraightThrough
    return subject
  }

  static func forgettingGateNetwork(units: Int) -> LawSubject {
    var network = ForgettingGateNetwork(
      inputSize: 3, hiddenSize: units, recall: .previousMemory, outputGate: .twice)
    fill(&network, "fgn")
    let built = network
    return LawSubject(
      name: "fgn", inputs: 3, units: units, others: 1, layer: network, run: { built.run($0, from: $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ layer.run($0, from: $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
  }

  private static func stepped<Cell: SteppedCell>(_ name: String, _ cell: Cell) -> LawSubject {
    var layer = SteppedRecurrent(cell, inputSize: 3)
    fill(&layer, name)
    var backward = layer
    backward.isReversed = true
    let (built, reversed) = (layer, backward)
    var subject = LawSubject(
      name: name, inputs: 3, units: cell.stateSizes[0], others: cell.stateSizes.count - 1, layer: layer,
      run: { built.run($0, from: $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ layer.run($0, from: $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
    subject.stateSizes = cell.stateSizes
    subject.reversed = { reversed.run($0).output.tensor }
    return subject
  }

  static func fill(_ module: inout some Module, _ name: String) {
    module.forEachParameter { parameter, value in
      let scale: Float = parameter.contains("bias") ? 0.5 : 0.4
      value.value = RandomKey(seed: 7).child(name + parameter).uniform(shape: value.shape, in: -scale..<scale)
    }
  }

  /// An input of this layer's width; equal names give equal numbers.
  func input(_ name: String, batch: Int, time: Int) -> Tensor {
    var x = RandomKey(seed: 11).child(name).uniform(shape: [batch, time, inputs], in: -1..<1)
    x.withUnsafeMutableBuffer { to in
      for row in 0..<batch * time {
        for column in inputs - scalars..<inputs { to[row * inputs + column] = abs(to[row * inputs + column]) }
      }
    }
    return x
  }

  /// The widths of all parts of the state.
  var widths: [Int] { stateSizes.isEmpty ? Array(repeating: units, count: others + 1) : stateSizes }

  /// A state that the cell can be in: the one after a few steps.
  func state(_ name: String, batch: Int) -> RecurrentState {
    run(Variable(input(name, batch: batch, time: 3)), nil).state.detached
  }

  static func columns(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
    let width = tensor.shape[2], rows = tensor.shape[0] * tensor.shape[1]
    return Tensor(shape: [tensor.shape[0], tensor.shape[1], range.count]) { to in
      for row in 0..<rows {
        for (index, column) in range.enumerated() {
          to[row * range.count + index] = tensor.pointer[row * width + column]
        }
      }
    }
  }
}

/// A stream of any cell.
struct LawStream {
  let step: ([Float]) -> [Float]
  let state: () -> RecurrentState

  init(step: @escaping ([Float]) -> [Float], state: @escaping () -> RecurrentState) {
    (self.step, self.state) = (step, state)
  }

  init<Cell: RecurrentCell>(_ stream: RecurrentStream<Cell>) {
    let box = Box(stream)
    step = { box.stream.step($0) }
    state = { box.stream.state }
  }

  private final class Box<Cell: RecurrentCell> {
    var stream: RecurrentStream<Cell>
    init(_ stream: RecurrentStream<Cell>) { self.stream = stream }
  }
}
