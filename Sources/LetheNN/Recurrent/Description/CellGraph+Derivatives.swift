import LetheCore

extension CellGraph.Unary {
  func value(_ x: Double) -> Double {
    switch self {
    case .negate: -x
    case .sigmoid: NaiveTwin.sigmoid(x)
    case .tanh: NaiveTwin.tanh(x)
    case .relu: x > 0 ? x : 0
    case .exp: Elementary.exp(x)
    case .log: Elementary.log(x)
    case .sqrt: x.squareRoot()
    case .abs: x.magnitude
    case .softplus: NaiveTwin.softplus(x)
    case .positive, .hardStep: x > 0 ? 1 : 0
    case .hardSigmoid(let slope, let offset): Swift.min(Swift.max(Double(slope) * x + Double(offset), 0), 1)
    }
  }
}

extension CellGraph.Binary {
  func value(_ a: Double, _ b: Double) -> Double {
    switch self {
    case .add: a + b
    case .subtract: a - b
    case .multiply: a * b
    case .divide: a / b
    case .max: a >= b ? a : b
    case .min: a <= b ? a : b
    }
  }
}

extension CellGraph {
  /// y = f(x) for node `y`: dy/dx times `d`, from y where that is enough.
  mutating func slope(_ operation: Unary, x: ID, y: ID, times d: ID) -> ID {
    let one = constant(1)
    switch operation {
    case .negate: return unary(.negate, d)
    case .sigmoid: return binary(.multiply, d, binary(.multiply, y, binary(.subtract, one, y)))
    case .tanh: return binary(.multiply, d, binary(.subtract, one, binary(.multiply, y, y)))
    case .relu: return select(y, d, constant(0))
    case .exp: return binary(.multiply, d, y)
    case .log: return binary(.divide, d, x)
    case .sqrt: return binary(.divide, binary(.multiply, d, constant(0.5)), y)
    case .abs: return select(x, d, unary(.negate, d))
    case .softplus: return binary(.multiply, d, unary(.sigmoid, x))
    case .positive: return constant(0)
    case .hardStep: return d
    case .hardSigmoid(let slope, _):
      // y (1 − y) > 0 where 0 < y < 1.
      let inside = binary(.multiply, y, binary(.subtract, one, y))
      return select(inside, binary(.multiply, d, constant(slope)), constant(0))
    }
  }

  /// The gradients of `seeds` (node → its gradient) with respect to `leaves`, through nodes that are not leaves; also those
  /// of nodes `inside` on the way.
  ///
  /// The gradient of a mean reaches each unit as the mean of its gradients.
  mutating func gradients(of seeds: [ID: ID], to leaves: Set<ID>, inside: Set<ID> = []) -> [ID: ID] {
    let order = below(seeds.keys, known: leaves).reversed()
    var gradient = seeds
    func add(_ graph: inout CellGraph, _ id: ID, _ d: ID) {
      gradient[id] = gradient[id].map { graph.binary(.add, $0, d) } ?? d
    }
    for id in order where !leaves.contains(id) {
      guard let d = gradient[id] else { continue }
      switch nodes[id] {
      case .leaf: break
      case .unary(let operation, let a): add(&self, a, slope(operation, x: a, y: id, times: d))
      case .binary(.add, let a, let b):
        add(&self, a, d)
        add(&self, b, d)
      case .binary(.subtract, let a, let b):
        add(&self, a, d)
        add(&self, b, unary(.negate, d))
      case .binary(.multiply, let a, let b):
        add(&self, a, binary(.multiply, d, b))
        add(&self, b, binary(.multiply, d, a))
      case .binary(.divide, let a, let b):
        let toA = binary(.divide, d, b)
        add(&self, a, toA)
        add(&self, b, unary(.negate, binary(.multiply, toA, id)))
      case .binary(.max, let a, let b), .binary(.min, let a, let b):
        // b won where b − a > 0 (max) or a − b > 0 (min); the first wins where they are equal.
        let isMax = nodes[id] == .binary(.max, a, b)
        let won = isMax ? binary(.subtract, b, a) : binary(.subtract, a, b)
        add(&self, a, select(won, constant(0), d))
        add(&self, b, select(won, d, constant(0)))
      case .select(let c, let a, let b):
        add(&self, a, select(c, d, constant(0)))
        add(&self, b, select(c, constant(0), d))
      case .mean(let a): add(&self, a, mean(d))
      }
    }
    return gradient.filter {
      (leaves.contains($0.key) || inside.contains($0.key)) && constant(of: $0.value) != 0
    }
  }
}
