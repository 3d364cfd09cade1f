import LetheCore

/// Looks for the worst that inputs within the box can do to a layer, by running the engine on them: what it finds may come near
/// to the bounds and must never pass them.
///
/// It tries the corners that are the worst for one gate of one unit at a time, random ones, and climbs: each row of a batch
/// follows the sign of its own gradient towards an extreme of one unit of a state, by halving steps, on the tape.
/// *Cost*: as so many forward passes, and for climbs some hundred times as much.
package struct RecurrentAdversary {
  private let bounds: RecurrentBounds
  private let low: [Float]
  private let high: [Float]
  /// The extremes of every gate and state so far, unit by unit.
  package private(set) var found: [String: [Interval]] = [:]

  /// Where the box is infinite it looks within ±8.
  package init(_ bounds: RecurrentBounds) {
    self.bounds = bounds
    // Inward: what is tried has to lie in the box.
    low = bounds.input.map { Float(Interval.floatAbove(max($0.low, -8))) }
    high = bounds.input.map { Float(Interval.floatBelow(min($0.high, 8))) }
  }

  private var features: Int { low.count }

  /// Looks on, with sequences of so many steps.
  package mutating func search(steps time: Int, rows: Int = 32, climbs: Int = 6, key: RandomKey) {
    run(sequences(gateCorners().map { corner in (0..<time).map { _ in corner } }))
    run(random(rows, time, key.child("random")))
    guard climbs > 0 else { return }
    for (number, state) in bounds.description.states.enumerated() {
      let units = bounds.states[number].units.count
      climb(to: number, random(2 * units, time, key.child(state)), climbs)
    }
  }

  /// For each gate and unit the input that makes its sum the greatest, and the least.
  private func gateCorners() -> [[Float]] {
    let description = bounds.description, equations = description.equations
    let seen = features - description.scalars
    guard let part = description.inputPart else { return [low, high] }
    var corners = [low, high]
    for (number, term) in equations.terms.enumerated() where term.seesInput {
      for unit in 0..<bounds.units {
        let row = bounds.parts[part].pointer + (equations.inputRow(number) * bounds.units + unit) * seen
        for sign: Float in [1, -1] {
          for rest in [low, high] where description.scalars > 0 || rest == low {
            corners.append(
              (0..<features).map { $0 < seen ? (sign * row[$0] > 0 ? high : low)[$0] : rest[$0] })
          }
        }
      }
    }
    return corners
  }

  private func sequences(_ rows: [[[Float]]]) -> Tensor {
    Tensor(rows.flatMap { $0.flatMap { $0 } }, shape: [rows.count, rows.first?.count ?? 0, features])
  }

  /// Half of the rows: numbers from all over the box, step by step; half: corners that change now and then.
  private func random(_ rows: Int, _ time: Int, _ key: RandomKey) -> Tensor {
    let words = key.words(rows * time * (features + 1)).map { Float($0 >> 8) * 0x1p-24 }
    var values: [Float] = [], at = 0
    for row in 0..<rows {
      var corner = low
      for t in 0..<time {
        let isNew = t == 0 || words[at] < 0.15
        at += 1
        for k in 0..<features {
          let (l, h, w) = (low[k], high[k], words[at])
          at += 1
          if row % 2 == 0 {
            values.append(min(max(l + (h - l) * w, l), h))
          } else {
            if isNew { corner[k] = w < 0.5 ? l : h }
            values.append(corner[k])
          }
        }
      }
    }
    return Tensor(values, shape: [rows, time, features])
  }

  private func start(_ batch: Int) -> [Tensor] {
    bounds.start.map { state in
      Tensor(shape: [batch, state.count]) { to in
        for row in 0..<batch {
          for (unit, own) in state.enumerated() {
            // A learned start is one number beside 0; others are ends of their range.
            let value = row % 2 == 0 ? own.high : own.low
            to[row * state.count + unit] = Float(
              value >= 0 ? Interval.floatBelow(value) : Interval.floatAbove(value))
          }
        }
      }
    }
  }

  /// Runs the engine and keeps the extremes.
  private mutating func run(_ x: Tensor) {
    let (batch, time) = (x.shape[0], x.shape[1])
    let pass = RecurrentPass(
      description: bounds.description,
      layout: SequenceLayout(batch: batch, time: time, timing: nil, isReversed: bounds.isReversed),
      inputs: features, units: bounds.units, hiddenMask: nil)
    let result = pass.run(
      Variable(x), weights: .init(parts: bounds.parts.map { Variable($0) }, cache: PackedCache()),
      initial: start(batch).map { Variable($0) }, wantsOutputs: true, keeping: { _ in true })
    for (name, tensor) in result.values {
      let units = tensor.shape[2]
      var extremes = found[name] ?? []
      tensor.withUnsafeBuffer { values in
        for (index, value) in values.enumerated() {
          let one = Interval(Double(value))
          if extremes.count < units {
            extremes.append(one)
          } else {
            extremes[index % units] = extremes[index % units].union(one)
          }
        }
      }
      found[name] = extremes
    }
  }

  /// Row 2 u raises unit u of a state at the last step walked, row 2 u + 1 lowers it.
  private mutating func climb(to state: Int, _ first: Tensor, _ climbs: Int) {
    var x = first
    let (batch, time, units) = (x.shape[0], x.shape[1], bounds.states[state].units.count)
    let signs = Tensor(shape: [batch, units]) { to in
      for row in 0..<batch {
        for unit in 0..<units {
          to[row * units + unit] = row / 2 == unit ? (row % 2 == 0 ? 1 : -1) : 0
        }
      }
    }
    for round in 0..<climbs {
      let tape = Tape(isTraining: false)
      let input = tape.watched(x)
      let twin = TapeTwin(
        bounds.description, units: bounds.units, parts: bounds.parts, interventions: [], tape: nil)
      let result = twin.run(
        input, from: start(batch).map { Variable($0) }, isReversed: bounds.isReversed)
      let goal = (result.states[state] * Variable(signs)).sum()
      guard goal.isRecorded, let slope = tape.gradients(of: goal)[input] else { break }
      let share = Float(sign: .plus, exponent: -round / 2, significand: 1)
      x = Tensor(shape: [batch, time, features]) { to in
        for i in 0..<to.count {
          let (l, h, now) = (low[i % features], high[i % features], x.pointer[i])
          let push = slope.pointer[i] > 0 ? (h - l) : slope.pointer[i] < 0 ? (l - h) : 0
          to[i] = min(max(now + share * push, l), h)
        }
      }
      run(x)
    }
  }
}
