import LetheCore
import LetheNN

extension CellLaws {
  /// With cotangents on outputs and final states, through lengths and resets: every third weight and every input and
  /// state against central differences of the twin.
  func finiteDifferences() -> Double? {
    guard let base = subject.twin else { return nil }
    let lengths = [4, 2, 3], count = 3, units = subject.units
    let resets = [[false, true, false, false], [false, false, false, false], [true, false, true, false]]
    let x = subject.input("slopes", batch: count, time: 4)
    let start =
      subject.attends ? subject.layer.emptyState(batch: count) : subject.state("start", batch: count)
    let key = RandomKey(seed: 3)
    let cotangent = key.child("y").uniform(shape: [count, 4, units], in: -1..<1)
    let widths = subject.widths
    let finals = widths.enumerated().map {
      key.child("state\($0)").uniform(shape: [count, $1], in: -1..<1)
    }

    func loss(_ twin: any LayerTwin, _ inputs: [[[Double]]], _ initial: [[[Double]]]) -> Double {
      var total = 0.0
      for row in 0..<count {
        let (outputs, state) = twin.run(
          Array(inputs[row].prefix(lengths[row])), from: .init(initial.map { $0[row] }),
          resets: Array(resets[row].prefix(lengths[row])))
        for (t, output) in outputs.enumerated() {
          for unit in 0..<units { total += output[unit] * Double(cotangent[row, t, unit]) }
        }
        for (part, final) in zip(state.parts, finals) {
          for unit in part.indices { total += part[unit] * Double(final[row, unit]) }
        }
      }
      return total
    }

    var watched: [Variable] = []
    let (named, all) = subject.gradients { run, tape in
      let input = tape.watched(x, timing: Timing(lengths: lengths, resets: resets))
      let state = self.watched(start, on: tape)
      watched = [input] + state.hidden + state.cell
      let (y, final) = run(input, state)
      return zip(final.hidden + final.cell, finals).reduce((y * Variable(cotangent)).sum()) {
        $0 + ($1.0 * Variable($1.1)).sum()
      }
    }
    let inputs = (0..<count).map { vectors(x, $0) }
    let initial = numbers(start).map { part in
      (0..<count).map { row in part.rows(row..<row + 1).scalars.map(Double.init) }
    }
    let step = 1e-5
    var most = 0.0
    func compare(_ ours: Float, _ up: Double, _ down: Double) {
      let slope = (up - down) / (2 * step)
      most =
        ours.isFinite && slope.isFinite ? max(most, abs(Double(ours) - slope) / (1 + abs(slope))) : .infinity
    }
    for (part, gradient) in named.enumerated() {
      let values = gradient.1.scalars
      for index in Swift.stride(from: 0, to: values.count, by: max(1, values.count / 40)) {
        var (up, down) = (base, base)
        up.parts[part][index] += step
        down.parts[part][index] -= step
        compare(values[index], loss(up, inputs, initial), loss(down, inputs, initial))
      }
    }
    for (number, variable) in watched.enumerated() {
      guard let gradient = all[variable] else { return .infinity }
      for index in Swift.stride(
        from: 0, to: gradient.count, by: number == 0 ? max(1, gradient.count / 60) : 5)
      {
        func shifted(_ amount: Double) -> Double {
          var (inputs, initial) = (inputs, initial)
          if number == 0 {
            inputs[index / subject.inputs / 4][index / subject.inputs % 4][index % subject.inputs] += amount
          } else {
            let width = widths[number - 1]
            initial[number - 1][index / width][index % width] += amount
          }
          return loss(base, inputs, initial)
        }
        compare(gradient.scalars[index], shifted(step), shifted(-step))
      }
    }
    return most
  }
}
