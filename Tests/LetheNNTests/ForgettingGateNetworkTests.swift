import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct ForgettingGateNetworkTests {
  static let variants: [(ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)] = [
    (.zero, .once), (.zero, .twice), (.previousMemory, .once), (.previousMemory, .twice),
  ]
  let x = numbers("x", [3, 5, 4])
  let lengths = [5, 3, 4]
  let resets = [
    [false, false, true, false, false], [false, true, false, false, false],
    [true, false, false, true, false],
  ]

  func network(_ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate))
    -> ForgettingGateNetwork
  {
    var network = ForgettingGateNetwork(inputSize: 4, hiddenSize: 6, recall: variant.0, outputGate: variant.1)
    network.forEachParameter { name, parameter in parameter.value = numbers(name, parameter.shape, scale: 0.6)
    }
    return network
  }

  /// The outputs of the equations in doubles.
  func naive(_ network: ForgettingGateNetwork, _ x: Tensor, row: Int, m: Tensor, c: Tensor) -> [[Double]] {
    func doubles(_ tensor: Tensor) -> [Double] { tensor.rows(row..<row + 1).scalars.map(Double.init) }
    let steps = (0..<lengths[row]).map { t in (0..<4).map { Double(x[row, t, $0]) } }
    return ForgettingGateTwin(network).run(steps, from: .init([doubles(m), doubles(c)]), resets: resets[row])
      .outputs
  }

  @Test(arguments: variants) func isThePrintedEquations(
    _ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)
  ) throws {
    let network = network(variant)
    let m = numbers("m", [3, 6]), c = numbers("c", [3, 6])
    let state = RecurrentState(hidden: [Variable(m)], cell: [Variable(c)])
    let y = network.run(Variable(x, timing: Timing(lengths: lengths, resets: resets)), from: state).output
      .tensor
    func loss(_ x: Tensor, _ m: Tensor, _ c: Tensor, _ network: ForgettingGateNetwork) -> Double {
      (0..<3).reduce(0) { total, row in
        total + naive(network, x, row: row, m: m, c: c).joined().reduce(0, +)
      }
    }
    for row in 0..<3 {
      let steps = naive(network, x, row: row, m: m, c: c)
      for t in 0..<5 {
        for unit in 0..<6 {
          let expected = t < lengths[row] ? steps[t][unit] : 0
          #expect(abs(Double(y[row, t, unit]) - expected) < 3e-6)
        }
      }
    }

    // Gradients of the sum over real steps against finite differences of the equations.
    var mask = Tensor(zeros: [3, 5, 6])
    for row in 0..<3 { for t in 0..<lengths[row] { for unit in 0..<6 { mask[row, t, unit] = 1 } } }
    let realSteps = mask
    var watched: [Variable] = []
    let (_, gradients) = network.gradients { network, tape in
      let (x, m, c) = (
        tape.watched(self.x, timing: Timing(lengths: lengths, resets: resets)), tape.watched(m),
        tape.watched(c)
      )
      watched = [x, m, c]
      return (network.run(x, from: RecurrentState(hidden: [m], cell: [c])).output * Variable(realSteps)).sum()
    }
    let step: Float = 1 / 512
    for (number, value) in watched.enumerated() {
      let ours = try #require(gradients[value]).scalars
      for i in stride(from: 0, to: ours.count, by: 3) {
        func at(_ amount: Float) -> Double {
          var parts = [x, m, c]
          var scalars = parts[number].scalars
          scalars[i] += amount
          parts[number] = Tensor(scalars, shape: parts[number].shape)
          return loss(parts[0], parts[1], parts[2], network)
        }
        let slope = (at(step) - at(-step)) / Double(2 * step)
        #expect(abs(Double(ours[i]) - slope) < 2e-3 * (1 + abs(slope)), "input \(number)[\(i)]")
      }
    }
    for (name, gradient) in gradients.named(for: network) {
      for i in stride(from: 0, to: gradient.count, by: 7) {
        func at(_ amount: Float) -> Double {
          var other = network
          other.forEachParameter { own, parameter in
            guard own == name else { return }
            parameter.value.withUnsafeMutableBuffer { $0[i] += amount }
          }
          return loss(x, m, c, other)
        }
        let slope = (at(step) - at(-step)) / Double(2 * step)
        #expect(abs(Double(gradient.scalars[i]) - slope) < 2e-3 * (1 + abs(slope)), "\(name)[\(i)]")
      }
    }
  }

  @Test(arguments: variants) func wholeIsChunks(
    _ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)
  ) {
    let network = network(variant)
    let whole = network.run(Variable(x))
    func steps(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
      let width = tensor.shape[2]
      return Tensor(
        (0..<3).flatMap {
          tensor.scalars[($0 * 5 + range.lowerBound) * width..<($0 * 5 + range.upperBound) * width]
        },
        shape: [3, range.count, width])
    }
    let first = network.run(Variable(steps(x, 0..<2)))
    let second = network.run(Variable(steps(x, 2..<5)), from: first.state)
    #expect(sameBits(first.output.tensor, steps(whole.output.tensor, 0..<2)))
    #expect(sameBits(second.output.tensor, steps(whole.output.tensor, 2..<5)))
    #expect(sameBits(second.state.hidden[0].tensor, whole.state.hidden[0].tensor))
  }

  @Test(arguments: variants) func aStreamIsTheWholeSequence(
    _ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)
  ) {
    // Off the vector width, and wider than one vector.
    var network = ForgettingGateNetwork(
      inputSize: 4, hiddenSize: 21, recall: variant.0, outputGate: variant.1)
    network.forEachParameter { name, parameter in parameter.value = numbers(name, parameter.shape, scale: 0.6)
    }
    let x = numbers("stream", [1, 20, 4]), whole = network.run(Variable(x))
    var stream = network.stream()
    #expect(stream.inputSize == 4 && stream.outputSize == 21)
    func step(_ t: Int) -> [Float] { stream.step((0..<4).map { x[0, t, $0] }) }
    let first = (0..<12).flatMap(step)
    var fork = stream
    let state = stream.state
    let rest = (12..<20).flatMap(step)
    #expect(sameBits(Tensor(first + rest, shape: [1, 20, 21]), whole.output.tensor))
    #expect(sameBits(stream.state.hidden[0].tensor, whole.state.hidden[0].tensor))
    #expect(sameBits(stream.state.cell[0].tensor, whole.state.cell[0].tensor))
    // A fork goes on from where it was, a state from where it was taken, and a reset from nothing.
    #expect(fork.step((0..<4).map { x[0, 12, $0] }) == Array(rest[0..<21]))
    stream.state = state
    #expect(step(12) == Array(rest[0..<21]))
    stream.reset()
    #expect(step(0) == Array(first[0..<21]))
  }

  @Test(arguments: variants) func aStreamingStepTakesNoBuffer(
    _ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)
  ) {
    var stream = network(variant).stream()
    let x = numbers("x", [4])
    x.withUnsafeBuffer { x in
      stream.step(x)
      let before = MemoryUse.takenHere
      for _ in 0..<3 { stream.step(x) }
      #expect(MemoryUse.takenHere == before)
    }
  }

  /// The gates of a step are those of the whole sequence, and looking at them changes no output.
  @Test(arguments: variants) func aStreamKeepsItsGates(
    _ variant: (ForgettingGateNetwork.Recall, ForgettingGateNetwork.OutputGate)
  ) throws {
    let network = network(variant), x = numbers("gates", [1, 5, 4])
    let whole = try #require(network.record(x).layers.first)
    let y = network(x)
    var stream = network.stream()
    for t in 0..<5 {
      // To begin or end recording leaves the state.
      if t == 3 { stream.recordsGates = false }
      stream.recordsGates = true
      #expect(stream.step((0..<4).map { x[0, t, $0] }) == (0..<6).map { y[0, t, $0] })
      let own = try #require(stream.recordings.first)
      #expect(own.others == whole.others && own.isGate("read-out"))
      for (name, value) in whole.values {
        #expect(own[name]?.scalars == (0..<6).map { value[0, t, $0] }, "\(name)")
      }
      #expect(own.values.count == whole.values.count)
    }
    stream.recordsGates = false
    #expect(stream.step((0..<4).map { x[0, 4, $0] }).count == 6)
  }

  @Test func aStreamTakesNothingElse() async {
    await #expect(processExitsWith: .failure) {
      var stream = ForgettingGateNetwork(inputSize: 3, hiddenSize: 4).stream()
      _ = stream.step([1, 2])
    }
    await #expect(processExitsWith: .failure) {
      _ = ForgettingGateNetwork(inputSize: 3, hiddenSize: 4, reversed: true).stream()
    }
    await #expect(processExitsWith: .failure) { _ = ForgettingGateNetwork(4).stream() }
    await #expect(processExitsWith: .failure) {
      _ = ForgettingGateNetwork(inputSize: 3, hiddenSize: 4).stream().recordings
    }
  }

  /// Of a network that reads backward too, the gates lie in time order and explain its outputs.
  @Test(arguments: [false, true]) func gatesLieInTimeOrder(_ isReversed: Bool) throws {
    var network = network((.zero, .once))
    network.isReversed = isReversed
    let x = numbers("gates", [1, 5, 4]), y = network(x)
    let recording = try #require(network.record(x).layers.first)
    #expect(recording.isReversed == isReversed && recording.path == "memory")
    let f = try #require(recording["read-out"]), m = try #require(recording["hidden"])
    #expect(sameBits(f * m, y))
    #expect(sameBits(try #require(network.memoryGates(x)["forget"]), try #require(recording["forget"])))
    #expect(
      recording.memory()?.times == (isReversed ? [4, 3, 2, 1, 0] : [0, 1, 2, 3, 4]))
    // The twin on the tape walks the same way.
    let same = try network.gateGradients(x) { $0.sum() }.recording
    #expect(difference(same.output, y) < 3e-6)
  }

  @Test func bothForgetGatesStartAtBiasOne() {
    let network = ForgettingGateNetwork(inputSize: 4, hiddenSize: 6)
    let named = Dictionary(uniqueKeysWithValues: network.parameters.map { ($0.name, $0.value) })
    #expect(named["gate.bias"]?.scalars == Array(repeating: 1, count: 6))
    #expect(named["memory.bias_ih_l0"]?.scalars[6..<12].allSatisfy { $0 == 1 } == true)
    #expect(named["recall.weight"] == nil)
    let gates = network.keepGates(Tensor(zeros: [1, 1, 4])).scalars
    #expect(gates.allSatisfy { abs($0 - 0.7310586) < 1e-6 })
  }

  @Test func lastIsTheLastRealStep() {
    var network = network((.previousMemory, .twice))
    let all = network.run(Variable(x, timing: Timing(lengths: lengths))).output.tensor
    network.outputs = .last
    let last = network.run(Variable(x, timing: Timing(lengths: lengths))).output.tensor
    for row in 0..<3 { for unit in 0..<6 { #expect(last[row, unit] == all[row, lengths[row] - 1, unit]) } }
  }
}
