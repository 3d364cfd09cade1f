import LetheCore

extension CellBox {
  /// The sum of the magnitudes that a node adds up: what rounding is relative to.
  mutating func magnitude(_ id: CellGraph.ID) -> [Double] {
    func up(_ x: Double) -> Double { x.isNaN ? .infinity : x * (1 + 0x1p-48) }
    switch graph.nodes[id] {
    case .unary(.negate, let a): return magnitude(a)
    case .binary(let operation, let a, let b):
      let x = magnitude(a)
      if operation == .divide {
        return zip(x, value(b)).map { x, y in
          x == 0 ? 0 : up(x / (y.contains(0) ? 0 : min(abs(y.low), abs(y.high))))
        }
      }
      return zip(x, magnitude(b)).map { x, y in
        switch operation {
        case .add, .subtract: up(x + y)
        case .multiply: x == 0 || y == 0 ? 0 : up(x * y)
        default: max(x, y)
        }
      }
    case .select(_, let a, let b): return zip(magnitude(a), magnitude(b)).map { max($0, $1) }
    case .leaf, .unary, .mean: return value(id).map(\.magnitude)
    }
  }

  /// At least 1 − x for the numbers x of a node, without taking a number near 1 from 1 where its complement is known:
  /// 1 − σ(a) = σ(−a), 1 − eᵃ = −a − a²/2 and more, 1 − a b = (1 − a) + a (1 − b), 1 − (1 − a) = a,
  /// 1 − a / (a + b) = b / (a + b).
  mutating func gap(_ id: CellGraph.ID) -> [Double] {
    let plain = value(id).map { 1 - $0.high - 0x1p-52 }
    var known: [Double]
    switch graph.nodes[id] {
    case .unary(.sigmoid, let a):
      known = value(a).map { 1 / (1 + Elementary.exp($0.high)) * (1 - 0x1p-45) }
    case .unary(.exp, let a):
      known = value(a).map { x in
        let a = -x.high
        return a <= 0 ? 0 : (a < 1e-4 ? a - a * a / 2 : 1 - Elementary.exp(-a)) * (1 - 0x1p-36)
      }
    case .binary(.subtract, let one, let a) where graph.constant(of: one) == 1:
      known = value(a).map(\.low)
    case .binary(.multiply, let a, let b):
      let (x, y) = (value(a), value(b)), (p, q) = (gap(a), gap(b))
      known = x.indices.map { unit in
        guard Interval(0, 1).contains(x[unit]), Interval(0, 1).contains(y[unit]) else { return 0 }
        return max(p[unit], q[unit], (p[unit] + x[unit].low * q[unit]) * (1 - 0x1p-48))
      }
    case .binary(.divide, let a, let whole) where isShare(a, of: whole):
      var rest = Array(repeating: 0.0, count: units)
      for id in graph.summands(whole) where id != a { rest = zip(rest, value(id)).map { $0 + $1.low } }
      known = zip(rest, value(a)).map { $0 == 0 ? 0 : $0 / ($0 + $1.high) * (1 - 0x1p-20) }
    default: return plain.map { max($0, 0) }
    }
    return zip(plain, known).map { max($0, $1, 0) }
  }
}
