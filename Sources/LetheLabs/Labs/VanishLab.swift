import LetheCore
import LetheInsight
import LetheNN

/// Signal and gradient through a plain recurrent unit are multiplied by r at every step; what that means for learning.
///
/// First the unit alone, h_t = relu(r h_{t−1} + x_t). Then an RNN and an LSTM learn a link of length T (`LinkTask`); the
/// examples each needs are counted, and after training the gradient that reaches the inputs of every step is measured.
struct VanishLab: Lab {
  let name = "vanish"
  let claim =
    "Over T steps a plain recurrent unit multiplies signal and gradient by r to the power of T: they vanish below 1 and "
    + "explode above. An LSTM learns links from fewer examples than an RNN, and links that an RNN does not learn."
  let kind = LabKind.identity

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let lengths = [10, 30, 100, 300, 1000]
    let (unit, powers) = try self.powers(lengths, setup)
    let links = setup.pick(quick: [10, 20], full: [10, 30, 100, 200])
    let cells = ["rnn", "lstm"]
    // [link][cell][seed]
    var runs: [[[Run]]] = []
    for (number, length) in links.enumerated() {
      let part = progress.part(number, of: links.count, "links of \(length) steps")
      runs.append(
        try cells.enumerated().map { index, cell in
          let part = part.part(index, of: cells.count, cell)
          return try setup.eachSeed(part) { seed, part in
            try learn(cell, length: length, seed: seed, setup, part)
          }
        })
    }

