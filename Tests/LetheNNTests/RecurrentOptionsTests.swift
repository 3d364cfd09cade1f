import Lethe
import LetheTestSupport
import Testing

/// Every option of the recurrent layers acts, and acts as it says.
@Suite struct RecurrentOptionsTests {
  let x = numbers("x", [3, 6, 5])

  func filled<M: Module>(_ module: M) -> M {
    var module = module
    module.forEachParameter { name, parameter in parameter.value = numbers(name, parameter.shape, scale: 0.5)
    }
    return module
  }

  @Test func lastIsTheEndOfAll() {
    let all = filled(GRU(inputSize: 5, hiddenSize: 7, bidirectional: true))
    var last = all
    last.outputs = .last
    let (whole, end) = (all(x), last(x))
    #expect(end.shape == [3, 14])
    for row in 0..<3 {
      for unit in 0..<7 {
        #expect(end[row, unit] == whole[row, 5, unit])
        #expect(end[row, 7 + unit] == whole[row, 0, 7 + unit])
      }
    }
  }

  @Test func headIsTanhOfStateAndInput() {
    let layer = filled(GRU(inputSize: 5, hiddenSize: 7, headSize: 4))
    let plain = GRU(inputSize: 5, hiddenSize: 7)
    var same = plain
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    same.forEachParameter { name, parameter in parameter.value = named[name] ?? parameter.value }
    let joined = Variable.concatenated([Variable(same(x)), Variable(x)])
    guard let weight = named["head.weight"], let bias = named["head.bias"] else {
      Issue.record("the head has no parameters")
      return
    }
    #expect(sameBits(layer(x), linear(joined, Variable(weight), Variable(bias)).tanh().tensor))
    var last = layer
    last.outputs = .last
    #expect(last(x).shape == [3, 4] && last(x)[2, 3] == layer(x)[2, 5, 3])
  }

  @Test func flippedUpdateSignKeepsTheNewState() {
    // h = (1 − z) h' + z n with weights W equals h = z h' + (1 − z) n with the update gate's signs changed.
    var layer = filled(GRU(inputSize: 5, hiddenSize: 7))
    let before = layer(x)
    layer.flipUpdateSign()
    #expect(!sameBits(layer(x), before))
    layer.flipUpdateSign()
    #expect(sameBits(layer(x), before))
    // With z near 0 in the flipped convention (bias +large before the flip), the state hardly moves.
    layer.forEachParameter { name, parameter in
      if name == "bias_ih_l0" { for unit in 7..<14 { parameter.value[unit] = -30 } }
    }
    layer.flipUpdateSign()
    #expect(layer(x).scalars.allSatisfy { abs($0) < 1e-6 })
  }

