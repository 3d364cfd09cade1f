import LetheCore

/// What one recurrent layer in one direction can do at all, as long as its input stays within a box: proved by interval
/// arithmetic over its equations and weights, for every length of sequence, and for the engine's floats as they are rounded.
///
/// It starts from zeros, from a learned state, or from anything within `startingWithin`; resets on the way included.
/// It speaks of evaluation mode, and of runs in which no number overflows: where a state has no bound, that can happen.
/// *Cost*: some hundreds of times one step for one row, in doubles.
public struct RecurrentBounds: Sendable {
  /// Where the box of the input comes from.
  public enum Source: Sendable, Equatable {
    /// The stated range of the model's input, through the layers before.
    case derived
    /// The range that this layer's own input had in recorded data.
    case recorded
    /// Any input at all: nothing is known of the layers before.
    case anything
  }
  /// A gate or state with the interval of each unit.
  public struct Named: Sendable {
    /// The gate or state.
    public let name: String
    /// Unit by unit; h of a projected cell has fewer than the cell.
    public let units: [Interval]
  }
  /// The state that remembers: c' = f c + w with |f| ≤ f̄ and |w| ≤ w̄, unit by unit.
  public struct MemoryBound: Sendable {
    /// The state.
    public let state: String
    /// What f can be.
    public let keep: [Interval]
    /// What w can be.
    public let write: [Interval]
    /// At least 1 − f: from the complement, so that it is not 0 before f is 1.
    public let gap: [Double]
    /// Whether c' = f c + (1 − f) u, or less: |c| ≤ max(|c_0|, ū) then.
    public let isCoupled: [Bool]
    let terms: [StateBoxes.Leaky]

    /// The longest time in which all but half of what a unit holds can stay: ln ½ / ln f̄; infinite where f can be 1, 0 where
    /// nothing is kept.
    public func longestHalfLife(_ unit: Int) -> Double {
      let gap = gap[unit]
      if gap <= 0 { return .infinity }
      if gap >= 1 { return 0 }
      // −ln(1 − g) = g + g²/2 + … at least.
      let rate = gap < 1e-5 ? gap + gap * gap / 2 : -Elementary.log(1 - gap) * (1 - 0x1p-40)
      return (0.6931471805599454 / rate).nextUp
    }

    /// |c_t| ≤ f̄ᵗ |c_0| + w̄ (1 − f̄ᵗ) / (1 − f̄), rounding included; with f̄ = 1: |c_0| + t w̄.
    public func magnitude(_ unit: Int, after steps: Int, from start: Double) -> Double {
      let own = terms[unit], keep = own.keep.magnitude + own.room
      if steps == 0 { return start }
      let room = 1 + Double(steps) * 0x1p-48, power = Elementary.pow(keep, steps)
      let linear = Double(steps)
      let left = 1 - keep - 0x1p-50
      let sum = left > 0 ? min((1 - power / room) / left, linear) : keep <= 1 ? linear : power * linear
      return min((power * start + own.reach * sum) * room, own.limit(from: start))
    }

    /// By how much |c| can grow in a step at most, where |f| ≤ 1 but nothing bounds |c|; `nil` where f can be above 1.
    public func growth(_ unit: Int) -> Double? {
      terms[unit].keep.magnitude <= 1 ? terms[unit].reach : nil
    }
  }
  /// That two runs on the same input come together.
  public struct Contraction: Sendable {
    /// What a step leaves of the distance at most, in a weighted maximum norm; 1 or more: nothing is proved.
    public let rate: Double
    /// The weights: |difference of unit i| ≤ norm · weight i. State by state, h first.
    let weights: [[Double]]
    /// The widths of the states' boxes.
    let widths: [[Double]]
    /// What an input of 1 in every feature moves, in that norm.
    let inputPush: Double

    /// Whether every disturbance dies away.
    public var isProved: Bool { rate < 1 }

    /// After how many steps all units of all states are within `epsilon` of the run that was not disturbed, whatever the
    /// disturbance within the states' bounds; `nil` where that is not proved. In exact arithmetic: floats keep a distance
    /// of some 10⁻⁶ / (1 − ρ).
    public func steps(within epsilon: Double) -> Int? {
      guard isProved, epsilon > 0 else { return nil }
      var norm = 0.0, top = 0.0
      for (widths, weights) in zip(widths, weights) {
        for (width, weight) in zip(widths, weights) {
          norm = max(norm, width / weight)
          top = max(top, weight)
        }
      }
      guard norm.isFinite else { return nil }
      if norm * top <= epsilon { return 0 }
      if rate == 0 { return 1 }
      let steps = Elementary.log(epsilon / (norm * top)) / Elementary.log(rate)
      return steps < 1e12 ? Int((steps * (1 + 1e-9)).rounded(.up)) : nil
    }