    var findings = unit
    for (length, ofCells) in zip(links, runs) {
      let name = "link of \(length) steps: examples until \(LabFinding.text(0.95, .share)) are right"
      let rnn = ofCells[0].map(\.examples)
      findings.append(LabFinding("\(name), RNN", rnn, .count, .empirical, .none))
      let isLast = length == links.last
      findings.append(
        LabFinding(
          "\(name), LSTM", ofCells[1].map(\.examples), .count, .empirical,
          isLast ? .below(rnn, "RNN's") : .none))
    }
    let last = runs[links.count - 1]
    // How much of the gradient at the last step is left at the first, after training.
    let kept = last.map { $0.map(\.kept) }
    findings.append(
      LabFinding(
        "link of \(links[links.count - 1]) steps: gradient at the first step over that at the last, LSTM",
        kept[1], .power,
        .empirical, .above(kept[0], "RNN's")))
    let lstm = LabFinding.text(last[1].map(\.examples), .count)
    let rnn = LabFinding.text(last[0].map(\.examples), .count)
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "0.95 to the power of 1,000 is \(LabFinding.text(powers[0][4], .power)) and 1.05 \(LabFinding.text(powers[2][4], .power)), "
          + "in signal and gradient alike. A link of \(links[links.count - 1]) steps took the LSTM \(lstm) examples and the "
          + "RNN \(rnn)."
      ],
      plots: plots(lengths, powers, links, runs))
  }

  // MARK: One unit

  private static let rates: [Float] = [0.95, 1, 1.05]

  /// Findings, and the signal by r and length.
  private func powers(_ lengths: [Int], _ setup: LabSetup) throws -> ([LabFinding], [[Double]]) {
    var findings: [LabFinding] = []
    var signals: [[Double]] = []
    for r in Self.rates {
      let layer = RNN(inputSize: 1, hiddenSize: 1, outputs: .last, activation: .relu).with([
        "weight_ih_l0": [0], "weight_hh_l0": [r], "bias_ih_l0": [0], "bias_hh_l0": [0],
      ])
      var (signal, worst) = ([Double](), (signal: 0.0, gradient: 0.0))
      for length in lengths {
        try setup.goOn()
        let tape = Tape()
        let start = tape.watched(Tensor([1], shape: [1, 1]))
        let x = tape.constant(Tensor(zeros: [1, length, 1]))
        let end = layer.run(x, from: RecurrentState(hidden: [start])).state.hidden[0]
        let (value, formula) = (Double(end.tensor.scalar), Elementary.pow(Double(r), length))
        let gradient = tape.gradients(of: end)[start].map { Double($0.scalar) } ?? .nan
        signal.append(value)
        worst.signal = max(worst.signal, abs(value / formula - 1) / Double(length))
        worst.gradient = max(worst.gradient, abs(gradient / formula - 1) / Double(length))
      }
      signals.append(signal)
      for (what, worst) in [("signal", worst.signal), ("gradient", worst.gradient)] {
        findings.append(
          LabFinding(
            "r = \(r): \(what) against r^T, largest relative difference a step, T = 10 to 1,000", [worst],
            .power,
            .identity, .atMost(0x1p-24)))
      }
    }
    return (findings, signals)
  }

  // MARK: Learning

  private struct Run {
    /// Until the goal; infinite where it was not reached.
    var examples: Double
    var kept: Double
    /// The gradient's norm at the input of each step.
    var gradients: [Double]
  }

  private func learn(
    _ cell: String, length: Int, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Run {
    let task = LinkTask(length: length), batch = 32
    let memory: any Layer = cell == "rnn" ? RNN(24) : LSTM(12)
    let network = Sequential(input: [.any, 2], seed: seed) {
      memory
      Dense(2)
    }
    var learner = Learner(network, seed: seed)
    let held = task.heldOut(.validation)
    let training = LabTraining(
      steps: setup.pick(quick: 240, full: 2000), rate: 0.005, falls: false, lookEvery: 20)
    let steps = try training.run(&learner, on: task, batch: batch, seed: seed, setup, progress) {
      network, _ in
      network.measured(on: held, task.loss).accuracy >= task.goal
    }
    let gradients = profile(learner.network, on: task)
    return Run(
      examples: steps.map { Double($0 * batch) } ?? .infinity,
      kept: (gradients.first ?? .nan) / (gradients.last ?? .nan), gradients: gradients)
  }

  /// The norm of the loss's gradient with respect to the inputs of each step.
  private func profile(_ network: Sequential, on task: LinkTask) -> [Double] {
    let data = task.examples(64, key: RandomKey(seed: 0).child("profile"))
    guard case .classes(let labels, _) = data.targets else { return [] }
    let tape = Tape(isTraining: false)
    let x = tape.watched(data.inputs)
    let loss = task.loss(network(x), labels)
    let gradient = tape.gradients(of: loss)[x]?.scalars ?? []
    return (0..<task.length).map { t in
      var squares = 0.0
      for row in 0..<data.count {
        for k in 0..<2 {
          let g = Double(gradient[(row * task.length + t) * 2 + k])
          squares += g * g
        }
      }
      return squares.squareRoot()
    }
  }

  private func plots(
    _ lengths: [Int], _ powers: [[Double]], _ links: [Int], _ runs: [[[Run]]]
  ) -> [LabPlot] {
    let unit = LineChart(
      title: "One unit", xLabel: "steps", yLabel: "decimal logarithm of the signal",
      series: zip(Self.rates, powers).map { r, signal in
        LineChart.Series(
          "r = \(r)",
          points: [LineChart.Point(x: 0, y: 0)]
            + zip(lengths, signal).map { LineChart.Point(x: Double($0), y: log10($1)) })
      })
    let need = LineChart(
      title: "Examples needed", xLabel: "length of the link", yLabel: "thousands of examples, median",
      series: ["RNN", "LSTM"].enumerated().map { cell, name in
        LineChart.Series(
          name,
          points: zip(links, runs).map {
            LineChart.Point(x: Double($0), y: $1[cell].map(\.examples).median / 1000)
          })
      })
    let last = runs[links.count - 1]
    let flow = LineChart(
      title: "Gradient by lag", xLabel: "steps back from the answer", yLabel: "decimal logarithm of its norm",
      series: ["RNN", "LSTM"].enumerated().map { cell, name in
        let all = last[cell].map(\.gradients)
        let steps = links[links.count - 1]
        return LineChart.Series(
          name,
          values: (0..<steps).map { back in log10(all.map { $0[steps - 1 - back] }.median, floor: 1e-12) })
      })
    return [
      LabPlot(unit, caption: "A straight line on this axis is r to the power of T."),
      LabPlot(need, caption: "A missing point was not learned by half of the seeds or more."),
      LabPlot(flow, caption: "After training on the longest link, median over the seeds."),
    ]
  }
}
