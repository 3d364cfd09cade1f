import LetheCore
import LetheNN

/// A layer of some cell behind one face, with numbers in its parameters.
struct LawSubject: Sendable {
  typealias Run = @Sendable (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)

  let name: String
  let inputs: Int
  /// The width of an output.
  let units: Int
  /// Columns of the input that are not for gates: kept within 0...1, as times and scores are.
  var scalars = 0
  let layer: any RecurrentLayer
  let run: Run
  /// The same layer walking backward in time.
  let reversed: Run
  /// The loss that `body` makes of the layer, and all gradients.
  let gradients:
    @Sendable (_ body: (_ run: Run, Tape) -> Variable) -> (named: [(String, Tensor)], all: Gradients)
  var twin: (any LayerTwin)? { (layer as? any TwinnedLayer)?.twin }
  var isStraightThrough = false

  /// The shape of a step's input, which `input` gives in one row.
  var stepShape: [Int] { image.isEmpty ? [inputs] : image }
  /// Height, width and channels, where the layer sees images.
  var image: [Int] = []

  /// Those that a catalogue of cells for vectors has no place for.
  static let others = ["convlstm"]

  /// The subject of a name in `CellLaws.cells`.
  static func named(_ name: String, units: Int) -> LawSubject? {
    if name == "convlstm" {
      return make(name, SteppedRecurrent(ConvLSTMCell(filters: 2, 3), outputs: .all), image: [3, 4, 2])
    }
    return CellCatalog.entry(name).map { of($0, units: units) }
  }

  /// One layer of a kind of cell.
  static func of(_ entry: CellCatalog.Entry, units: Int) -> LawSubject {
    let layer = entry.layer(units, .all)
    guard let description = entry.cell?(units).description else { return make(entry.name, layer) }
    var subject = make(
      entry.name, layer, features: description.takesItsInput ? units : 3, scalars: description.scalars)
    subject.isStraightThrough = entry.isStraightThrough
    return subject
  }

  private static func make<Kind: RecurrentLayer>(
    _ name: String, _ layer: Kind, features: Int = 3, scalars: Int = 0, image: [Int] = []
  ) -> LawSubject {
    var layer = layer
    let shape = image.isEmpty ? [features + scalars] : image, inputs = shape.reduce(1, *)
    let output = (try? layer.build(input: [.any] + shape)) ?? []
    require(output.count > 1, "\(name): cannot be built for laws")
    let units = output.dropFirst().reduce(1, *)
    fill(&layer, name)
    let built = layer
    var backward = layer
    backward.isReversed = true
    let turned = backward
    /// Images go in and come out as rows.
    @Sendable func run(_ layer: Kind, _ x: Variable, _ state: RecurrentState?) -> (
      output: Variable, state: RecurrentState
    ) {
      let result = layer.run(image.isEmpty ? x : x.reshaped(x.shape.prefix(2) + image), from: state)
      return image.isEmpty ? result : (result.output.reshaped(x.shape.prefix(2) + [units]), result.state)
    }
    return LawSubject(
      name: name, inputs: inputs, units: units, scalars: scalars, layer: layer,
      run: { run(built, $0, $1) }, reversed: { run(turned, $0, $1) },
      gradients: { body in
        let (_, all) = built.gradients(isTraining: false) { layer, tape in
          body({ run(layer, $0, $1) }, tape)
        }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      },
      image: image)
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
}
