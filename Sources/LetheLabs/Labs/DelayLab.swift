import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// Events whose effect comes long after: the Forgetting Gate Network beside LSTM and GRU.
///
/// One of two events happens at a step of the first ten; after so many steps of noise its effect is to be foretold. What is counted
/// are the examples until 95% are right. With the data folder the three also learn film reviews (is the sentence
/// kind?) and spoken digits (which one?).
struct DelayLab: Lab {
  let name = "delay"
  let claim =
    "The Forgetting Gate Network learns effects that come long after their event from fewer examples than an LSTM and a GRU, and "
    + "learns text and sound as well as they do."
  let kind = LabKind.empirical
  let dataFolder: String? = "sentiment, fsdd"

  private static let cells = ["FGN", "LSTM", "GRU"]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let lags = setup.pick(quick: [10, 20], full: [20, 60, 200])
    let sets =
      try setup.data.map { folder in
        [
          ("film reviews", try RealSequences.reviews(folder + "/sentiment"), setup.pick(quick: 1, full: 4)),
          ("spoken digits", try RealSequences.spokenDigits(folder + "/fsdd"), setup.pick(quick: 1, full: 10)),
        ]
      } ?? []
    let parts = lags.count + sets.count
    var findings: [LabFinding] = []
    // [lag][cell][seed]
    var runs: [[[Double]]] = []
    for (number, lag) in lags.enumerated() {
      let part = progress.part(number, of: parts, "lag \(lag)")
      let ofLag = try eachCell(part, setup) { cell, seed, part in
        try learn(cell, lag: lag, seed: seed, setup, part)
      }
      runs.append(ofLag)
      for (index, cell) in Self.cells.enumerated() {
        findings.append(
          LabFinding(
            "lag \(lag), \(cell): examples until 95.0% are right", ofLag[index], .count, .empirical, .none))
      }
    }
    let last = runs[lags.count - 1]
    for other in [1, 2] {
      findings.append(
        LabFinding(
          "lag \(lags[lags.count - 1]): FGN's examples beside \(Self.cells[other])'s", last[0], .count,
          .empirical,
          .below(last[other], "\(Self.cells[other])'s")))
    }
    var words = [
      "Examples to foretell an effect \(lags[lags.count - 1]) steps later: "
        + zip(Self.cells, last).map { "\($0) \(LabFinding.text($1, .count))" }.joined(separator: ", ") + "."
    ]
    for (number, (name, data, rounds)) in sets.enumerated() {
      let right = try eachCell(progress.part(lags.count + number, of: parts, name), setup) {
        cell, seed, part in
        try learn(cell, data, rounds: rounds, seed: seed, setup, part)
      }
      // A point below the better median of the two others is as well as they do.
      let others = max(right[1].median, right[2].median)
      for (index, cell) in Self.cells.enumerated() {
        findings.append(
          LabFinding(
            "\(name), \(cell): test answers right", right[index], .share, .empirical,
            index == 0 ? .atLeast(others - 0.01) : .none))
      }
      words.append(
        "Right answers on \(name): "
          + zip(Self.cells, right).map { "\($0) \(LabFinding.text($1, .share))" }.joined(separator: ", ")
          + ".")
    }
    return LabResult(
      self, setup, findings: findings,
      seen: words + (sets.isEmpty ? ["Text and sound were not tried: no --data."] : []),
      plots: [
        LabPlot(
          LineChart(
            title: "Examples needed", xLabel: "steps from event to effect",
            yLabel: "thousands of examples, median",
            series: Self.cells.enumerated().map { index, name in
              LineChart.Series(
                name,
                points: lags.indices.map {
                  LineChart.Point(x: Double(lags[$0]), y: runs[$0][index].median / 1000)
                })
            }), caption: "A missing point was not learned by half of the seeds or more.")
      ])
  }

  private func eachCell(
    _ progress: LabProgress, _ setup: LabSetup, _ body: (String, UInt64, LabProgress) throws -> Double
  ) throws -> [[Double]] {
    try Self.cells.enumerated().map { index, cell in
      try setup.eachSeed(progress.part(index, of: Self.cells.count, cell)) { try body(cell, $0, $1) }
    }
  }

  /// About as many weights each: the Forgetting Gate Network has an LSTM inside and a gate layer beside it.
  private func memory(_ cell: String, _ units: Int) -> any Layer {
    switch cell {
    case "FGN": ForgettingGateNetwork(units)
    case "LSTM": LSTM(units)
    default: GRU(units * 7 / 6)
    }
  }

  private func learn(_ cell: String, lag: Int, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress)
    throws
    -> Double
  {
    let task = EventTask(lag: lag), batch = 32
    let network = Sequential(input: [.any, 2], seed: seed) {
      memory(cell, 16)
      Dense(2)
    }
    var learner = Learner(network, seed: seed)
    let held = task.heldOut(.validation)
    let training = LabTraining(
      steps: setup.pick(quick: 400, full: 4000), rate: 0.005, falls: false, lookEvery: 20)
    let steps = try training.run(&learner, on: task, batch: batch, seed: seed, setup, progress) {
      network, _ in
      network.measured(on: held, task.loss).accuracy >= task.goal
    }
    return steps.map { Double($0 * batch) } ?? .infinity
  }

  /// The share of right test answers after so many rounds through the examples, or at the best of them by validation.
  private func learn(
    _ cell: String, _ data: RealSequences, rounds: Int, seed: UInt64, _ setup: LabSetup,
    _ progress: LabProgress
  ) throws -> Double {
    let network = Sequential(input: data.words == nil ? [.any, data.features] : [.any], seed: seed) {
      if let words = data.words { Embedding(words, data.features) }
      memory(cell, 32)
      Dense(data.classes)
    }
    var learner = Learner(network, seed: seed)
    let (batch, loss) = (32, Loss.categoricalCrossEntropy)
    let round = data.train.count / batch, key = RandomKey(seed: seed).child("rounds")
    var order: [Int] = [], best = (validation: -1.0, test: Double.nan)
    let training = LabTraining(steps: rounds * round, rate: 0.003, falls: true, lookEvery: round)
    try training.run(setup, progress) { rate, before in
      if before % round == 0 { order = key.child(before / round).permutation(data.train.count) }
      let first = before % round * batch
      return learner.step(data.train[rows: Array(order[first..<first + batch])].trimmed, loss, rate: rate)
    } look: { _ in
      let validation = learner.network.measured(on: data.validation, loss).accuracy
      if validation > best.validation {
        best = (validation, learner.network.measured(on: data.test, loss).accuracy)
      }
      return false
    }
    return best.test
  }
}

