import LetheCore

/// A cell's equations over boxes: for each unit the interval of every node, when each input and each state lies in one.
///
/// Every interval holds what the engine computes in floats. One operation is rounded to nearest, so its ends are moved to
/// floats outward; where the engine fuses a product with a sum it rounds less, which the same ends hold. A sum of m products
/// and biases, in whatever order, is off by at most γ_m Σ |w| |x|, γ_m = m u / (1 − m u), u = 2⁻²⁴ (Higham 2002, Accuracy and
/// Stability of Numerical Algorithms, eq. 3.5), and by 2⁻¹⁴⁹ for each product that underflows.
struct CellBox {
  let description: CellDescription
  let equations: CellDescription.Equations
  let units: Int
  let inputs: Int
  /// In the order of files.
  let parts: [Tensor]
  /// The input, feature by feature.
  let input: [Interval]
  /// The states before the step, h first, unit by unit; a projected h is 0 past its width.
  var states: [[Interval]] { didSet { known = [:] } }
  /// Nodes computed so far.
  private var known: [CellGraph.ID: [Interval]] = [:]
  /// What each term takes from input and biases alone.
  private let fromInput: [Sum]

  /// A sum of products in doubles, and the sum of their magnitudes.
  struct Sum {
    var low: [Double]
    var high: [Double]
    var magnitude: [Double]
    var count = 0

    init(units: Int) {
      (low, high) = (Array(repeating: 0, count: units), Array(repeating: 0, count: units))
      magnitude = low
    }

    /// Adds W x, for rows of W from `first` on.
    mutating func add(_ weight: UnsafePointer<Float>, columns: Int, _ x: [Interval]) {
      let (l, h, m) = (x.map(\.low), x.map(\.high), x.map(\.magnitude))
      for unit in low.indices {
        var (bottom, top, size) = (low[unit], high[unit], magnitude[unit])
        let row = weight + unit * columns
        for k in 0..<columns {
          let w = Double(row[k])
          if w > 0 {
            bottom += w * l[k]
            top += w * h[k]
          } else if w < 0 {
            bottom += w * h[k]
            top += w * l[k]
          } else if w == 0 {
            continue
          } else {
            (bottom, top) = (-.infinity, .infinity)
          }
          size += abs(w) * m[k]
        }
        (low[unit], high[unit], magnitude[unit]) = (bottom, top, size)
      }
      count += columns
    }

    mutating func add(_ bias: UnsafePointer<Float>) {
      for unit in low.indices {
        let b = Double(bias[unit])
        low[unit] += b
        high[unit] += b
        magnitude[unit] += abs(b)
      }
      count += 1
    }

    /// With room for every rounding of the engine's, and of the doubles' here.
    var intervals: [Interval] {
      let m = Double(count + 8), share = m * 0x1p-24 / (1 - m * 0x1p-24) * (1 + 0x1p-10)
      return low.indices.map { unit in
        let room = share * magnitude[unit] + m * 0x1p-149
        return Interval((low[unit] - room).nextDown, (high[unit] + room).nextUp)
      }
    }
  }

  init(
    _ description: CellDescription, _ equations: CellDescription.Equations, units: Int, inputs: Int,
    parts: [Tensor], input: [Interval]
  ) {
    (self.description, self.units, self.inputs, self.parts) = (description, units, inputs, parts)
    (self.equations, self.input) = (equations, input)
    states = description.states.map { _ in Array(repeating: .zero, count: units) }
    let features = inputs - description.scalars
    fromInput = equations.terms.enumerated().map { number, term in
      var sum = Sum(units: units)
      if term.seesInput, let part = description.inputPart {
        let row = equations.inputRow(number) * units
        sum.add(parts[part].pointer + row * features, columns: features, Array(input.prefix(features)))
      }
      for (part, block) in [
        (description.inputBiasPart, term.bias.input), (description.hiddenBiasPart, term.bias.hidden),
      ] {
        if let part, let block { sum.add(parts[part].pointer + block * units) }
      }
      return sum
    }
  }

  var graph: CellGraph { equations.graph }

