import LetheCore
import LetheNN

/// A layer of some cell behind one face, with numbers in its parameters.
struct LawSubject: Sendable {
  typealias Run = (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)

  let name: String
  let inputs: Int
  /// The width of an output.
  let units: Int
  /// Columns of the input that are not for gates: kept within 0...1, as times and scores are.
  var scalars = 0
  let layer: any RecurrentLayer
  let run: @Sendable (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)
  /// The loss that `body` makes of the layer, and all gradients.
  let gradients:
    @Sendable (_ body: (_ run: Run, Tape) -> Variable) -> (named: [(String, Tensor)], all: Gradients)
  /// The same layer run backward in time.
  var reversed: (@Sendable (Variable) -> Tensor)?
  /// A fresh stream: one step of inputs in, outputs out.
  var stream: (@Sendable () -> any LawStream)?
  var twin: (any LawTwin)?
  var isStraightThrough = false

  /// The shape of a step's input, which `input` gives in one row.
  var stepShape: [Int] { image.isEmpty ? [inputs] : image }
  /// Height, width and channels, where the layer sees images.
  var image: [Int] = []

  /// Those that a catalogue of cells for vectors has no place for.
  static let others = ["convlstm"]

  /// The subject of a name in `CellLaws.cells`.
  static func named(_ name: String, units: Int) -> LawSubject? {
    switch name {
    case "convlstm":
      let cell = ConvLSTMCell(filters: 2, 3)
      return layer(name, SteppedRecurrent(cell, outputs: .all), image: [3, 4, 2])
    case "fgn":  // with all that it can have
      return layer(
        name,
        ForgettingGateNetwork(units, outputs: .all, recall: .previousMemory, outputGate: .twice))
    default: return CellCatalog.entry(name).map { of($0, units: units) }
    }
  }

  /// One layer of a kind of cell.
  static func of(_ entry: CellCatalog.Entry, units: Int) -> LawSubject {
    func open<Cell: RecurrentCell>(_ cell: Cell) -> LawSubject { make(entry, cell) }
    func open(_ layer: some RecurrentLayer) -> LawSubject { Self.layer(entry.name, layer) }
    return entry.cell.map { open($0(units)) } ?? open(entry.layer(units, .all))
  }

  private static func make<Cell: RecurrentCell>(_ entry: CellCatalog.Entry, _ cell: Cell) -> LawSubject {
    let scalars = cell.description.scalars, units = cell.hiddenSize, outputs = cell.outputSize
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
      name: entry.name, inputs: inputs, units: outputs, scalars: scalars, layer: layer,
      run: { built.run($0, from: $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ layer.run($0, from: $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
    subject.reversed = { x in
      let sides = twoWays(x).tensor  // forward and backward side by side
      return columns(sides, outputs..<2 * outputs)
    }
    subject.stream = { built.stream() }
    subject.twin = NaiveTwin(
      cell.description, units: units, parts: layer.parameters.map { $0.value.scalars.map(Double.init) })
    subject.isStraightThrough = entry.isStraightThrough
    return subject
  }

  /// A layer of another kind than `Recurrent`, with what it has beside `run`.
  private static func layer<Kind: RecurrentLayer>(_ name: String, _ layer: Kind, image: [Int] = [])
    -> LawSubject
  {
    var layer = layer
    let shape = image.isEmpty ? [3] : image, inputs = shape.reduce(1, *)
    let output = (try? layer.build(input: [.any] + shape)) ?? []
    require(output.count > 1, "\(name): cannot be built for laws")
    let units = output.dropFirst().reduce(1, *)
    fill(&layer, name)
    let built = layer
    /// Images go in and come out as rows.
    @Sendable func run(_ layer: Kind, _ x: Variable, _ state: RecurrentState?) -> (
      output: Variable, state: RecurrentState
    ) {
      let result = layer.run(image.isEmpty ? x : x.reshaped(x.shape.prefix(2) + image), from: state)
      return image.isEmpty ? result : (result.output.reshaped(x.shape.prefix(2) + [units]), result.state)
    }
    var subject = LawSubject(
      name: name, inputs: inputs, units: units, layer: layer,
      run: { run(built, $0, $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ run(layer, $0, $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
    subject.image = image
    if let layer = layer as? any StreamingLayer { subject.stream = { layer.stream() } }
    switch layer {
    case let memory as MatrixMemory: subject.twin = MatrixMemoryTwin(memory)
    case let attention as ForgettingAttention: subject.twin = ForgettingAttentionTwin(attention)
    case let attentive as SteppedRecurrent<AttentiveLSTMCell>: subject.twin = AttentiveLSTMTwin(attentive)
    default: break
    }
    if var backward = layer as? any ReversibleLayer {
      backward.isReversed = true
      if let backward = backward as? Kind { subject.reversed = { run(backward, $0, nil).output.tensor } }
    }
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
  var widths: [Int] { layer.stateSizes }

  /// Whether what is handed on is a cache of attention, into which no gradient flows.
  var attends: Bool { widths.isEmpty }

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

private protocol ReversibleLayer: RecurrentLayer {
  var isReversed: Bool { get set }
}

extension SteppedRecurrent: ReversibleLayer {}

private protocol StreamingLayer: RecurrentLayer {
  associatedtype Stream: LawStream
  func stream() -> Stream
}

extension MatrixMemory: StreamingLayer {}
extension SteppedRecurrent: StreamingLayer {}
extension ForgettingAttention: StreamingLayer {}

/// A stream of any cell.
protocol LawStream {
  mutating func step(_ x: [Float]) -> [Float]
  var state: RecurrentState { get }
}

extension RecurrentStream: LawStream {}
extension MatrixMemoryStream: LawStream {}
extension SteppedStream: LawStream {}
extension AttentionStream: LawStream {
  var state: RecurrentState { RecurrentState(hidden: [], attention: cache) }
}
