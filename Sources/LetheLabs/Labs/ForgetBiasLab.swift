import LetheCore
import LetheInsight
import LetheNN

/// How the bias that the forget gate starts at decides how soon a link through time is learned.
///
/// An LSTM learns `LinkTask` for several lags from forget biases of 0, 1, 3 and 5, and from chrono initialisation: b_f = log u
/// with u uniform in 1 … T − 1, b_i = −b_f (Tallec & Ollivier 2018, arXiv 1804.11188, eq. 16). What is counted are the steps
/// until 95 % of held-out answers are right.
struct ForgetBiasLab: Lab {
  let name = "forgetbias"
  let claim =
    "The longer the lag, the larger the forget bias that learns it soonest: chrono initialisation, or a bias of 5, learns "
    + "long lags in fewer steps than a bias of 1."
  let kind = LabKind.empirical

  private static let starts: [(name: String, bias: Float?)] = [
    ("0", 0), ("1", 1), ("3", 3), ("5", 5), ("chrono", nil),
  ]
  private static let units = 16

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let lags = setup.pick(quick: [20, 60], full: [50, 200, 1000])
    var findings: [LabFinding] = []
    // [lag][start]: steps, seed by seed.
    var steps: [[[Double]]] = []
    for (number, lag) in lags.enumerated() {
      let part = progress.part(number, of: lags.count, "lag \(lag)")
      let ofStarts = try Self.starts.enumerated().map { index, start in
        try setup.eachSeed(part.part(index, of: Self.starts.count, "bias \(start.name)")) { seed, part in
          try learn(lag: lag, bias: start.bias, seed: seed, setup, part)
        }
      }
      steps.append(ofStarts)
      for (start, values) in zip(Self.starts, ofStarts) {
        let isClaim = lag == lags.last && (start.name == "5" || start.name == "chrono")
        findings.append(
          LabFinding(
            "lag \(lag), b_f = \(start.name): steps until 95.0% are right", values, .count, .empirical,
            isClaim ? .below(ofStarts[1], "b_f = 1's") : .none))
      }
    }
    let last = steps[lags.count - 1]
    let words = zip(Self.starts, last).map { "\($0.name): \(LabFinding.text($1, .count))" }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Steps to learn a lag of \(lags[lags.count - 1]), by forget bias: \(words.joined(separator: "; "))."
      ],
      plots: [
        LabPlot(
          LineChart(
            title: "Steps to learn", xLabel: "lag", yLabel: "training steps, median",
            series: Self.starts.enumerated().map { index, start in
              LineChart.Series(
                "b_f = \(start.name)",
                points: lags.indices.map {
                  LineChart.Point(x: Double(lags[$0]), y: steps[$0][index].median)
                })
            }),
          caption:
            "A missing point was not learned within \(Self.training(setup).steps) steps by half of the seeds or more."
        )
      ])
  }

  private static func training(_ setup: LabSetup) -> LabTraining {
    LabTraining(steps: setup.pick(quick: 200, full: 800), rate: 0.005, falls: false, lookEvery: 10)
  }

  private func learn(
    lag: Int, bias: Float?, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Double {
    let task = LinkTask(length: lag), units = Self.units
    let network = Sequential(input: [.any, 2], seed: seed) {
      LSTM(units, forgetBias: bias ?? 1, longestLag: bias == nil ? lag : nil)
      Dense(2)
    }
    var learner = Learner(network, seed: seed)
    let held = task.heldOut(.validation)[0..<256]
    let steps = try Self.training(setup).run(&learner, on: task, batch: 16, seed: seed, setup, progress) {
      network, _ in network.measured(on: held, task.loss).accuracy >= task.goal
    }
    return steps.map { Double($0) } ?? .infinity
  }
}
