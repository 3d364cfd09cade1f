import Lethe
import LetheTestSupport
import Testing

/// Cells whose units do not see each other: threads take bands of the batch or share out units, and a block of them goes through
/// time alone.
@Suite struct LinearCellTests {
  static let cells = [
    "qrnn", "mingru", "minlstm", "sru", "rglru", "indrnn", "leaky", "ema", "hgrn", "levels",
  ]

  /// Outputs, final states, gradients of inputs and initial states, and then of the parameters of a layer in training; with
  /// `rows`, of some rows of the batch.
  private func everything<Cell: RecurrentCell>(
    _ cell: Cell, batch: Int, time: Int, timing: Timing?, rows: Range<Int>? = nil
  ) -> [Tensor] {
    let units = cell.hiddenSize, inputs = ["sru", "rglru", "ema"].contains(Cell.kind) ? units : 21
    var layer = Recurrent(cell, inputSize: inputs)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("linear.\(name)", parameter.shape, scale: 0.5)
    }
    let rows = rows ?? 0..<batch
    let x = numbers("linear.x", [batch, time, inputs]).rows(rows)
    let states = layer.stateSizes.indices.map { numbers("linear.state\($0)", [batch, units]).rows(rows) }
    var (results, watched): ([Tensor], [Variable]) = ([], [])
    let (_, all) = layer.gradients(key: RandomKey(seed: 3)) { layer, tape in
      watched = [tape.watched(x, timing: timing)] + states.map { tape.watched($0) }
      let state = RecurrentState(hidden: [watched[1]], cell: Array(watched[2...]))
      let (y, final) = layer.run(watched[0], from: state)
      results = [y.tensor] + (final.hidden + final.cell).map(\.tensor)
      return (final.hidden + final.cell).reduce((y * y).sum()) { $0 + ($1 * $1).sum() }
    }
    return results + watched.compactMap { all[$0] }
      + all.named(for: layer).sorted { $0.key < $1.key }.map(\.value)
  }

  /// Six blocks, the last of eight units: two panels of three. Nine, the last of two: three panels, for three threads.
  @Test(arguments: cells, [(88, 1, 160), (88, 3, 50), (130, 3, 25)])
  func sharesOfUnitsGiveTheSameBits(_ name: String, size: (units: Int, batch: Int, time: Int)) throws {
    let (units, batch, time) = size
    let cell: any RecurrentCell =
      name == "levels"
      ? LevelsCell(hiddenSize: units) : try #require(CellCatalog.entry(name)?.cell?(units))
    let resets = (0..<batch).map { row in (0..<time).map { $0 % 11 == row + 3 } }
    for timing in [
      nil, Timing(lengths: Array([time, 9, 0].prefix(batch))),
      Timing(lengths: Array([time, 17, time].prefix(batch)), resets: resets),
    ] {
      func compute(_ cell: some RecurrentCell) -> [Tensor] {
        everything(cell, batch: batch, time: time, timing: timing)
      }
      expectSameBits { compute(cell) }
    }
  }

  /// A batch of 37 comes in bands, each with all of its steps and sums of its own: four on even lengths and on uneven ones,
  /// with resets and without; two where one row is nearly all there is. Three threads share a band's units, nine its rows.
  @Test(arguments: ["qrnn", "minlstm", "sru", "rglru", "ema", "levels"], 0..<5)
  func bandsGiveTheSumOfTheirRows(_ name: String, _ kind: Int) throws {
    let (units, batch, time) = (67, 37, kind == 2 ? 700 : 61)
    let cell: any RecurrentCell =
      name == "levels"
      ? LevelsCell(hiddenSize: units) : try #require(CellCatalog.entry(name)?.cell?(units))
    let uneven = (0..<batch).map { $0 % 3 == 0 ? 0 : time - $0 % 11 }
    let skewed = (0..<batch).map { $0 == 5 ? 700 : 2 }
    let resets = (0..<batch).map { row in (0..<time).map { ($0 + row) % 5 == 4 } }
    let timing = [
      nil, Timing(lengths: uneven), Timing(lengths: skewed),
      Timing(lengths: Array(repeating: time, count: batch), resets: resets),
      Timing(lengths: uneven, resets: resets),
    ][kind]
    func compute(_ cell: some RecurrentCell, _ rows: Range<Int>? = nil) -> [Tensor] {
      let own = timing.map {
        Timing(
          lengths: $0.lengths.map { Array($0[rows ?? 0..<batch]) },
          resets: $0.resets.map { Array($0[rows ?? 0..<batch]) })
      }
      return everything(cell, batch: batch, time: time, timing: own, rows: rows)
    }
    expectSameBits(threads: [2, 3, 9]) { compute(cell) }
    guard name != "levels" else { return }  // its noise is one of the whole batch
    let whole = compute(cell), alone = (0..<batch).map { compute(cell, $0..<$0 + 1) }
    let ofRows = whole.filter { $0.shape[0] == batch }.count
    for (number, tensor) in whole.enumerated() {
      let parts = alone.map { $0[number] }
      if number < ofRows {
        for (row, part) in parts.enumerated() {
          #expect(sameBits(tensor.rows(row..<row + 1), part), "\(number), row \(row)")
        }
      } else {
        expectAbout(tensor, parts.dropFirst().reduce(parts[0]) { $0 + $1 }, "gradient \(number)")
      }
    }
  }

  /// 1,100 sequences of which eight have steps: the second band has none.
  @Test func bandsWithoutSteps() {
    let (batch, time) = (1100, 64)
    let timing = Timing(lengths: (0..<batch).map { $0 < 8 ? time : 0 })
    let cell = MinGRUCell(67)
    let whole = everything(cell, batch: batch, time: time, timing: timing)
    expectSameBits { everything(cell, batch: batch, time: time, timing: timing) }
    let alone = everything(cell, batch: batch, time: time, timing: nil, rows: 0..<8)
    for (a, b) in zip(whole, alone) where a.shape[0] == batch {
      #expect(sameBits(a.rows(0..<8), b))
    }
    for (a, b) in zip(whole, alone) where a.shape[0] != batch { expectAbout(a, b, "\(a.shape)") }
  }

  /// A batch of nothing has gradients too.
  @Test(arguments: [1, 2]) func emptyBatch(_ threads: Int) {
    Parallel.$threads.withValue(threads) {
      func gradients(_ cell: some RecurrentCell) -> [Tensor] {
        Array(everything(cell, batch: 0, time: 5, timing: nil).suffix(2))
      }
      for all in [gradients(LSTMCell(8)), gradients(MinGRUCell(8))] {
        #expect(all.allSatisfy { $0.scalars.allSatisfy { $0 == 0 } && !$0.scalars.isEmpty })
      }
    }
  }

  private func expectAbout(_ a: Tensor, _ b: Tensor, _ name: String) {
    let size = b.scalars.map(abs).max() ?? 0
    #expect(size > 0 && difference(a, b) <= 2e-5 * size, "\(name): \(difference(a, b)) of \(size)")
  }

  /// What is made of vectors alone is computed once, and its gradients are led back to the vectors at the end: direct uses of a
  /// vector, uses inside others' expressions, in what gates see, in means and in names.
  @Test(arguments: 0..<9) func vectorsFit(_ kind: Int) {
    let entry = CellCatalog.Entry(name: "vectors", summary: "\(kind)") {
      VectorsCell(hiddenSize: $0, kind: kind)
    }
    for result in CellLaws.check(entry, steps: 100) {
      #expect(result.ok, "\(kind), \(result.law): \(result.maxDifference)")
    }
  }

  /// Where both gates are 0, minLSTM writes; its state and gradients stay finite.
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
    layer.forEachParameter { name, parameter in
      if name.hasPrefix("bias") {
        parameter.value.withUnsafeMutableBuffer { for i in 0..<6 { $0[i] = i < 3 ? -87 : -90 } }
      }
    }
    let (_, all) = layer.gradients { layer, tape in
      1000 * layer(tape.constant(numbers("x", [1, 4, 2], scale: 0.01))).sum()
    }
    let areFinite = all.named(for: layer).values.allSatisfy { $0.isFinite }
    #expect(areFinite)
  }

  /// A share f / (f + i) is bounded as well as the same by a sigmoid.
  @Test func sharesAreBounded() throws {
    func rate(_ cell: some RecurrentCell) throws -> Double {
      var layer = Recurrent(cell, inputSize: 3)
      layer.forEachParameter { name, parameter in
        parameter.value = numbers("share.\(name)", parameter.shape, scale: 0.3)
      }
      var walk = BoxWalk()
      _ = walk.through(
        layer, ExampleBox(shape: [.any, 3], features: Array(repeating: Interval(-1, 1), count: 3)))
      return try #require(walk.layers.first).contraction.rate
    }
    let (printed, differences) = (try rate(MinLSTMCell(4)), try rate(SigmoidShareCell(hiddenSize: 4)))
    #expect(printed < 1 && abs(printed - differences) < 1e-4, "\(printed), \(differences)")
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
      case 3:
        let kept = cell.named("kept", sigmoid(v + w * 2))
        let f = cell.named("f", sigmoid(a + (v + w)))
        return f * kept * cell.hidden + (1 - f) * tanh(a)
      case 4:
        let decay = cell.named("decay", sigmoid(v * w))
        return decay * cell.hidden + sqrt(1 - decay * decay) * a
      case 5:
        let sum = cell.named("sum", v + w)
        return tanh(a + exp(-sum) * cell.hidden)
      case 6:
        let decay = cell.named("decay", sigmoid(v + w))
        return tanh(cell.gate("b", sees: [.input, .signal(decay)]) + exp(decay) * cell.hidden) * a
      case 7: return tanh(a) / (2 + w) + tanh(cell.hidden / (v * v + 0.5)) * 0.5
      default:
        let back = cell.gate("c", sees: [.input, .signal(sigmoid(a) * cell.hidden)])
        return tanh(back - mean(cell.hidden * v))
      }
    }
  }
}

/// minLSTM with its share as σ of a difference of softplus.
private struct SigmoidShareCell: RecurrentCell {
  static let kind = "sigmoid_share"
  var hiddenSize: Int

  var description: CellDescription {
    CellDescription("sigmoid share") { cell in
      let f = cell.gate("forget", sees: [.input]), i = cell.gate("input", sees: [.input])
      let u = cell.gate("candidate", sees: [.input])
      let keep = sigmoid(softplus(-i) - softplus(-f))
      return keep * cell.hidden + (1 - keep) * select(u, u + 0.5, sigmoid(u))
    }
  }
}
