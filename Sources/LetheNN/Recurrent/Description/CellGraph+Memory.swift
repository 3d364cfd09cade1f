extension CellGraph {
  /// What a state becomes as keep ⊙ state + write, with every activation and every mean held at its value.
  struct Memory {
    var keep: ID
    var write: ID
  }

  /// Whether a node depends on a state other than through an activation, a mean or a condition.
  private func reaches(_ state: ID, from root: ID) -> Bool {
    var open = [root], seen: Set<ID> = []
    while let id = open.popLast() {
      if id == state { return true }
      guard seen.insert(id).inserted else { continue }
      switch nodes[id] {
      case .unary(.negate, let a): open.append(a)
      case .leaf, .unary, .mean: break
      case .binary(_, let a, let b), .select(_, let a, let b): open += [a, b]
      }
    }
    return false
  }

  /// Splits what a state becomes; `nil` where it is not of that form: a product of two parts that both keep the state.
  mutating func memory(of state: ID, in id: ID) -> Memory? {
    guard reaches(state, from: id) else { return Memory(keep: constant(0), write: id) }
    switch nodes[id] {
    case .leaf: return Memory(keep: constant(1), write: constant(0))
    case .unary(_, let a):  // a sign
      guard let inner = memory(of: state, in: a) else { return nil }
      return Memory(keep: unary(.negate, inner.keep), write: unary(.negate, inner.write))
    case .select(let condition, let a, let b): return chosen(condition, a, b, state)
    case .mean: return nil
    case .binary(let operation, let a, let b):
      switch operation {
      case .max: return chosen(binary(.subtract, b, a), b, a, state)
      case .min: return chosen(binary(.subtract, a, b), b, a, state)
      case .divide where reaches(state, from: b): return nil
      case .multiply where reaches(state, from: a) && reaches(state, from: b): return nil
      case .add, .subtract, .multiply, .divide:
        guard let x = memory(of: state, in: a), let y = memory(of: state, in: b) else { return nil }
        switch operation {
        case .add, .subtract:
          return Memory(
            keep: binary(operation, x.keep, y.keep), write: binary(operation, x.write, y.write))
        case .multiply where reaches(state, from: b):
          return Memory(
            keep: binary(.multiply, x.write, y.keep), write: binary(.multiply, x.write, y.write))
        default:
          return Memory(keep: binary(operation, x.keep, y.write), write: binary(operation, x.write, y.write))
        }
      }
    }
  }

  private mutating func chosen(_ condition: ID, _ a: ID, _ b: ID, _ state: ID) -> Memory? {
    guard let x = memory(of: state, in: a), let y = memory(of: state, in: b) else { return nil }
    return Memory(keep: select(condition, x.keep, y.keep), write: select(condition, x.write, y.write))
  }
}

extension CellDescription {
  /// The state that remembers, and how: the first that is kept at all, "cell" before "hidden"; where none is, h, which is
  /// then written anew at each step. `nil` where the cell's update is not of the form keep ⊙ state + write.
  func memory(_ equations: inout Equations) -> (state: Int, parts: CellGraph.Memory)? {
    var fallback: (Int, CellGraph.Memory)?
    for state in Array(1..<max(states.count, 1)) + [0] {
      let leaf = equations.graph.leaf(.state(state))
      guard let parts = equations.graph.memory(of: leaf, in: equations.results[state]) else { continue }
      if equations.graph.constant(of: parts.keep) != 0 { return (state, parts) }
      if state == 0 { fallback = (state, parts) }
    }
    return fallback
  }
}
