import Lethe
import LetheTestSupport
import Testing

/// Cells with means over units.
@Suite struct MeanCellTests {
  private let x = numbers("x", [3, 6, 5])

  private func filled<M: Module>(_ module: M) -> M {
    var module = module
    module.forEachParameter { name, parameter in
      parameter.value = numbers("mean.\(name)", parameter.shape, scale: 0.5)
    }
    return module
  }

  @Test func layerNormIsItsEquations() {
    let units = 4
    let layer = filled(Recurrent(LayerNormLSTMCell(units), inputSize: 5))
    let p = Dictionary(
      uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
    func value(_ name: String) -> [Double] { p[name + "_l0"] ?? [] }
    func norm(_ v: [Double], _ name: String) -> [Double] {
      let mean = v.reduce(0, +) / Double(v.count)
      let variance = v.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(v.count)
      return v.indices.map {
        (v[$0] - mean) / (variance + 1e-5).squareRoot() * value(name + ".weight")[$0]
          + value(name + ".bias")[$0]
      }
    }
    func times(_ name: String, _ v: [Double]) -> [Double] {
      (0..<4 * units).map { row in v.indices.reduce(0) { $0 + value(name)[row * v.count + $1] * v[$1] } }
    }
    let y = layer(x)
    for row in 0..<3 {
      var (h, c) = ([Double](repeating: 0, count: units), [Double](repeating: 0, count: units))
      for t in 0..<6 {
        let input = (0..<5).map { Double(x[row, t, $0]) }
        let (a, b) = (norm(times("weight_ih", input), "norm_ih"), norm(times("weight_hh", h), "norm_hh"))
        let s = (0..<4 * units).map { a[$0] + b[$0] + value("bias")[$0] }
        c = (0..<units).map {
          NaiveTwin.sigmoid(s[units + $0]) * c[$0] + NaiveTwin.sigmoid(s[$0])
            * NaiveTwin.tanh(s[2 * units + $0])
        }
        let shown = norm(c, "norm_cell")
        h = (0..<units).map { NaiveTwin.sigmoid(s[3 * units + $0]) * NaiveTwin.tanh(shown[$0]) }
        for unit in 0..<units { #expect(abs(Double(y[row, t, unit]) - h[unit]) < 2e-5) }
      }
    }
  }

  @Test func itTrains() {
    var model = Sequential(input: [6, 5], seed: 1) {
      Recurrent(LayerNormLSTMCell(8))
      Dense(1)
    }
    let target = Tensor((0..<3).map { x[$0, 0, 0] }, shape: [3, 1])
    var optimizer = OptimizerState(.adam(rate: 0.02))
    var losses: [Float] = []
    for _ in 0..<80 {
      let (loss, gradients) = model.gradients { model, tape in
        meanSquaredError(model(tape.constant(x)), target)
      }
      optimizer.update(&model, gradients: gradients)
      losses.append(loss)
    }
    #expect((losses.last ?? 1) < 0.05 * (losses.first ?? 0))
  }

  /// Gates made by arithmetic are gates to those who look on; parts of their sums are not.
  @Test func namedGatesAreRecorded() throws {
    let layer = filled(Recurrent(LayerNormLSTMCell(4), inputSize: 5))
    #expect(layer.gateValues(Variable(x)).keys.sorted() == ["candidate", "forget", "input", "output"])
    let recording = try #require(layer.record(x).layers.first)
    #expect(recording.gates == ["input", "forget", "candidate", "output"])
    #expect(recording.openings == ["input", "forget", "output"])
    let (trace, forget) = (
      try #require(recording.memory(row: 1)), try #require(recording.steps("forget", row: 1))
    )
    for t in 0..<6 { for unit in 0..<4 { #expect(trace.keep[t][unit] == Double(forget[t][unit])) } }
    // What is seen of the memory is o tanh(N(c)) with N's mean and spread held.
    #expect(try #require(recording.readOut(row: 1)).joined().allSatisfy(\.isFinite))

    let open = try layer.operated(x, [.init("forget", .set(1))])
    let own = try #require(open.layers.first)
    let (i, u, c) = (
      try #require(own.steps("input", row: 0)), try #require(own.steps("candidate", row: 0)),
      try #require(own.steps("cell", row: 0))
    )
    for t in 1..<6 {
      for unit in 0..<4 { #expect(abs(c[t - 1][unit] + i[t][unit] * u[t][unit] - c[t][unit]) < 1e-5) }
    }
  }

  /// A normalised value is proved to lie within √n, and the adversary stays within the bounds.
  @Test func normsAreBounded() throws {
    let layer = filled(Recurrent(LayerNormLSTMCell(6), inputSize: 5))
    var walk = BoxWalk()
    let box = Array(repeating: Interval(-1, 1), count: 5)
    _ = walk.through(layer, ExampleBox(shape: [.any, 5], features: box))
    let bounds = try #require(walk.layers.first)
    #expect(try #require(bounds["hidden"]).joined.magnitude <= 1)
    // γ √n + |β| bounds what tanh is given, γ and β within a half.
    #expect(try #require(bounds["hidden"]).joined.magnitude < NaiveTwin.tanh(0.5 * 6.0.squareRoot() + 0.51))
    let (low, high) = (try #require(bounds["forget"]).joined.low, try #require(bounds["forget"]).joined.high)
    #expect(low > 0.001 && high < 0.999)
  }

  /// Without an ε the squares of small numbers vanish before the numbers do: nothing is proved of the quotient.
  @Test(arguments: [0, 1e-5] as [Float]) func normsWithoutRoomAreNotBounded(_ room: Float) throws {
    let layer = filled(Recurrent(BareNormCell(hiddenSize: 4, room: room), inputSize: 5))
    var walk = BoxWalk()
    let box = Array(repeating: Interval(-1, 1), count: 5)
    _ = walk.through(layer, ExampleBox(shape: [.any, 5], features: box))
    let bound = walk.layers.first?["hidden"]?.joined.magnitude ?? .infinity
    #expect(room == 0 ? bound > 1e6 || bound.isNaN : bound <= 2.001)
  }
}

private struct BareNormCell: RecurrentCell {
  static let kind = "bare_norm"
  var hiddenSize: Int
  var room: Float

  var description: CellDescription {
    CellDescription("bare norm") { cell in
      let a = cell.gate("a", sees: [.input], bias: nil)
      let d = a - mean(a), square = mean(d * d)
      return d / sqrt(room > 0 ? square + room : square)
    }
  }
}