  @Test func forgetBiasStartsTheForgetGate() {
    let layer = LSTM(inputSize: 5, hiddenSize: 7, forgetBias: 2.5)
    let bias = layer.parameters.first { $0.name == "bias_ih_l0" }?.value.scalars ?? []
    #expect(
      bias == Array(repeating: 0, count: 7) + Array(repeating: 2.5, count: 7) + Array(repeating: 0, count: 14)
    )
  }

  @Test func stackIsLayerOnLayer() {
    let two = filled(LSTM(inputSize: 5, hiddenSize: 7, layers: 2))
    let named = Dictionary(uniqueKeysWithValues: two.parameters.map { ($0.name, $0.value) })
    var first = LSTM(inputSize: 5, hiddenSize: 7), second = LSTM(inputSize: 7, hiddenSize: 7)
    first.forEachParameter { name, parameter in parameter.value = named[name] ?? parameter.value }
    second.forEachParameter { name, parameter in
      parameter.value = named[name.replacing("_l0", with: "_l1")] ?? parameter.value
    }
    #expect(sameBits(two(x), second(first(x))))
  }

  @Test func dropoutActsInTrainingOnly() {
    for dropout in [
      RecurrentDropout(input: 0.4), RecurrentDropout(between: 0.4), RecurrentDropout(output: 0.4),
      RecurrentDropout(recurrent: 0.4), RecurrentDropout(weights: 0.4),
    ] {
      var layer = filled(LSTM(inputSize: 5, hiddenSize: 7, layers: 2))
      let plain = layer(x)
      layer.dropout = dropout
      #expect(sameBits(layer(x), plain))
      func trained(_ seed: UInt64) -> Tensor {
        layer(Tape(key: RandomKey(seed: seed)).constant(x)).tensor
      }
      #expect(
        !sameBits(trained(1), plain) && !sameBits(trained(1), trained(2)) && sameBits(trained(1), trained(1)))
    }
  }

  /// The recurrent mask is one for a whole sequence, and its gradients are those of the masked twin.
  @Test(arguments: [0, 1, 2]) func recurrentDropoutIsOneMask(_ kind: Int) throws {
    func check<Cell: RecurrentCell>(_ built: Recurrent<Cell>) throws {
      var layer = filled(built)
      layer.dropout = RecurrentDropout(recurrent: 0.5)
      let tape = Tape(key: RandomKey(seed: 11))
      let y = layer(tape.watched(x)).tensor
      // The layer's one draw of this tape.
      let mask = RandomKey(seed: 11).child(0).dropoutMask(shape: [3, 7], keep: 0.5)
      let named = Dictionary(
        uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
      let twin = NaiveTwin(
        layer.cell.description, units: 7,
        parts: ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map { named[$0] ?? [] })
      let zeros = [Double](repeating: 0, count: 7)
      func loss(_ x: Tensor) -> Double {
        (0..<3).reduce(0) { total, row in
          let steps = (0..<6).map { t in (0..<5).map { Double(x[row, t, $0]) } }
          let outputs = twin.run(
            steps, from: .init([zeros, zeros]), mask: (0..<7).map { Double(mask[row, $0]) }
          ).outputs
          for (t, output) in outputs.enumerated() {
            for unit in 0..<7 { #expect(abs(output[unit] - Double(y[row, t, unit])) < 1e-4 || x != self.x) }
          }
          return total + outputs.joined().reduce(0, +)
        }
      }
      _ = loss(x)
      let tape2 = Tape(key: RandomKey(seed: 11))
      let input = tape2.watched(x)
      let gradient = try #require(tape2.gradients(of: layer(input).sum())[input]).scalars
      for i in stride(from: 0, to: x.count, by: 4) {
        func at(_ amount: Float) -> Double {
          var scalars = x.scalars
          scalars[i] += amount
          return loss(Tensor(scalars, shape: x.shape))
        }
        let step: Float = 1 / 512
        let slope = (at(step) - at(-step)) / Double(2 * step)
        #expect(abs(Double(gradient[i]) - slope) < 2e-3 * (1 + abs(slope)))
      }
    }
    switch kind {
    case 0: try check(LSTM(inputSize: 5, hiddenSize: 7))
    case 1: try check(GRU(inputSize: 5, hiddenSize: 7))
    default: try check(GRU(inputSize: 5, hiddenSize: 7, reset: .before))
    }
  }
}

/// The values of the gates, seen from outside, are those the equations say.
@Suite struct GateValuesTests {
  @Test func gatesExplainTheOutputs() throws {
    let x = numbers("x", [3, 6, 5])
    var lstm = LSTM(inputSize: 5, hiddenSize: 7)
    lstm.forEachParameter { name, parameter in parameter.value = numbers(name, parameter.shape, scale: 0.5) }
    let gates = lstm.gateValues(Variable(x, timing: Timing(lengths: [6, 2, 5])))
    let h = lstm.run(Variable(x, timing: Timing(lengths: [6, 2, 5]))).output.tensor
    #expect(Set(gates.keys) == ["input", "forget", "candidate", "output"])
    let (i, f, u, o) = (
      try #require(gates["input"]), try #require(gates["forget"]), try #require(gates["candidate"]),
      try #require(gates["output"])
    )
    for row in 0..<3 {
      for unit in 0..<7 {
        var c: Float = 0
        for t in 0..<[6, 2, 5][row] {
          c = f[row, t, unit] * c + i[row, t, unit] * u[row, t, unit]
          #expect(abs(o[row, t, unit] * Float(NaiveTwin.tanh(Double(c))) - h[row, t, unit]) < 2e-6)
        }
      }
    }
    for reset in [ResetPlacement.after, .before] {
      let gru = GRU(inputSize: 5, hiddenSize: 7, reset: reset)
      let (values, states) = (gru.gateValues(Variable(x)), gru(x))
      let (z, n) = (try #require(values["update"]), try #require(values["candidate"]))
      for unit in 0..<7 {
        var h: Float = 0
        for t in 0..<6 {
          h = z[1, t, unit] * h + (1 - z[1, t, unit]) * n[1, t, unit]
          #expect(abs(h - states[1, t, unit]) < 2e-6)
        }
      }
    }
    #expect(RNN(inputSize: 5, hiddenSize: 7).gateValues(Variable(x)).isEmpty)
  }
}

/// Broken contracts stop with words, in release builds too; options that could not act are refused.
@Suite struct RecurrentContractTests {
  @Test func aStateOfAnotherTapeIsRefused() async {
    await #expect(processExitsWith: .failure) {
      let layer = LSTM(inputSize: 2, hiddenSize: 3)
      let x = Tensor(zeros: [1, 1, 2])
      let old = Tape()
      let state = layer.run(old.watched(x)).state
      _ = layer.run(Tape().watched(x), from: state)
    }
  }

  @Test func aLossWithoutTapeIsRefused() async {
    await #expect(processExitsWith: .failure) {
      let layer = LSTM(inputSize: 2, hiddenSize: 3)
      _ = layer.gradients { layer, _ in layer(Variable(Tensor(zeros: [1, 1, 2]))).sum() }
    }
  }

  @Test func misshapenParametersAreRefused() async {
    await #expect(processExitsWith: .failure) {
      var layer = GRU(inputSize: 2, hiddenSize: 30)
      layer.forEachParameter { name, parameter in
        if name == "bias_hh_l0" { parameter.value = Tensor(zeros: [3]) }
      }
      _ = layer(Tensor(zeros: [1, 1, 2]))
    }
  }

  @Test func optionsThatCannotActAreRefused() {
    func refused(_ layer: some Layer) -> Bool {
      var layer = layer
      do { _ = try layer.build(input: [.any, 4]) } catch { return true }
      return false
    }
    #expect(refused(LSTM(3, dropout: RecurrentDropout(between: 0.1))))
    #expect(!refused(LSTM(3, layers: 2, dropout: RecurrentDropout(between: 0.1))))
    #expect(refused(ForgettingGateNetwork(3, dropout: RecurrentDropout(between: 0.1))))
    #expect(refused(GRU(3, bidirectional: true, outputs: .last, headSize: 2)))
    #expect(refused(LSTM(3, layers: 65)))
    #expect(refused(RNN(3, dropout: RecurrentDropout(recurrent: 1))))
  }
}

@Suite struct PackedCacheTests {
  /// Weights packed for one call serve the next only while the numbers are the same.
  @Test func changedWeightsAreSeen() {
    var layer = LSTM(inputSize: 3, hiddenSize: 19, key: RandomKey(seed: 5))
    let x = Variable(numbers("x", [2, 4, 3]))
    let before = layer(x).tensor
    #expect(sameBits(layer(x).tensor, before))
    let twin = layer
    layer.forEachParameter { _, parameter in parameter.value.withUnsafeMutableBuffer { $0[0] += 1 } }
    let after = layer(x).tensor
    #expect(!sameBits(after, before))
    #expect(sameBits(twin(x).tensor, before))
    #expect(sameBits(layer(x).tensor, after))
    layer.cell.gateActivation = .hardSigmoid()
    #expect(!sameBits(layer(x).tensor, after))
    // One feature that is no number makes one unit none.
    let ema = Recurrent(EMACell(3), inputSize: 3)
    var odd = numbers("x", [2, 4, 3])
    odd[1, 2, 0] = .nan
    let y = ema(odd)
    #expect((0..<3).map { y[1, 3, $0].isNaN } == [true, false, false])
  }
}
