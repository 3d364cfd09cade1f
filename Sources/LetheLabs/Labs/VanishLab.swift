import LetheCore
import LetheInsight
import LetheNN

/// Signal and gradient through a plain recurrent unit are multiplied by r at every step; what that means for learning.
///
/// First the unit alone, h_t = relu(r h_{t−1} + x_t). Then an RNN with orthogonal recurrent weights and LSTMs with forget
/// biases of 1 and 5, all of about 700 parameters, learn a link of length T (`LinkTask`); the examples each needs are
/// counted, and after training the gradient that reaches the inputs of every step is measured.
struct VanishLab: Lab {
  let name = "vanish"
  let claim =
    "Over T steps a plain recurrent unit multiplies signal and gradient by r to the power of T: they vanish below 1 and "
    + "explode above. An LSTM whose forget gates start open learns long links from fewer examples than an RNN."
  let kind = LabKind.identity

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let lengths = [10, 30, 100, 300, 1000]
    let (unit, powers) = try self.powers(lengths, setup)
    let links = setup.pick(quick: [10, 40], full: [10, 30, 100, 200])
    let cells = Self.networks.map(\.name)
    // [link][cell][seed]
    var runs: [[[Run]]] = []
    for (number, length) in links.enumerated() {
      let part = progress.part(number, of: links.count, "links of \(length) steps")
      runs.append(
        try cells.enumerated().map { index, cell in
          let part = part.part(index, of: cells.count, cell)
          return try setup.eachSeed(part) { seed, part in
            try learn(Self.networks[index].forgetBias, length: length, seed: seed, setup, part)
          }
        })
    }

    var findings = unit
    for (length, ofCells) in zip(links, runs) {
      let name = "link of \(length) steps: examples until \(LabFinding.text(0.95, .share)) are right"
      let rnn = ofCells[0].map(\.examples)
      for (cell, values) in zip(cells, ofCells.map { $0.map(\.examples) }) {
        let isClaim = length == links.last && cell == cells.last
        findings.append(
          LabFinding(
            "\(name), \(cell)", values, .count, .empirical, isClaim ? .below(rnn, "RNN's") : .none))
      }
    }
    let (last, longest) = (runs[links.count - 1], links[links.count - 1])
    // How much of the gradient at the last step is left at the first, after training.
    for (cell, values) in zip(cells, last.map { $0.map(\.kept) }) {
      findings.append(
        LabFinding(
          "link of \(longest) steps: gradient at the first step over that at the last, \(cell)", values,
          .power,
          .empirical, .none))
    }
    let needed = zip(cells, last).map { "\($0) \(LabFinding.text($1.map(\.examples), .count))" }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "0.95 to the power of 1,000 is \(LabFinding.text(powers[0][4], .power)) and 1.05 \(LabFinding.text(powers[2][4], .power)), "
          + "in signal and gradient alike. Examples until a link of \(longest) steps was learned: "
          + "\(needed.joined(separator: "; "))."
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

  private static let networks: [(name: String, forgetBias: Float?)] = [
    ("RNN", nil), ("LSTM from b = 1", 1), ("LSTM from b = 5", 5),
  ]

  private struct Run {
    /// Until the goal; infinite where it was not reached.
    var examples: Double
    var kept: Double
    /// The gradient's norm at the input of each step.
    var gradients: [Double]
  }

  private func learn(
    _ forgetBias: Float?, length: Int, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Run {
    let task = LinkTask(length: length), batch = 32
    let memory: any Layer = forgetBias.map { LSTM(12, forgetBias: $0) } ?? RNN(24)
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
      series: Self.networks.map(\.name).enumerated().map { cell, name in
        LineChart.Series(
          name,
          points: zip(links, runs).map {
            LineChart.Point(x: Double($0), y: $1[cell].map(\.examples).median / 1000)
          })
      })
    let last = runs[links.count - 1]
    let flow = LineChart(
      title: "Gradient by lag", xLabel: "steps back from the answer", yLabel: "decimal logarithm of its norm",
      series: Self.networks.map(\.name).enumerated().map { cell, name in
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
