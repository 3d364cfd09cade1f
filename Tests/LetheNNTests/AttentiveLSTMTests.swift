import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct AttentiveLSTMTests {
  let x = numbers("attentive", [3, 9, 4])
  let timing = Timing(
    lengths: [9, 0, 6],
    resets: [
      (0..<9).map { $0 == 5 }, Array(repeating: false, count: 9), (0..<9).map { $0 == 0 || $0 == 3 },
    ])

  /// Five units that look back over three steps, with numbers everywhere.
  private func layer(window: Int = 3, reversed: Bool = false) -> SteppedRecurrent<AttentiveLSTMCell> {
    var layer = SteppedRecurrent(AttentiveLSTMCell(5, window: window), inputSize: 4, reversed: reversed)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("attentive.\(name)", parameter.shape, scale: 0.8)
    }
    return layer
  }

  private func rows(_ x: Tensor, _ row: Int, _ steps: Int) -> [[Double]] {
    (0..<steps).map { t in (0..<x.shape[2]).map { Double(x[row, t, $0]) } }
  }

  private func parts(_ state: RecurrentState, _ row: Int) -> [[Double]] {
    (state.hidden + state.cell).map { $0.tensor.rows(row..<row + 1).scalars.map(Double.init) }
  }

  /// Over more steps than the window has, from a state, through a reset.
  @Test func itIsItsEquations() {
    let layer = layer(), twin = AttentiveLSTMTwin(layer)
    let start = layer.run(Variable(numbers("before", [3, 4, 4]))).state
    let (y, final) = layer.run(Variable(x, timing: timing), from: start)
    for (row, length) in [9, 0, 6].enumerated() {
      let want = twin.run(
        rows(x, row, length), from: .init(parts(start, row)),
        resets: timing.resets.map { Array($0[row].prefix(length)) })
      for t in 0..<length {
        for unit in 0..<5 { #expect(abs(Double(y.tensor[row, t, unit]) - want.outputs[t][unit]) < 2e-6) }
      }
      for (a, b) in zip(parts(final, row).joined(), want.state.parts.joined()) { #expect(abs(a - b) < 2e-6) }
    }
  }

  /// Gradients of Σ ⟨y, cotangent⟩ + Σ ⟨final states, cotangents⟩ are central differences of the twin.
  @Test func gradientsAreDifferences() throws {
    let layer = layer(), cotangent = numbers("cotangent", [3, 9, 5])
    let start = layer.run(Variable(numbers("before", [3, 4, 4]))).state.detached
    let ends = [5, 5, 10].enumerated().map { numbers("end\($0)", [3, $1]) }
    var input: Variable?
    let (_, all) = layer.gradients { layer, tape in
      let watched = tape.watched(x, timing: timing)
      input = watched
      let (y, final) = layer.run(watched, from: start)
      return zip(final.hidden + final.cell, ends).reduce((y * Variable(cotangent)).sum()) {
        $0 + ($1.0 * Variable($1.1)).sum()
      }
    }
    func value(_ twin: AttentiveLSTMTwin, _ inputs: [[[Double]]]) -> Double {
      var sum = 0.0
      for (row, x) in inputs.enumerated() {
        let (outputs, state) = twin.run(
          x, from: .init(parts(start, row)), resets: timing.resets.map { Array($0[row].prefix(x.count)) })
        for (t, y) in outputs.enumerated() {
          for (unit, y) in y.enumerated() { sum += y * Double(cotangent[row, t, unit]) }
        }
        for (part, end) in zip(state.parts, ends) {
          for (unit, s) in part.enumerated() { sum += s * Double(end[row, unit]) }
        }
      }
      return sum
    }
    var inputs = [9, 0, 6].enumerated().map { rows(x, $0, $1) }
    var twin = AttentiveLSTMTwin(layer)
    let named = all.named(for: layer), step = 1e-5
    for (number, name) in layer.parameters.map(\.name).enumerated() {
      let found = try #require(named[name]).scalars
      for i in found.indices {
        let old = twin.parts[number][i]
        twin.parts[number][i] = old + step
        let above = value(twin, inputs)
        twin.parts[number][i] = old - step
        let slope = (above - value(twin, inputs)) / (2 * step)
        twin.parts[number][i] = old
        #expect(abs(Double(found[i]) - slope) < 2e-5 * (1 + abs(slope)), "\(name)[\(i)]")
      }
    }
    let watched = try #require(input)
    let dx = try #require(all[watched])
    for row in [0, 2] {
      for t in inputs[row].indices {
        for i in 0..<4 {
          let old = inputs[row][t][i]
          inputs[row][t][i] = old + step
          let above = value(twin, inputs)
          inputs[row][t][i] = old - step
          let slope = (above - value(twin, inputs)) / (2 * step)
          inputs[row][t][i] = old
          #expect(abs(Double(dx[row, t, i]) - slope) < 2e-5 * (1 + abs(slope)), "x[\(row), \(t), \(i)]")
        }
      }
    }
  }

  /// Who attends to the last output alone is the plain LSTM of the fused engine, forward and backward in time.
  @Test(arguments: [false, true]) func attendingToTheLastOutputIsAnLSTM(_ isReversed: Bool) {
    var layer = layer(reversed: isReversed)
    layer.forEachParameter { name, parameter in
      if name == "lag" { parameter.value = Tensor([200, 0, 0]) }
    }
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    var plain = LSTM(inputSize: 4, hiddenSize: 5, bidirectional: isReversed)
    plain.forEachParameter { name, parameter in
      let part = name.replacing("_l0", with: "").replacing("_reverse", with: "")
      let own = named[part == "bias_ih" ? "bias" : part] ?? Tensor(zeros: parameter.shape)
      switch part {
      case "weight_ih": parameter.value = own.rows(0..<20)
      case "bias_ih": parameter.value = Tensor(Array(own.scalars[0..<20]))
      case "weight_hh":
        let past = (named["weight_past"] ?? own).scalars
        parameter.value = Tensor(
          own.scalars[0..<25] + past + own.scalars[25..<75], shape: [20, 5])
      default: parameter.value = Tensor(zeros: parameter.shape)
      }
    }
    let want = plain(Variable(x, timing: timing)).tensor.columns(isReversed ? 5..<10 : 0..<5)
    #expect(difference(layer(Variable(x, timing: timing)).tensor, want) < 2e-6)
  }

  @Test func aStreamIsTheWholeSequence() {
    let layer = layer(), x = numbers("stream", [1, 20, 4]), whole = layer.run(Variable(x))
    var stream = layer.stream()
    #expect(stream.outputSize == 5)
    func step(_ t: Int) -> [Float] { stream.step((0..<4).map { x[0, t, $0] }) }
    let first = (0..<12).flatMap(step)
    var fork = stream
    let state = stream.state
    let rest = (12..<20).flatMap(step)
    #expect(first + rest == whole.output.tensor.scalars)
    // A fork goes on from where it was, a state from where it was taken, and a reset from nothing.
    #expect(fork.step((0..<4).map { x[0, 12, $0] }) == Array(rest[0..<5]))
    stream.state = state
    #expect(step(12) == Array(rest[0..<5]))
    stream.reset()
    #expect(step(0) == Array(first[0..<5]))
  }

  @Test func itIsSavedAndRead() throws {
    let model = Sequential(input: [9, 4], seed: 3) {
      SteppedRecurrent(AttentiveLSTMCell(6, window: 5, forgetBias: 2), outputs: .all)
      SteppedRecurrent(AttentiveLSTMCell(5))
      Dense(2)
    }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "attentive").model
    #expect(sameBits(copy(x), model(x)))
    #expect(try ModelFile.configuration(of: copy) == ModelFile.configuration(of: model))
  }

  @Test func contradictionsAreRefused() {
    expectRefusal(SteppedRecurrent(AttentiveLSTMCell(0)), [9, 4], saying: "width 0")
    expectRefusal(SteppedRecurrent(AttentiveLSTMCell(4, window: 1)), [9, 4], saying: "window 1")
    expectRefusal(SteppedRecurrent(AttentiveLSTMCell(4, forgetBias: .nan)), [9, 4], saying: "finite")
  }

  @Test func itStartsWithAForgetBias() {
    let layer = SteppedRecurrent(AttentiveLSTMCell(3, window: 4, forgetBias: 2), inputSize: 2)
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    #expect(named["bias"]?.scalars == [0, 0, 0, 2, 2, 2] + Array(repeating: 0, count: 9))
    #expect(named["lag"]?.scalars == [0, 0, 0, 0])
    #expect(layer.stateSizes == [3, 3, 9] && layer.runsOnTape)
  }
}
