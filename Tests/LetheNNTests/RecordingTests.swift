import Lethe
import LetheTestSupport
import Testing

@Suite("Recording what gates do, and changing it")
struct RecordingTests {
  static let units = 7
  /// Cells that a [batch, time, 7] input fits, each as a layer.
  static let cells = CellCatalog.all.filter { entry in
    func fits<Cell: RecurrentCell>(_ cell: Cell) -> Bool {
      var layer = Recurrent(cell)
      return (try? layer.build(input: [5, units])) != nil
    }
    return entry.cell.map { fits($0(units)) } ?? false
  }.map(\.name)

  func layer(_ name: String, outputs: RecurrentOutputs = .all) throws -> any Layer {
    func make<Cell: RecurrentCell>(_ cell: Cell) -> any Layer {
      Recurrent(cell, inputSize: Self.units, outputs: outputs, key: RandomKey(seed: 3))
    }
    let cell = try #require(CellCatalog.entry(name)?.cell?(Self.units))
    return make(cell)
  }

  func input(_ shape: [Int], seed: UInt64 = 1) -> Tensor {
    Tensor(
      RandomKey(seed: seed).words(shape.reduce(1, *)).map { Float($0) / 2_147_483_648 - 1 }, shape: shape)
  }

  @Test("the output is the same, and the memory is keep · before + write", arguments: cells)
  func memory(name: String) throws {
    let layer = try layer(name)
    let x = input([3, 5, Self.units])
    let timing = Timing(
      lengths: [5, 2, 4],
      resets: [
        [false, false, true, false, false], .init(repeating: false, count: 5),
        .init(repeating: false, count: 5),
      ])
    let plain = layer(Variable(x, timing: timing)).tensor
    let recording = layer.record(x, timing: timing)
    #expect(recording.output.scalars == plain.scalars)
    let own = try #require(recording.layers.first)
    #expect(own["hidden"]?.scalars == plain.scalars)
    for row in 0..<3 {
      let trace = try #require(own.memory(row: row), "\(name) has no memory of the form keep · c + write")
      #expect(trace.count == [5, 2, 4][row])
      var before = trace.initial
      for t in 0..<trace.count {
        for unit in 0..<Self.units {
          let sum = trace.keep[t][unit] * before[unit] + trace.write[t][unit]
          #expect(abs(sum - trace.value[t][unit]) < 2e-6 * max(1, abs(sum)), "\(name) step \(t)")
        }
        before = trace.value[t]
      }
    }
  }

  @Test("the twin on the tape agrees with the engine", arguments: cells)
  func twin(name: String) throws {
    let layer = try layer(name)
    let x = input([2, 6, Self.units])
    let engine = layer.record(x)
    let twin = try layer.gateGradients(x) { $0.sum() }.recording
    #expect(largestDifference(engine.output, twin.output) < 3e-6)
    for (name, tensor) in engine.layers[0].values {
      let other = try #require(twin.layers[0][name], "the twin has no '\(name)'")
      #expect(largestDifference(tensor, other) < 1e-5, "\(name)")
    }
  }

