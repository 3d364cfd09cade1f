import Lethe
import LetheTestSupport
import Testing

/// Cells whose h is narrower than they are.
@Suite struct ProjectedCellTests {
  /// Beside a projection gates see the input and h; it is of what gates make; and its width is the cell's.
  @Test func misplacedProjectionsAreRefused() async {
    await #expect(processExitsWith: .failure) {
      _ = CellDescription("p") { cell in
        let r = cell.gate("r", sees: [.input, .signal(sigmoid(cell.gate("f")))])
        return cell.project(tanh(r), to: 3)
      }
    }
    await #expect(processExitsWith: .failure) {
      _ = CellDescription("p") { cell in
        let c = cell.state("c")
        cell.update(c, to: tanh(cell.gate("u")))
        return cell.project(c, to: 3)
      }
    }
    struct SilentCell: RecurrentCell {
      static let kind = "silent"
      var hiddenSize: Int
      var description: CellDescription {
        CellDescription("p") { cell in cell.project(tanh(cell.gate("u")), to: 3) }
      }
    }
    var layer = Recurrent(SilentCell(hiddenSize: 7))
    #expect(throws: LetheError.self) { try layer.build(input: [4, 2]) }
  }

  private let x = numbers("x", [3, 6, 5])
  private let timing = Timing(
    lengths: [6, 2, 5],
    resets: [
      [false, false, true, false, false, false], Array(repeating: false, count: 6),
      [false, true, false, false, true, false],
    ])

  private func filled<M: Module>(_ module: M) -> M {
    var module = module
    module.forEachParameter { name, parameter in
      parameter.value = numbers("projected.\(name)", parameter.shape, scale: 0.5)
    }
    return module
  }

  /// A projection by the identity is no projection: states, outputs and gradients, with lengths and resets, in both directions.
  @Test func identityIsAnLSTM() throws {
    var layer = filled(
      Recurrent(ProjectedLSTMCell(7, outputSize: 7), inputSize: 5, layers: 2, bidirectional: true))
    var plain = LSTM(inputSize: 5, hiddenSize: 7, layers: 2, bidirectional: true)
    layer.forEachParameter { name, parameter in
      guard name.hasPrefix("weight_hr") else { return }
      parameter.value = Tensor((0..<49).map { $0 % 8 == 0 ? 1 : 0 }, shape: [7, 7])
    }
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    plain.forEachParameter { name, parameter in parameter.value = named[name] ?? parameter.value }
    let ours = layer.run(Variable(x, timing: timing)), theirs = plain.run(Variable(x, timing: timing))
    #expect(difference(ours.output.tensor, theirs.output.tensor) < 1e-5)
    for (a, b) in zip(ours.state.hidden + ours.state.cell, theirs.state.hidden + theirs.state.cell) {
      #expect(difference(a.tensor, b.tensor) < 1e-5)
    }
    func gradients(_ run: (Variable) -> Variable) -> Tensor? {
      let tape = Tape()
      let input = tape.watched(x, timing: timing)
      let y = run(input)
      return tape.gradients(of: (y * y).sum())[input]
    }
    let a = try #require(gradients { layer.run($0).output }),
      b = try #require(gradients { plain.run($0).output })
    #expect(difference(a, b) < 1e-5)
  }

  /// h wider than one panel of blocks, c much wider; the twin in doubles says what comes out, row by row.
  @Test(arguments: [(40, 5), (150, 70), (96, 96), (33, 17)])
  func manyWidthsAgreeWithTheTwin(_ units: Int, _ width: Int) throws {
    let cell = ProjectedLSTMCell(units, outputSize: width)
    let layer = filled(Recurrent(cell, inputSize: 5))
    let twin = NaiveTwin(
      cell.description, units: units, parts: layer.parameters.map { $0.value.scalars.map(Double.init) })
    let run = layer.run(Variable(x))
    #expect(run.output.shape == [3, 6, width])
    for row in 0..<3 {
      let inputs = (0..<6).map { t in (0..<5).map { Double(x[row, t, $0]) } }
      let zeros = NaiveTwin.State([width, units].map { Array(repeating: 0, count: $0) })
      let slow = twin.run(inputs, from: zeros)
      for t in 0..<6 {
        for unit in 0..<width {
          #expect(abs(Double(run.output.tensor[row, t, unit]) - slow.outputs[t][unit]) < 2e-5)
        }
      }
      for unit in 0..<units {
        #expect(abs(Double(run.state.cell[0].tensor[row, unit]) - slow.state.c[unit]) < 2e-5)
      }
    }
    var stream = layer.stream()
    #expect(stream.outputSize == width)
    for t in 0..<6 {
      let y = stream.step((0..<5).map { x[0, t, $0] })
      #expect(y == (0..<width).map { run.output.tensor[0, t, $0] })
    }
    #expect(stream.state.hidden[0].shape == [1, width] && stream.state.cell[0].shape == [1, units])
  }

  @Test func itTrains() {
    var model = Sequential(input: [6, 5], seed: 1) {
      Recurrent(
        ProjectedLSTMCell(8, outputSize: 6), layers: 2,
        dropout: RecurrentDropout(between: 0.05, recurrent: 0.05))
      Dense(1)
    }
    let target = Tensor((0..<3).map { x[$0, 0, 0] }, shape: [3, 1])
    var optimizer = OptimizerState(.adam(rate: 0.02))
    var losses: [Float] = []
    for _ in 0..<120 {
      let (loss, gradients) = model.gradients { model, tape in
        meanSquaredError(model(tape.constant(x)), target)
      }
      optimizer.update(&model, gradients: gradients)
      losses.append(loss)
    }
    #expect((losses.last ?? 1) < 0.1 * (losses.first ?? 0))
  }

  @Test func itIsRecorded() throws {
    let layer = filled(Recurrent(ProjectedLSTMCell(7, outputSize: 4), inputSize: 5))
    let recording = try #require(layer.record(x, timing: timing).layers.first)
    #expect(recording.gates == ["input", "forget", "candidate", "output"])
    #expect(recording["hidden"]?.shape == [3, 6, 4] && recording["cell"]?.shape == [3, 6, 7])
    #expect(recording.stateSize == 11)
    let trace = try #require(recording.memory(row: 2)),
      forget = try #require(recording.steps("forget", row: 2))
    for t in 0..<5 {
      // A sequence that starts anew keeps nothing.
      let isNew = t == 1 || t == 4
      for unit in 0..<7 { #expect(trace.keep[t][unit] == (isNew ? 0 : Double(forget[t][unit]))) }
    }
    #expect(recording.readOut() == nil)
    let flow = try #require(recording.pulledBack(Tensor(repeating: 1, shape: [2, 11]), through: 0, row: 0))
    #expect(flow.shape == [2, 11])

    let plain = layer(x), same = try layer.operated(x, [.init("input", .scale(1))])
    #expect(difference(same.output, plain) < 1e-5)
    let shut = try layer.operated(x, [.init("hidden", .set(0), units: [3])])
    #expect(shut.output != plain)
    #expect(throws: LetheError.self) { try layer.operated(x, [.init("hidden", .set(0), units: [4])]) }
  }

  /// A projection by the identity has the bounds of an LSTM, but for the rounding of a sum with one summand.
  @Test func boundsOfTheIdentityAreAnLSTMs() throws {
    var layer = filled(Recurrent(ProjectedLSTMCell(7, outputSize: 7), inputSize: 5))
    var plain = LSTM(inputSize: 5, hiddenSize: 7)
    layer.forEachParameter { name, parameter in
      parameter.value = Tensor(parameter.value.scalars.map { $0 * 0.05 }, shape: parameter.shape)
      guard name.hasPrefix("weight_hr") else { return }
      parameter.value = Tensor((0..<49).map { $0 % 8 == 0 ? 1 : 0 }, shape: [7, 7])
    }
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    plain.forEachParameter { name, parameter in parameter.value = named[name] ?? parameter.value }
    let box = ExampleBox(shape: [.any, 5], every: Interval(-1, 1))
    var ours = BoxWalk(), theirs = BoxWalk()
    #expect(ours.through(layer, box)?.features.count == 7 && theirs.through(plain, box) != nil)
    let a = try #require(ours.layers.first), b = try #require(theirs.layers.first)
    #expect(a.states.count == b.states.count && a.gates.count == b.gates.count)
    for (x, y) in zip(a.states + a.gates, b.states + b.gates) {
      #expect(x.name == y.name)
      for (p, q) in zip(x.units, y.units) { #expect(abs(p.low - q.low) + abs(p.high - q.high) < 1e-4) }
    }
    #expect(b.contraction.isProved && abs(a.contraction.rate - b.contraction.rate) < 1e-4)
  }

  @Test func widthsAreChecked() {
    for width in [0, 8] {
      #expect(throws: LetheError.self) {
        var layer = Recurrent(ProjectedLSTMCell(7, outputSize: width))
        _ = try layer.build(input: [.any, 5])
      }
    }
  }
}
