import Lethe
import LetheNN
import LetheTestSupport
import Testing

/// Against the equations in doubles: outputs, states and gradients.
extension MatrixMemoryTests {
  func vectors(_ x: Tensor, _ row: Int) -> [[Double]] {
    (0..<x.shape[1]).map { t in (0..<x.shape[2]).map { Double(x[row, t, $0]) } }
  }

  @Test(arguments: rules, [true, false]) func agreesWithItsTwin(
    _ rule: MatrixMemory.Rule, normalizesHeads: Bool
  ) {
    // The second sizes fill four blocks of columns and more, and two blocks of keys.
    for (key, value) in [(5, 19), (21, 83)] {
      let layer = layer(rule, key: key, value: value, normalizesHeads: normalizesHeads)
      let twin = MatrixMemoryTwin(layer), x = numbers("x", [2, time, inputs]), begin = start(layer, 2)
      let fast = layer.run(Variable(x), from: begin)
      for number in 0..<2 {
        let slow = twin.run(
          vectors(x, number), from: .init(parts(row(begin, number)).map { $0.scalars.map(Double.init) }))
        let ours = [fast.output.tensor.rows(number..<number + 1)] + parts(row(fast.state, number))
        let theirs = [slow.outputs.flatMap { $0 }] + slow.state.parts
        for (a, b) in zip(ours, theirs) {
          #expect(difference(a, Tensor(b.map { Float($0) }, shape: a.shape)) < 1e-5)
        }
      }
    }
  }

  @Test(arguments: rules) func gradientsAreDifferences(_ rule: MatrixMemory.Rule) {
    // The second crosses the border between two kept states.
    for (layer, time, most) in [(layer(rule), time, 150), (layer(rule, key: 17, value: 3), 35, 12)] {
      let found = check(layer, time: time, most: most)
      #expect(found < 1e-4, "\(rule): \(found)")
    }
  }

  /// The largest |a − b| / (1 + |b|) between gradients and central differences of the twin, at no more than `most`
  /// places of each tensor.
  func check(_ layer: MatrixMemory, time: Int, most: Int) -> Double {
    let lengths = [time, time - 3, 2]
    let resets = (0..<3).map { row in (0..<time).map { $0 == 2 && row == 0 || $0 == 0 && row == 2 } }
    let x = numbers("x", [3, time, inputs]), begin = start(layer, 3)
    let cotangents = [numbers("dy", [3, time, 11])] + parts(begin).map { numbers("ds", $0.shape) }
    var watched: [Variable] = []
    let (_, all) = layer.gradients { layer, tape in
      let input = tape.watched(x, timing: Timing(lengths: lengths, resets: resets))
      let state = RecurrentState(
        hidden: begin.hidden.map { tape.watched($0.tensor) }, cell: begin.cell.map { tape.watched($0.tensor) }
      )
      watched = [input] + state.hidden + state.cell
      let (y, final) = layer.run(input, from: state)
      return zip([y] + final.hidden + final.cell, cotangents).map { ($0 * Variable($1)).sum() }.reduce(
        Variable(Tensor(0)), +)
    }
    let base = MatrixMemoryTwin(layer), named = all.named(for: layer)
    let values = (0..<3).map { vectors(x, $0) }
    let states = (0..<3).map { number in parts(row(begin, number)).map { $0.scalars.map(Double.init) } }
    func loss(_ twin: MatrixMemoryTwin, _ x: [[[Double]]], _ states: [[[Double]]]) -> Double {
      var total = 0.0
      for number in 0..<3 {
        let (outputs, state) = twin.run(
          Array(x[number].prefix(lengths[number])), from: .init(states[number]), resets: resets[number])
        for (t, output) in outputs.enumerated() {
          for (unit, y) in output.enumerated() { total += y * Double(cotangents[0][number, t, unit]) }
        }
        for (part, cotangent) in zip(state.parts, cotangents.dropFirst()) {
          for (unit, s) in part.enumerated() { total += s * Double(cotangent[number, unit]) }
        }
      }
      return total
    }
    let step = 1e-5
    var worst = 0.0
    func compare(_ gradient: Tensor?, _ shifted: (Int, Double) -> Double) {
      guard let gradient, gradient.isFinite else { return worst = .infinity }
      for index in stride(from: 0, to: gradient.count, by: max(1, (gradient.count + most - 1) / most)) {
        let slope = (shifted(index, step) - shifted(index, -step)) / (2 * step)
        worst = max(worst, abs(Double(gradient.scalars[index]) - slope) / (1 + abs(slope)))
      }
    }
    for (number, parameter) in layer.parameters.enumerated() {
      compare(named[parameter.name]) { index, amount in
        var twin = base
        twin.parts[number][index] += amount
        return loss(twin, values, states)
      }
    }
    for (number, variable) in watched.enumerated() {
      compare(all[variable]) { index, amount in
        var (values, states) = (values, states)
        if number == 0 {
          values[index / inputs / time][index / inputs % time][index % inputs] += amount
        } else {
          let width = variable.shape[1]
          states[index / width][number - 1][index % width] += amount
        }
        return loss(base, values, states)
      }
    }
    return worst
  }
}
