import LetheCore
import LetheInsight
import LetheNN

/// Gates that reach 1 exactly, hard-sigmoid ones, pass the gradient on without loss; but there they have none themselves.
///
/// First the cell alone over 1,000 steps. Then the cost: sums since the last mark (`ResetSumTask`), which want a forget gate
/// that closes at marks, are learned by gates that start ajar (bias 1) and wide open (bias 6, where clamp(x / 6 + ½, 0, 1) is
/// 1 and σ is 0.9975). A second start of the same kind learns a plain link (`LinkTask`), which wants the gate to stay open.
struct HardSigmoidLab: Lab {
  let name = "hardsigmoid"
  let claim =
    "A hard gate at exactly 1 hands a gradient on through 1,000 steps without loss, where a sigmoid at the same bias "
    + "loses it. The price: a gate that is saturated has no gradient of its own, and learns worse to close."
  let kind = LabKind.identity

  private struct Start {
    var name: String
    var activation: GateActivation
    var bias: Float
  }
  private static let starts = [
    Start(name: "sigmoid, b = 1", activation: .sigmoid, bias: 1),
    Start(name: "sigmoid, b = 6", activation: .sigmoid, bias: 6),
    Start(name: "hard, b = 1", activation: .hardSigmoid(), bias: 1),
    Start(name: "hard, b = 6", activation: .hardSigmoid(), bias: 6),
  ]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let (hard, soft) = (alone(Self.starts[3]), alone(Self.starts[1]))
    var findings = [
      LabFinding(
        "hard, b = 6: gradient left after 1,000 steps", [hard.through], .plain, .identity, .within(1...1)),
      LabFinding(
        "hard, b = 6: gradient of the gate's own bias", [hard.own], .plain, .identity, .within(0...0)),
      LabFinding(
        "sigmoid, b = 6: gradient left, over what f to the power of 1,000 is",
        [soft.through / Elementary.pow(soft.gate, 1000)], .plain, .identity, .within(0.9999...1.0001)),
      LabFinding("sigmoid, b = 6: gradient left", [soft.through], .power, .identity, .none),
      LabFinding(
        "sigmoid, b = 6: gradient of the gate's own bias", [soft.own], .power, .identity, .atLeast(1e-6)),
    ]
    var sums: [[Double]] = []
    var links: [[Double]] = []
    for (number, start) in Self.starts.enumerated() {
      let part = progress.part(number, of: Self.starts.count, start.name)
      sums.append(
        try setup.eachSeed(part.part(0, of: 2, "sums")) { seed, part in
          try learnSums(start, seed: seed, setup, part)
        })
      links.append(
        try setup.eachSeed(part.part(1, of: 2, "link")) { seed, part in
          try learnLink(start, seed: seed, setup, part)
        })
      findings.append(
        LabFinding(
          "\(start.name): error of sums since the last mark, over that of a constant answer", sums[number],
          .plain,
          .empirical, number == 3 ? .above(sums[1], "that of the sigmoid with b = 6") : .none))
      findings.append(
        LabFinding(
          "\(start.name): steps to learn a link of \(Self.link(setup)) steps", links[number], .count,
          .empirical,
          .none))
    }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Through 1,000 steps the hard gate passes \(LabFinding.text(hard.through, .plain)) of the gradient, the sigmoid "
          + "\(LabFinding.text(soft.through, .plain)). Where the gate has to close, errors from a start at b = 6 are "
          + "\(LabFinding.text(sums[3], .plain)) (hard) and \(LabFinding.text(sums[1], .plain)) (sigmoid) of a constant "
          + "answer's; from b = 1 they are \(LabFinding.text(sums[2], .plain)) and \(LabFinding.text(sums[0], .plain))."
      ],
      plots: [
        LabPlot(
          BarChart(
            title: "A gate that has to close", yLabel: "error over a constant answer's, median",
            bars: zip(Self.starts, sums).map { BarChart.Bar($0.name, $1.median) }),
          caption: "Sums since the last mark; 1 is nothing learned."),
        LabPlot(
          BarChart(
            title: "A gate that may stay open", yLabel: "training steps, median",
            bars: zip(Self.starts, links).map { BarChart.Bar($0.name, $1.median) }),
          caption: "A link of \(Self.link(setup)) steps; a missing bar was not learned."),
      ])
  }

  private static func link(_ setup: LabSetup) -> Int { setup.pick(quick: 30, full: 200) }

  /// One unit without recurrent weights: ∂c_1000/∂c_0, its gate, and the gradient of the gate's bias.
  private func alone(_ start: Start) -> (through: Double, gate: Double, own: Double) {
    let layer = LSTM(inputSize: 1, hiddenSize: 1, gateActivation: start.activation).with([
      "weight_ih_l0": [0, 0, 0, 0], "weight_hh_l0": [0, 0, 0, 0], "bias_ih_l0": [0, start.bias, 0, 0],
      "bias_hh_l0": [0, 0, 0, 0],
    ])
    let x = Tensor(zeros: [1, 1000, 1])
    let one = LSTM.state(hidden: [0], cell: [1])
    let tape = Tape(isTraining: false)
    let cell = tape.watched(Tensor([1], shape: [1, 1]))
    let state = RecurrentState(hidden: [tape.constant(Tensor(zeros: [1, 1]))], cell: [cell])
    let end = layer.run(tape.constant(x), from: state).state.cell[0]
    let through = tape.gradients(of: end)[cell].map { Double($0.scalar) } ?? .nan
    let own = layer.gradients { layer, tape in layer.run(tape.constant(x), from: one).state.cell[0].sum() }
      .gradients.named(for: layer)["bias_ih_l0"]
    let gate = layer.gateValues(Variable(x))["forget"]
    return (through, gate.map { Double($0.scalars[0]) } ?? .nan, own.map { Double($0.scalars[1]) } ?? .nan)
  }

  private func network(_ start: Start, seed: UInt64, outputs: Int) -> Sequential {
    Sequential(input: [.any, 2], seed: seed) {
      LSTM(16, forgetBias: start.bias, gateActivation: start.activation)
      Dense(outputs)
    }
  }

  /// The test error over that of a constant answer.
  private func learnSums(
    _ start: Start, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Double {
    let task = ResetSumTask(length: setup.pick(quick: 20, full: 50))
    var learner = Learner(network(start, seed: seed, outputs: 1), seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 200, full: 3000), rate: 0.01)
    try training.run(&learner, on: task, seed: seed, setup, progress)
    return learner.network.measured(on: task.heldOut(.test), task.loss).loss / task.baseline
  }

  private func learnLink(
    _ start: Start, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Double {
    let task = LinkTask(length: Self.link(setup))
    var learner = Learner(network(start, seed: seed, outputs: 2), seed: seed)
    let held = task.heldOut(.validation)
    let training = LabTraining(
      steps: setup.pick(quick: 200, full: 1500), rate: 0.005, falls: false, lookEvery: 20)
    let steps = try training.run(&learner, on: task, seed: seed, setup, progress) { network, _ in
      network.measured(on: held, task.loss).accuracy >= task.goal
    }
    return steps.map { Double($0) } ?? .infinity
  }
}
