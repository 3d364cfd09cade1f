import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// A digit is shown at the first step, noise follows, and at the last step it is asked for: what an LSTM learns, and what its
/// gates do meanwhile.
///
/// Gates are means over the units, each weighted by how much of what the first step wrote is in its cell before the question
/// (by the ledger), so that the units count that hold the digit. Training starts from forget biases of 1, and from chrono
/// initialisation, which begins with forget gates open and input gates shut (Tallec & Ollivier 2018, arXiv 1804.11188).
struct RecallLab: Lab {
  let name = "recall"
  let claim =
    "An LSTM recalls a digit past 98 steps of noise, at least 99.9% of the time. Where the digit is held the input gate is open "
    + "once, the forget gate stays open, and the output gate is closed until the digit is asked for."
  let kind = LabKind.empirical
  private static let starts = ["plain start", "chrono start"]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let task = DigitRecallTask(length: setup.pick(quick: 20, full: 100))
    // [start][seed]
    let runs = try Self.starts.enumerated().map { index, start in
      try setup.eachSeed(progress.part(index, of: Self.starts.count, start)) { seed, part in
        try learn(task, isChrono: index == 1, seed: seed, setup, part)
      }
    }
    var findings: [LabFinding] = [], seen: [String] = []
    for (start, runs) in zip(Self.starts, runs) {
      func gate(_ name: String, _ steps: Range<Int>) -> [Double] {
        runs.map { run in Statistics.mean(run.gates[name].map { $0[steps] } ?? []) }
      }
      func text(_ values: [Double]) -> String { LabFinding.text(values, .share) }
      func add(_ what: String, _ values: [Double], _ expectation: LabFinding.Expectation) {
        findings.append(LabFinding("\(start): \(what)", values, .share, .empirical, expectation))
      }
      let (store, hold, ask) = (0..<1, 1..<task.length - 1, task.length - 1..<task.length)
      let right = runs.map(\.accuracy)
      let (written, silent) = (gate("input", store), gate("input", hold))
      let (kept, shown, said) = (gate("forget", hold), gate("output", hold), gate("output", ask))
      add("right answers after \(task.length) steps", right, .atLeast(0.999))
      add("of what is in memory before the question, written by the first step", runs.map(\.share), .none)
      add("input gate when shown", written, .atLeast(0.5))
      add("input gate while holding", silent, .atMost(0.1))
      add("forget gate while holding", kept, .atLeast(0.95))
      add("output gate while holding", shown, .atMost(0.1))
      add("output gate when asked", said, .atLeast(0.5))
      seen.append(
        "\(start): \(text(right)) right after \(task.length) steps. Input gate \(text(written)) when shown, then "
          + "\(text(silent)); forget gate \(text(kept)); output gate \(text(shown)) while holding, "
          + "\(text(said)) when asked.")
    }
    let plots = zip(Self.starts, runs).map { start, runs in
      var chart = LineChart(
        title: "Gates of what holds the digit, \(start)", xLabel: "step", yLabel: "mean",
        series: ["input", "forget", "output"].map { name in
          LineChart.Series(
            name,
            values: (0..<task.length).map { t in runs.map { $0.gates[name]?[t] ?? .nan }.median }, from: 1)
        })
      chart.yIsShare = true
      return LabPlot(chart, caption: "Median over the seeds; shown at step 1, asked at the last.")
    }
    return LabResult(self, setup, findings: findings, seen: seen, plots: plots)
  }

  private struct Run {
    var accuracy: Double
    /// Of all that is in memory before the question.
    var share: Double
    /// By name and step.
    var gates: [String: [Double]]
  }

  private func learn(
    _ task: DigitRecallTask, isChrono: Bool, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws
    -> Run
  {
    let units = 24
    let network = Sequential(input: [.any, task.inputSize], seed: seed) {
      LSTM(units, longestLag: isChrono ? task.length : nil)
      Dense(10)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 1000, full: 8000), rate: 0.01)
    try training.run(&learner, on: task, seed: seed, setup, progress)
    let test = task.examples(
      lengths: Array(repeating: task.length, count: setup.pick(quick: 512, full: 10_000)),
      key: RandomKey(seed: 0).child(task.name).child("test"))
    let trained = learner.network
    var run = Run(accuracy: trained.measured(on: test, task.loss).accuracy, share: .nan, gates: [:])

    let rows = 64
    let memory = trained.record(test[0..<rows].inputs).layers[0]
    var held = [Double](repeating: 0, count: memory.units), all = 0.0
    for row in 0..<rows {
      guard let trace = memory.memory(row: row) else { stop("recall: the recording is not complete") }
      // Number 0 is what was there before the first step.
      let entries = Ledger(trace).entries(at: task.length - 2)
      for unit in held.indices { held[unit] += abs(entries[1][unit]) }
      all += entries.reduce(0) { $0 + $1.reduce(0) { $0 + abs($1) } }
    }
    let whole = held.reduce(0, +)
    run.share = whole / all
    for gate in ["input", "forget", "output"] {
      var means = [Double](repeating: 0, count: task.length)
      for row in 0..<rows {
        for (t, values) in (memory.steps(gate, row: row) ?? []).enumerated() {
          means[t] += zip(values, held).reduce(0) { $0 + Double($1.0) * $1.1 } / (whole * Double(rows))
        }
      }
      run.gates[gate] = means
    }
    return run
  }
}

/// Name the digit of the first step at the last, past noise.
///
/// Ten numbers are one digit's place at the first step and noise, even between −1 and 1, at all later ones; then come the marks
/// "shown" and "asked". Sequences to learn from have 2 to `length` steps, short ones more often.
///
/// *Shapes*: [count, longest, 12] with lengths.
private struct DigitRecallTask: SequenceTask {
  let name = "digitrecall"
  let meaning = "name the digit of the first step at the last, past noise"
  let inputSize = 12
  let outputSize = 10
  let loss = Loss.categoricalCrossEntropy
  let baseline = 0.1
  let goal = 0.999
  let length: Int

  func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key.child("lengths"), count: 2 * count)
    return examples(lengths: draws.lengths(count, in: 2...length), key: key)
  }

  func examples(lengths: [Int], key: RandomKey) -> Dataset {
    let time = lengths.max() ?? 0
    let noise = key.child("noise").uniform(shape: [lengths.count * time * 10], in: -1..<1).scalars
    var draws = Draws(key.child("digits"), count: lengths.count)
    var labels: [Int32] = []
    var x = [Float](repeating: 0, count: lengths.count * time * inputSize)
    for (row, length) in lengths.enumerated() {
      for t in 1..<length {
        let at = row * time + t
        for k in 0..<10 { x[at * inputSize + k] = noise[at * 10 + k] }
      }
      let digit = draws.below(10), first = row * time * inputSize
      labels.append(Int32(digit))
      x[first + digit] = 1
      x[first + 10] = 1
      x[first + (length - 1) * inputSize + 11] = 1
    }
    return Dataset(
      inputs: Tensor(x, shape: [lengths.count, time, inputSize]), targets: .classes(labels, count: 10),
      lengths: lengths)
  }
}