  /// Says what a node is known to lie in.
  mutating func know(_ id: CellGraph.ID, _ value: [Interval]) { known[id] = value }

  /// The interval of a node for each unit.
  mutating func value(_ id: CellGraph.ID) -> [Interval] {
    if let value = known[id] { return value }
    let value = computed(id)
    known[id] = value
    return value
  }

  private mutating func computed(_ id: CellGraph.ID) -> [Interval] {
    switch graph.nodes[id] {
    case .leaf(let leaf): return self.leaf(leaf)
    case .unary(let operation, let a): return value(a).map { operation.value($0) }
    case .mean(let a): return mean(value(a))
    case .binary(.multiply, let a, let b) where a == b:
      return value(a).map { ($0.absolute * $0.absolute).single }
    case .binary(.multiply, let a, let b):
      let product = zip(value(a), value(b)).map { CellGraph.Binary.multiply.value($0, $1) }
      guard let limit = normalised(a, by: b) ?? normalised(b, by: a) else { return product }
      return product.map { $0.intersection(Interval(-limit, limit)) }
    case .binary(.divide, let a, let b):
      let quotient = zip(value(a), value(b)).map { CellGraph.Binary.divide.value($0, $1) }
      if let limit = normalised(a, byRoot: b) {
        return quotient.map { $0.intersection(Interval(-limit, limit)) }
      }
      return isShare(a, of: b) ? zip(quotient, shares(a, of: b)).map { $0.intersection($1) } : quotient
    case .binary(let operation, let a, let b): return zip(value(a), value(b)).map { operation.value($0, $1) }
    case .select(let condition, let a, let b):
      let c = value(condition)
      // A mean is over units on either side.
      for id in graph.below([a, b]) { if case .mean = graph.nodes[id] { _ = value(id) } }
      // Each branch knows which side of 0 the condition is on.
      var (above, below) = (self, self)
      above.know(only: condition, c.map { Interval(Swift.max($0.low, 0), Swift.max($0.high, 0)) })
      below.know(only: condition, c.map { Interval(Swift.min($0.low, 0), Swift.min($0.high, 0)) })
      let (x, y) = (above.value(a), below.value(b))
      return c.indices.map { c[$0].low > 0 ? x[$0] : c[$0].high <= 0 ? y[$0] : x[$0].union(y[$0]) }
    }
  }

  /// Whether `whole` is a sum of which `part` is a part, and no part is ever negative.
  mutating func isShare(_ part: CellGraph.ID, of whole: CellGraph.ID) -> Bool {
    let summands = graph.summands(whole)
    guard summands.contains(part), summands.count > 1 else { return false }
    for id in summands where !value(id).allSatisfy({ $0.low >= 0 }) { return false }
    return true
  }

  /// a / (a + rest) for numbers that are not negative: most where a is and the rest is not, between 0 and 1, also as it is
  /// rounded.
  private mutating func shares(_ part: CellGraph.ID, of whole: CellGraph.ID) -> [Interval] {
    var others = graph.summands(whole)
    if let own = others.firstIndex(of: part) { others.remove(at: own) }
    var rest = Array(repeating: Interval.zero, count: units)
    for id in others { rest = zip(rest, value(id)).map { $0 + $1 } }
    return zip(value(part), rest).map { a, rest in
      let (low, high) = (a.low / (a.low + rest.high), a.high / (a.high + rest.low))
      // Two sums and a quotient are rounded.
      return Interval(
        low > 0 ? Swift.min(low * (1 - 0x1p-21), 1) : 0, high < 1 ? Swift.min(high * (1 + 0x1p-21), 1) : 1
      ).single.intersection(Interval(0, 1))
    }
  }

  /// Forgets what follows from a node, and says what it is.
  private mutating func know(only id: CellGraph.ID, _ value: [Interval]) {
    let means = Set(known.keys.filter { if case .mean = graph.nodes[$0] { true } else { false } })
    known = known.filter { means.contains($0.key) || !graph.below([$0.key], known: means).contains(id) }
    known[id] = value
  }

