import LetheCore
import LetheInsight
import LetheNN

/// The derivative of a cell with respect to the cell before is its forget gate, as long as the gates do not see the cell.
///
/// Measured in LSTMs with random and with trained weights: ∂c_t/∂c_{t−1} with h_{t−1} held fixed, by the engine's gradient
/// and by finite differences; then over more steps, where the gates do see earlier cells through h, what that adds to the
/// product of the forget gates. With peepholes the gates see c_{t−1} at once: there the identity must not hold, which shows
/// that the measurement can tell.
struct CarouselLab: Lab {
  let name = "carousel"
  let claim =
    "With h held fixed, the derivative of a cell by the cell before is exactly its forget gate and nothing between units; "
    + "what the gates add through h comes on top over several steps."
  let kind = LabKind.identity
  private static let units = 6

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let lags = setup.pick(quick: [1, 2, 5, 10], full: [1, 2, 5, 10, 20, 50])
    let runs = try setup.eachSeed(progress) { seed, part in
      let fresh = LSTM(inputSize: 2, hiddenSize: Self.units, key: RandomKey(seed: seed))
      let after = try trainedLayer(seed: seed, setup, part)
      return (
        fresh: measure(fresh, seed: seed, lags: lags), trained: measure(after, seed: seed, lags: lags),
        peephole: measure(peepholeLayer(seed: seed), seed: seed, lags: [1])
      )
    }
    func finding(_ what: String, _ values: [Double], _ expectation: LabFinding.Expectation) -> LabFinding {
      LabFinding(what, values, .power, .identity, expectation)
    }
    var findings: [LabFinding] = []
    for (name, all) in [("random weights", runs.map(\.fresh)), ("trained", runs.map(\.trained))] {
      findings.append(
        finding("\(name): largest difference from f, by gradient", all.map(\.gradient), .atMost(1e-6)))
      findings.append(
        finding("\(name): the same by finite differences", all.map(\.finite), .atMost(2e-6)))
      for (index, lag) in lags.enumerated().dropFirst() where lag == 2 || lag == lags.last {
        findings.append(
          LabFinding(
            "\(name): what the gates add over \(lag) steps, share of the Jacobian's norm",
            all.map { $0.added[index] }, .share, .empirical, .none))
      }
    }
    findings.append(
      finding("with peepholes: difference from f", runs.map(\.peephole.gradient), .atLeast(1e-2)))

