import LetheCore
import LetheInsight
import LetheNN

/// What is written once decays as fᵗ, and its half-life is ln ½ / ln f.
///
/// One LSTM whose units have constant forget gates; at the first step 1 is written into each cell, later steps write
/// nothing, so that the cell is the decay itself. The half-life is fitted: a line through ln c_t by least squares.
struct HalfLifeLab: Lab {
  let name = "halflife"
  let claim =
    "What is written into a cell decays as f to the power of the steps since: after 10 steps at f = 0.9 there is 35% "
    + "left, the half-life is ln ½ / ln f, and f = 1 keeps it without loss."
  let kind = LabKind.identity

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let wanted = [0.5, 0.9, 0.99, 1]
    let steps = setup.pick(quick: 1000, full: 20_000)
    let gates = ConstantGates(forget: wanted, input: nil)
    let cells = try gates.cells((0...steps).map { $0 == 0 ? 1 : 0 }, setup)

    // A float keeps six digits of a decayed number down to 1e-37.
    let counted = gates.forget.map { f in f < 1 ? min(steps, Int(-85 / Elementary.log(f))) : steps }
    var findings: [LabFinding] = []
    for (unit, f) in gates.forget.enumerated() where f < 1 {
      let last = counted[unit]
      let worst = (0...last).map { t in abs(cells[t][unit] / Elementary.pow(f, t) - 1) }.max() ?? .nan
      findings.append(
        LabFinding(
          "f = \(wanted[unit]): the cell against f^t, largest relative difference over \(last) steps",
          [worst],
          .power, .identity, .atMost(Double(last + 1) * 0x1p-24)))
      let fitted = Elementary.log(0.5) / slope((0...last).map { Elementary.log(cells[$0][unit]) })
      let exact = Elementary.log(0.5) / Elementary.log(f)
      let half = LabFinding.text(exact, .plain)
      findings.append(
        LabFinding(
          "f = \(wanted[unit]): half-life that was fitted, against \(half) steps by the formula, relative difference",
          [abs(fitted / exact - 1)], .power, .identity, .atMost(1e-5)))
    }
    findings.append(
      LabFinding(
        "f = 0.9: left after 10 steps", [cells[10][1]], .plain, .identity, .within(0.34867...0.34869)))
    findings.append(
      LabFinding(
        "f = 1: left after \(steps) steps", [cells[steps][3]], .plain, .identity, .within(1...1)))
    progress(1)

    let shown = 60
    let chart = LineChart(
      title: "A written 1, step by step", xLabel: "steps since it was written", yLabel: "left in the cell",
      series: wanted.indices.map { unit in
        LineChart.Series("f = \(wanted[unit])", values: (0...shown).map { cells[$0][unit] })
      })
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "0.9 to the power of 10 is \(LabFinding.text(cells[10][1], .plain)); after \(steps) steps f = 1 still has "
          + "\(LabFinding.text(cells[steps][3], .plain)), and fitted half-lives are those of the formula."
      ],
      plots: [LabPlot(chart, caption: "The half-life is where a line crosses one half.")])
  }

  /// The slope of the least-squares line through numbers at 0, 1, 2, …
  private func slope(_ y: [Double]) -> Double {
    let middle = Double(y.count - 1) / 2
    let (up, down) = y.enumerated().reduce((0.0, 0.0)) { sums, item in
      let x = Double(item.offset) - middle
      return (sums.0 + x * item.element, sums.1 + x * x)
    }
    return up / down
  }
}
