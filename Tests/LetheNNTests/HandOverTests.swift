import Lethe
import LetheNN
import LetheTestSupport
import Testing

/// A state is one value for all forms: what a whole sequence ends with starts a stream, and the other way round.
@Suite struct HandOverTests {
  static let names = CellCatalog.all.filter { $0.cell != nil || !$0.name.hasPrefix("fgn") }.map(\.name)

  @Test(arguments: names) func aStreamGoesOnFromAWholeSequence(name: String) throws {
    let entry = try #require(CellCatalog.entry(name))
    let scalars = entry.cell?(8).description.scalars ?? 0
    let x = RandomKey(seed: 5).uniform(shape: [1, 9, 8 + scalars], in: 0..<1)
    var layer = entry.layer(8, .all)
    _ = try layer.build(input: [.any, 8 + scalars])
    layer.initialize(key: RandomKey(seed: 6))
    layer.forEachParameter { name, parameter in
      if name.contains("bias") {
        parameter.value = parameter.value + numbers("over.\(name)", parameter.shape, scale: 0.5)
      }
    }
    func part(_ range: Range<Int>) -> Variable {
      let width = x.shape[2]
      return Variable(
        Tensor(
          Array(x.scalars[range.lowerBound * width..<range.upperBound * width]),
          shape: [1, range.count, width]))
    }
    func step(_ t: Int) -> [Float] { part(t..<t + 1).tensor.scalars }
    let whole = layer.run(Variable(x), from: nil)
    let outputs = whole.output.tensor, width = outputs.shape[2]
    let first = layer.run(part(0..<5), from: nil).state

    /// Steps 5 to 9 of a stream begun from the state of a sequence, then back into a sequence.
    func check(_ stepped: [Float], _ end: RecurrentState, _ midway: RecurrentState) {
      #expect(
        stepped.map(\.bitPattern) == outputs.scalars[5 * width..<9 * width].map(\.bitPattern))
      let back = layer.run(part(7..<9), from: midway).output.tensor.scalars
      #expect(back.map(\.bitPattern) == outputs.scalars[7 * width..<9 * width].map(\.bitPattern))
      for (a, b) in zip(end.hidden + end.cell, whole.state.hidden + whole.state.cell) {
        #expect(sameBits(a.tensor, b.tensor))
      }
    }
    func walked<Stream>(
      _ stream: Stream, _ state: WritableKeyPath<Stream, RecurrentState>,
      _ step: (inout Stream, Int) -> [Float]
    ) {
      var stream = stream
      stream[keyPath: state] = first
      var stepped = step(&stream, 5) + step(&stream, 6)
      let midway = stream[keyPath: state]
      stepped += step(&stream, 7) + step(&stream, 8)
      check(stepped, stream[keyPath: state], midway)
    }
    func recurrent<Cell: RecurrentCell>(_ cell: Cell) throws {
      walked(try #require(layer as? Recurrent<Cell>).stream(), \.state) { $0.step(step($1)) }
    }
    if let cell = entry.cell?(8) { return try recurrent(cell) }
    switch layer {
    case let layer as MatrixMemory: walked(layer.stream(), \.state) { $0.step(step($1)) }
    case let layer as SteppedRecurrent<AttentiveLSTMCell>:
      walked(layer.stream(), \.state) { $0.step(step($1)) }
    case let layer as ForgettingAttention: walked(layer.stream(), \.cached) { $0.step(step($1)) }
    default: Issue.record("\(name): no stream")
    }
  }
}

extension AttentionStream {
  /// Its cache as a state, as `ForgettingAttention.run` takes it.
  fileprivate var cached: RecurrentState {
    get { RecurrentState(hidden: [], attention: cache) }
    set { if let cache = newValue.attention { self.cache = cache } }
  }
}
