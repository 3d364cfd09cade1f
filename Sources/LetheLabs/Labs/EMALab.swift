import LetheCore
import LetheInsight
import LetheNN

/// An exponential average has one α for all times; a forget gate has one for each.
///
/// On a level that jumps (`LevelData`), every exponential average, a Kalman filter, the best filter there is and an LSTM
/// estimate the level from what was seen so far. What α the LSTM uses in effect is measured by the steps since a jump.
struct EMALab: Lab {
  let name = "ema"
  let claim =
    "On a level that jumps an LSTM has less error than every exponential average and than a Kalman filter, as its "
    + "effective α is small at a jump and grows with the time since."
  let kind = LabKind.empirical

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let steps = setup.pick(quick: 60, full: 200)
    let count = setup.pick(quick: 64, full: 500)
    let test = LevelData(count, steps: steps, key: RandomKey(seed: 0).child("ema").child("test"))
    let alphas = (0...49).map { Double($0) / 50 }
    let averages = alphas.map { test.error(test.average($0)) }
    let best = averages.min() ?? .nan
    let bestAlpha = alphas[averages.firstIndex(of: best) ?? 0]
    let ideal = test.bayes()
    let (kalman, bayes) = (test.error(test.kalman()), test.error(ideal))
    let runs = try setup.eachSeed(progress) { seed, part in
      try estimates(test, steps: steps, seed: seed, setup, part)
    }
    let errors = runs.map { test.error($0) }
    func many(_ value: Double) -> [Double] { errors.map { _ in value } }

    // Quick forms see few large jumps.
    let lags = Array(0...setup.pick(quick: 10, full: 30))
    let alpha = runs.map { run in lags.map { test.effectiveAlpha(run, after: $0) } }
    let exact = test.average(bestAlpha)
    let off = lags.map { abs(test.effectiveAlpha(exact, after: $0) - bestAlpha) }.max() ?? .nan
    let late = lags.count - 1
    let findings = [
      LabFinding(
        "what measures α gives that of the exponential average back, largest difference", [off], .power,
        .identity, .atMost(1e-9)),
      LabFinding("mean squared error of the best exponential average", [best], .plain, .empirical, .none),
      LabFinding("its α", [bestAlpha], .plain, .empirical, .none),
      LabFinding("error of the Kalman filter", [kalman], .plain, .empirical, .none),
      LabFinding("error of the best filter there is", [bayes], .plain, .empirical, .none),
      LabFinding(
        "error of the LSTM against averages", errors, .plain, .empirical,
        .below(many(best), "the best exponential average's")),
      LabFinding(
        "error of the LSTM against Kalman", errors, .plain, .empirical,
        .below(many(kalman), "the Kalman filter's")),
      LabFinding(
        "effective α of the LSTM at a jump", alpha.map { $0[0] }, .plain, .empirical,
        .below(alpha.map { $0[late] }, "that \(lags[late]) steps later")),
    ]
    let errorChart = LineChart(
      title: "Error by α", xLabel: "α of the exponential average", yLabel: "mean squared error",
      series: [
        .init("averages", points: zip(alphas, averages).map { .init(x: $0, y: $1) }),
        level("Kalman", kalman), level("LSTM, median", errors.median), level("best there is", bayes),
      ])
    let alphaChart = LineChart(
      title: "Effective α after a jump", xLabel: "steps since the jump", yLabel: "α",
      series: [
        .init("LSTM, median", values: lags.map { lag in alpha.map { $0[lag] }.median }),
        .init(
          "best there is", values: lags.map { test.effectiveAlpha(ideal, after: $0) }),
        .init("best average", values: lags.map { _ in bestAlpha }),
      ])
    let (first, last) = (alpha.map { $0[0] }.median, alpha.map { $0[late] }.median)
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Mean squared errors: best exponential average \(LabFinding.text(best, .plain)), Kalman "
          + "\(LabFinding.text(kalman, .plain)), LSTM \(LabFinding.text(errors, .plain)), best possible "
          + "\(LabFinding.text(bayes, .plain)). The LSTM's α is \(LabFinding.text(first, .plain)) at a jump and "
          + "\(LabFinding.text(last, .plain)) \(lags[late]) steps later; the average's is \(LabFinding.text(bestAlpha, .plain)) always."
      ],
      plots: [
        LabPlot(errorChart, caption: "One α is a compromise between noise and jumps."),
        LabPlot(alphaChart, caption: "Jumps of more than three deviations of the noise."),
      ])
  }

  private func level(_ name: String, _ value: Double) -> LineChart.Series {
    .init(name, points: [.init(x: 0, y: value), .init(x: 0.98, y: value)])
  }

  /// The level that a trained LSTM sees in the test data.
  private func estimates(
    _ test: LevelData, steps: Int, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> [[Double]] {
    let network = Sequential(input: [.any, 1], seed: seed) {
      LSTM(24, outputs: .all)
      Dense(1)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 250, full: 3000), rate: 0.01)
    let key = RandomKey(seed: seed).child("ema").child("train")
    try training.run(setup, progress) { rate, before in
      let batch = LevelData(32, steps: min(steps, 100), key: key.child(before)).dataset
      return learner.step(batch, .meanSquaredError, rate: rate)
    }
    let found = learner.network(test.dataset.inputs).scalars.map { Double($0) }
    return test.x.indices.map { Array(found[$0 * steps..<($0 + 1) * steps]) }
  }
}
