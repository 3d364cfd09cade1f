import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// The output gate as a trapdoor: a secret lies in the cell unseen until it opens, and no gradient gets in but through it.
///
/// First a unit with gates set by hand. Then random LSTMs under surgery: with the output gate held shut until step q, the gradient
/// of h_q with respect to a cell before is o_q (1 − tanh² c_q) times the forget gates between, and a shut unit has no gradient
/// at all. Last, an LSTM trained to say a secret when asked and nothing before.
struct TrapdoorLab: Lab {
  let name = "trapdoor"
  let claim =
    "With its output gate shut a cell keeps a secret that h does not show; gradient enters it only through an open output gate, "
    + "at once or from a later step through the forget gates; a unit whose output gate stays shut learns nothing."
  let kind = LabKind.identity
  private static let units = 6

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let steps = setup.pick(quick: 20, full: 100)
    let hand = secretByHand(steps: steps)
    let runs = try setup.eachSeed(progress) { seed, part in
      (
        surgery: try underSurgery(seed: seed, steps: setup.pick(quick: 10, full: 30)),
        shut: try shutUnit(seed: seed, setup, part.part(0, of: 2)),
        trained: try trained(seed: seed, setup, part.part(1, of: 2))
      )
    }
    func exact(_ what: String, _ values: [Double], _ expectation: LabFinding.Expectation) -> LabFinding {
      LabFinding(what, values, .power, .identity, expectation)
    }
    let learned = runs.map { $0.trained }
    let findings = [
      LabFinding("by hand: the largest |h| in between", [hand.between], .power, .bound, .atMost(1e-15)),
      exact("by hand: what is said against tanh c", [hand.said], .atMost(1e-6)),
      exact(
        "shut until asked: gradients of cells and candidates against o (1 - tanh² c) times the forget gates since",
        runs.map(\.surgery.path), .atMost(1e-6)),
      exact(
        "the same with the gates left alone, where h carries some", runs.map(\.surgery.free), .atLeast(1e-3)),
      exact("shut at the step itself: the largest gradient", runs.map(\.surgery.shutNow), .within(0...0)),
      exact(
        "unit shut for good: the largest gradient of its gates", runs.map(\.surgery.shutUnit), .within(0...0)),
      LabFinding(
        "unit shut for good: numbers of its weights that training changed", runs.map(\.shut.own), .count,
        .identity, .within(0...0)),
      LabFinding(
        "all other numbers that training changed", runs.map(\.shut.others), .count, .identity, .atLeast(1)),
      LabFinding("trained: secrets said right", learned.map(\.right), .share, .empirical, .atLeast(0.95)),
      LabFinding(
        "trained: what h brings to the answer in between, over that when asked", learned.map(\.leak), .share,
        .empirical, .atMost(0.2)),
    ]
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "In between h shows \(LabFinding.text([hand.between], .power)); a shut unit's gradient is exactly 0. Trained to say a "
          + "secret when asked, h brings \(LabFinding.text(learned.map(\.leak), .share)) of its answer before that."
      ],
      plots: [
        LabPlot(
          LineChart(
            title: "Trained: what h brings to the answer", xLabel: "step",
            yLabel: "sum over units of |weight x h|",
            series: learned.enumerated().map { LineChart.Series("seed \($0 + 1)", values: $1.curve, from: 1) }
          ),
          caption: "One example of each seed; it is asked where the line rises.")
      ])
  }

  /// A secret stored at the third step, for every step it may be asked at.
  private func secretByHand(steps: Int) -> (between: Double, said: Double) {
    // Features: number, store, ask. σ(±40) is 1 or next to 0.
    let layer = LSTM(inputSize: 3, hiddenSize: 1).with([
      "weight_ih_l0": [0, 80, 0] + [0, 0, 0] + [1, 0, 0] + [0, 0, 80], "weight_hh_l0": [0, 0, 0, 0],
      "bias_ih_l0": [-40, 40, 0, -40], "bias_hh_l0": [0, 0, 0, 0],
    ])
    let noise = RandomKey(seed: 1).uniform(shape: [steps], in: -2..<2).scalars, stored = 2
    var (between, said) = (0.0, 0.0)
    for asked in stored + 1..<steps {
      let x = (0..<steps).flatMap { t -> [Float] in [noise[t], t == stored ? 1 : 0, t == asked ? 1 : 0] }
      let h = layer(Tensor(x, shape: [1, steps, 3])).scalars.map { Double($0) }
      let cell = Self.tanh(Double(noise[stored]))
      for t in 0..<steps where t != asked { between = max(between, abs(h[t])) }
      said = max(said, abs(h[asked] - Self.tanh(cell)))
    }
    return (between, said)
  }

  private static func tanh(_ x: Double) -> Double { 1 - 2 / (1 + Elementary.exp(2 * x)) }

  // MARK: Surgery

  private func underSurgery(seed: UInt64, steps: Int) throws -> (
    path: Double, free: Double, shutNow: Double, shutUnit: Double
  ) {
    let (key, units) = (RandomKey(seed: seed).child("trapdoor"), Self.units)
    let layer = LSTM(inputSize: 3, hiddenSize: units, key: key)
    let x = key.child("x").normal(shape: [1, steps, 3])
    let flat = steps * units, last = (steps - 1) * units
    /// h of the last step.
    func end(_ h: Variable) -> Variable { h.reshaped([1, flat]).columns(last..<flat).sum() }
    /// The path is what h_q depends on c_t by: a candidate has i_t times it, a cell what is behind the next forget gate.
    func difference(_ changes: [Intervention]) throws -> Double {
      let (_, recording, gradients) = try layer.gateGradients(x, changes, of: end)
      func values(_ name: String) -> [Double] {
        recording.layers[0][name]?.scalars.map { Double($0) } ?? []
      }
      func gradient(_ name: String) -> [Double] {
        gradients.first { $0.name == name }?.values.scalars.map { Double($0) } ?? []
      }
      let (o, f, i, c) = (values("output"), values("forget"), values("input"), values("cell"))
      let (cells, candidates) = (gradient("cell"), gradient("candidate"))
      require(cells.count == flat && candidates.count == flat, "trapdoor: a gradient is missing")
      var worst = 0.0
      for unit in 0..<units {
        let squashed = Self.tanh(c[last + unit])
        var path = o[last + unit] * (1 - squashed * squashed), later = 0.0
        for at in stride(from: last + unit, through: unit, by: -units) {
          worst = max(worst, abs(candidates[at] - path * i[at]), abs(cells[at] - later))
          path *= f[at]
          later = path
        }
      }
      return worst
    }
    func largest(_ changes: [Intervention], units only: Set<Int>, of: (Variable) -> Variable) throws -> Double
    {
      let (_, _, gradients) = try layer.gateGradients(x, changes, of: of)
      let names: Set = ["input", "forget", "candidate", "cell"]
      let own = gradients.filter { names.contains($0.name) }
      require(own.count == names.count, "trapdoor: expected the gradients of \(names.sorted())")
      return own.map { gradient in
        gradient.values.scalars.enumerated().map { only.contains($0 % units) ? abs(Double($1)) : 0 }.max()
          ?? .nan
      }.max() ?? .nan
    }
    return (
      path: try difference([Intervention("output", .set(0), steps: 0..<steps - 1)]), free: try difference([]),
      shutNow: try largest(
        [Intervention("output", .set(0), steps: steps - 1..<steps)], units: Set(0..<units), of: end),
      shutUnit: try largest([Intervention("output", .set(0), units: [3])], units: [3]) { $0.sum() }
    )
  }

  // MARK: Training

  /// A unit whose output gate is exactly 0: how many of its numbers, and of all others, training changes.
  private func shutUnit(seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws -> (
    own: Double, others: Double
  ) {
    let (units, shut, task) = (Self.units, 3, LinkTask(length: 10))
    let fresh = Sequential(input: [.any, 2], seed: seed) {
      LSTM(units)
      Dense(2)
    }
    let row = 3 * units + shut
    /// Which numbers of a parameter belong to the unit: its rows, and what others multiply it with.
    func isOwn(_ name: String, _ index: Int) -> Bool {
      switch name {
      case "0.weight_ih_l0": index / 2 % units == shut
      case "0.weight_hh_l0": index / units % units == shut || index % units == shut
      case "1.weight": index % units == shut
      case "1.bias": false
      default: index % units == shut
      }
    }
    var numbers: [String: [Float]] = [:]
    for (name, value) in fresh.parameters where name.hasPrefix("0.") {
      var own = value.scalars
      let width = own.count / (4 * units)
      for i in row * width..<(row + 1) * width { own[i] = name == "0.bias_ih_l0" ? -10_000 : 0 }
      numbers[name] = own
    }
    let before = fresh.with(numbers)
    var learner = Learner(before, seed: seed)
    try LabTraining(steps: setup.pick(quick: 30, full: 200)).run(
      &learner, on: task, seed: seed, setup, progress)
    var (own, others) = (0.0, 0.0)
    for (old, new) in zip(before.parameters, learner.network.parameters) {
      for (index, pair) in zip(old.value.scalars, new.value.scalars).enumerated() where pair.0 != pair.1 {
        if isOwn(old.name, index) { own += 1 } else { others += 1 }
      }
    }
    return (own, others)
  }

  /// An LSTM that says a secret when asked, and 0 at all other steps.
  private func trained(seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws -> (
    right: Double, leak: Double, curve: [Double]
  ) {
    let time = setup.pick(quick: 20, full: 60), units = 8
    let network = Sequential(input: [.any, 3], seed: seed) {
      LSTM(units, outputs: .all)
      Dense(1)
    }
    var learner = Learner(network, seed: seed)
    let key = RandomKey(seed: seed).child("secrets")
    // Short ones more often, as in `RecallTask`: from full length alone nothing is found for a long time.
    try LabTraining(steps: setup.pick(quick: 1000, full: 6000), rate: 0.01).run(setup, progress) {
      rate, before in
      let key = key.child(before)
      var draws = Draws(key.child("length"), count: 2)
      let length = draws.lengths(1, in: 6...time)[0]
      return learner.step(Self.secrets(32, length, key).data, .meanSquaredError, rate: rate)
    }
    let rows = setup.pick(quick: 128, full: 1024)
    let test = Self.secrets(rows, time, RandomKey(seed: 0).child("secrets"))
    let recording = learner.network.record(test.data.inputs) { $0 == "hidden" }
    let said = recording.output.scalars
    let weights = learner.network.parameters.first { $0.name == "1.weight" }?.value.scalars ?? []
    var (right, between, asked) = (0.0, [Double](), [Double]())
    var curve: [Double] = []
    for (row, secret) in test.secrets.enumerated() {
      if said[row * time + secret.asked] * secret.value > 0 { right += 1 }
      let brought = (recording.layers[0].steps("hidden", row: row) ?? []).map { h in
        zip(h, weights).reduce(0) { $0 + abs(Double($1.0 * $1.1)) }
      }
      if row == 0 { curve = brought }
      asked.append(brought[secret.asked])
      between += brought[secret.stored..<secret.asked]
    }
    return (right / Double(rows), Statistics.mean(between) / Statistics.mean(asked), curve)
  }

  private static func secrets(_ count: Int, _ time: Int, _ key: RandomKey) -> (
    data: Dataset, secrets: [(stored: Int, asked: Int, value: Float)]
  ) {
    var draws = Draws(key.child("times"), count: 3 * count)
    let secrets = (0..<count).map { _ in
      (draws.below(time / 3), time - 1 - draws.below(time / 3), Float(2 * draws.below(2) - 1))
    }
    let noise = key.child("noise").normal(shape: [count * time], deviation: 0.5).scalars
    var x = noise.flatMap { number -> [Float] in [number, 0, 0] },
      y = [Float](repeating: 0, count: count * time)
    for (row, (stored, asked, value)) in secrets.enumerated() {
      x.replaceSubrange((row * time + stored) * 3..<(row * time + stored) * 3 + 2, with: [value, 1])
      x[(row * time + asked) * 3 + 2] = 1
      y[row * time + asked] = value
    }
    return (
      Dataset(
        inputs: Tensor(x, shape: [count, time, 3]), targets: .values(Tensor(y, shape: [count, time, 1]))),
      secrets.map { (stored: $0, asked: $1, value: $2) }
    )
  }
}
