import LetheCore
import LetheInsight
import LetheNN

/// A leaky integrator is bounded, whatever its input: |c_t| ≤ i (1 − fᵗ) / (1 − f) < i / (1 − f).
///
/// The adversaries write at most 1 a step: always the same sign; what the gradient says, from a random start; coin tosses;
/// and by turns. With f = 1 the sum of what was written has no bound.
struct BoundedLab: Lab {
  let name = "bounded"
  let claim =
    "With constant gates a cell never leaves i / (1 - f), whatever the input; the worst input comes as near as one likes; "
    + "with f = 1 the cell grows without end."
  let kind = LabKind.bound

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let pairs = [(0.5, 1.0), (0.9, 1), (0.9, 0.3), (0.99, 0.5), (0.999, 1), (1, 1)]
    let gates = ConstantGates(forget: pairs.map(\.0), input: pairs.map(\.1))
    let steps = setup.pick(quick: 2000, full: 20_000)
    let adversaries: [(name: String, x: [Float])] = [
      ("always up", Array(repeating: 1, count: steps)),
      ("the gradient's sign", gradientSigns(gates, steps: steps)),
      ("coin tosses", RandomKey(seed: 1).words(steps).map { $0 >> 31 == 1 ? 1 : -1 }),
      ("by turns", (0..<steps).map { $0.isMultiple(of: 2) ? 1 : -1 }),
    ]
    var largest: [[Double]] = []
    var climb: [[Double]] = []
    for (number, adversary) in adversaries.enumerated() {
      progress.part(number, of: adversaries.count, adversary.name)(0)
      let cells = try gates.cells(adversary.x, setup)
      if number == 0 { climb = cells }
      largest.append(pairs.indices.map { unit in cells.map { abs($0[unit]) }.max() ?? .nan })
    }

    var findings: [LabFinding] = []
    for (unit, pair) in pairs.enumerated() where pair.0 < 1 {
      let (f, bound) = (gates.forget[unit], gates.input[unit] / (1 - gates.forget[unit]))
      let (name, rounding) = ("f = \(pair.0), i = \(pair.1)", 0x1p-23 / (1 - f))
      let reached = largest.map { $0[unit] / bound }
      findings.append(
        LabFinding(
          "\(name): by how much |c| passes i / (1 - f), relative, by adversary", reached.map { $0 - 1 },
          .power, .bound,
          .atMost(rounding)))
      findings.append(
        LabFinding(
          "\(name): how near the worst input comes", [reached.max() ?? .nan], .share, .bound,
          .atLeast((1 - Elementary.pow(f, steps)) * (1 - rounding) - rounding)))
      // Not only in the end: at every step.
      let over = climb.enumerated().map { t, cells in
        cells[unit] / (bound * (1 - Elementary.pow(f, t + 1)))
      }
      findings.append(
        LabFinding(
          "\(name): by how much |c| passes i (1 - f^t) / (1 - f), relative, at any step",
          [(over.max() ?? .nan) - 1], .power, .bound, .atMost(rounding)))
    }
    let free = climb.map { $0[pairs.count - 1] }
    findings.append(
      LabFinding(
        "f = 1, i = 1: |c| after \(steps) steps", [free[steps - 1]], .count, .identity,
        .within(Double(steps)...Double(steps))))

    let shown = stride(from: 0, to: 1000, by: 20)
    let chart = LineChart(
      title: "The worst input", xLabel: "step", yLabel: "|c| over i / (1 - f)",
      series: [1, 3, 4].map { unit in
        let bound = gates.input[unit] / (1 - gates.forget[unit])
        return LineChart.Series(
          "f = \(pairs[unit].0)",
          points: shown.map { LineChart.Point(x: Double($0 + 1), y: climb[$0][unit] / bound) })
      })
    let growth = LineChart(
      title: "No forgetting", xLabel: "step", yLabel: "|c|",
      series: [("f = 1", 5), ("f = 0.999", 4)].map { name, unit in
        LineChart.Series(name, points: shown.map { LineChart.Point(x: Double($0 + 1), y: climb[$0][unit]) })
      })
    let nearest = LabFinding.text((largest[0][4] * (1 - gates.forget[4])) / gates.input[4], .share)
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "No input of \(adversaries.count) over \(steps) steps passed the bound beyond rounding; at f = 0.999 the worst came "
          + "to \(nearest) of it, and at f = 1 the cell stood at \(LabFinding.text(free[steps - 1], .count))."
      ],
      plots: [
        LabPlot(chart, caption: "Each line rises to 1 and stays."),
        LabPlot(growth, caption: "With f = 1 the same input adds up for ever."),
      ])
  }

  /// The input that raises the cells most at the end, by the sign of the gradient at a random input; the last thousand
  /// steps of it, the rest as at their first.
  private func gradientSigns(_ gates: ConstantGates, steps: Int) -> [Float] {
    let tape = Tape(), length = min(steps, 1000)
    let start = RandomKey(seed: 2).uniform(shape: [1, length, 1], in: -0.01..<0.01)
    let x = tape.watched(start)
    let cell = gates.layer.run(x).state.cell[0]
    let gradients = tape.gradients(of: [(cell, Tensor(repeating: 1, shape: cell.shape))])
    let signs = gradients[x].map { $0.scalars.map { $0 < 0 ? Float(-1) : 1 } } ?? []
    return Array(repeating: signs.first ?? 1, count: steps - length) + signs
  }
}
