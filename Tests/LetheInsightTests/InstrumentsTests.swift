import Lethe
import LetheTestSupport
import Testing

@Suite("Instruments: ledger, retention, gradient flow, boundaries")
struct InstrumentsTests {
  func input(_ shape: [Int], seed: UInt64 = 1, scale: Float = 1) -> Tensor {
    Tensor(
      RandomKey(seed: seed).words(shape.reduce(1, *)).map { (Float($0) / 2_147_483_648 - 1) * scale },
      shape: shape)
  }

  @Test(
    "the entries of the ledger add up to the cell",
    arguments: [
      "lstm", "gru", "gru_before", "slstm", "peephole", "budget", "janet", "minlstm", "rglru", "sru",
      "clipped",
    ])
  func ledger(name: String) throws {
    let cell = try #require(CellCatalog.entry(name)?.cell?(9))
    func make<Cell: RecurrentCell>(_ cell: Cell) -> any Layer {
      Recurrent(cell, inputSize: 9, key: RandomKey(seed: 4))
    }
    let layer = make(cell)
    let trace = try #require(layer.record(input([1, 40, 9])).layers[0].memory())
    let ledger = Ledger(trace)
    for t in [0, 1, 17, 39] {
      let entries = ledger.entries(at: t)
      #expect(entries.count == t + 2)
      for unit in 0..<9 {
        let sum = entries.reduce(0) { $0 + $1[unit] }
        let size = entries.reduce(0) { $0 + abs($1[unit]) }
        #expect(abs(sum - trace.value[t][unit]) < 4e-6 * max(1, size), "\(name) step \(t) unit \(unit)")
      }
    }
    let shares = ledger.shares()
    #expect(shares.enumerated().allSatisfy { $1.count == $0 + 2 && abs($1.reduce(0, +) - 1) < 1e-9 })
    // The same from the entries themselves.
    let amounts = ledger.entries(at: 17).map { $0.reduce(0) { $0 + abs($1) } }
    let total = amounts.reduce(0, +)
    #expect(zip(shares[17], amounts).allSatisfy { abs($0 - $1 / total) < 1e-9 })
    let top = ledger.topEntries(at: 17, unit: 3, count: 2)
    #expect(top.count == 2 && abs(top[0].amount) >= abs(top[1].amount))
  }

  @Test("a ledger with known gates")
  func knownLedger() {
    let trace = MemoryTrace(
      state: "cell", times: [0, 1, 2], keep: [[0.5], [0.5], [0]], write: [[1], [2], [4]],
      value: [[5], [4.5], [4]], initial: [8])
    let ledger = Ledger(trace)
    #expect(ledger.entries(at: 1) == [[2], [0.5], [2]])
    #expect(ledger.entries(at: 2) == [[0], [0], [0], [4]])
    #expect(ledger.shares()[1] == [2 / 4.5, 0.5 / 4.5, 2 / 4.5])
    #expect(ledger.age(at: 2) == 1 && ledger.age(of: 0.5, at: 1) == 2)
    #expect(ledger.topEntries(at: 0, unit: 0)[0].step == nil)
  }

