import LetheCore
import LetheNN

/// What is in memory, and since when: the equation of the memory unrolled.
///
///     c_t = (f_1 … f_t) ⊙ c_0 + Σ_k (f_{k+1} … f_t) ⊙ w_k          w_k: what step k wrote
///
/// Exactly: the entries of a step add up to the cell, to rounding. Steps count from 0 in the order walked; entry number 0 of a
/// list is c_0, entry k + 1 what step k wrote.
public struct Ledger: Sendable {
  /// The memory taken apart.
  public let trace: MemoryTrace

  /// The ledger of one layer over one sequence.
  public init(_ trace: MemoryTrace) { self.trace = trace }

  /// What of each entry is in each unit's memory after step t: [t + 2][units].
  ///
  /// *Cost*: t · units.
  public func entries(at t: Int) -> [[Double]] {
    require((0..<trace.count).contains(t), "entries: step \(t) of \(trace.count)")
    var left = [Double](repeating: 1, count: trace.units)
    var entries: [[Double]] = []
    for k in (0...t).reversed() {
      entries.append(zip(left, trace.write[k]).map { $0 * $1 })
      for unit in left.indices { left[unit] *= trace.keep[k][unit] }
    }
    entries.append(zip(left, trace.initial).map { $0 * $1 })
    return entries.reversed()
  }

  /// The entries that weigh most in one unit's memory after step t, heaviest first; `nil` as a step stands for c_0.
  public func topEntries(at t: Int, unit: Int, count: Int = 5) -> [(step: Int?, amount: Double)] {
    let all = entries(at: t).enumerated().map { ($0.offset == 0 ? nil : $0.offset - 1, $0.element[unit]) }
    return Array(all.sorted { abs($0.1) > abs($1.1) }.prefix(count)).map { (step: $0.0, amount: $0.1) }
  }

  /// How old the memory is: [reading step][entry], the share of Σ over units |entry| that each entry has; rows grow.
  ///
  /// *Cost*: steps² · units.
  public func shares() -> [[Double]] {
    var current: [[Double]] = [trace.initial]
    return (0..<trace.count).map { t in
      for k in current.indices {
        for unit in 0..<trace.units { current[k][unit] *= trace.keep[t][unit] }
      }
      current.append(trace.write[t])
      let amounts = current.map { $0.reduce(0) { $0 + abs($1) } }
      let total = amounts.reduce(0, +)
      return amounts.map { total > 0 ? $0 / total : 0 }
    }
  }

  /// The number of last steps that wrote at least such a part of what is in memory after step t.
  public func age(of part: Double = 0.9, at t: Int) -> Int {
    let amounts = entries(at: t).map { $0.reduce(0) { $0 + abs($1) } }
    let wanted = part * amounts.reduce(0, +)
    var sum = 0.0
    for (age, amount) in amounts.reversed().enumerated() {
      sum += amount
      if sum >= wanted { return min(age + 1, t + 1) }
    }
    return t + 1
  }
}

/// How a number the model gives rests on the steps that wrote into a memory.
///
///     z = Σ_t v_t · c_t + remainder        v_t = ∂z/∂y_t ⊙ (h_t − h_t with c_t = 0) / c_t
///
/// c_t is unrolled by the ledger, so each step k has Σ_t v_t · (f_{k+1} … f_t) ⊙ w_k of z. The layers above are made linear at
/// this sequence, the cell's own read-out is not: its chord is taken, which is exact. What is left is the remainder: biases,
/// and what is not linear above. It is reported and not hidden; for a Dense layer right above it is that layer's bias.
/// *Source*: the chord as in DeepLIFT's rescale rule, Shrikumar, Greenside & Kundaje 2017, arXiv 1704.02685.
public struct PredictionLedger: Sendable {
  /// z.
  public let value: Double
  /// What c_0 has of z.
  public let initial: Double
  /// What each step walked has of z.
  public let steps: [Double]
  /// z less all of these.
  public let remainder: Double

  /// - Parameter outputGradient: ∂z/∂y_t of this layer's outputs, [steps][units] in the order walked.
  /// - Precondition: the layer's states and gates were kept and shapes fit.
  public init?(_ recording: LayerRecording, row: Int, value: Double, outputGradient: [[Double]]) {
    guard let trace = recording.memory(row: row), let readOut = recording.readOut(row: row) else {
      return nil
    }
    require(
      outputGradient.count == trace.count && outputGradient.allSatisfy { $0.count == trace.units },
      "PredictionLedger: expected \(trace.count) steps of \(trace.units) gradients")
    // Σ_{t ≥ k} v_t f_{k+1} … f_t, from the end.
    var sum = [Double](repeating: 0, count: trace.units)
    var steps = [Double](repeating: 0, count: trace.count)
    for t in (0..<trace.count).reversed() {
      for unit in sum.indices {
        sum[unit] += outputGradient[t][unit] * readOut[t][unit]
        steps[t] += sum[unit] * trace.write[t][unit]
        sum[unit] *= trace.keep[t][unit]
      }
    }
    self.value = value
    self.steps = steps
    initial = zip(sum, trace.initial).reduce(0) { $0 + $1.0 * $1.1 }
    remainder = value - initial - steps.reduce(0, +)
  }
}

extension Layer {
  /// How a number made of the output rests on the steps, for every recurrent layer and direction whose cell fits the
  /// equation.
  ///
  /// *Shapes*: x [1, …]. *Cost*: as `gateGradients`.
  public func predictionLedgers(
    _ x: Tensor, logits: Bool = false, of: (Variable) -> Variable
  ) throws(LetheError) -> [(layer: LayerRecording, ledger: PredictionLedger)] {
    let (value, recording, gradients) = try gateGradients(x, logits: logits, of: of)
    return recording.layers.compactMap { layer in
      let own = gradients.first {
        $0.path == layer.path && $0.layer == layer.layer && $0.isReversed == layer.isReversed
          && $0.name == GateGradient.layerOutput
      }
      guard let own, own.values.shape[2] == layer.units, let trace = layer.memory() else { return nil }
      let units = layer.units, scalars = own.values.scalars
      let gradient = trace.times.map { t in scalars[t * units..<(t + 1) * units].map(Double.init) }
      return PredictionLedger(layer, row: 0, value: Double(value), outputGradient: gradient)
        .map { (layer, $0) }
    }
  }
}
