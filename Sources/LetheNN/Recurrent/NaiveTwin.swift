import CLetheKernels
import LetheCore

/// The recurrent engine again, slow and obvious: one sequence, one step, one unit at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct NaiveTwin {
  package typealias Vector = [Double]

  package var description: CellDescription
  package var units: Int
  /// As in a file: [gates · units, inputs], [gates · units, units], [gates · units] twice.
  package var inputWeight: Vector, hiddenWeight: Vector, inputBias: Vector, hiddenBias: Vector

  package init(
    _ description: CellDescription, units: Int, inputWeight: Vector, hiddenWeight: Vector, inputBias: Vector,
    hiddenBias: Vector
  ) {
    self.description = description
    self.units = units
    self.inputWeight = inputWeight
    self.hiddenWeight = hiddenWeight
    self.inputBias = inputBias
    self.hiddenBias = hiddenBias
  }

  package struct State: Equatable {
    package var h: Vector, c: Vector
    package init(h: Vector, c: Vector) {
      self.h = h
      self.c = c
    }
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
        state = State(h: Vector(repeating: 0, count: units), c: Vector(repeating: 0, count: units))
      }
      state = next(x[t], state, mask)
      outputs[t] = state.h
    }
    return (outputs, state)
  }

  /// One step.
  package func next(_ x: Vector, _ state: State, _ mask: Vector? = nil) -> State {
    let seen = mask.map { zip($0, state.h).map { $0 * $1 } } ?? state.h
    switch description.kernel {
    case LETHE_CELL_LSTM: return lstm(x, seen, state)
    case LETHE_CELL_GRU_AFTER: return gruAfter(x, seen, state)
    case LETHE_CELL_GRU_BEFORE: return gruBefore(x, seen, state)
    default:
      let relu = description.kernel == LETHE_CELL_RNN_RELU
      let a = sum(0, x, seen)
      return State(h: a.map { relu ? max($0, 0) : Self.tanh($0) }, c: [])
    }
  }

  private func lstm(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let i = sum(0, x, h).map(gate), f = sum(1, x, h).map(gate)
    let g = sum(2, x, h).map(Self.tanh), o = sum(3, x, h).map(gate)
    let c = (0..<units).map { f[$0] * state.c[$0] + i[$0] * g[$0] }
    return State(h: (0..<units).map { o[$0] * Self.tanh(c[$0]) }, c: c)
  }

  private func gruAfter(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let r = sum(0, x, h).map(gate), z = sum(1, x, h).map(gate)
    let xn = product(inputWeight, 2, x, inputBias), hn = product(hiddenWeight, 2, h, hiddenBias)
    let n = (0..<units).map { Self.tanh(xn[$0] + r[$0] * hn[$0]) }
    return State(h: (0..<units).map { z[$0] * state.h[$0] + (1 - z[$0]) * n[$0] }, c: [])
  }

  private func gruBefore(_ x: Vector, _ h: Vector, _ state: State) -> State {
    let r = sum(0, x, h).map(gate), z = sum(1, x, h).map(gate)
    let n = sum(2, x, (0..<units).map { r[$0] * h[$0] }).map(Self.tanh)
    return State(h: (0..<units).map { z[$0] * state.h[$0] + (1 - z[$0]) * n[$0] }, c: [])
  }

  /// W x + U h + both biases, for one gate.
  private func sum(_ number: Int, _ x: Vector, _ h: Vector) -> Vector {
    zip(product(inputWeight, number, x, inputBias), product(hiddenWeight, number, h, hiddenBias)).map {
      $0 + $1
    }
  }

  private func product(_ weight: Vector, _ number: Int, _ x: Vector, _ bias: Vector) -> Vector {
    (0..<units).map { unit in
      let row = number * units + unit
      return bias[row] + (0..<x.count).reduce(0) { $0 + weight[row * x.count + $1] * x[$1] }
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
