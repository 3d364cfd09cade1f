import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// What can still be read out of a memory, by the best linear read-out, against the product of the forget gates since.
///
/// A leaky unit c_t = f c_{t−1} + x_t over independent signs x has R² = f²ᵏ (1 − f²) / (1 − f²ᵀ) for the sign of k steps ago: from
/// f < 1 an item fades, but what drowns it is the others. N units together cannot give more than N items, whatever their gates:
/// Σ_k R²_k ≤ N (Jaeger 2001, "Short term memory in echo state networks"); what is measured is a sample's, so 5% are allowed.
/// Last, an LSTM trained to sum numbers since a mark.
struct LossLab: Lab {
  let name = "loss"
  let claim =
    "A written item can be read out of the state the less, the smaller the product of the forget gates since; N units together hold "
    + "no more than N items' worth. A trained LSTM forgets what lies before a mark, and keeps what it still needs."
  let kind = LabKind.bound

  private static let forgets = [0.5, 0.8, 0.9, 0.95, 0.98]
  private static let lags = [1, 2, 5, 10, 20, 40]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let runs = try setup.eachSeed(progress) { seed, part in
      (
        leaky: try leaky(seed: seed, setup),
        trained: try trained(seed: seed, setup, part)
      )
    }
    var findings: [LabFinding] = []
    for (unit, f) in Self.forgets.enumerated() {
      findings.append(
        LabFinding(
          "f = \(f): largest difference of R² from f^2k (1 - f²) / (1 - f^2T), lags to 40",
          runs.map { $0.leaky.worst[unit] },
          .plain, .identity, .atMost(0.05)))
    }
    let capacity = runs.map { $0.leaky.all.reduce(0, +) }
    findings.append(
      LabFinding(
        "\(Self.forgets.count) units together: items that can be read, sum of R²", capacity, .plain, .bound,
        .atMost(1.05 * Double(Self.forgets.count))))
    let single = runs.map { run in run.leaky.single.map { $0.reduce(0, +) }.max() ?? .nan }
    findings.append(
      LabFinding("one unit alone: the same, the best of them", single, .plain, .bound, .atMost(1.05)))
    let learned = runs.map { $0.trained }
    findings += [
      LabFinding("trained: error of the sum", learned.map(\.error), .plain, .empirical, .none),
      LabFinding(
        "trained: R² of items before the mark, up to 10 steps back", learned.map { $0.mean(isCut: true) },
        .share,
        .empirical, .below(learned.map { $0.mean(isCut: false) }, "that of items after it")),
      LabFinding(
        "trained: rank correlation of R² with the product of the forget gates since",
        learned.map(\.agreement), .plain,
        .empirical, .atLeast(0.8)),
    ]
    var fading = LineChart(
      title: "Trained: what is left of an item", xLabel: "steps since it was written", yLabel: "share",
      series: [false, true].flatMap { isCut -> [LineChart.Series] in
        let name = isCut ? "a mark since" : "no mark since"
        func line(_ what: String, _ value: (Group) -> Double) -> LineChart.Series {
          let lags = Set(learned.flatMap { $0.groups.filter { $0.isCut == isCut }.map(\.lag) }).sorted()
          return LineChart.Series(
            "\(what), \(name)",
            points: lags.map { lag in
              let all = learned.flatMap { $0.groups.filter { $0.isCut == isCut && $0.lag == lag } }
              return LineChart.Point(x: Double(lag), y: all.map(value).median)
            })
        }
        return [line("R²", \.explained), line("gates", \.kept)]
      })
    fading.yIsShare = true
    var lines = [0, 2, 4].map {
      LineChart.Series("f = \(Self.forgets[$0])", values: runs[0].leaky.single[$0])
    }
    lines.append(LineChart.Series("all five", values: runs[0].leaky.all))
    var together = LineChart(
      title: "Leaky units", xLabel: "steps since it was written", yLabel: "R² of an item", series: lines)
    together.yIsShare = true
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Five leaky units together let \(LabFinding.text(capacity, .plain)) items be read, one alone "
          + "\(LabFinding.text(single, .plain)) at most. In the trained LSTM R² before the mark is "
          + "\(LabFinding.text(learned.map { $0.mean(isCut: true) }, .share)), after it "
          + "\(LabFinding.text(learned.map { $0.mean(isCut: false) }, .share))."
      ],
      plots: [
        LabPlot(
          together, caption: "First seed. Units that forget differently give together what none gives alone."),
        LabPlot(
          fading,
          caption: "Medians over the seeds; gates: mean over the units of the product of their forget gates."),
      ])
  }

  // MARK: Leaky units

  private func leaky(seed: UInt64, _ setup: LabSetup) throws -> (
    worst: [Double], single: [[Double]], all: [Double]
  ) {
    let (steps, rows, units) = (64, setup.pick(quick: 2048, full: 16_384), Self.forgets.count)
    let gates = ConstantGates(forget: Self.forgets, input: Array(repeating: 1, count: units))
    let signs = RandomKey(seed: seed).child("loss").words(rows * steps).map { $0 >> 31 == 1 ? Float(1) : -1 }
    let cells = gates.layer.run(Variable(Tensor(signs, shape: [rows, steps, 1]))).state.cell[0].tensor.scalars
    func features(_ chosen: Range<Int>) -> [[Double]] {
      (0..<rows).map { row in chosen.map { Double(cells[row * units + $0]) } }
    }
    func explained(_ chosen: Range<Int>, lag: Int) throws -> Double {
      try setup.goOn()
      return explainedHeldOut(
        features(chosen), (0..<rows).map { Double(signs[$0 * steps + steps - 1 - lag]) })
    }
    let lags = 0..<setup.pick(quick: 41, full: 64)
    let all = try lags.map { try explained(0..<units, lag: $0) }
    var single: [[Double]] = [], worst: [Double] = []
    for unit in 0..<units {
      let own = try lags.map { try explained(unit..<unit + 1, lag: $0) }
      let f = gates.forget[unit]
      single.append(own)
      worst.append(
        Self.lags.map { lag in
          let formula = Elementary.pow(f, 2 * lag) * (1 - f * f) / (1 - Elementary.pow(f, 2 * steps))
          return abs(own[lag] - formula)
        }.max() ?? .nan)
    }
    return (worst, single, all)
  }

  /// R² of a read-out fitted to half of the rows, on the other half.
  private func explainedHeldOut(_ features: [[Double]], _ targets: [Double]) -> Double {
    let half = features.count / 2
    let probe = LinearProbe(Array(features[..<half]), Array(targets[..<half]))
    return probe.explained(Array(features[half...]), Array(targets[half...]))
  }

  // MARK: A trained LSTM

  /// Items written so many steps ago, in examples with a mark since or without.
  private struct Group {
    var lag: Int
    var isCut: Bool
    var explained: Double
    var kept: Double
  }
  private struct Trained {
    var error: Double
    var groups: [Group]
    func mean(isCut: Bool) -> Double {
      Statistics.mean(groups.filter { $0.isCut == isCut && $0.lag <= 10 }.map(\.explained))
    }
    var agreement: Double { Statistics.rankCorrelation(groups.map(\.explained), groups.map(\.kept)) }
  }

  private func trained(seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws -> Trained {
    let task = ResetSumTask(length: 30), units = 8
    let network = Sequential(input: [.any, 2], seed: seed) {
      LSTM(units)
      Dense(1)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 1000, full: 10_000), rate: 0.01)
    try training.run(&learner, on: task, seed: seed, setup, progress)
    let rows = setup.pick(quick: 1024, full: 8192)
    let data = task.examples(rows, key: RandomKey(seed: 0).child("loss"))
    let memory = learner.network.record(data.inputs) { $0 == "forget" || $0 == "cell" }.layers[0]
    guard let forget = memory["forget"]?.scalars, let cell = memory["cell"]?.scalars else {
      stop("loss: the recording is not complete")
    }
    let (x, time) = (data.inputs.scalars, task.length)
    let features = (0..<rows).map { row in
      (0..<units).map { Double(cell[(row * time + time - 1) * units + $0]) }
    }
    var kept = Array(repeating: [Double](repeating: 1, count: units), count: rows)
    var isCut = Array(repeating: false, count: rows)
    var groups: [Group] = []
    for lag in 0..<time {
      try setup.goOn()
      let t = time - 1 - lag
      for cut in [false, true] {
        let chosen = (0..<rows).filter { isCut[$0] == cut }
        if chosen.count >= 200 {
          groups.append(
            Group(
              lag: lag, isCut: cut,
              explained: explainedHeldOut(
                chosen.map { features[$0] }, chosen.map { Double(x[($0 * time + t) * 2]) }),
              kept: Statistics.mean(chosen.map { Statistics.mean(kept[$0]) })))
        }
      }
      for row in 0..<rows {
        for unit in 0..<units { kept[row][unit] *= Double(forget[(row * time + t) * units + unit]) }
        if x[(row * time + t) * 2 + 1] == 1 { isCut[row] = true }
      }
    }
    return Trained(error: learner.network.measured(on: data, task.loss).loss, groups: groups)
  }
}