  @Test(
    "gradients of gates and states are differences",
    arguments: ["lstm", "gru", "gru_before", "slstm", "peephole", "janet"])
  func gradients(name: String) throws {
    let layer = try layer(name, outputs: .last)
    let x = input([1, 4, Self.units])
    let weights = input([1, Self.units], seed: 9)
    func loss(_ y: Tensor) -> Double {
      zip(y.scalars, weights.scalars).reduce(0) { $0 + Double($1.0) * Double($1.1) }
    }
    let result = try layer.gateGradients(x) { ($0 * Variable(weights)).sum() }
    let own = result.recording.layers[0]
    var checked = 0
    for gradient in result.gradients where gradient.name != GateGradient.layerOutput {
      let values = try #require(own[gradient.name])
      for index in stride(from: 0, to: values.count, by: 5) {
        var sides: [Double] = []
        let step: Float = 0.02
        for sign: Float in [-1, 1] {
          var moved = values.scalars
          moved[index] += sign * step
          let t = index / Self.units, unit = index % Self.units
          let change = Intervention(
            gradient.name, .replace(Tensor(moved, shape: values.shape)), units: [unit], steps: t..<t + 1)
          sides.append(loss(try layer.operated(x, [change]).output))
        }
        let difference = (sides[1] - sides[0]) / Double(2 * step)
        #expect(
          abs(difference - Double(gradient.values.scalars[index])) < 4e-3, "\(name) \(gradient.name) \(index)"
        )
        checked += 1
      }
    }
    #expect(checked >= 18)
  }

  @Test("a gate that is itself kept as a state is recorded and changed like any other")
  func gatesThatAreStates() throws {
    let layer = try layer("fgr")
    let x = input([1, 4, Self.units])
    let own = layer.record(x).layers[0]
    #expect(own["forget"]?.scalars == own["forget_gate"]?.scalars && own["forget"] != nil)
    let held = try layer.operated(x, [.init("forget", .set(1)), .init("input", .set(0))]).layers[0]
    let cells = try #require(held.steps("cell", row: 0))
    #expect(cells.allSatisfy { $0.allSatisfy { $0 == 0 } })
    let names = try layer.gateGradients(x) { $0.sum() }.gradients.map(\.name)
    #expect(names.contains("forget") && names.contains("forget_gate"))
  }

  @Test("an output that is the cell itself has all of it in view")
  func bareCell() throws {
    let cell = LSTMCell(6, recipe: LSTMRecipe(outputGate: false, outputActivation: false))
    let layer = Recurrent(cell, inputSize: 3, key: RandomKey(seed: 1))
    let own = layer.record(input([1, 4, 3])).layers[0]
    #expect(own.readOut() == Array(repeating: Array(repeating: 1, count: 6), count: 4))
    #expect(own.memory() != nil)
  }

  @Test("logits of a model inside a model have its layers in view")
  func nestedLogits() throws {
    let model = Sequential(input: [.any, 3], seed: 2) {
      Dense(4)
      Sequential {
        LSTM(5)
        Dense(3, activation: .softmax)
      }
    }
    let x = input([1, 6, 3])
    let result = try model.gateGradients(x, logits: true) { $0.columns(1..<2).sum() }
    #expect(result.recording.layers.map(\.path) == ["1.0"])
    #expect(abs(result.value - model.logits(Variable(x)).tensor.scalars[1]) < 1e-5)
  }

  @Test("layers, directions and places in a model have names; only what is asked for is kept")
  func places() throws {
    let model = Sequential(input: [.any, 5], seed: 2) {
      LSTM(6, layers: 2, bidirectional: true, outputs: .all)
      Residual { GRU(12, outputs: .all) }
      ForgettingGateNetwork(4)
      Dense(3)
    }
    let x = input([2, 5, 5])
    let recording = model.record(x, keeping: { $0 == "forget" || $0 == "update" })
    #expect(recording.output.scalars == model(x).scalars)
    #expect(recording.layers.map(\.path) == ["0", "0", "0", "0", "1.inner.0", "2.memory"])
    #expect(recording.layers.map(\.isReversed) == [false, true, false, true, false, false])
    #expect(recording.layers.map(\.layer) == [0, 0, 1, 1, 0, 0])
    #expect(
      recording.layers.map { $0.values.keys.sorted() } == [
        ["forget"], ["forget"], ["forget"], ["forget"], ["update"], ["forget"],
      ])
    #expect(recording.layers[0].memory() == nil, "its candidate was not kept")
    #expect(recording.layers[0].steps("forget", row: 1)?.count == 5)
    // A backward direction's memory walks backward.
    let all = model.record(x).layers
    #expect(all[1].memory()?.times == [4, 3, 2, 1, 0])
  }

  @Test("a clamped gate does what the equations say")
  func clamped() throws {
    let layer = LSTM(inputSize: 3, hiddenSize: 4, outputs: .all, key: RandomKey(seed: 1))
    let x = input([2, 6, 3])
    let plain = layer.record(x).layers[0]
    // f = 1 and i = 0 from step 3 on: the cell stays.
    let held = try layer.operated(
      x, [.init("forget", .set(1), steps: 3..<6), .init("input", .set(0), steps: 3..<6)])
    let cells = try #require(held.layers[0].steps("cell", row: 1))
    #expect(cells[3] == cells[2] && cells[5] == cells[2])
    #expect(cells[2].elementsEqual(try #require(plain.steps("cell", row: 1))[2]) { abs($0 - $1) < 1e-6 })
    // One unit shut: its output is 0, the others' at that step are not.
    let shut = try layer.operated(x, [.init("output", .set(0), units: [2])])
    for step in try #require(shut.layers[0].steps("hidden", row: 0)) {
      #expect(step[2] == 0 && step[1] != 0)
    }
    let frozen = try layer.operated(x, [.init("candidate", .freeze, steps: 2..<4)])
    let candidates = try #require(frozen.layers[0].steps("candidate", row: 0))
    #expect(
      candidates[2] == candidates[1] && candidates[3] == candidates[1] && candidates[4] != candidates[1])
    let halved = try layer.operated(x, [.init("cell", .scale(0.5), steps: 5..<6)])
    let (a, b) = (
      try #require(plain.steps("cell", row: 0)), try #require(halved.layers[0].steps("cell", row: 0))
    )
    #expect(zip(a[5], b[5]).allSatisfy { abs($0 * 0.5 - $1) < 1e-6 })
  }

  @Test("a change that finds nothing is refused")
  func refused() {
    let layer = LSTM(inputSize: 3, hiddenSize: 4, key: RandomKey(seed: 1))
    let x = input([1, 5, 3])
    for change in [
      Intervention("reset", .set(1)), Intervention("forget", .set(1), units: [4]),
      Intervention("forget", .set(1), steps: 3..<6), Intervention("forget", .set(1), path: "7"),
      Intervention("forget", .replace(Tensor(zeros: [1, 5, 3]))),
    ] {
      #expect(throws: LetheError.self) { try layer.operated(x, [change]) }
    }
  }

  private func largestDifference(_ a: Tensor, _ b: Tensor) -> Float {
    zip(a.scalars, b.scalars).reduce(0) { max($0, abs($1.0 - $1.1)) }
  }
}
