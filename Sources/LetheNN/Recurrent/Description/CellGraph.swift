/// The arithmetic of a cell for one unit, as a graph in which equal expressions are one node.
///
/// Children come before their parents, so an index into `nodes` is also a topological order.
struct CellGraph: Sendable, Equatable {
  typealias ID = Int

  enum Leaf: Hashable, Sendable {
    /// What gate `0` sums up: W x + U s + b.
    case term(Int)
    /// State `0` before the step; 0 is h.
    case state(Int)
    /// A parameter with one number a unit.
    case vector(Int)
    case constant(Float)
    /// The mask of recurrent dropout.
    case mask
    /// 1 with a chance of its own, else 0, fresh for each unit and step; in evaluation the chance itself.
    case noise(Int)
    // Of code only; see lethe_place_kind.
    case dState(Int), dSeen, carry(Int), slot(Int), number(Int), dNumber(Int), dVector(Int), units
  }

  enum Unary: Hashable, Sendable {
    case negate, sigmoid, tanh, relu, exp, log, sqrt, abs, softplus
    /// 1 where x > 0, else 0.
    case positive
    /// The same, with the derivative taken as 1: a straight-through estimator.
    case hardStep
    /// clamp(slope x + offset, 0, 1).
    case hardSigmoid(slope: Float, offset: Float)

    /// Whether the derivative can be had from the value.
    var rememberedByValue: Bool {
      switch self {
      case .sigmoid, .tanh, .relu, .exp, .hardSigmoid: true
      default: false
      }
    }
  }

  enum Binary: Hashable, Sendable { case add, subtract, multiply, divide, max, min }

  enum Node: Hashable, Sendable {
    case leaf(Leaf)
    case unary(Unary, ID)
    case binary(Binary, ID, ID)
    /// c > 0 ? a : b.
    case select(ID, ID, ID)
    /// The mean over the units, the same number for each.
    case mean(ID)

    var children: [ID] {
      switch self {
      case .leaf: []
      case .unary(_, let a), .mean(let a): [a]
      case .binary(_, let a, let b): [a, b]
      case .select(let c, let a, let b): [c, a, b]
      }
    }
  }

  private(set) var nodes: [Node] = []
  private var numbers: [Node: ID] = [:]

  static func == (a: CellGraph, b: CellGraph) -> Bool { a.nodes == b.nodes }

  private mutating func intern(_ node: Node) -> ID {
    if let known = numbers[node] { return known }
    nodes.append(node)
    numbers[node] = nodes.count - 1
    return nodes.count - 1
  }

  mutating func leaf(_ leaf: Leaf) -> ID { intern(.leaf(leaf)) }
  mutating func constant(_ value: Float) -> ID { leaf(.constant(value)) }

  func constant(of id: ID) -> Float? {
    if case .leaf(.constant(let value)) = nodes[id] { value } else { nil }
  }

  mutating func unary(_ operation: Unary, _ a: ID) -> ID {
    if operation == .negate {
      if let x = constant(of: a) { return constant(-x) }
      if case .unary(.negate, let inner) = nodes[a] { return inner }
    }
    return intern(.unary(operation, a))
  }

  /// With what is 0 or 1 left out.
  mutating func binary(_ operation: Binary, _ a: ID, _ b: ID) -> ID {
    let (x, y) = (constant(of: a), constant(of: b))
    switch operation {
    case .add:
      if let x, let y { return constant(x + y) }
      if x == 0 { return b }
      if y == 0 { return a }
      if case .unary(.negate, let inner) = nodes[b] { return binary(.subtract, a, inner) }
    case .subtract:
      if let x, let y { return constant(x - y) }
      if y == 0 { return a }
      if x == 0 { return unary(.negate, b) }
    case .multiply:
      if let x, let y { return constant(x * y) }
      if x == 0 || y == 0 { return constant(0) }
      if x == 1 { return b }
      if y == 1 { return a }
      if x == -1 { return unary(.negate, b) }
      if y == -1 { return unary(.negate, a) }
    case .divide:
      if y == 1 { return a }
      if x == 0 { return constant(0) }
    case .max, .min: if a == b { return a }
    }
    return intern(.binary(operation, a, b))
  }

  mutating func select(_ condition: ID, _ a: ID, _ b: ID) -> ID {
    a == b ? a : intern(.select(condition, a, b))
  }

  mutating func mean(_ a: ID) -> ID {
    if case .mean = nodes[a] { return a }
    return constant(of: a) != nil ? a : intern(.mean(a))
  }

  /// What the given nodes are made of, themselves included, stopping at those in `known`; ascending.
  func below(_ roots: some Sequence<ID>, known: Set<ID> = []) -> [ID] {
    var seen: Set<ID> = []
    var open = Array(roots)
    while let id = open.popLast() {
      guard seen.insert(id).inserted, !known.contains(id) else { continue }
      open += nodes[id].children
    }
    return seen.sorted()
  }

  /// The values of nodes in doubles, for many units at once: the oracle of the kernels, and what instruments compute. Means
  /// are over each `units` of them; `known` are nodes that are not computed anew.
  func columns(
    _ roots: [ID], count: Int, units: Int, known: [ID: [Double]] = [:], leaf: (Leaf) -> [Double]
  ) -> [[Double]] {
    var value = known
    for id in below(roots, known: Set(known.keys)) where value[id] == nil {
      func of(_ id: ID) -> [Double] { value[id] ?? [] }
      switch nodes[id] {
      case .leaf(.constant(let x)): value[id] = Array(repeating: Double(x), count: count)
      case .leaf(let place): value[id] = leaf(place)
      case .unary(let operation, let a): value[id] = of(a).map { operation.value($0) }
      case .binary(let operation, let a, let b): value[id] = zip(of(a), of(b)).map { operation.value($0, $1) }
      case .select(let c, let a, let b):
        let (a, b) = (of(a), of(b))
        value[id] = of(c).enumerated().map { $1 > 0 ? a[$0] : b[$0] }
      case .mean(let a):
        let own = of(a)
        value[id] = stride(from: 0, to: count, by: units).flatMap { first in
          Array(repeating: own[first..<first + units].reduce(0, +) / Double(units), count: units)
        }
      }
    }
    return roots.map { value[$0] ?? [] }
  }
}
