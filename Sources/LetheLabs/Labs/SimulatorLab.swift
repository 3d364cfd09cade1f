import LetheCore
import LetheInsight
import LetheNN

/// A network learns a law of motion from what it did, then runs on alone.
///
/// Networks are given states of a system and learn the change to the next one. Then they see 50 states, go on from their own
/// answers, and it is counted how long they stay valid: until the distance from the true path passes 0.4 of the deviation of
/// the system's states. For Lorenz's system that is told in Lyapunov times, 1 / 0.906; for Van der Pol's in periods. A linear
/// map, which is trained the same way, shows what is to be beaten.
struct SimulatorLab: Lab {
  let name = "simulator"
  let claim =
    "An LSTM learns Lorenz's and Van der Pol's motion from data and predicts on its own for more than one Lyapunov time "
    + "and more than one period, longer than a linear map."
  let kind = LabKind.empirical

  private struct Subject {
    var system: DynamicalSystem
    var start: [Double]
    /// Time between two states, and the unit that validity is told in.
    var step: Double
    var unit: Double
    var unitName: String
  }

  private static let subjects = [
    Subject(
      system: .lorenz, start: [1, 1, 20], step: 0.02, unit: 1 / 0.906, unitName: "Lyapunov times"),
    Subject(system: .vanDerPol, start: [0.5, 0], step: 0.1, unit: 7.63, unitName: "periods"),
  ]
  private static let warmUp = 50
  /// Units that runs are followed for.
  private static let horizon = 10.0
  private static let models = ["linear", "lstm"]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    var findings: [LabFinding] = []
    var plots: [LabPlot] = []
    var words: [String] = []
    for (number, subject) in Self.subjects.enumerated() {
      let part = progress.part(number, of: Self.subjects.count, subject.system.name)
      let paths = try paths(subject, setup)
      let runs = try Self.models.enumerated().map { index, model in
        try setup.eachSeed(part.part(index, of: Self.models.count, model)) { seed, part in
          try learn(model, subject, paths, seed: seed, setup, part)
        }
      }
      let (linear, lstm) = (runs[0].map(\.valid), runs[1].map(\.valid))
      let name = "\(subject.system.name): valid for, in \(subject.unitName), median over starts"
      findings += [
        LabFinding("\(name), linear map", linear, .plain, .empirical, .none),
        LabFinding("\(name), LSTM", lstm, .plain, .empirical, .atLeast(1)),
        LabFinding(
          "\(name), LSTM against the linear map", lstm, .plain, .empirical, .above(linear, "the linear map's")
        ),
        LabFinding(
          "\(subject.system.name): one-step error of the LSTM, root mean square in deviations",
          runs[1].map(\.oneStep), .power, .empirical, .none),
      ]
      words.append(
        "\(subject.system.name) \(LabFinding.text(lstm, .plain)) \(subject.unitName) (a linear map "
          + "\(LabFinding.text(linear.median, .plain)))")
      plots += Self.plots(subject, runs[1])
    }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "On its own the LSTM stays valid for \(words.joined(separator: "; ")), of \(Int(Self.horizon)) followed."
      ], plots: plots)
  }

  // MARK: Data

  /// Scaled to mean 0 and deviation 1 in each coordinate, [path][step][coordinate].
  private struct Paths {
    var train: [[[Double]]]
    var test: [[[Double]]]
    /// The deviation of a change, by coordinate.
    var change: [Double]
  }

  private func paths(_ subject: Subject, _ setup: LabSetup) throws -> Paths {
    let size = subject.start.count
    let ahead = Int((Self.horizon * subject.unit / subject.step).rounded(.up))
    func make(_ count: Int, steps: Int, _ key: RandomKey) throws -> [[[Double]]] {
      let offsets = key.uniform(shape: [count, size], in: -1..<1).scalars
      return try (0..<count).map { row in
        try setup.goOn()
        let start = subject.start.indices.map { subject.start[$0] + Double(offsets[row * size + $0]) }
        return subject.system.path(from: start, count: steps, every: subject.step, after: 20)
      }
    }
    let key = RandomKey(seed: 0).child("simulator").child(subject.system.name)
    var train = try make(setup.pick(quick: 4, full: 16), steps: 1000, key.child("train"))
    var test = try make(setup.pick(quick: 8, full: 64), steps: Self.warmUp + ahead, key.child("test"))
    let states = train.joined()
    var change = [Double](repeating: 0, count: size)
    for k in 0..<size {
      let mean = states.reduce(0) { $0 + $1[k] } / Double(states.count)
      let variance = states.reduce(0) { $0 + ($1[k] - mean) * ($1[k] - mean) } / Double(states.count)
      let scale = 1 / variance.squareRoot()
      for path in train.indices {
        for t in train[path].indices { train[path][t][k] = (train[path][t][k] - mean) * scale }
      }
      for path in test.indices {
        for t in test[path].indices { test[path][t][k] = (test[path][t][k] - mean) * scale }
      }
      let squares = train.reduce(0.0) { sum, path in
        sum + zip(path.dropFirst(), path).reduce(0) { $0 + ($1.0[k] - $1.1[k]) * ($1.0[k] - $1.1[k]) }
      }
      change[k] = (squares / Double(train.count * 999)).squareRoot()
    }
    return Paths(train: train, test: test, change: change)
  }

  // MARK: Learning and running

  private struct Run {
    /// In the subject's units, the median over the starts.
    var valid: Double
    var oneStep: Double
    /// The first coordinate of the first test path: true, and the network's own.
    var truth: [Double]
    var own: [Double]
  }

  private func learn(
    _ model: String, _ subject: Subject, _ paths: Paths, seed: UInt64, _ setup: LabSetup,
    _ progress: LabProgress
  ) throws -> Run {
    let size = subject.start.count
    let memory: [any Layer] = model == "linear" ? [] : [LSTM(64, outputs: .all)]
    let network = try Sequential(input: [.any, size], layers: memory + [Dense(size)], seed: seed)
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 200, full: 8000), rate: 0.005)
    let (batch, length) = (32, 60)
    let key = RandomKey(seed: seed).child("simulator")
    try training.run(setup, progress) { rate, before in
      var draws = Draws(key.child(before), count: 2 * batch)
      var (x, y) = ([Float](), [Float]())
      for _ in 0..<batch {
        let path = paths.train[draws.below(paths.train.count)]
        let start = draws.below(path.count - length)
        for t in start..<start + length {
          for k in 0..<size {
            x.append(Float(path[t][k]))
            y.append(Float((path[t + 1][k] - path[t][k]) / paths.change[k]))
          }
        }
      }
      let targets = Tensor(y, shape: [batch, length, size])
      // The first steps are without a past.
      let inputs = Tensor(x, shape: [batch, length, size])
      return learner.step(rate: rate) { meanSquaredError($0($1.constant(inputs)), targets) }
    }
    return try follow(learner.network, subject, paths, setup)
  }

  private func follow(
    _ network: Sequential, _ subject: Subject, _ paths: Paths, _ setup: LabSetup
  ) throws -> Run {
    let (rows, size) = (paths.test.count, subject.start.count)
    let steps = paths.test[0].count
    let (memory, head) = (network.layers[0] as? LSTM, network.layers[network.layers.count - 1])
    var state: RecurrentState?
    var now = paths.test.map { $0[0] }
    var valid = [Double](repeating: Self.horizon, count: rows)
    var isValid = [Bool](repeating: true, count: rows)
    var squares = 0.0
    var own: [Double] = []
    for t in 0..<steps - 1 {
      try setup.goOn()
      let x = Variable(Tensor(now.joined().map { Float($0) }, shape: [rows, 1, size]))
      let after = memory.map { $0.run(x, from: state) }
      state = after?.state
      let change = head(after?.output ?? x).tensor.scalars
      for row in 0..<rows {
        for k in 0..<size { now[row][k] += Double(change[row * size + k]) * paths.change[k] }
        let truth = paths.test[row][t + 1]
        let off = zip(now[row], truth).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / Double(size)
        if t + 1 < Self.warmUp {
          if t > 10 { squares += off }
          now[row] = truth
        } else if isValid[row], !(off.squareRoot() < 0.4) {
          isValid[row] = false
          valid[row] = Double(t + 1 - Self.warmUp) * subject.step / subject.unit
        }
      }
      if t + 1 >= Self.warmUp { own.append(now[0][0]) }
    }
    return Run(
      valid: valid.median,
      oneStep: (squares / Double(rows * (Self.warmUp - 12))).squareRoot(),
      truth: paths.test[0].dropFirst(Self.warmUp).map { $0[0] }, own: own)
  }

  private static func plots(_ subject: Subject, _ runs: [Run]) -> [LabPlot] {
    guard let run = runs.first else { return [] }
    func line(_ name: String, _ values: [Double]) -> LineChart.Series {
      let points = values.enumerated().map { index, value in
        LineChart.Point(x: Double(index) * subject.step / subject.unit, y: value)
      }
      return LineChart.Series(name, points: points.filter { abs($0.y) < 10 })
    }
    return [
      LabPlot(
        LineChart(
          title: "\(subject.system.name), alone", xLabel: subject.unitName,
          yLabel: "first coordinate, in deviations",
          series: [line("true", run.truth), line("LSTM", run.own)]),
        caption: "The first start of the test, first seed.")
    ]
  }
}