/// Foretell the effect of one of two events.
///
/// At a step of the first ten the first number is −1 or 1 beside a mark; at all others it is noise, normal with deviation 0.5. The
/// answer, after the last step, is which of the two it was.
///
/// *Shapes*: [count, lag + 10, 2]: number, mark.
private struct EventTask: SequenceTask {
  let name = "event"
  let meaning = "foretell the effect of an event of the first ten steps"
  let inputSize = 2
  let outputSize = 2
  let loss = Loss.categoricalCrossEntropy
  let baseline = 0.5
  let goal = 0.95
  let lag: Int
  var length: Int { lag + 10 }

  func examples(_ count: Int, key: RandomKey) -> Dataset {
    var x = key.child("noise").normal(shape: [count * length], deviation: 0.5).scalars.flatMap {
      number -> [Float] in [number, 0]
    }
    var draws = Draws(key.child("events"), count: 2 * count)
    let labels = (0..<count).map { row -> Int32 in
      let (bit, at) = (draws.below(2), (row * length + draws.below(10)) * 2)
      (x[at], x[at + 1]) = (Float(2 * bit - 1), 1)
      return Int32(bit)
    }
    return Dataset(inputs: Tensor(x, shape: [count, length, 2]), targets: .classes(labels, count: 2))
  }
}

extension Dataset {
  /// Without the steps past the longest sequence.
  fileprivate var trimmed: Dataset {
    guard let lengths, let longest = lengths.max(), inputs.shape.count > 1, longest < inputs.shape[1] else {
      return self
    }
    var copy = self
    let (time, width) = (inputs.shape[1], inputs.shape.dropFirst(2).reduce(1, *))
    let all = inputs.scalars
    copy.inputs = Tensor(
      lengths.indices.flatMap { all[$0 * time * width..<($0 * time + longest) * width] },
      shape: [lengths.count, longest] + inputs.shape.dropFirst(2))
    return copy
  }
}
