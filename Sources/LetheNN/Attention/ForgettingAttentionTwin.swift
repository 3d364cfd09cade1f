import LetheCore

/// Forgetting attention again, slow and obvious: one sequence, one pair of steps, one number at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct ForgettingAttentionTwin: NamedTwin {
  let layer: ForgettingAttention
  package let names: [String]
  /// The parameters, in the order of `visitParameters`.
  package var parts: [Vector]

  package init(_ layer: ForgettingAttention) {
    self.layer = layer
    names = layer.parameters.map(\.name)
    parts = layer.parameters.map { $0.value.scalars.map(Double.init) }
  }

  /// From an empty cache alone, which is no number to hand on: its state has no parts.
  package func run(_ x: [Vector], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [Vector], state: NaiveTwin.State
  ) { (run(x, resets: resets), state) }

  /// The outputs of one sequence.
  package func run(_ x: [Vector], resets: [Bool]? = nil) -> [Vector] {
    let q = x.map { product("weight_q", $0) }, k = x.map { product("weight_k", $0) }
    let v = x.map { product("weight_v", $0) }
    let logForget = x.map { x in
      zip(product("weight_forget", x), part("bias_forget")).map { sum in
        let gate = sum.0 + sum.1
        return -(max(-gate, 0) + Elementary.log(1 + Elementary.exp(-abs(gate))))
      }
    }
    let d = layer.headSize
    var seen = Array(repeating: Seen(first: 0, query: 0, key: 0), count: layer.heads)
    return x.indices.map { i in
      var read: Vector = []
      for head in 0..<layer.heads {
        let own = head * d..<(head + 1) * d
        if resets?[i] == true { seen[head] = Seen(first: i, query: 0, key: 0) }
        seen[head].query = max(seen[head].query, norm(Array(q[i][own])))
        seen[head].key = max(seen[head].key, norm(Array(k[i][own])))
        if let pruning = layer.pruning {
          let spread = 2 * seen[head].query * seen[head].key / Double(d).squareRoot()
          while (seen[head].first + 1..<i + 1).map({ logForget[$0][head] }).reduce(0, +) + spread
            < Elementary.log(Double(pruning)), seen[head].first < i
          { seen[head].first += 1 }
        }
        let first = seen[head].first
        let scores = (first...i).map { j in
          dot(Array(q[i][own]), Array(k[j][own])) / Double(d).squareRoot()
            + (j + 1..<i + 1).map { logForget[$0][head] }.reduce(0, +)
        }
        let most = scores.max() ?? 0
        let shares = scores.map { Elementary.exp($0 - most) }
        let total = shares.reduce(0, +)
        read += own.map { c in zip(shares, first...i).map { $0 / total * v[$1][c] }.reduce(0, +) }
      }
      return product("weight_out", read)
    }
  }

  /// The oldest entry that a head still sees, and the lengths of its longest query and key.
  private struct Seen {
    var first: Int
    var query: Double
    var key: Double
  }

  private func norm(_ x: Vector) -> Double { dot(x, x).squareRoot() }

  private func dot(_ a: Vector, _ b: Vector) -> Double { zip(a, b).map { $0 * $1 }.reduce(0, +) }
}
