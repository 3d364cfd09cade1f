import LetheCore

/// A matrix memory again, slow and obvious: one sequence, one step, one number at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct MatrixMemoryTwin: NamedTwin, SteppedTwin {
  let layer: MatrixMemory
  package let names: [String]
  /// The parameters, in the order of `visitParameters`.
  package var parts: [Vector]

  package init(_ layer: MatrixMemory) {
    self.layer = layer
    names = layer.parameters.map(\.name)
    parts = layer.parameters.map { $0.value.scalars.map(Double.init) }
  }

  /// The state's parts are S, n and m.
  package func step(_ x: Vector, _ state: inout NaiveTwin.State) -> Vector {
    let (heads, key, value) = (layer.heads, layer.keySize, layer.valueSize)
    let q = product("weight_q", x), v = product("weight_v", x)
    let k = layer.rule.hasKeys ? product("weight_k", x) : []
    let gate = zip(product("weight_gate", x), part("bias_gate")).map { $0 + $1 }
    var read: Vector = []
    for head in 0..<heads {
      let keys = head * key..<(head + 1) * key
      let v = Array(v[head * value..<(head + 1) * value])
      func keep(_ j: Int, _ c: Int) -> Int { (head * key + j) * value + c }
      var o = Vector(repeating: 0, count: value)
      switch layer.rule {
      case .mLSTM:
        let q = Array(q[keys]), k = k[keys].map { $0 / Double(key).squareRoot() }
        let n = Array(state.parts[1][keys]), m = state.parts[2][head]
        let kept = -NaiveTwin.softplus(-gate[head]) + m, input = gate[heads + head]
        let top = n.allSatisfy { $0 == 0 } ? input : max(kept, input)
        let f = Elementary.exp(kept - top), i = Elementary.exp(input - top)
        for j in 0..<key {
          state.parts[1][head * key + j] = f * n[j] + i * k[j]
          for c in 0..<value { state.parts[0][keep(j, c)] = f * state.parts[0][keep(j, c)] + i * k[j] * v[c] }
        }
        state.parts[2][head] = top
        let weight = dot(Array(state.parts[1][keys]), q)
        let divisor = max(abs(weight), Elementary.exp(-top)) + 1e-6
        for c in 0..<value {
          for j in 0..<key { o[c] += state.parts[0][keep(j, c)] * q[j] / divisor }
        }
      case .gatedLinearAttention:
        for j in 0..<key {
          let a = Elementary.exp(-NaiveTwin.softplus(-gate[head * key + j]) / 16)
          for c in 0..<value {
            state.parts[0][keep(j, c)] = a * state.parts[0][keep(j, c)] + k[head * key + j] * v[c]
            o[c] += state.parts[0][keep(j, c)] * q[head * key + j] / Double(key).squareRoot()
          }
        }
      case .hgrn2(let lowerBound):
        let bound = Double(lowerBound)
        for j in 0..<key {
          let f = bound + (1 - bound) * sigmoid(gate[head * key + j]), query = q[head * key + j]
          for c in 0..<value {
            state.parts[0][keep(j, c)] = f * state.parts[0][keep(j, c)] + (1 - f) * v[c]
            o[c] += state.parts[0][keep(j, c)] * query * sigmoid(query)
          }
        }
      case .gatedDeltaNet(let negative):
        let q = unit(Array(q[keys])), k = unit(Array(k[keys]))
        let decay = Elementary.exp(-Elementary.exp(part("log_rate")[head]) * NaiveTwin.softplus(gate[head]))
        let strength = (negative ? 2 : 1) * sigmoid(gate[heads + head])
        for c in 0..<value {
          var held = 0.0
          for j in 0..<key { held += decay * state.parts[0][keep(j, c)] * k[j] }
          for j in 0..<key {
            state.parts[0][keep(j, c)] = decay * state.parts[0][keep(j, c)] + k[j] * strength * (v[c] - held)
            o[c] += state.parts[0][keep(j, c)] * q[j] / Double(key).squareRoot()
          }
        }
      }
      read += layer.normalizesHeads ? normalised(o) : o
    }
    return product("weight_out", read)
  }

  private func normalised(_ o: Vector) -> Vector {
    let mean = o.reduce(0, +) / Double(o.count)
    let variance = o.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(o.count)
    return zip(o, part("weight_norm")).map { ($0 - mean) / (variance + 1e-5).squareRoot() * $1 }
  }

  private func unit(_ x: Vector) -> Vector { x.map { $0 / (dot(x, x) + 1e-6).squareRoot() } }
  private func dot(_ a: Vector, _ b: Vector) -> Double { zip(a, b).map { $0 * $1 }.reduce(0, +) }
  private func sigmoid(_ x: Double) -> Double { 1 / (1 + Elementary.exp(-x)) }
}
