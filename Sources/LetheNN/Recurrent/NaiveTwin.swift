import CLetheKernels
import LetheCore

/// The recurrent engine again, slow and obvious: one sequence, one step, one unit at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct NaiveTwin {
  package typealias Vector = [Double]

  package var description: CellDescription
  package var units: Int
  /// As in a file, in the order of `CellDescription.parts`.
  package var parts: [Vector]

  package init(_ description: CellDescription, units: Int, parts: [Vector]) {
    self.description = description
    self.units = units
    self.parts = parts
  }

  /// The states of one sequence, h first.
  package struct State: Equatable {
    package var parts: [Vector]
    package var h: Vector { parts[0] }
    package var c: Vector { parts[1] }
    package init(_ parts: [Vector]) { self.parts = parts }
  }

  /// One sequence, from its first step to its last or the other way round; outputs stay in time order.
  package func run(
    _ x: [Vector], from initial: State, resets: [Bool]? = nil, isReversed: Bool = false, mask: Vector? = nil
  ) -> (outputs: [Vector], state: State) {
    var state = initial
    var outputs = [Vector](repeating: [], count: x.count)
    for step in 0..<x.count {
      let t = isReversed ? x.count - 1 - step : step
      let boundary = isReversed ? t + 1 : t
      if let resets, boundary < x.count, resets[boundary] {
        state = State(state.parts.map { _ in Vector(repeating: 0, count: units) })
      }
      state = next(x[t], state, mask)
      outputs[t] = state.h
    }
    return (outputs, state)
  }

  /// One step.
  package func next(_ x: Vector, _ state: State, _ mask: Vector? = nil) -> State {
    if let equations = description.equations { return described(equations, x, state, mask) }
    let seen = mask.map { zip($0, state.h).map { $0 * $1 } } ?? state.h
    switch description.kernel {
    case LETHE_CELL_LSTM: return lstm(x, seen, state)
    case LETHE_CELL_GRU_AFTER: return gruAfter(x, seen, state)
    case LETHE_CELL_GRU_BEFORE: return gruBefore(x, seen, state)
    default:
      let relu = description.kernel == LETHE_CELL_RNN_RELU
      return State([sum(0, x, seen).map { relu ? max($0, 0) : Self.tanh($0) }])
    }
  }

  private func lstm(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let i = sum(0, x, h).map(gate), f = sum(1, x, h).map(gate)
    let g = sum(2, x, h).map(Self.tanh), o = sum(3, x, h).map(gate)
    let c = (0..<units).map { f[$0] * state.c[$0] + i[$0] * g[$0] }
    return State([(0..<units).map { o[$0] * Self.tanh(c[$0]) }, c])
  }

  private func gruAfter(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let r = sum(0, x, h).map(gate), z = sum(1, x, h).map(gate)
    let xn = product(0, 2, x, bias: 2), hn = product(1, 2, h, bias: 3)
    let n = (0..<units).map { Self.tanh(xn[$0] + r[$0] * hn[$0]) }
    return State([(0..<units).map { z[$0] * state.h[$0] + (1 - z[$0]) * n[$0] }])
  }

  private func gruBefore(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let r = sum(0, x, h).map(gate), z = sum(1, x, h).map(gate)
    let n = sum(2, x, (0..<units).map { r[$0] * h[$0] }).map(Self.tanh)
    return State([(0..<units).map { z[$0] * state.h[$0] + (1 - z[$0]) * n[$0] }])
  }

  private func described(_ cell: CellDescription.Equations, _ x: Vector, _ state: State, _ mask: Vector?)
    -> State
  {
    let ones = mask ?? Vector(repeating: 1, count: units)
    var terms = [Vector?](repeating: nil, count: cell.terms.count)
    func values(_ ids: [CellGraph.ID]) -> [Vector] {
      // Sums first: those that a value is made of, and what they see in turn.
      for id in cell.graph.below(ids) {
        if case .leaf(.term(let number)) = cell.graph.nodes[id], terms[number] == nil {
          terms[number] = term(number)
        }
      }
      let byUnit = (0..<units).map { unit in
        cell.graph.values(ids) { leaf in
          switch leaf {
          case .term(let number): terms[number]?[unit] ?? .nan
          case .state(let number): state.parts[number][unit]
          case .noise(let number): Double(description.noises[number].rate)
          case .vector(let number): parts[description.vectorPart(number)][unit]
          default: .nan
          }
        }
      }
      return ids.indices.map { index in byUnit.map { $0[index] } }
    }
    func term(_ number: Int) -> Vector {
      let own = cell.terms[number]
      let inputRow = cell.terms[..<number].count { $0.seesInput }
      var row = cell.terms[..<number].reduce(0) { $0 + $1.sources.count }
      let bias = cell.terms[..<number].count { $0.hasBias }
      var sum = Vector(repeating: 0, count: units)
      if own.hasBias, let part = description.inputBiasPart {
        sum = Array(parts[part][bias * units..<(bias + 1) * units])
      }
      let seen = Array(x.dropLast(description.scalars))
      switch own.fixed {
      case .identity: sum = seen
      case .scalar(let index): sum = sum.map { _ in x[seen.count + index] }
      case nil: if own.seesInput { sum = zip(sum, product(0, inputRow, seen, bias: nil)).map { $0 + $1 } }
      }
      for source in own.sources {
        var seen = values([source])[0]
        // Recurrent dropout is for h, and for what is made of gates and states.
        if case .leaf(.state(let state)) = cell.graph.nodes[source], state > 0 {
        } else {
          seen = zip(seen, ones).map { $0 * $1 }
        }
        sum = zip(sum, product(description.hiddenPart ?? 0, row, seen, bias: nil)).map { $0 + $1 }
        row += 1
      }
      return sum
    }
    return State(values(cell.results))
  }

  /// W x + U h + both biases, for one gate of a built-in cell.
  private func sum(_ row: Int, _ x: Vector, _ h: Vector) -> Vector {
    zip(product(0, row, x, bias: 2), product(1, row, h, bias: 3)).map { $0 + $1 }
  }

  /// One block of rows of a weight, and of a bias.
  private func product(_ weight: Int, _ number: Int, _ x: Vector, bias: Int?) -> Vector {
    (0..<units).map { unit in
      let row = number * units + unit
      return (0..<x.count).reduce(bias.map { parts[$0][row] } ?? 0) {
        $0 + parts[weight][row * x.count + $1] * x[$1]
      }
    }
  }

  private func gate(_ x: Double) -> Double {
    if case .hardSigmoid(let slope, let offset) = description.gateActivation {
      return min(max(Double(slope) * x + Double(offset), 0), 1)
    }
    return Self.sigmoid(x)
  }

  package static func sigmoid(_ x: Double) -> Double { 1 / (1 + Elementary.exp(-x)) }

  package static func tanh(_ x: Double) -> Double {
    let e = Elementary.exp(-2 * abs(x))
    return (x < 0 ? -1 : 1) * (1 - e) / (1 + e)
  }
}
