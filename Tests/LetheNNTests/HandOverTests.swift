import Lethe
import LetheTestSupport
import Testing

/// A state is one value for all forms: what a whole sequence ends with starts a stream, and the other way round.
@Suite struct HandOverTests {
  @Test(arguments: CellCatalog.all.map(\.name)) func aStreamGoesOnFromAWholeSequence(name: String) throws {
    let entry = try #require(CellCatalog.entry(name))
    let features = 8 + (entry.cell?(8).description.scalars ?? 0)
    var layer = entry.layer(8, .all)
    _ = try layer.build(input: [.any, features])
    layer.initialize(key: RandomKey(seed: 6))
    layer.forEachParameter { name, parameter in
      if name.contains("bias") {
        parameter.value = parameter.value + numbers("over.\(name)", parameter.shape, scale: 0.5)
      }
    }
    check(layer, RandomKey(seed: 5).uniform(shape: [1, 9, features], in: 0..<1))
  }

  /// Steps 5 to 9 of a stream begun from the state of a sequence, and from the midst of them back into a sequence.
  private func check(_ layer: some RecurrentLayer, _ x: Tensor) {
    func part(_ y: Tensor, _ range: Range<Int>) -> Tensor {
      let width = y.shape[2]
      return Tensor(
        Array(y.scalars[range.lowerBound * width..<range.upperBound * width]), shape: [1, range.count, width])
    }
    func parts(_ state: RecurrentState) -> [Tensor] {
      (state.hidden + state.cell).map(\.tensor) + (state.attention?.tensors ?? [])
    }
    let whole = layer.run(Variable(x), from: nil), outputs = whole.output.tensor
    var stream = layer.stream()
    stream.state = layer.run(Variable(part(x, 0..<5)), from: nil).state
    func steps(_ range: Range<Int>) -> [Float] { range.flatMap { stream.step(part(x, $0..<$0 + 1).scalars) } }
    let first = steps(5..<7), midway = stream.state
    let stepped = Tensor(first + steps(7..<9), shape: [1, 4, outputs.shape[2]])
    #expect(sameBits(stepped, part(outputs, 5..<9)))
    let back = layer.run(Variable(part(x, 7..<9)), from: midway)
    #expect(sameBits(back.output.tensor, part(outputs, 7..<9)))
    let want = parts(whole.state)
    #expect(!want.isEmpty)
    for state in [stream.state, back.state] {
      #expect(parts(state).count == want.count && zip(parts(state), want).allSatisfy { sameBits($0, $1) })
    }
  }
}
