import Foundation
import Lethe
import LetheNN
import LetheTestSupport
import Testing

/// The laws of matrix memories, each rule under each. Sizes are pairwise different and off the vector width.
@Suite struct MatrixMemoryTests {
  static let rules: [MatrixMemory.Rule] = [
    .mLSTM, .gatedLinearAttention, .hgrn2(lowerBound: 0.2), .gatedDeltaNet(negativeEigenvalues: false),
    .gatedDeltaNet(negativeEigenvalues: true),
  ]
  let batch = 3
  let time = 7
  let inputs = 4

  /// A layer with numbers in every parameter: large enough that every branch is taken, small enough that no n·q is so near
  /// to 0 that float gradients lose their digits.
  func layer(
    _ rule: MatrixMemory.Rule, key: Int = 5, value: Int = 19, outputs: RecurrentOutputs = .all,
    normalizesHeads: Bool = true
  ) -> MatrixMemory {
    var layer = MatrixMemory(
      inputSize: inputs, hiddenSize: 11, rule: rule, heads: 2, keySize: key, valueSize: value,
      outputs: outputs, normalizesHeads: normalizesHeads)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("\(rule).\(name)", parameter.shape, scale: name.contains("gate") ? 1.5 : 0.7)
    }
    return layer
  }

  func parts(_ state: RecurrentState) -> [Tensor] { (state.hidden + state.cell).map(\.tensor) }

  /// A state that the layer can be in.
  func start(_ layer: MatrixMemory, _ batch: Int) -> RecurrentState {
    layer.run(Variable(numbers("start", [batch, 3, inputs]))).state.detached
  }

  func row(_ state: RecurrentState, _ row: Int) -> RecurrentState {
    func one(_ parts: [Variable]) -> [Variable] { parts.map { Variable($0.tensor.rows(row..<row + 1)) } }
    return RecurrentState(hidden: one(state.hidden), cell: one(state.cell))
  }

  func steps(_ x: Tensor, _ range: Range<Int>) -> Tensor {
    let (batch, time, width) = (x.shape[0], x.shape[1], x.shape[2])
    let parts = (0..<batch).flatMap { row in
      x.scalars[(row * time + range.lowerBound) * width..<(row * time + range.upperBound) * width]
    }
    return Tensor(parts, shape: [batch, range.count, width])
  }

  func same(_ a: [Tensor], _ b: [Tensor]) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { sameBits($0, $1) }
  }

  @Test(arguments: rules) func wholeIsChunksIsSteps(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), x = numbers("x", [batch, 37, inputs]), begin = start(layer, batch)
    let whole = layer.run(Variable(x), from: begin)
    for cuts in [[0, 4, 5, 33, 37], Array(0...37)] {
      var state = begin
      for (low, high) in zip(cuts, cuts.dropFirst()) {
        let part = layer.run(Variable(steps(x, low..<high)), from: state)
        #expect(sameBits(part.output.tensor, steps(whole.output.tensor, low..<high)))
        state = part.state
      }
      #expect(same(parts(state), parts(whole.state)))
    }
  }

  @Test(arguments: rules) func streamIsWhole(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), x = numbers("x", [1, 9, inputs])
    let whole = layer.run(Variable(x))
    var stream = layer.stream()
    var outputs: [Float] = []
    for t in 0..<4 { outputs += stream.step(steps(x, t..<t + 1).scalars) }
    var fork = layer.stream()
    fork.state = stream.state
    _ = stream.step(steps(x, 0..<1).scalars)  // which the fork must not feel
    for t in 4..<9 { outputs += fork.step(steps(x, t..<t + 1).scalars) }
    #expect(sameBits(Tensor(outputs, shape: whole.output.shape), whole.output.tensor))
    #expect(same(parts(fork.state), parts(whole.state)))
    fork.reset()
    #expect(fork.step(steps(x, 0..<1).scalars) == Array(outputs[..<11]))
    #expect((fork.inputSize, fork.outputSize) == (4, 11))
  }

  @Test(arguments: rules) func aStreamingStepTakesNoBuffer(_ rule: MatrixMemory.Rule) {
    var stream = layer(rule, key: 17, value: 37).stream()
    let x = numbers("x", [inputs])
    x.withUnsafeBuffer { x in
      stream.step(x)
      let before = MemoryUse.takenHere
      for _ in 0..<3 { stream.step(x) }
      #expect(MemoryUse.takenHere == before)
      var fork = stream
      let (a, b) = (Array(fork.step(x)), Array(stream.step(x)))
      #expect(a == b && a.count == stream.outputSize)
    }
  }

  @Test(arguments: rules) func raggedRowsAreAlone(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), lengths = [7, 0, 4], begin = start(layer, batch)
    let x = numbers("x", [batch, time, inputs])
    let together = layer.run(Variable(x, timing: Timing(lengths: lengths)), from: begin)
    for (number, length) in lengths.enumerated() {
      let output = together.output.tensor.rows(number..<number + 1)
      let rest = steps(output, length..<time)
      #expect(sameBits(rest, Tensor(zeros: rest.shape)))
      let own = steps(x.rows(number..<number + 1), 0..<length)
      let alone = length == 0 ? nil : layer.run(Variable(own), from: row(begin, number))
      if let alone { #expect(sameBits(steps(output, 0..<length), alone.output.tensor)) }
      #expect(same(parts(row(together.state, number)), parts(alone?.state ?? row(begin, number))))
    }
    var last = layer
    last.outputs = .last
    let final = last.run(Variable(x, timing: Timing(lengths: lengths)), from: begin).output.tensor
    #expect(sameBits(final.rows(2..<3), steps(together.output.tensor.rows(2..<3), 3..<4).reshaped([1, 11])))
    #expect(sameBits(final.rows(1..<2), Tensor(zeros: [1, 11])))
  }

  @Test(arguments: rules) func aResetBeginsANewSequence(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), x = numbers("x", [batch, time, inputs]), begin = start(layer, batch)
    var resets = Array(repeating: Array(repeating: false, count: time), count: batch)
    resets[1][3] = true
    resets[2][0] = true
    let marked = layer.run(Variable(x, timing: Timing(resets: resets)), from: begin)
    for (number, at, from) in [(0, 0, row(begin, 0)), (1, 3, nil), (2, 0, nil)] {
      let own = layer.run(Variable(steps(x.rows(number..<number + 1), at..<time)), from: from)
      #expect(
        sameBits(steps(marked.output.tensor.rows(number..<number + 1), at..<time), own.output.tensor))
      #expect(same(parts(row(marked.state, number)), parts(own.state)))
    }
  }

  @Test(arguments: rules) func noStateIsZeros(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), x = Variable(numbers("x", [batch, time, inputs]))
    let zeros = layer.stateSizes.map { Variable(Tensor(zeros: [batch, $0])) }
    let (a, b) = (
      layer.run(x), layer.run(x, from: RecurrentState(hidden: [zeros[0]], cell: Array(zeros.dropFirst())))
    )
    #expect(same([a.output.tensor] + parts(a.state), [b.output.tensor] + parts(b.state)))
  }

  @Test(arguments: rules) func batchMatesDoNotMeet(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule), x = numbers("x", [13, time, inputs])
    let all = layer.run(Variable(x))
    for number in [0, 6, 12] {
      let alone = layer.run(Variable(x.rows(number..<number + 1)))
      #expect(sameBits(all.output.tensor.rows(number..<number + 1), alone.output.tensor))
      #expect(same(parts(row(all.state, number)), parts(alone.state)))
    }
  }

  /// Outputs, states and all gradients, with lengths and resets, through more steps than lie between two kept states.
  func everything(_ layer: MatrixMemory, time: Int = 40) -> (results: [Tensor], named: [String: Tensor]) {
    let timing = Timing(
      lengths: [time, 2, time - 5, 0, time],
      resets: (0..<5).map { row in (0..<time).map { $0 % 9 == row + 1 } })
    let begin = start(layer, 5)
    var watched: [Variable] = [], results: [Tensor] = []
    let (_, all) = layer.gradients { layer, tape in
      let x = tape.watched(numbers("x", [5, time, inputs]), timing: timing)
      let state = RecurrentState(
        hidden: begin.hidden.map { tape.watched($0.tensor) }, cell: begin.cell.map { tape.watched($0.tensor) }
      )
      watched = [x] + state.hidden + state.cell
      let (y, final) = layer.run(x, from: state)
      results = [y.tensor] + parts(final)
      return (final.hidden + final.cell).reduce((y * y).sum()) { $0 + ($1 * $1).sum() }
    }
    let named = all.named(for: layer)
    return (results + layer.parameters.compactMap { named[$0.name] } + watched.compactMap { all[$0] }, named)
  }

  @Test(arguments: rules) func threadsDoNotMatter(_ rule: MatrixMemory.Rule) {
    let layer = layer(rule, key: 17, value: 37)
    let one = Parallel.$threads.withValue(1) { everything(layer).results }
    #expect(one.allSatisfy { $0.isFinite })
    for threads in [2, 3] {
      #expect(same(Parallel.$threads.withValue(threads) { everything(layer).results }, one))
    }
  }

  /// The numbers of these tests take both sides of mLSTM's two maxima.
  @Test func bothBranchesAreTaken() {
    let layer = layer(.mLSTM), x = numbers("x", [batch, time, inputs])
    func product(_ name: String, _ x: [Float]) -> [Float] {
      let weight = layer.parameters.first { $0.name == name }?.value ?? Tensor(zeros: [0, 4])
      return (0..<weight.shape[0]).map { row in
        zip(x, weight.rows(row..<row + 1).scalars).map { $0 * $1 }.reduce(0, +)
      }
    }
    var ofM: Set<Bool> = [], ofDivisor: Set<Bool> = []
    let bias = layer.parameters.first { $0.name == "bias_gate" }?.value.scalars ?? []
    for number in 0..<batch {
      for t in 1..<time {
        let own = x.rows(number..<number + 1), now = steps(own, t..<t + 1).scalars
        let state = layer.run(Variable(steps(own, 0..<t + 1))).state
        let (n, m) = (state.cell[0].tensor.scalars, state.cell[1].tensor.scalars)
        let gate = product("weight_gate", now), q = product("weight_q", now)
        for head in 0..<2 {
          ofM.insert(abs(m[head] - gate[2 + head] - bias[2 + head]) < 1e-5)
          let weight = (0..<5).map { n[head * 5 + $0] * q[head * 5 + $0] }.reduce(0, +)
          ofDivisor.insert(abs(weight) >= Float(Elementary.exp(-Double(m[head]))))
        }
      }
    }
    #expect(ofM.count == 2 && ofDivisor.count == 2)
  }

  /// Gates far outside what float exponentials hold.
  @Test(arguments: rules, [-200, 200] as [Float]) func extremeGatesStayFinite(
    _ rule: MatrixMemory.Rule, bias: Float
  ) {
    var layer = layer(rule)
    layer.forEachParameter { name, parameter in
      if name == "bias_gate" {
        parameter.value = Tensor(
          (0..<parameter.shape[0]).map { $0 % 2 == 0 ? bias : -bias }, shape: parameter.shape)
      }
    }
    #expect(everything(layer).results.allSatisfy { $0.isFinite })
  }

  @Test func negativeEigenvaluesAreReached() {
    func factor(_ negative: Bool) -> (kept: Float, ratio: [Float]) {
      var layer = MatrixMemory(
        inputSize: 4, hiddenSize: 2, rule: .gatedDeltaNet(negativeEigenvalues: negative), keySize: 4,
        valueSize: 3)
      layer.forEachParameter { name, parameter in
        switch name {
        case "weight_k":
          parameter.value = Tensor((0..<16).map { $0 % 5 == 0 ? 1 : 0 }, shape: [4, 4])
        case "bias_gate": parameter.value = Tensor([0, 6])  // β near its largest
        case "log_rate": parameter.value = Tensor([-9])  // e^g near 1
        default: parameter.value = Tensor(zeros: parameter.shape)
        }
      }
      // S = k wᵀ for k = (0.6, 0, 0.8, 0), and nothing new to write.
      let k: [Float] = [0.6, 0, 0.8, 0], w: [Float] = [1, -2, 3]
      let s = Tensor(k.flatMap { k in w.map { k * $0 } }, shape: [1, 12])
      let x = Variable(Tensor(k, shape: [1, 1, 4]))
      let after = layer.run(x, from: RecurrentState(hidden: [Variable(s)])).state.hidden[0].tensor
      let ratio = zip(after.scalars, s.scalars).filter { $1 != 0 }.map { $0 / $1 }
      // Along another direction the state is only kept.
      let other = Tensor(w + Array(repeating: 0, count: 9), shape: [1, 12])
      let y = Variable(Tensor([0, 1, 0, 0], shape: [1, 1, 4]))
      let kept = layer.run(y, from: RecurrentState(hidden: [Variable(other)])).state.hidden[0].tensor
      return (kept.scalars[0] / w[0], ratio)
    }
    let (plain, both) = (factor(false), factor(true))
    #expect(plain.ratio.allSatisfy { $0 > 0 && $0 < 0.01 } && abs(plain.kept - 1) < 1e-3)
    #expect(both.ratio.allSatisfy { $0 < -0.98 && $0 > -1 } && abs(both.kept - 1) < 1e-3)
  }

  @Test(arguments: rules) func aFileGivesTheSameBits(_ rule: MatrixMemory.Rule) throws {
    var model = try Sequential(
      input: [.any, inputs],
      layers: [
        MatrixMemory(11, rule: rule, heads: 2, keySize: 5, valueSize: 19, outputs: .all),
        MatrixMemory(6, rule: rule, keySize: 3, valueSize: 2, normalizesHeads: false),
      ])
    model.initialize(key: RandomKey(seed: 5))
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "memory").model
    let x = numbers("x", [batch, time, inputs])
    #expect(sameBits(copy(x), model(x)) && copy(x).shape == [batch, 6])
    #expect(copy.parameters.map(\.name) == model.parameters.map(\.name))
    #expect((copy.layers[0] as? MatrixMemory)?.rule == rule)
    #expect((copy.layers[1] as? MatrixMemory)?.normalizesHeads == false)
  }

  @Test func parametersAreNamedAndStartAsPromised() {
    func made(_ rule: MatrixMemory.Rule) -> [String: Tensor] {
      let layer = MatrixMemory(
        inputSize: 3, hiddenSize: 7, rule: rule, heads: 4, keySize: 5, valueSize: 6)
      return Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    }
    let mlstm = made(.mLSTM)
    #expect(mlstm["bias_gate"].map { Array($0.scalars[..<4]) } == [3, 4, 5, 6])
    #expect(mlstm["weight_gate"]?.scalars.allSatisfy { $0 == 0 } == true)
    #expect(
      mlstm.keys.sorted() == [
        "bias_gate", "weight_gate", "weight_k", "weight_norm", "weight_out", "weight_q", "weight_v",
      ])
    #expect(made(.gatedLinearAttention)["weight_gate"]?.shape == [20, 3])
    let hgrn2 = made(.hgrn2())
    #expect(hgrn2["weight_k"] == nil && hgrn2["bias_gate"]?.scalars.allSatisfy { $0 == 1 } == true)
    let delta = made(.gatedDeltaNet())
    let steps = (delta["bias_gate"]?.scalars ?? []).map { log(1 + exp(Double($0))) }
    for (step, expected) in zip(steps, [1e-3, 4.641589e-3, 2.154435e-2, 0.1]) {
      #expect(abs(step - expected) < 1e-5 * expected)
    }
    #expect(delta["bias_gate"].map { Array($0.scalars[4...]) } == [0, 0, 0, 0])
    let rates = (delta["log_rate"]?.scalars ?? []).map { exp(Double($0)) }
    for (rate, expected) in zip(rates, [2, 6, 10, 14.0]) { #expect(abs(rate - expected) < 1e-5) }
    #expect(rates.count == 4 && delta["weight_out"]?.shape == [7, 24])
  }

  @Test func optionsThatCannotBeAreErrors() {
    for (layer, word) in [
      (MatrixMemory(4, rule: .hgrn2(lowerBound: 1), keySize: 3, valueSize: 2), "lower bound"),
      (MatrixMemory(4, rule: .mLSTM, keySize: 0, valueSize: 2), "out of range"),
    ] {
      var layer = layer
      let error = #expect(throws: LetheError.self) { _ = try layer.build(input: [.any, 3]) }
      #expect("\(String(describing: error))".contains(word))
    }
    var layer = MatrixMemory(4, rule: .mLSTM, keySize: 3, valueSize: 2)
    #expect(throws: LetheError.self) { _ = try layer.build(input: [3]) }
  }
}
