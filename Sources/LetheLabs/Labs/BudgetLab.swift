import LetheCore
import LetheData
import LetheInsight
import LetheNN
import LetheTraining

/// An LSTM whose gates share a budget, f + i ≤ 1, against one whose gates are free.
///
/// The budget bounds the cell by the largest candidate, |c| ≤ 1: proved, and checked here. Whether it also regularises is
/// asked on the built-in digits, read row by row, from several numbers of training images: training and test error of both.
struct BudgetLab: Lab {
  let name = "budget"
  let claim =
    "With f + i ≤ 1 a cell never leaves -1 to 1. The budget regularises: from few examples its test error is below that "
    + "of free gates."
  let kind = LabKind.bound

  private static let cells: [(name: String, recipe: LSTMRecipe?)] = [
    ("free", nil), ("budget", LSTMRecipe(writing: .budget)),
  ]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let parts = Recipe.digits(.everyFifth)
    let (pool, test) = (Self.rows(parts.train), Self.rows(parts.test))
    let sizes = setup.pick(quick: [100], full: [50, 100, 200, 400, 800])
    // [size][cell][seed]
    var runs: [[[Run]]] = []
    for (number, size) in sizes.enumerated() {
      let part = progress.part(number, of: sizes.count, "\(size) images")
      runs.append(
        try Self.cells.enumerated().map { index, cell in
          try setup.eachSeed(part.part(index, of: Self.cells.count, cell.name)) { seed, part in
            let order = RandomKey(seed: seed).child("budget").permutation(pool.count)
            let train = pool[rows: Array(order.prefix(size))]
            return try learn(cell.recipe, train, test, seed: seed, setup, part)
          }
        })
    }

    let all = runs.flatMap { $0[1] }
    var findings = [
      LabFinding(
        "budget: the largest f + i, trained", [all.map(\.mostSum).max() ?? .nan], .plain, .bound,
        .atMost(1 + 0x1p-22)),
      LabFinding(
        "budget: the largest |c|, trained", [all.map(\.mostCell).max() ?? .nan], .plain, .bound,
        .atMost(1 + 0x1p-20)),
      LabFinding(
        "free: the largest |c|, trained", [runs.flatMap { $0[0] }.map(\.mostCell).max() ?? .nan], .plain,
        .bound, .none),
    ]
    for (size, ofCells) in zip(sizes, runs) {
      for (cell, values) in zip(Self.cells, ofCells) {
        findings.append(
          LabFinding(
            "\(size) images, \(cell.name): training error", values.map(\.trainError), .share, .empirical,
            .none))
        let isClaim = cell.name == "budget" && size == sizes.first
        findings.append(
          LabFinding(
            "\(size) images, \(cell.name): test error", values.map(\.testError), .share, .empirical,
            isClaim ? .below(ofCells[0].map(\.testError), "free gates'") : .none))
      }
    }
    let words = zip(sizes, runs).map { size, ofCells in
      let errors = ofCells.map { LabFinding.text($0.map(\.testError).median, .share) }
      return "\(size) images \(errors[1]) against \(errors[0])"
    }
    func line(_ name: String, _ cell: Int, _ value: KeyPath<Run, Double>) -> LineChart.Series {
      LineChart.Series(
        name,
        points: zip(sizes, runs).map { size, ofCells in
          LineChart.Point(
            x: Elementary.log(Double(size)) / Elementary.log(2),
            y: ofCells[cell].map { $0[keyPath: value] }.median)
        })
    }
    var chart = LineChart(
      title: "Error by number of images", xLabel: "binary logarithm of the training images", yLabel: "error",
      series: [
        line("free, test", 0, \.testError), line("budget, test", 1, \.testError),
        line("free, training", 0, \.trainError), line("budget, training", 1, \.trainError),
      ])
    chart.yIsShare = true
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Test errors with the budget against free gates: \(words.joined(separator: ", ")). The cell stayed within "
          + "\(LabFinding.text(all.map(\.mostCell).max() ?? .nan, .plain)) with the budget."
      ], plots: [LabPlot(chart, caption: "Medians over the seeds.")])
  }

  private struct Run {
    var trainError: Double
    var testError: Double
    /// Over the test images and steps.
    var mostSum: Double
    var mostCell: Double
  }

  private func learn(
    _ recipe: LSTMRecipe?, _ train: Dataset, _ test: Dataset, seed: UInt64, _ setup: LabSetup,
    _ progress: LabProgress
  ) throws -> Run {
    let network = Sequential(input: [.any, 8], seed: seed) {
      Recurrent(LSTMCell(32, recipe: recipe))
      Dense(10)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 150, full: 1500), rate: 0.01)
    let key = RandomKey(seed: seed).child("batches")
    let loss = Loss.categoricalCrossEntropy
    try training.run(setup, progress) { rate, before in
      var draws = Draws(key.child(before), count: 32)
      let batch = train[rows: (0..<32).map { _ in draws.below(train.count) }]
      return learner.step(batch, loss, rate: rate)
    }
    let trained = learner.network
    guard let memory = trained.layers[0] as? LSTM else { stop("budget: the memory is no LSTM") }
    let most = extremes(memory, test.inputs)
    return Run(
      trainError: 1 - trained.measured(on: train, loss).accuracy,
      testError: 1 - trained.measured(on: test, loss).accuracy, mostSum: most.sum, mostCell: most.cell)
  }

  /// The largest f + i, and the largest |c| after any step, over the images.
  ///
  /// f is what a step keeps; i is what it writes over its candidate, where that is not too small to divide by.
  private func extremes(_ memory: LSTM, _ x: Tensor) -> (sum: Double, cell: Double) {
    guard let recording = memory.record(x).layers.first else { return (.nan, .nan) }
    var most = (sum: -Double.infinity, cell: 0.0)
    for row in 0..<x.shape[0] {
      guard let trace = recording.memory(row: row), let u = recording.steps("candidate", row: row) else {
        return (.nan, .nan)
      }
      for t in 0..<trace.count {
        for unit in 0..<trace.units {
          most.cell = Statistics.largest(most.cell, abs(trace.value[t][unit]))
          let candidate = Double(u[t][unit])
          if abs(candidate) > 0.1 {
            most.sum = Statistics.largest(most.sum, trace.keep[t][unit] + trace.write[t][unit] / candidate)
          }
        }
      }
    }
    // Where no candidate was large enough nothing was measured.
    return (most.sum == -.infinity ? .nan : most.sum, most.cell)
  }

  /// Images [count, 8, 8, 1] as sequences.
  private static func rows(_ data: Dataset) -> Dataset {
    var data = data
    data.inputs = data.inputs.reshaped(Array(data.inputs.shape.prefix(3)))
    return data
  }
}
