import Lethe
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

  /// The printed equations, one step and unit at a time, in doubles.
  func naive(_ network: ForgettingGateNetwork, _ x: Tensor, row: Int, m: [Double], c: [Double]) -> [[Double]]
  {
    let p = Dictionary(
      uniqueKeysWithValues: network.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
    func value(_ name: String) -> [Double] { p[name] ?? [] }
    let twin = NaiveTwin(
      network.memory.cell.description, units: 6,
      parts: ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].map { value("memory." + $0) })
    var state = NaiveTwin.State([m, c])
    return (0..<lengths[row]).map { t in
      if resets[row][t] { state = .init([[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]]) }
      let input = (0..<4).map { Double(x[row, t, $0]) }
      let before = state.h
      state = twin.next(input, state)
      return (0..<6).map { unit in
        let f = NaiveTwin.sigmoid(
          value("gate.bias")[unit]
            + (0..<4).reduce(0) { $0 + value("gate.weight")[unit * 4 + $1] * input[$1] })
        var m = state.h[unit]
        // m = o tanh(c), so o = m / tanh(c).
        if network.outputGate == .twice { m *= state.h[unit] / NaiveTwin.tanh(state.c[unit]) }
        var z = 0.0
        if network.recall == .previousMemory {
          z = (0..<6).reduce(0) { $0 + value("recall.weight")[unit * 6 + $1] * before[$1] }
        }
        return f * m + (1 - f) * z
      }
    }
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
        let steps = naive(
          network, x, row: row, m: (0..<6).map { Double(m[row, $0]) }, c: (0..<6).map { Double(c[row, $0]) })
        return total + steps.joined().reduce(0, +)
      }
    }
    for row in 0..<3 {
      let steps = naive(
        network, x, row: row, m: (0..<6).map { Double(m[row, $0]) }, c: (0..<6).map { Double(c[row, $0]) })
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
