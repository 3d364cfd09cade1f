import Lethe
import LetheTestSupport
import Testing

/// Cells whose units do not see each other: threads share out units, and a block of them goes through time alone.
@Suite struct LinearCellTests {
  static let cells = [
    "qrnn", "mingru", "minlstm", "sru", "rglru", "indrnn", "leaky", "ema", "hgrn", "levels",
  ]
  /// Six blocks, the last of eight units: two panels of three, and as many shares.
  private let units = 88

  /// Outputs, final state and all gradients of a layer in training.
  private func everything<Cell: RecurrentCell>(
    _ cell: Cell, batch: Int, timing: Timing?, rows: Range<Int>? = nil
  ) -> [Tensor] {
    let inputs = ["sru", "rglru", "ema"].contains(Cell.kind) ? units : 21, time = 30
    var layer = Recurrent(cell, inputSize: inputs)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("linear.\(name)", parameter.shape, scale: 0.5)
    }
    let x = numbers("linear.x", [batch, time, inputs])
    let states = (0..<layer.stateSizes.count).map { numbers("linear.state\($0)", [batch, units]) }
    var (results, watched): ([Tensor], [Variable]) = ([], [])
    let (_, all) = layer.gradients(key: RandomKey(seed: 3)) { layer, tape in
      watched = [tape.watched(x, timing: timing)] + states.map { tape.watched($0) }
      let state = RecurrentState(hidden: [watched[1]], cell: Array(watched[2...]))
      let (y, final) = layer.run(watched[0], from: state)
      results = [y.tensor] + (final.hidden + final.cell).map(\.tensor)
      return (final.hidden + final.cell).reduce((y * y).sum()) { $0 + ($1 * $1).sum() }
    }
    return results + all.named(for: layer).sorted { $0.key < $1.key }.map(\.value)
      + watched.compactMap { all[$0] }
  }

  @Test(arguments: cells, [1, 3]) func sharesOfUnitsGiveTheSameBits(_ name: String, batch: Int) throws {
    let cell: any RecurrentCell =
      name == "levels"
      ? LevelsCell(hiddenSize: units) : try #require(CellCatalog.entry(name)?.cell?(units))
    let resets = (0..<batch).map { row in (0..<30).map { $0 % 11 == row + 3 } }
    for timing in [
      nil, Timing(lengths: [30, 9, 0].suffix(batch)),
      Timing(lengths: [17, 30, 30].suffix(batch), resets: resets),
    ] {
      func compute(_ cell: some RecurrentCell) -> [Tensor] { everything(cell, batch: batch, timing: timing) }
      expectSameBits { compute(cell) }
    }
  }

  /// What is made of vectors alone is computed once, and its gradients are led back to the vectors at the end: direct uses of a
  /// vector, uses inside others' expressions, in what gates see, in means and in names.
  @Test(arguments: 0..<4) func vectorsFit(_ kind: Int) {
    let entry = CellCatalog.Entry(name: "vectors", summary: "\(kind)") {
      VectorsCell(hiddenSize: $0, kind: kind)
    }
    for result in CellLaws.check(entry, steps: 100) {
      #expect(result.ok, "\(kind), \(result.law): \(result.maxDifference)")
    }
  }

  /// Where both gates are 0 in floats, minLSTM writes; its state stays finite.
  @Test func minLSTMWithoutGates() {
    var layer = Recurrent(MinLSTMCell(3), inputSize: 2)
    layer.forEachParameter { name, parameter in
      parameter.value = Tensor(zeros: parameter.shape)
      if name.hasPrefix("bias") {
        parameter.value.withUnsafeMutableBuffer { for i in 0..<6 { $0[i] = i % 3 == 0 ? -200 : -60 } }
      }
    }
    let y = layer(Tensor(zeros: [1, 4, 2]))
    // g(0) = ½: written at once, or as gates of equal size share it out.
    #expect((0..<4).map { y[0, $0, 0] } == [0.5, 0.5, 0.5, 0.5])
    #expect((0..<4).map { y[0, $0, 1] } == [0.25, 0.375, 0.4375, 0.46875])
  }

  /// Signals of two descriptions have nothing to do with each other.
  @Test func signalsStayAtHome() async {
    await #expect(processExitsWith: .failure) {
      var borrowed: Signal?
      _ = CellDescription("lender") { cell in
        borrowed = cell.gate("a")
        return tanh(cell.gate("b", sees: [.input])) + tanh(borrowed ?? cell.hidden)
      }
      _ = CellDescription("borrower") { cell in tanh(cell.gate("a") + (borrowed ?? cell.hidden)) }
    }
  }
}

/// Two states, zoneout, every fused operation, and a fixed input.
private struct LevelsCell: RecurrentCell {
  static let kind = "levels"
  var hiddenSize: Int

  var description: CellDescription {
    CellDescription("levels") { cell in
      let fast = cell.state("fast"), slow = cell.state("slow")
      let f = sigmoid(cell.gate("forget", sees: [.input], bias: .constant(1)))
      let u = tanh(cell.gate("candidate", sees: [.input]))
      let next = (1 - f) * fast + f * u
      cell.update(fast, to: next)
      let rate = sigmoid(cell.vector("rate"))
      cell.update(slow, to: cell.zoneout(rate * slow + (1 - rate) * next, keeping: slow, rate: 0.25))
      return softplus(slow) * u - next * slow
    }
  }
}

private struct VectorsCell: RecurrentCell {
  static let kind = "vectors"
  var hiddenSize: Int
  var kind: Int

  var description: CellDescription {
    CellDescription("vectors") { cell in
      let v = cell.vector("v"), w = cell.vector("w", .constant(0.3))
      let a = cell.gate("a", sees: [.input])
      let blend = sigmoid(v * w + 0.5)
      switch kind {
      case 0: return blend * cell.hidden + (1 - blend) * (tanh(a) * v + softplus(w) * exp(-v))
      case 1:
        let seen = cell.gate("b", sees: [.input, .signal(softplus(v))])
        return blend * cell.hidden + (1 - blend) * tanh(seen + a)
      case 2: return tanh(a + (v + w)) - mean(blend * a) * cell.hidden * w + mean(softplus(v))
      default:
        let kept = cell.named("kept", sigmoid(v + w * 2))
        let f = cell.named("f", sigmoid(a + (v + w)))
        return f * kept * cell.hidden + (1 - f) * tanh(a)
      }
    }
  }
}
