import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// Forgetting and dropout both throw state away, but not for the same end: each is taken out in turn.
///
/// An LSTM, and one without a forget gate, learn sums since the last mark (`ResetSumTask`) from a fixed set of sequences, with
/// and without dropout of the recurrent state and the output. Forgetting is decided by the data and needed when answers are
/// given; dropout is blind, acts in training alone, and can at most narrow the gap between training and test error.
struct DropoutLab: Lab {
  let name = "dropout"
  let claim =
    "Forgetting is not dropout: where the past must be dropped at a mark, a network without a forget gate has more than twice "
    + "the error, and dropout does not stand in for the gate, which closes at the marks by itself."
  let kind = LabKind.empirical

  private static let cases: [(name: String, forgets: Bool, dropout: Float)] = [
    ("forget gate, no dropout", true, 0), ("forget gate, dropout", true, 0.2),
    ("no forget gate, no dropout", false, 0), ("no forget gate, dropout", false, 0.2),
  ]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let runs = try Self.cases.enumerated().map { number, each in
      try setup.eachSeed(progress.part(number, of: Self.cases.count, each.name)) { seed, part in
        try learn(each.forgets, each.dropout, seed: seed, setup, part)
      }
    }
    let with = runs[0].map(\.test)
    var findings: [LabFinding] = []
    for (number, each) in Self.cases.enumerated() {
      findings.append(
        LabFinding(
          "\(each.name): training error over a constant answer's", runs[number].map(\.train), .plain,
          .empirical, .none))
      findings.append(
        LabFinding(
          "\(each.name): test error over a constant answer's", runs[number].map(\.test), .plain, .empirical,
          each.forgets ? .none : .above(with.map { 2 * $0 }, "twice that of a forget gate without dropout")))
    }
    findings.append(
      LabFinding(
        "forget gate, no dropout: mean f at marks", runs[0].map(\.atMarks), .plain, .empirical,
        .below(runs[0].map(\.elsewhere), "that elsewhere")))
    let tests = runs.map { LabFinding.text($0.map(\.test), .plain) }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Test errors over a constant answer's: \(zip(Self.cases, tests).map { "\($0.name) \($1)" }.joined(separator: "; ")). "
          + "The forget gate is \(LabFinding.text(runs[0].map(\.atMarks), .plain)) at marks and "
          + "\(LabFinding.text(runs[0].map(\.elsewhere), .plain)) elsewhere."
      ],
      plots: [
        LabPlot(
          BarChart(
            title: "What each does", yLabel: "test error over a constant answer's, median",
            bars: zip(Self.cases, runs).map { BarChart.Bar($0.name, $1.map(\.test).median) }),
          caption: "1 is nothing learned.")
      ])
  }

  private struct Run {
    var train: Double
    var test: Double
    /// The mean forget gate at marks after the first step, and at steps without one; 1 where there is no gate.
    var atMarks = 1.0
    var elsewhere = 1.0
  }

  private func learn(
    _ forgets: Bool, _ dropout: Float, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Run {
    let task = ResetSumTask(length: setup.pick(quick: 15, full: 40))
    let count = setup.pick(quick: 512, full: 2048)
    let train = task.examples(count, key: RandomKey(seed: seed).child("dropout"))
    let network = Sequential(input: [.any, 2], seed: seed) {
      Recurrent(
        LSTMCell(24, recipe: forgets ? nil : LSTMRecipe(forgetGate: false)),
        dropout: RecurrentDropout(output: dropout, recurrent: dropout))
      Dense(1)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 500, full: 4000), rate: 0.01)
    let key = RandomKey(seed: seed).child("batches")
    try training.run(setup, progress) { rate, before in
      var draws = Draws(key.child(before), count: 32)
      return learner.step(train[rows: (0..<32).map { _ in draws.below(count) }], task.loss, rate: rate)
    }
    let test = task.heldOut(.test)
    var run = Run(
      train: learner.network.measured(on: train, task.loss).loss / task.baseline,
      test: learner.network.measured(on: test, task.loss).loss / task.baseline)
    if forgets, let memory = learner.network.layers[0] as? LSTM {
      (run.atMarks, run.elsewhere) = gates(memory, test.inputs)
    }
    return run
  }

  private func gates(_ memory: LSTM, _ x: Tensor) -> (atMarks: Double, elsewhere: Double) {
    let forget = memory.gateValues(Variable(x))["forget"]?.scalars ?? []
    let (steps, units) = (x.shape[1], memory.cell.hiddenSize)
    var sums = (marked: 0.0, other: 0.0), counts = (marked: 0, other: 0)
    let marks = x.scalars
    for at in 0..<x.shape[0] * steps where !at.isMultiple(of: steps) {
      let mean = (0..<units).reduce(0.0) { $0 + Double(forget[at * units + $1]) } / Double(units)
      if marks[2 * at + 1] > 0 {
        (sums.marked, counts.marked) = (sums.marked + mean, counts.marked + 1)
      } else {
        (sums.other, counts.other) = (sums.other + mean, counts.other + 1)
      }
    }
    return (sums.marked / Double(max(counts.marked, 1)), sums.other / Double(max(counts.other, 1)))
  }
}