    let last = lags.count - 1
    let (fresh, trained) = (runs.map(\.fresh.added[last]), runs.map(\.trained.added[last]))
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "The largest difference of the derivative from the forget gate is \(LabFinding.text(runs.map(\.trained.gradient).max() ?? .nan, .power)). Over "
          + "\(lags[last]) steps the path through h is \(LabFinding.text(fresh, .share)) of the Jacobian with random weights, "
          + "\(LabFinding.text(trained, .share)) after training."
      ],
      plots: [
        LabPlot(
          LineChart(
            title: "What the other gates add", xLabel: "steps", yLabel: "share of the Jacobian's norm",
            series: [
              line("random weights", lags, runs.map(\.fresh.added)),
              line("trained", lags, runs.map(\.trained.added)),
            ]), caption: "0 would be the product of the forget gates alone."),
        LabPlot(
          LineChart(
            title: "What is left of a cell's gradient", xLabel: "steps",
            yLabel: "decimal logarithm of the norm",
            series: [
              line("random, whole", lags, runs.map { $0.fresh.whole.map { log10($0) } }),
              line("random, f alone", lags, runs.map { $0.fresh.gates.map { log10($0) } }),
              line("trained, whole", lags, runs.map { $0.trained.whole.map { log10($0) } }),
              line("trained, f alone", lags, runs.map { $0.trained.gates.map { log10($0) } }),
            ]), caption: "Frobenius norms of the whole Jacobian and of the product of the forget gates."),
      ])
  }

  private func line(_ name: String, _ lags: [Int], _ values: [[Double]]) -> LineChart.Series {
    LineChart.Series(
      name,
      points: lags.indices.map { index in
        LineChart.Point(x: Double(lags[index]), y: values.map { $0[index] }.median)
      })
  }

  private func trainedLayer(seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws -> LSTM {
    let network = Sequential(input: [.any, 2], seed: seed) {
      LSTM(Self.units)
      Dense(2)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 100, full: 1000), rate: 0.01)
    try training.run(&learner, on: LinkTask(length: 30), seed: seed, setup, progress)
    guard let memory = learner.network.layers[0] as? LSTM else { stop("carousel: the memory is no LSTM") }
    return memory
  }

  private func peepholeLayer(seed: UInt64) -> LSTM {
    let units = Self.units
    let key = RandomKey(seed: seed)
    let layer = LSTM(
      LSTMCell(units, recipe: LSTMRecipe(peepholes: true)), inputSize: 2, key: key)
    return layer.with(
      Dictionary(
        uniqueKeysWithValues: ["input", "forget", "output"].map { gate in
          ("peephole_\(gate)_l0", key.child(gate).uniform(shape: [units], in: 0.5..<1).scalars)
        }))
  }

  // MARK: Measuring

  private struct Measured {
    /// The largest |∂c_t/∂c_{t−1} − diag(f_t)|, in two ways.
    var gradient = 0.0
    var finite = 0.0
    /// By lag: ‖J − diag(Π f)‖ / ‖J‖, ‖J‖ and ‖diag(Π f)‖ (Frobenius).
    var added: [Double] = []
    var whole: [Double] = []
    var gates: [Double] = []
  }

  private func measure(_ layer: LSTM, seed: UInt64, lags: [Int]) -> Measured {
    let (units, key) = (Self.units, RandomKey(seed: seed).child("measure"))
    let hidden = key.child("hidden").uniform(shape: [1, units], in: -0.8..<0.8)
    let cell = key.child("cell").uniform(shape: [1, units], in: -1.5..<1.5)
    let x = key.child("x").normal(shape: [1, lags.max() ?? 1, 2])
    let start = RecurrentState(hidden: [Variable(hidden)], cell: [Variable(cell)])
    let forget = layer.gateValues(Variable(x), from: start)["forget"]?.scalars.map { Double($0) } ?? []
    var measured = Measured()
    for lag in lags {
      let part = Tensor(Array(x.scalars.prefix(lag * 2)), shape: [1, lag, 2])
      let product = (0..<units).map { unit in (0..<lag).reduce(1.0) { $0 * forget[$1 * units + unit] } }
      let jacobian = self.jacobian(layer, part, hidden, cell)
      var (whole, gates, rest, worst) = (0.0, 0.0, 0.0, 0.0)
      for row in 0..<units {
        for column in 0..<units {
          let f = row == column ? product[row] : 0
          let difference = jacobian[row][column] - f
          whole += jacobian[row][column] * jacobian[row][column]
          gates += f * f
          rest += difference * difference
          worst = max(worst, abs(difference))
        }
      }
      if lag == 1 {
        measured.gradient = worst
        measured.finite = finiteDifference(layer, part, hidden, cell, from: product)
      }
      measured.added.append((rest / max(whole, 1e-300)).squareRoot())
      measured.whole.append(whole.squareRoot())
      measured.gates.append(gates.squareRoot())
    }
    return measured
  }

  /// [unit after][unit before].
  private func jacobian(_ layer: LSTM, _ x: Tensor, _ hidden: Tensor, _ cell: Tensor) -> [[Double]] {
    (0..<Self.units).map { row in
      let tape = Tape(isTraining: false)
      let before = tape.watched(cell)
      let state = RecurrentState(hidden: [tape.constant(hidden)], cell: [before])
      let after = layer.run(tape.constant(x), from: state).state.cell[0]
      let unit = Tensor((0..<Self.units).map { $0 == row ? 1 : 0 }, shape: [1, Self.units])
      return tape.gradients(of: [(after, unit)])[before]?.scalars.map { Double($0) } ?? []
    }
  }

  /// The largest difference from diag(f). A cell is linear in the cell before, so that a wide step has no error but rounding.
  private func finiteDifference(
    _ layer: LSTM, _ x: Tensor, _ hidden: Tensor, _ cell: Tensor, from gates: [Double]
  ) -> Double {
    func after(_ cell: [Float]) -> [Double] {
      let state = RecurrentState(
        hidden: [Variable(hidden)], cell: [Variable(Tensor(cell, shape: [1, cell.count]))])
      return layer.run(Variable(x), from: state).state.cell[0].tensor.scalars.map { Double($0) }
    }
    var worst = 0.0
    for column in 0..<Self.units {
      var (up, down) = (cell.scalars, cell.scalars)
      up[column] += 0.5
      down[column] -= 0.5
      let width = Double(up[column]) - Double(down[column])
      for (row, ends) in zip(after(up), after(down)).enumerated() {
        worst = max(worst, abs((ends.0 - ends.1) / width - (row == column ? gates[row] : 0)))
      }
    }
    return worst
  }
}
