import LetheCore

/// A Forgetting Gate Network again, slow and obvious: one sequence, one step, one number at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct ForgettingGateTwin: NamedTwin, SteppedTwin {
  let network: ForgettingGateNetwork
  package let names: [String]
  package var parts: [Vector]

  package init(_ network: ForgettingGateNetwork) {
    self.network = network
    names = network.parameters.map(\.name)
    parts = network.parameters.map { $0.value.scalars.map(Double.init) }
  }

  /// The state's parts are m and c.
  package func step(_ x: Vector, _ state: inout NaiveTwin.State) -> Vector {
    let width = network.hiddenSize, (m, c) = (state.parts[0], state.parts[1])
    let s = added(product("gate.weight", x), part("gate.bias"))
    let sums = added(
      added(product("memory.weight_ih_l0", x), product("memory.weight_hh_l0", m)),
      added(part("memory.bias_ih_l0"), part("memory.bias_hh_l0")))
    let z = network.recall == .zero ? m.map { _ in 0 } : product("recall.weight", m)
    var y: Vector = []
    for unit in 0..<width {
      let i = NaiveTwin.sigmoid(sums[unit]), forget = NaiveTwin.sigmoid(sums[width + unit])
      let u = NaiveTwin.tanh(sums[2 * width + unit]), o = NaiveTwin.sigmoid(sums[3 * width + unit])
      let next = forget * c[unit] + i * u, reading = o * NaiveTwin.tanh(next)
      (state.parts[0][unit], state.parts[1][unit]) = (reading, next)
      let f = NaiveTwin.sigmoid(s[unit])
      y.append(f * (network.outputGate == .twice ? o : 1) * reading + (1 - f) * z[unit])
    }
    return y
  }

  private func added(_ a: Vector, _ b: Vector) -> Vector { zip(a, b).map { $0 + $1 } }
}