  @Test("what a prediction rests on adds up, and is the cell's own where the read-out is linear")
  func predictions() throws {
    let model = Sequential(input: [.any, 5], seed: 3) {
      LSTM(8, layers: 2, bidirectional: true, outputs: .all)
      LSTM(6)
      Dense(4)
    }
    let x = input([1, 12, 5])
    let ledgers = try model.predictionLedgers(x) { $0.columns(2..<3).sum() }
    #expect(ledgers.map(\.layer.path) == ["0", "0", "0", "0", "1"])
    for (_, ledger) in ledgers {
      #expect(abs(ledger.value - ledger.initial - ledger.steps.reduce(0, +) - ledger.remainder) < 1e-9)
    }
    let top = try #require(ledgers.last)
    #expect(abs(top.ledger.value - Double(model(x).scalars[2])) < 1e-5)
    // Right above is a Dense layer: all but its bias rests on steps.
    let bias = Double(try #require(model.parameters.first { $0.name == "2.bias" }).value.scalars[2])
    #expect(abs(top.ledger.remainder - bias) < 1e-5 && top.ledger.initial == 0)
    // By hand: w · (o ⊙ tanh c / c) ⊙ entries at the last step.
    let trace = try #require(top.layer.memory()), o = try #require(top.layer.steps("output", row: 0))
    let weight = try #require(model.parameters.first { $0.name == "2.weight" }).value
    let entries = Ledger(trace).entries(at: 11)
    for k in 0..<12 {
      var sum = 0.0
      for unit in 0..<6 {
        let c = trace.value[11][unit], tanh = 2 / (1 + Elementary.exp(-2 * c)) - 1
        sum += Double(weight[2, unit]) * Double(o[11][unit]) * tanh / c * entries[k + 1][unit]
      }
      #expect(abs(sum - top.ledger.steps[k]) < 1e-5)
    }
  }

  @Test("of two directions all but the bias rests on steps", arguments: [false, true])
  func bothDirections(isWrapped: Bool) throws {
    let model = Sequential(input: [.any, 3], seed: 5) {
      if isWrapped { Bidirectional(LSTM(4)) } else { LSTM(4, bidirectional: true) }
      Dense(2)
    }
    let x = input([1, 7, 3])
    let report = try LookReport(
      .init(model: "m", data: "d", row: 0), of: model, reading: x, classes: ["a", "b"])
    let found = try #require(report.attribution)
    let bias = try #require(model.parameters.first { $0.name == "1.bias" }).value.scalars
    #expect(abs(found.remainder - Double(bias[found.answer == "a" ? 0 : 1])) < 1e-5)
    #expect(report.layers.count == 2 && report.gradients.count == 2 && report.memories.count == 2)
    #expect(!report.certificates.isEmpty && report.steps == 7)
  }

  @Test("a layer that reads backward alone has no ledger, and the report says so")
  func backwardAlone() throws {
    let model = Sequential(input: [.any, 3], seed: 5) {
      ForgettingGateNetwork(4, reversed: true)
      Dense(2)
    }
    let report = try LookReport(
      .init(model: "m", data: "d", row: 0), of: model, reading: input([1, 7, 3]), classes: ["a", "b"])
    #expect(report.ledger == nil && report.notes.contains { $0.contains("from the first step on") })
    #expect(report.layers.map(\.isReversed) == [true] && report.attribution != nil)
    #expect(report.gradients.count == 1 && report.memories.count == 1 && !report.certificates.isEmpty)
  }

  /// What a page says of its gradients, without the names of layers, however the lines break.
  private func sentences(_ report: LookReport) throws -> [String] {
    report.text(width: 1000).split(separator: "\n").filter { $0.contains("of the gradient at") }
      .map { String($0.replacing(", backward,", with: ",").drop { $0 != "," }.dropFirst(2)) }
  }

  @Test(
    "backward, a gradient is what it is forward over the turned input, and is said to reach the last step")
  func gradientsOfBackwardLayers() throws {
    let x = input([1, 8, 3])
    let turned = Tensor((0..<8).flatMap { t in (0..<3).map { x[0, 7 - t, $0] } }, shape: [1, 8, 3])
    func report(_ isReversed: Bool, _ x: Tensor) throws -> LookReport {
      var layer = LSTM(4)
      layer.isReversed = isReversed
      let model = try Sequential(input: [.any, 3], layers: [layer, Dense(2)], seed: 5)
      return try LookReport(.init(model: "m", data: "d", row: 0), of: model, reading: x)
    }
    let (forward, backward) = (try report(false, turned), try report(true, x))
    let flow = backward.gradients[0]
    #expect(flow.isReversed && flow.norms[0] == 1 && flow.norms[7] < 0.9)
    #expect(forward.gradients[0].norms == flow.norms.reversed() && !forward.gradients[0].isReversed)
    let (a, b) = (try sentences(forward), try sentences(backward))
    let percent = try #require(Double(b[0].prefix { $0 != "%" }))
    #expect(abs(percent / 100 - flow.norms[7]) < 1e-3, "\(b)")
    #expect(b[0].contains("% of the gradient at the first step reaches the last step; through a plain"))
    #expect(
      a == [b[0].replacing("the first step", with: "the end").replacing("last step", with: "first step")])

    // The backward one of two directions.
    let both = Sequential(input: [.any, 3], seed: 5) { LSTM(4, bidirectional: true) }
    let two = try LookReport(.init(model: "m", data: "d", row: 0), of: both, reading: x)
    #expect(two.gradients.map(\.isReversed) == [false, true])
    let said = try sentences(two)
    #expect(said.map { $0.contains("reaches the last step") } == [false, true], "\(said)")
  }