    /// How far two runs on inputs that are at most 1 apart can drift apart in h, for each unit of that distance: the gain of the
    /// closed loop, ‖B‖ / (1 − ρ); `nil` where it is not proved.
    public var gain: Double? {
      guard isProved, let top = weights.first?.max(), inputPush.isFinite else { return nil }
      return (top * inputPush / (1 - rate) * (1 + 1e-9)).nextUp
    }
  }

  /// Where the layer stands in the model, as in `LayerRecording`.
  public let path: String
  /// The layer of the stack, from 0.
  public let layer: Int
  /// Whether it walks from the last step to the first.
  public let isReversed: Bool
  /// The cell.
  public let description: CellDescription
  /// The width of the state.
  public let units: Int
  /// What the input is taken to be within, feature by feature.
  public let input: [Interval]
  /// Where that comes from.
  public let source: Source
  /// The values of gates and candidates, in the order of the weights' rows.
  public let gates: [Named]
  /// The values of states after any step, and at the start; "hidden" first.
  public let states: [Named]
  /// The state that remembers; `nil` where the cell's update is not of the form f c + w.
  public let memory: MemoryBound?
  /// By how much a step can multiply a disturbance of the states, in the maximum norm; infinite where something jumps.
  public let stepGain: Double
  /// Whether and how fast disturbances die away.
  public let contraction: Contraction
  /// In the order of files, and the learned initial state.
  package let parts: [Tensor]
  package let initial: [Tensor]
  let start: [[Interval]]

  /// The interval of a gate or state; `nil` for names that the cell does not have.
  public subscript(name: String) -> [Interval]? { (states + gates).first { $0.name == name }?.units }
  /// Path, layer and direction in words.
  public var name: String {
    (path.isEmpty ? "" : "layer \(path) ") + description.name + (layer > 0 ? " (\(layer + 1))" : "")
      + (isReversed ? ", backward" : "")
  }

  /// - Precondition: parts have the cell's shapes, and there are as many intervals as features.
  init(
    _ description: CellDescription, units: Int, parts: [Tensor], initial: [Tensor], input: [Interval],
    source: Source, startingWithin: Double = 0, path: String = "", layer: Int = 0, isReversed: Bool = false
  ) {
    var equations = description.equations
    let widths = description.states.indices.map { description.width(ofState: $0, units: units) }
    let start = widths.enumerated().map { number, width -> [Interval] in
      (0..<units).map { unit in
        if unit >= width { return .zero }
        let learned = initial.isEmpty ? 0 : Double(initial[number].pointer[unit])
        return Interval(-startingWithin, startingWithin).union(Interval(learned))
      }
    }
    let remembers = description.memory(&equations)?.state
    var boxes = StateBoxes(
      description, &equations, units: units, parts: parts, input: input, initial: start)
    boxes.settle()

    (self.path, self.layer, self.isReversed) = (path, layer, isReversed)
    (self.description, self.units, self.input, self.source) = (description, units, input, source)
    (self.parts, self.initial) = (parts, initial)
    self.start = zip(start, widths).map { Array($0.prefix($1)) }
    let settled = zip(boxes.box.states, widths).map { Array($0.prefix($1)) }
    states = zip(description.states, settled).map { Named(name: $0, units: $1) }
    var gates: [Named] = []
    for term in equations.terms where term.isGate && !equations.results.contains(term.home) {
      gates.append(Named(name: term.name, units: boxes.box.value(term.home)))
    }
    self.gates = gates
    var memory: MemoryBound?
    if let state = remembers, let terms = boxes.leaky(state)?.prefix(widths[state]) {
      let coupled = boxes.coupled(state)
      memory = MemoryBound(
        state: description.states[state], keep: terms.map(\.keep), write: terms.map(\.write),
        gap: terms.map(\.gap),
        isCoupled: terms.indices.map { coupled?[$0].isBounded ?? false }, terms: Array(terms))
    }
    self.memory = memory

    let sensitivity = CellSensitivity(boxes.box)
    let ones = description.states.map { _ in Array(repeating: 1.0, count: units) }
    stepGain = sensitivity.apart(ones, input: 0).flatMap { $0 }.max() ?? 0
    let (rate, weights) = sensitivity.contraction()
    let push = sensitivity.apart(ones.map { $0.map { _ in 0 } }, input: 1)
    contraction = Contraction(
      rate: rate, weights: zip(weights, widths).map { Array($0.prefix($1)) },
      widths: settled.map { $0.map(\.width) },
      inputPush: zip(push, weights).flatMap { zip($0, $1).map { $0 / $1 } }.max() ?? 0)
  }
}