  private mutating func leaf(_ leaf: CellGraph.Leaf) -> [Interval] {
    func all(_ value: Float) -> [Interval] { Array(repeating: Interval(Double(value)), count: units) }
    switch leaf {
    case .constant(let value): return all(value)
    case .state(let number): return states[number]
    case .vector(let number):
      let (part, block) = description.vectorPlace(number)
      return (block * units..<(block + 1) * units).map { Interval(Double(parts[part].pointer[$0])) }
    case .noise(let number): return all(description.noises[number].rate)
    case .term(let number): return term(number)
    case .mask, .dState, .dSeen, .carry, .slot, .number, .dNumber, .dVector, .units: return all(1)
    }
  }

  /// W x + U s + b of one gate.
  private mutating func term(_ number: Int) -> [Interval] {
    let term = equations.terms[number]
    switch term.fixed {
    case .identity: return Array(input.prefix(units))
    case .scalar(let index):
      return Array(repeating: input[inputs - description.scalars + index], count: units)
    case nil: break
    }
    if let width = term.width, let part = description.projectionPart {
      var sum = Sum(units: width)
      sum.add(parts[part].pointer, columns: units, value(term.sources[0]))
      return sum.intervals + Array(repeating: .zero, count: units - width)
    }
    var sum = fromInput[number]
    let columns = description.width(ofState: 0, units: units)
    for (index, source) in term.sources.enumerated() {
      guard let part = description.hiddenPart else { continue }
      let row = (equations.hiddenRow(number) + index) * units
      sum.add(parts[part].pointer + row * columns, columns: columns, Array(value(source).prefix(columns)))
    }
    return sum.intervals
  }
}

extension CellGraph.Unary {
  func value(_ x: Interval) -> Interval {
    switch self {
    case .negate: -x
    case .sigmoid: x.sigmoid
    case .tanh: x.tanh
    case .relu: x.relu
    case .exp: x.exp
    case .log: x.log
    case .sqrt: x.squareRoot.single
    case .abs: x.absolute
    case .softplus: x.softplus
    case .positive, .hardStep: x.step
    case .hardSigmoid(let slope, let offset):
      .min(.max((Interval(Double(slope)) * x + Interval(Double(offset))).single, .zero), Interval(1))
    }
  }

  /// The derivative over an interval; all numbers where there is a jump.
  func slope(_ x: Interval) -> Interval {
    switch self {
    case .negate: return Interval(-1)
    case .sigmoid: return Self.bump(x) { $0.sigmoid * (Interval(1) - $0.sigmoid) }
    case .tanh: return Self.bump(x) { (Interval(1) - $0.tanh) * (Interval(1) + $0.tanh) }
    case .relu: return x.step
    case .exp: return x.exp
    case .log: return Interval(1) / x
    case .sqrt: return Interval(0.5) / x.squareRoot
    case .abs: return x.low > 0 ? Interval(1) : x.high <= 0 ? Interval(-1) : Interval(-1, 1)
    case .softplus: return x.sigmoid
    case .positive, .hardStep: return x.step.width == 0 ? .zero : .everything
    case .hardSigmoid(let slope, let offset):
      let line = Interval(Double(slope)) * x + Interval(Double(offset))
      return line.high < 0 || line.low > 1
        ? .zero
        : line.low > 0 && line.high < 1
          ? Interval(Double(slope)) : Interval(0).union(Interval(Double(slope)))
    }
  }

  /// A slope that falls away from 0 on both sides.
  private static func bump(_ x: Interval, _ f: (Interval) -> Interval) -> Interval {
    let ends = f(Interval(x.low)).union(f(Interval(x.high)))
    let top = x.contains(0) ? ends.union(f(.zero)) : ends
    return Interval(Swift.max(top.low, 0), top.high)
  }
}

extension CellGraph.Binary {
  func value(_ a: Interval, _ b: Interval) -> Interval {
    switch self {
    case .add: (a + b).single
    case .subtract: (a - b).single
    case .multiply: (a * b).single
    case .divide: (a / b).single
    case .max: .max(a, b)
    case .min: .min(a, b)
    }
  }
}
