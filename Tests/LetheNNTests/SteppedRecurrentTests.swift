import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct SteppedRecurrentTests {
  let x = numbers("x", [3, 6, 5])
  let timing = Timing(
    lengths: [6, 2, 5],
    resets: [
      [false, false, true, false, false, false], Array(repeating: false, count: 6),
      [false, true, false, false, true, false],
    ])

  private func filled<M: Module>(_ module: M) -> M {
    var module = module
    module.forEachParameter { name, parameter in
      parameter.value = numbers("stepped.\(name)", parameter.shape, scale: 0.5)
    }
    return module
  }

  /// A projection by the identity is no projection.
  @Test(arguments: [false, true]) func identityProjectionIsAnLSTM(_ isReversed: Bool) throws {
    var layer = filled(
      SteppedRecurrent(ProjectedLSTMCell(7, outputSize: 7), inputSize: 5, reversed: isReversed))
    var plain = LSTM(inputSize: 5, hiddenSize: 7, bidirectional: isReversed)
    layer.forEachParameter { name, parameter in
      guard name == "weight_hr" else { return }
      parameter.value = Tensor((0..<49).map { $0 % 8 == 0 ? 1 : 0 }, shape: [7, 7])
    }
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    plain.forEachParameter { name, parameter in
      parameter.value =
        named[name.replacing("_l0", with: "").replacing("_reverse", with: "")] ?? parameter.value
    }
    let ours = layer.run(Variable(x, timing: timing)), theirs = plain.run(Variable(x, timing: timing))
    let columns = isReversed ? 7..<14 : 0..<7
    #expect(difference(ours.output.tensor, theirs.output.tensor.columns(columns)) < 1e-5)
    let index = isReversed ? 1 : 0
    #expect(difference(ours.state.hidden[0].tensor, theirs.state.hidden[index].tensor) < 1e-5)
    #expect(difference(ours.state.cell[0].tensor, theirs.state.cell[index].tensor) < 1e-5)

    func gradients(_ body: (Tape, Variable) -> Variable) -> Tensor? {
      let tape = Tape()
      let input = tape.watched(x, timing: timing)
      let y = body(tape, input)
      return tape.gradients(of: (y * y).sum())[input]
    }
    let a = try #require(gradients { layer.run($1).output })
    let b = try #require(gradients { plain.run($1).output.columns(columns) })
    #expect(difference(a, b) < 1e-5)
  }

  @Test func layerNormIsItsEquations() {
    let units = 4
    let layer = filled(SteppedRecurrent(LayerNormLSTMCell(units), inputSize: 5))
    let p = Dictionary(
      uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
    func value(_ name: String) -> [Double] { p[name] ?? [] }
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
      SteppedRecurrent(LayerNormLSTMCell(8))
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
    #expect(SteppedRecurrent<LayerNormLSTMCell>.runsOnTape)
  }

  /// With kernels of one pixel every pixel is an LSTM of its own; wider ones see the neighbours.
  @Test func convolutionsOfOnePixelAreLSTMs() throws {
    let images = numbers("images", [2, 4, 3, 2, 5])
    var layer = SteppedRecurrent(ConvLSTMCell(filters: 6, 1), outputs: .all)
    #expect(try layer.build(input: [.any, 3, 2, 5]) == [.any, 3, 2, 6])
    layer = filled(layer)
    var plain = LSTM(inputSize: 5, hiddenSize: 6)
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    plain.forEachParameter { name, parameter in
      let from = [
        "weight_ih_l0": "conv_ih.weight", "weight_hh_l0": "conv_hh.weight", "bias_ih_l0": "conv_ih.bias",
      ]
      if let source = from[name], let value = named[source] {
        parameter.value = value.reshaped(parameter.shape)
      } else {
        parameter.value = Tensor(zeros: parameter.shape)
      }
    }
    let y = layer(images)
    #expect(y.shape == [2, 4, 3, 2, 6])
    for pixel in 0..<6 {
      let own = Tensor(
        (0..<2).flatMap { b in
          (0..<4).flatMap { t in (0..<5).map { images[b, t, pixel / 2, pixel % 2, $0] } }
        }, shape: [2, 4, 5])
      let want = plain(own)
      for (b, t) in [(0, 0), (0, 3), (1, 2)] {
        for unit in 0..<6 { #expect(abs(y[b, t, pixel / 2, pixel % 2, unit] - want[b, t, unit]) < 1e-5) }
      }
    }
    var wide = SteppedRecurrent(ConvLSTMCell(filters: 2, 3), outputs: .last)
    #expect(try wide.build(input: [4, 3, 2, 5]) == [3, 2, 2])
    let (loss, gradients) = filled(wide).gradients { layer, tape in
      let y = layer(tape.constant(images))
      return (y * y).sum()
    }
    #expect(loss > 0 && gradients.named(for: wide).count == 3)
    #expect(throws: LetheError.self) { try Sequential(input: [4, 5], layers: [wide]) }
  }
}
