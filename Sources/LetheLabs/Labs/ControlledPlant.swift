import LetheCore
import LetheInsight
import LetheNN

/// What steers a plant.
protocol Controls {
  /// The action for each row, from the target and the noisy measurement.
  mutating func act(target: [Float], seen: [Float]) -> [Float]
  /// The largest |c| so far over its proved bound; 0 without cells.
  var cellOverBound: Double { get }
}

/// Runs of the plant side by side: what disturbs each of them and what is asked of it.
struct Episodes {
  static let steps = 100
  static let (interval, damping, limit, farthest) = (Float(0.1), Float(0.3), Float(4), Float(4))
  /// The deviation of the noise on the plant, and on what is seen.
  static let (noise, blur) = (Float(0.3), Float(0.02))

  /// [step][row] each.
  var targets: [[Float]]
  var noises: [[Float]]
  var blurs: [[Float]]
  var loads: [Float]
  /// The first row alone.
  var first: Episodes {
    Episodes(
      targets: targets.map { [$0[0]] }, noises: noises.map { [$0[0]] }, blurs: blurs.map { [$0[0]] },
      loads: [loads[0]])
  }

  private init(targets: [[Float]], noises: [[Float]], blurs: [[Float]], loads: [Float]) {
    (self.targets, self.noises, self.blurs, self.loads) = (targets, noises, blurs, loads)
  }

  /// Random ones: two targets within ±1, one after the other, a constant load within ±0.5, and noise.
  init(_ rows: Int, key: RandomKey) {
    let levels = key.child("targets").uniform(shape: [2 * rows], in: -1..<1).scalars
    func series(_ name: String, _ deviation: Float) -> [[Float]] {
      let all = key.child(name).normal(shape: [Self.steps * rows], deviation: deviation).scalars
      return (0..<Self.steps).map { Array(all[$0 * rows..<($0 + 1) * rows]) }
    }
    targets = (0..<Self.steps).map { t in (0..<rows).map { levels[2 * $0 + (t < Self.steps / 2 ? 0 : 1)] } }
    noises = series("noise", Self.noise)
    blurs = series("blur", Self.blur)
    loads = key.child("loads").uniform(shape: [rows], in: -0.5..<0.5).scalars
  }

  /// One of four times the length without noise.
  static func step(target: Float, load: Float = 0) -> Episodes {
    let zeros = Array(repeating: [Float(0)], count: 4 * steps)
    return Episodes(
      targets: zeros.map { _ in [target] }, noises: zeros, blurs: zeros, loads: [load])
  }

  /// Noise on the plant of an episode that had none.
  mutating func addNoise(key: RandomKey) {
    noises = key.normal(shape: [noises.count], deviation: Self.noise).scalars.map { [$0] }
  }

  /// What came of a simulation.
  struct Path {
    /// After each step, and before it: [step][row].
    var x: [[Float]] = []
    var u: [[Float]] = []
    /// The mean of a step.
    var cost = 0.0
  }

  /// The plant under a controller, its action made larger and later.
  func simulate(_ controls: inout some Controls, gain: Float = 1, delay: Int = 0) -> Path {
    let rows = loads.count
    var (x, v) = ([Float](repeating: 0, count: rows), [Float](repeating: 0, count: rows))
    var waiting = Array(repeating: x, count: delay), last = x
    var path = Path()
    for t in targets.indices {
      let seen = (0..<rows).map { min(max(x[$0] + blurs[t][$0], -Self.farthest), Self.farthest) }
      waiting.append(controls.act(target: targets[t], seen: seen))
      let action = waiting.removeFirst()
      for row in 0..<rows {
        let u = min(max(gain * action[row], -Self.limit), Self.limit)
        v[row] += Self.interval * (u + loads[row] + noises[t][row] - x[row] - Self.damping * v[row])
        x[row] += Self.interval * v[row]
        let (off, change) = (Double(x[row] - targets[t][row]), Double(action[row] - last[row]))
        path.cost += (off * off + 0.02 * change * change) / Double(rows * targets.count)
      }
      last = action
      path.x.append(x)
      path.u.append(action)
    }
    return path
  }
}

/// An LSTM and a read-out: u = 4 tanh(W h + b). *Shapes*: x [batch, time, 2], target and measurement → [batch, 1].
struct Controller: Model {
  var memory: LSTM
  var head: Dense
  init(key: RandomKey) {
    memory = LSTM(inputSize: 2, hiddenSize: 12, outputs: .last, key: key.child("memory"))
    head = Dense(inputSize: 12, units: 1, activation: .tanh, key: key.child("head"))
  }

  mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("memory", &memory)
    visitor.visit("head", &head)
  }

  func callAsFunction(_ x: Variable) -> Variable { Episodes.limit * head(memory(x)) }

  /// One step: the action, and the state after it.
  func step(_ target: Variable, _ seen: Variable, from state: RecurrentState?) -> (
    u: Variable, state: RecurrentState
  ) {
    let x = Variable.concatenated([target, seen]).reshaped([target.shape[0], 1, 2])
    let (h, state) = memory.run(x, from: state)
    return (Episodes.limit * head(h), state)
  }

  /// The mean cost of a step, through the plant.
  func cost(_ episodes: Episodes, _ tape: Tape) -> Variable {
    let rows = episodes.loads.count
    func column(_ values: [Float]) -> Variable { tape.constant(Tensor(values, shape: [rows, 1])) }
    let zeros = column(Array(repeating: 0, count: rows)), load = column(episodes.loads)
    var (x, v, last, cost) = (zeros, zeros, zeros, tape.constant(Tensor(0)))
    var state: RecurrentState?
    let width = 2 * Episodes.farthest
    for t in episodes.targets.indices {
      let target = column(episodes.targets[t])
      let clipped = width * (x + column(episodes.blurs[t])).hardSigmoid(slope: 1 / width) - Episodes.farthest
      let (u, next) = step(target, clipped, from: state)
      state = next
      let force = u + load + column(episodes.noises[t]) - x - Episodes.damping * v
      v = v + Episodes.interval * force
      x = x + Episodes.interval * v
      let (off, change) = (x - target, u - last)
      cost = cost + (off * off + 0.02 * (change * change)).mean()
      last = u
    }
    return cost * (1 / Float(episodes.targets.count))
  }
}

extension ControllerLab {
  /// A trained controller at work.
  struct Running: Controls {
    let controller: Controller
    /// What is certified of its cells where |target| ≤ 1 and |seen| ≤ 4.
    private let certificate: RecurrentBounds.MemoryBound?
    private var state: RecurrentState?
    private var steps = 0
    private(set) var cellOverBound = 0.0

    init(_ controller: Controller) throws {
      let ranges = InputRange.features([-1...1, -Episodes.farthest...Episodes.farthest])
      self.controller = controller
      certificate = try controller.memory.certificates(inputRange: ranges).layers.first?.bounds.memory
    }

    mutating func act(target: [Float], seen: [Float]) -> [Float] {
      func column(_ values: [Float]) -> Variable { Variable(Tensor(values, shape: [values.count, 1])) }
      let (u, next) = controller.step(column(target), column(seen), from: state)
      (state, steps) = (next, steps + 1)
      for (index, c) in next.cell[0].tensor.scalars.enumerated() {
        let unit = index % controller.memory.cell.hiddenSize
        let bound = certificate?.magnitude(unit, after: steps, from: 0) ?? .nan
        let share = abs(Double(c)) / bound
        cellOverBound = Statistics.largest(cellOverBound, share)
      }
      return u.tensor.scalars
    }
  }

  /// u = P e + I ∫ e + D e′, the measurement smoothed for the last; the integral waits while u is at its limit.
  struct PID: Controls {
    /// P, I, D, and the share of the newest difference in the smoothed one.
    var gains: [Float] = [2, 0.5, 1, 0.5]
    private var sums: [Float] = []
    private var slopes: [Float] = []
    private var last: [Float] = []
    let cellOverBound = 0.0

    mutating func act(target: [Float], seen: [Float]) -> [Float] {
      if last.isEmpty {
        (sums, slopes, last) = (target.map { _ in 0 }, target.map { _ in 0 }, seen)
      }
      return target.indices.map { row in
        let error = target[row] - seen[row]
        slopes[row] += gains[3] * ((seen[row] - last[row]) / Episodes.interval - slopes[row])
        last[row] = seen[row]
        let u = gains[0] * error + gains[1] * sums[row] - gains[2] * slopes[row]
        if abs(u) < Episodes.limit || u * error < 0 { sums[row] += Episodes.interval * error }
        return min(max(u, -Episodes.limit), Episodes.limit)
      }
    }

    /// The gains of least cost by pattern search: each is raised and lowered by a factor that shrinks when nothing helps.
    static func tuned(on episodes: Episodes, _ setup: LabSetup) throws -> PID {
      func cost(_ gains: [Float]) -> Double {
        var pid = PID()
        pid.gains = gains
        let cost = episodes.simulate(&pid).cost
        return cost.isFinite ? cost : .infinity
      }
      var best = PID().gains, least = cost(best), factor: Float = 1.6
      while factor > 1.02 {
        try setup.goOn()
        var isBetter = false
        for index in best.indices {
          for scale in [factor, 1 / factor] {
            var gains = best
            gains[index] = index == 3 ? min(gains[index] * scale, 1) : gains[index] * scale
            let value = cost(gains)
            if value < least { (best, least, isBetter) = (gains, value, true) }
          }
        }
        if !isBetter { factor = factor.squareRoot() }
      }
      var pid = PID()
      pid.gains = best
      return pid
    }
  }
}
