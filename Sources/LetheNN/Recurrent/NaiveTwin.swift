import LetheCore

/// The recurrent engine again, slow and obvious: one sequence, one step, one unit at a time, in doubles.
///
/// It is the oracle of the fast path's tests, and what finite differences are taken of.
package struct NaiveTwin: LayerTwin {
  package let description: CellDescription
  private let cell: CellDescription.Equations
  package var units: Int
  /// As in a file, in the order of `CellDescription.parts`.
  package var parts: [Vector]

  package init(_ description: CellDescription, units: Int, parts: [Vector]) {
    self.description = description
    cell = description.equations
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
        state = State(state.parts.map { Vector(repeating: 0, count: $0.count) })
      }
      state = next(x[t], state, mask)
      outputs[t] = state.h
    }
    return (outputs, state)
  }

  package func run(_ x: [Vector], from initial: State, resets: [Bool]?) -> (outputs: [Vector], state: State) {
    run(x, from: initial, resets: resets, isReversed: false)
  }

  /// One step.
  package func next(_ x: Vector, _ state: State, _ mask: Vector? = nil) -> State {
    let ones = mask ?? Vector(repeating: 1, count: units)
    var terms = [Vector?](repeating: nil, count: cell.terms.count)
    func values(_ ids: [CellGraph.ID]) -> [Vector] {
      // Sums first: those that a value is made of, and what they see in turn.
      for id in cell.graph.below(ids) {
        if case .leaf(.term(let number)) = cell.graph.nodes[id], terms[number] == nil {
          terms[number] = term(number)
        }
      }
      return cell.graph.columns(ids, count: units, units: units) { leaf in
        switch leaf {
        case .term(let number): terms[number] ?? []
        case .state(let number): state.parts[number]
        case .noise(let number):
          Vector(repeating: Double(description.noises[number].rate), count: units)
        case .vector(let number): vector(number)
        default: Vector(repeating: .nan, count: units)
        }
      }
    }
    func vector(_ number: Int) -> Vector {
      let (part, block) = description.vectorPlace(number)
      return Vector(parts[part][block * units..<(block + 1) * units])
    }
    func term(_ number: Int) -> Vector {
      let own = cell.terms[number]
      if let width = own.width, let part = description.projectionPart {
        return product(part, 0, values(own.sources)[0], rows: width)
      }
      var sum = Vector(repeating: 0, count: units)
      for (part, block) in [
        (description.inputBiasPart, own.bias.input), (description.hiddenBiasPart, own.bias.hidden),
      ] {
        guard let part, let block else { continue }
        sum = zip(sum, parts[part][block * units..<(block + 1) * units]).map { $0 + $1 }
      }
      let seen = Array(x.dropLast(description.scalars))
      switch own.fixed {
      case .identity: sum = seen
      case .scalar(let index): sum = sum.map { _ in x[seen.count + index] }
      case nil: if own.seesInput { sum = zip(sum, product(0, cell.inputRow(number), seen)).map { $0 + $1 } }
      }
      for (index, source) in own.sources.enumerated() {
        var seen = values([source])[0]
        // Recurrent dropout is for h and for what is made of gates and states; what is projected is neither.
        switch cell.graph.nodes[source] {
        case .leaf(.state(let state)) where state > 0: break
        default: if own.width == nil { seen = zip(seen, ones).map { $0 * $1 } }
        }
        let row = cell.hiddenRow(number) + index
        sum = zip(sum, product(description.hiddenPart ?? 0, row, seen)).map { $0 + $1 }
      }
      return sum
    }
    return State(values(cell.results))
  }

  /// One block of rows of a weight, times x.
  private func product(_ weight: Int, _ number: Int, _ x: Vector, rows: Int? = nil) -> Vector {
    (0..<(rows ?? units)).map { unit in
      let row = number * units + unit
      return (0..<x.count).reduce(0) { $0 + parts[weight][row * x.count + $1] * x[$1] }
    }
  }

  package static func sigmoid(_ x: Double) -> Double { 1 / (1 + Elementary.exp(-x)) }

  package static func softplus(_ x: Double) -> Double {
    Swift.max(x, 0) + Elementary.log(1 + Elementary.exp(-x.magnitude))
  }

  package static func tanh(_ x: Double) -> Double {
    let e = Elementary.exp(-2 * abs(x))
    return (x < 0 ? -1 : 1) * (1 - e) / (1 + e)
  }
}
