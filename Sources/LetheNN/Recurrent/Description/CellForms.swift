import CLetheKernels

/// Which operation of the kernels each node of a graph becomes, and which nodes are then computed at all: several nodes are
/// one operation where there is one that rounds as they do.
struct CellForms {
  typealias ID = CellGraph.ID
  struct Form {
    var operation: lethe_operation
    var operands: [ID]
  }

  /// The outputs and what they are computed from; ascending.
  private(set) var needed: [ID] = []
  private var forms: [ID: Form] = [:]
  private let graph: CellGraph
  private let known: [ID: lethe_place]
  private var uses: [ID: Int] = [:]

  /// The operation that computes a node; none for places, constants and what has to be taken apart.
  subscript(id: ID) -> Form? { forms[id] }

  /// - Parameter known: nodes whose values lie in places.
  init(_ graph: CellGraph, _ outputs: [ID], known: [ID: lethe_place]) {
    self.graph = graph
    self.known = known
    let order = graph.below(outputs, known: Set(known.keys))
    for id in outputs { uses[id, default: 0] += 1 }
    for id in order where known[id] == nil {
      for child in graph.nodes[id].children { uses[child, default: 0] += 1 }
    }
    var wanted = Set(outputs)
    for id in order.reversed() where wanted.contains(id) {
      needed.append(id)
      guard known[id] == nil else { continue }
      forms[id] = form(of: id)
      wanted.formUnion(forms[id]?.operands ?? graph.nodes[id].children)
    }
    needed.reverse()
  }

  private func form(of id: ID) -> Form? {
    switch graph.nodes[id] {
    case .leaf, .mean, .unary(.hardSigmoid, _): nil
    case .unary(let operation, let a): Form(operation: Self.code(operation), operands: [a])
    case .select(let c, let a, let b): Form(operation: LETHE_OP_SELECT, operands: [c, a, b])
    case .binary(.add, let a, let b): sum(a, b)
    case .binary(.multiply, let a, let b): product(a, b)
    case .binary(let operation, let a, let b): Form(operation: Self.code(operation), operands: [a, b])
    }
  }

  /// A node that is computed for one other node alone: it can become a part of that.
  private func part(_ id: ID) -> CellGraph.Node? { uses[id] == 1 && known[id] == nil ? graph.nodes[id] : nil }

  /// Whether a node is 1 − x.
  private func isRest(_ id: ID, of x: ID) -> Bool {
    guard known[id] == nil, case .binary(.subtract, let one, x) = graph.nodes[id] else { return false }
    return graph.constant(of: one) == 1
  }

  private func isSquare(_ id: ID) -> ID? {
    guard known[id] == nil, case .binary(.multiply, let x, let y) = graph.nodes[id], x == y else {
      return nil
    }
    return x
  }

  private func product(_ a: ID, _ b: ID) -> Form {
    for (d, slope) in [(a, b), (b, a)] {
      switch part(slope) {
      case .binary(.multiply, let y, let rest) where isRest(rest, of: y):
        return Form(operation: LETHE_OP_SIGMOID_SLOPE, operands: [d, y])
      case .binary(.multiply, let rest, let y) where isRest(rest, of: y):
        return Form(operation: LETHE_OP_SIGMOID_SLOPE, operands: [d, y])
      case .binary(.subtract, let x, let y):
        if graph.constant(of: x) == 1, let root = isSquare(y) {
          return Form(operation: LETHE_OP_TANH_SLOPE, operands: [d, root])
        }
        return Form(operation: LETHE_OP_SUBTRACT_MULTIPLY, operands: [x, y, d])
      default: continue
      }
    }
    return Form(operation: LETHE_OP_MULTIPLY, operands: [a, b])
  }

  private func sum(_ a: ID, _ b: ID) -> Form {
    for (product, addend) in [(a, b), (b, a)] {
      guard case .binary(.multiply, let x, let u) = part(product) else { continue }
      switch part(addend) {
      case .binary(.multiply, let y, let v):
        for (f, kept) in [(x, u), (u, x)] {
          for (g, new) in [(y, v), (v, y)] {
            if isRest(g, of: f) { return Form(operation: LETHE_OP_BLEND, operands: [f, kept, new]) }
            if isRest(f, of: g) { return Form(operation: LETHE_OP_BLEND_REST, operands: [g, kept, new]) }
          }
        }
      case .unary(.negate, let z): return Form(operation: LETHE_OP_MULTIPLY_SUBTRACT, operands: [x, u, z])
      default: break
      }
      return Form(operation: LETHE_OP_MULTIPLY_ADD, operands: [x, u, addend])
    }
    return Form(operation: LETHE_OP_ADD, operands: [a, b])
  }

  private static func code(_ operation: CellGraph.Unary) -> lethe_operation {
    switch operation {
    case .negate: LETHE_OP_NEGATE
    case .sigmoid: LETHE_OP_SIGMOID
    case .tanh: LETHE_OP_TANH
    case .relu: LETHE_OP_RELU
    case .exp: LETHE_OP_EXP
    case .log: LETHE_OP_LOG
    case .sqrt: LETHE_OP_SQRT
    case .abs: LETHE_OP_ABS
    case .softplus: LETHE_OP_SOFTPLUS
    case .positive, .hardStep: LETHE_OP_POSITIVE
    case .hardSigmoid: LETHE_OP_COPY  // never asked for
    }
  }

  private static func code(_ operation: CellGraph.Binary) -> lethe_operation {
    switch operation {
    case .add: LETHE_OP_ADD
    case .subtract: LETHE_OP_SUBTRACT
    case .multiply: LETHE_OP_MULTIPLY
    case .divide: LETHE_OP_DIVIDE
    case .max: LETHE_OP_MAX
    case .min: LETHE_OP_MIN
    }
  }
}