  @Test("half-lives of constant gates")
  func halfLives() throws {
    func trace(_ keep: [Double], steps: Int = 20) -> MemoryTrace {
      MemoryTrace(
        state: "cell", times: Array(0..<steps), keep: Array(repeating: keep, count: steps),
        write: Array(repeating: keep.map { _ in 0.1 }, count: steps),
        value: (0..<steps).map { t in
          keep.enumerated().map { Double(t * ($0.offset < 2 ? 1 : $0.offset) % 7) }
        },
        initial: keep.map { _ in 0 })
    }
    let retention = try #require(Retention([trace([0.5, 0.9, 0, 1, 1.2])]))
    let lives = retention.units.map(\.halfLife)
    #expect(abs(lives[0] - 1) < 1e-12 && abs(lives[1] - 6.5788) < 1e-3 && lives[2] == 0)
    #expect(lives[3] == .infinity && lives[4] == .infinity)
    #expect(
      retention.units[2].neverOpens && retention.units[3].neverCloses && !retention.units[1].neverCloses)
    #expect(retention.duplicates.map { [$0.0, $0.1] } == [[0, 1]])
    #expect(retention.steps == 20)
    #expect(Retention([]) == nil)
    // 0.5: nine tenths of the memory are of the last four steps.
    #expect(try #require(Retention([trace([0.5])])).horizon == 4)
  }

  @Test("the gradient's way back is the product of the steps' Jacobians")
  func flow() throws {
    let layer = LSTM(inputSize: 3, hiddenSize: 4, key: RandomKey(seed: 2))
    let x = input([2, 6, 3])
    let recording = layer.record(x).layers[0]
    let flow = try #require(GradientFlow(recording, row: 1))
    #expect(flow.norms.count == 7 && flow.norms[6] == 1 && flow.from == 5)
    // By differences: the state after the last step from a state before the first.
    var jacobian: [[Double]] = []
    for index in 0..<8 {
      var ends: [[Float]] = []
      for sign: Float in [-1, 1] {
        var state = Array(repeating: Float(0), count: 8)
        state[index] = sign * 0.02
        let parts = [Array(state[..<4]), Array(state[4...])].map { Variable(Tensor($0, shape: [1, 4])) }
        let run = layer.run(
          Variable(x.rows(1..<2)), from: RecurrentState(hidden: [parts[0]], cell: [parts[1]]))
        ends.append(run.state.hidden[0].tensor.scalars + run.state.cell[0].tensor.scalars)
      }
      jacobian.append(zip(ends[0], ends[1]).map { Double($1 - $0) / 0.04 })
    }
    let frobenius = jacobian.joined().reduce(0) { $0 + $1 * $1 }.squareRoot()
    #expect(abs(frobenius / 8.0.squareRoot() - flow.meanNorms[0]) < 2e-3 * max(1, frobenius))
    #expect(flow.norms[0] <= frobenius * 1.01 && flow.norms[0] >= frobenius / 3)
    // The cell path is the product of the forget gates.
    let forget = try #require(recording.steps("forget", row: 1))
    let products = (0..<4).map { unit in forget.reduce(1.0) { $0 * Double($1[unit]) } }
    #expect(abs(products.reduce(0, +) / 4 - flow.cellPath[0]) < 1e-9)
    // A state of more than 256 numbers is seen along 64 directions.
    let wide = LSTM(inputSize: 3, hiddenSize: 150, key: RandomKey(seed: 2)).record(x).layers[0]
    let some = try #require(GradientFlow(wide))
    #expect(
      some.norms[6] == 1 && some.norms[5] > 0.2 && some.norms[5] < 3 && some.meanNorms[5] < some.norms[5])
    // A reset cuts the way back.
    let cut = layer.record(
      x,
      timing: Timing(resets: [
        [false, false, false, true, false, false], .init(repeating: false, count: 6),
      ])
    ).layers[0]
    #expect(try #require(GradientFlow(cut)).norms.prefix(4) == [0, 0, 0, 0])
  }

  @Test(
    "r^T: a scaled rotation vanishes, holds or explodes",
    arguments: [(0.9, 150), (1, 60), (1.2, 60), (0.75, 400), (1.1, 400)] as [(Float, Int)])
  func powers(r: Float, time: Int) throws {
    var rnn = RNN(inputSize: 1, hiddenSize: 5, activation: .relu, key: RandomKey(seed: 1))
    rnn.forEachParameter { name, parameter in
      var scalars = [Float](repeating: 0, count: parameter.value.count)
      if name == "weight_hh_l0" { for i in 0..<5 { scalars[i * 5 + (i + 1) % 5] = r } }
      if name == "bias_ih_l0" { scalars = scalars.map { _ in 0.1 } }
      parameter.value = Tensor(scalars, shape: parameter.shape)
    }
    let flow = try #require(GradientFlow(rnn.record(Tensor(zeros: [1, time, 1])).layers[0]))
    let expected = Elementary.exp(Double(time) * Elementary.log(Double(r)))
    #expect(abs(flow.norms[0] / expected - 1) < 1e-3 && abs(flow.factor - Double(r)) < 1e-4)
    switch flow.verdict {
    case .vanishes(let step): #expect(r < 1 && step == 0 || r < 1 && step < time)
    case .explodes: #expect(r > 1)
    case .reaches: #expect(r == 1)
    }
  }

  @Test("boundaries are found where units forget together, and not where chance does")
  func boundaries() throws {
    let words = RandomKey(seed: 5).words(200 * 16).map { Double($0) / 4_294_967_296 }
    func trace(together: Set<Int>) -> MemoryTrace {
      let keep = (0..<200).map { t in
        (0..<16).map { unit in together.contains(t) ? 0.05 : 0.6 + 0.39 * words[t * 16 + unit] }
      }
      return MemoryTrace(
        state: "cell", times: Array(0..<200), keep: keep, write: keep, value: keep,
        initial: [Double](repeating: 0, count: 16))
    }
    let real = Boundaries(trace(together: [40, 90, 150]))
    #expect(real.found.map(\.step) == [40, 90, 150] && real.scores[0] == 0)
    #expect(real.found.allSatisfy { $0.probability < 0.02 && $0.score > real.threshold })
    #expect(Boundaries(trace(together: [])).found.count <= 2)
    let agreement = try #require(real.agreement(with: [40, 90, 150]))
    #expect(agreement.probability == 1.0 / 200)
    #expect(try #require(real.agreement(with: [10, 60, 120])).probability > 0.05)
    #expect(real.agreement(with: [200]) == nil && real.agreement(with: []) == nil)
    let still = MemoryTrace(
      state: "cell", times: [0, 1], keep: [[1], [1]], write: [[0], [0]], value: [[0], [0]], initial: [0])
    #expect(Boundaries(still).found.isEmpty)
  }

  @Test("a stream tells what the whole sequence tells, and rings where the forget gates close")
  func stream() throws {
    var lstm = LSTM(inputSize: 3, hiddenSize: 8, key: RandomKey(seed: 6))
    // Feature 1 closes every forget gate.
    lstm.forEachParameter { name, parameter in
      if name == "weight_ih_l0" {
        var scalars = parameter.value.scalars
        for unit in 8..<16 { scalars[unit * 3 + 1] = -6 }
        parameter.value = Tensor(scalars, shape: parameter.shape)
      }
    }
    var scalars = input([1, 60, 3], scale: 0.2).scalars
    scalars[45 * 3 + 1] = 2
    let x = Tensor(scalars, shape: [1, 60, 3])
    let whole = lstm.record(x).layers[0]
    var stream = lstm.stream(), alarm = ForgetAlarm()
    stream.recordsGates = true
    var events: [ForgetAlarm.Event] = []
    for t in 0..<60 {
      let y = stream.step(Array(scalars[t * 3..<t * 3 + 3]))
      let step = stream.recordings[0]
      #expect(y == whole.steps("hidden", row: 0)?[t])
      for name in ["input", "forget", "candidate", "output", "cell"] {
        #expect(step[name]?.scalars == whole.steps(name, row: 0)?[t], "\(name) at step \(t)")
      }
      if let event = alarm.look(at: step) { events.append(event) }
    }
    #expect(events.map(\.step) == [45])
    #expect(events.first?.features.first?.feature == 1)
    #expect((events.first?.features.first?.effect ?? 0) > 0.3)
    #expect((events.first?.units.count ?? 0) >= 4)
  }
}
