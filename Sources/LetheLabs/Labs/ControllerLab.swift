import LetheCore
import LetheInsight
import LetheNN

/// An LSTM as the controller of a noisy second-order plant, beside a PID controller tuned for the same cost.
///
///     x″ = u + load − x − 0.3 x′ + noise          u within ±4; it sees the target and x with noise, ten times a second
///
/// The LSTM is trained by backpropagation through the simulated plant. The cost of a step is (x − r)² + 0.02 (u − u before)².
/// Margins are found by simulation, saturation included: by how much the loop's gain can be raised, and by how many steps its
/// action delayed, before a step of the target no longer settles within 400 steps, four times what it was trained on. A factor of 0
/// means that it does not even as it is.
struct ControllerLab: Lab {
  let name = "controller"
  let claim =
    "An LSTM trained through the plant controls it at less cost than a tuned PID controller, and its loop stands 1.5 times the gain. "
    + "On every run its cells stay within their certificate."
  let kind = LabKind.bound

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let test = Episodes(setup.pick(quick: 64, full: 512), key: RandomKey(seed: 0).child("test"))
    let runs = try setup.eachSeed(progress) { seed, part in
      let key = RandomKey(seed: seed).child("controller")
      let pid = try PID.tuned(on: Episodes(setup.pick(quick: 16, full: 64), key: key.child("tuning")), setup)
      let lstm = try learn(key, seed: seed, setup, part)
      return (lstm: try look(at: Running(lstm), test, setup), pid: try look(at: pid, test, setup))
    }
    let (lstm, pid) = (runs.map(\.lstm), runs.map(\.pid))
    var findings = [
      LabFinding(
        "the largest |c| over its certified bound, all runs", lstm.map(\.cellOverBound), .plain, .bound,
        .atMost(1)),
      LabFinding(
        "LSTM: cost of a step, test episodes", lstm.map(\.cost), .plain, .empirical,
        .below(pid.map(\.cost), "PID's")),
      LabFinding(
        "LSTM: factor of gain it stands, 0 where it does not settle as it is", lstm.map(\.gainMargin), .plain,
        .empirical, .atLeast(1.5)),
      LabFinding("PID: factor of gain it stands", pid.map(\.gainMargin), .plain, .empirical, .none),
    ]
    for (name, all) in [("LSTM", lstm), ("PID", pid)] {
      func add(_ what: String, _ value: KeyPath<Run, Double>, _ format: LabFinding.Format) {
        findings.append(
          LabFinding("\(name): \(what)", all.map { $0[keyPath: value] }, format, .empirical, .none))
      }
      add("steps of delay it stands", \.delayMargin, .count)
      add("overshoot at a step of the target", \.overshoot, .share)
      add("steps until within 5%", \.settling, .count)
      add("error left under a constant load of 0.3", \.loadError, .plain)
      add("gain from noise on the plant to x", \.noiseGain, .plain)
    }
    let text = { (all: [Run], value: KeyPath<Run, Double>) in
      LabFinding.text(all.map { $0[keyPath: value] }, .plain)
    }
    let response = LineChart(
      title: "A step of the target", xLabel: "step", yLabel: "x",
      series: [("LSTM", lstm), ("PID", pid)].map { LineChart.Series($0, values: $1.first?.response ?? []) })
    let one = test.first
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Cost of a step: LSTM \(text(lstm, \.cost)), PID \(text(pid, \.cost)). The gain may rise "
          + "\(text(lstm, \.gainMargin)) times with the LSTM, \(text(pid, \.gainMargin)) with PID; |c| came to "
          + "\(text(lstm, \.cellOverBound)) of its bound."
      ],
      plots: [
        LabPlot(response, caption: "First seed, without noise or load."),
        LabPlot(
          LineChart(
            title: "A test episode", xLabel: "step", yLabel: "x",
            series: [("LSTM", lstm), ("PID", pid)].map {
              LineChart.Series($0, values: $1.first?.episode ?? [])
            }
              + [LineChart.Series("target", values: (0..<Episodes.steps).map { Double(one.targets[$0][0]) })]),
          caption: "First seed, with noise and load."),
      ])
  }

  // MARK: Training

  private func learn(_ key: RandomKey, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws
    -> Controller
  {
    var learner = Learner(Controller(key: key), seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 200, full: 4000), rate: 0.005)
    try training.run(setup, progress) { rate, before in
      let batch = Episodes(16, key: key.child("training").child(before))
      return learner.step(rate: rate) { controller, tape in controller.cost(batch, tape) }
    }
    return learner.network
  }

  // MARK: Looking

  private struct Run {
    var cost = 0.0
    var cellOverBound = 0.0
    var gainMargin = 0.0
    var delayMargin = 0.0
    var overshoot = 0.0
    var settling = 0.0
    var loadError = 0.0
    var noiseGain = 0.0
    var response: [Double] = []
    var episode: [Double] = []
  }

  private func look(at fresh: some Controls, _ test: Episodes, _ setup: LabSetup) throws -> Run {
    var run = Run()
    func simulate(_ episodes: Episodes, gain: Float = 1, delay: Int = 0) throws -> Episodes.Path {
      try setup.goOn()
      var controls = fresh
      let result = episodes.simulate(&controls, gain: gain, delay: delay)
      run.cellOverBound = Statistics.largest(run.cellOverBound, controls.cellOverBound)
      return result
    }
    let tested = try simulate(test)
    (run.cost, run.episode) = (tested.cost, tested.x.map { Double($0[0]) })
    let step = Episodes.step(target: 1)
    run.response = try simulate(step).x.map { Double($0[0]) }
    run.overshoot = max((run.response.max() ?? 0) - 1, 0)
    run.settling = Double((run.response.lastIndex { abs($0 - 1) > 0.05 } ?? -1) + 1)
    if run.settling == Double(run.response.count) { run.settling = .infinity }
    let loaded = try simulate(Episodes.step(target: 1, load: 0.3)).x.suffix(20).map { Double($0[0]) }
    run.loadError = abs(Statistics.mean(loaded) - 1)
    var noisy = Episodes.step(target: 0)
    noisy.addNoise(key: RandomKey(seed: 0).child("gain"))
    let shaken = try simulate(noisy).x.map { Double($0[0] * $0[0]) }
    run.noiseGain = (Statistics.mean(shaken) / Double(Episodes.noise * Episodes.noise)).squareRoot()

    /// Whether x ends near the target, and the action at rest.
    func settles(gain: Float, delay: Int) throws -> Bool {
      let path = try simulate(step, gain: gain, delay: delay), count = step.targets.count / 4
      let actions = path.u.suffix(count).map { gain * $0[0] }
      return path.x.suffix(count).allSatisfy { abs($0[0] - 1) < 0.2 }
        && (actions.max() ?? 0) - (actions.min() ?? 0) < 0.5
    }
    var gain: Float = 1
    while try gain < 50 && settles(gain: gain, delay: 0) { gain *= 1.1 }
    run.gainMargin = gain > 1 ? Double(gain / 1.1) : 0
    var delay = 0
    while try delay < 50 && settles(gain: 1, delay: delay) { delay += 1 }
    run.delayMargin = Double(max(delay - 1, 0))
    return run
  }
}
