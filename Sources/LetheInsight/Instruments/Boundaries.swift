import LetheCore
import LetheNN

/// Where a memory is cleared: the steps at which many units forget at once, and how likely chance is to do the same.
///
///     s_t = mean over units of (−ln |f_t| − its mean) / its deviation        how unusually much a step forgets
///
/// The baseline moves every unit's series by a shift of its own, around the end, many times: each unit keeps its own rhythm,
/// only their meeting is left to chance. The probability of a step is the share of such rounds whose largest s is as large
/// as its own: one for the whole sequence, so a long sequence has no more false ones than a short one.
public struct Boundaries: Sendable {
  /// One step at which the memory is cleared.
  public struct Boundary: Sendable, Equatable {
    /// The step walked, from 0: what was written before it is dropped.
    public let step: Int
    /// s.
    public let score: Double
    /// The share of the baseline's rounds whose largest s is at least that.
    public let probability: Double
  }

  /// s of every step walked.
  public let scores: [Double]
  /// The steps whose probability is at most the level asked for, in order.
  public let found: [Boundary]
  /// What the largest s of a round of the baseline stays below but for a share of `level` of the rounds.
  public let threshold: Double

  /// The boundaries of one sequence.
  ///
  /// *Cost*: rounds · steps · units.
  public init(_ trace: MemoryTrace, level: Double = 0.05, rounds: Int = 200, seed: UInt64 = 0) {
    // The first step has nothing to forget that was written in this sequence: it is left out throughout.
    let count = max(trace.count - 1, 0)
    let columns = (0..<trace.units).compactMap { unit in
      Self.standardised(trace.keep.dropFirst().map { $0[unit] })
    }
    let sums = (0..<count).map { t in columns.reduce(0) { $0 + $1[t] } / Double(max(columns.count, 1)) }
    let shifts = RandomKey(seed: seed).words(rounds * max(columns.count, 1))
    let largest = (0..<(count > 1 && !columns.isEmpty ? rounds : 0)).map { round in
      var moved = [Double](repeating: 0, count: count)
      for (number, column) in columns.enumerated() {
        let shift = Int((UInt64(shifts[round * columns.count + number]) * UInt64(count)) >> 32)
        for t in 0..<count { moved[t] += column[t + shift < count ? t + shift : t + shift - count] }
      }
      return (moved.max() ?? 0) / Double(columns.count)
    }.sorted()
    scores = (trace.count > 0 ? [0] : []) + sums
    threshold = largest.isEmpty ? .infinity : largest[min(Int(Double(rounds) * (1 - level)), rounds - 1)]
    found = sums.indices.compactMap { t -> Boundary? in
      guard !largest.isEmpty else { return nil }
      let rank = largest.count { $0 >= sums[t] }
      let probability = Double(rank + 1) / Double(rounds + 1)
      return probability <= level ? Boundary(step: t + 1, score: sums[t], probability: probability) : nil
    }
  }

  private static func standardised(_ keep: [Double]) -> [Double]? {
    // No step forgets more than a factor of e⁻²⁰: exact zeros stay comparable.
    let lost = keep.map { -Elementary.log(max(abs($0), 2e-9)) }
    let mean = lost.reduce(0, +) / Double(lost.count)
    let spread = (lost.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(lost.count)).squareRoot()
    return spread > 1e-6 ? lost.map { ($0 - mean) / spread } : nil
  }

  /// How likely it is that steps chosen by chance forget as much as some known ones, such as the ends of sentences: the known
  /// ones are moved around the sequence together, by every shift there is.
  ///
  /// - Returns: the mean s at the known steps, and the share of shifts that reach it.
  public func agreement(with known: [Int]) -> (score: Double, probability: Double)? {
    guard !known.isEmpty, known.allSatisfy({ scores.indices.contains($0) }) else { return nil }
    func mean(_ shift: Int) -> Double {
      known.reduce(0) { $0 + scores[($1 + shift) % scores.count] } / Double(known.count)
    }
    let own = mean(0)
    let rank = (0..<scores.count).count { mean($0) >= own }
    return (own, Double(rank) / Double(scores.count))
  }
}

/// An alarm on a stream: a step at which many units of a layer drop what they had.
///
///     var stream = lstm.stream(), alarm = ForgetAlarm()
///     stream.recordsGates = true
///     while let x = sensor.next() {
///       _ = stream.step(x)
///       if let event = alarm.look(at: stream.recordings[0]) { print(event) }
///     }
///
/// *Cost*: that of reading the gates; at an alarm one step more for each feature of the input.
public struct ForgetAlarm: Sendable {
  /// What happened.
  public struct Event: Sendable {
    /// The step, counted from the first that was looked at.
    public let step: Int
    /// The units that closed.
    public let units: [Int]
    /// The features of the input that closed them, most to blame first, and by how much the mean keep factor of these units
    /// would have been higher had the feature been as it mostly was.
    public let features: [(feature: Int, effect: Double)]
  }

  /// A unit counts as closed below this keep factor.
  public var closedBelow: Double
  /// The share of units that have to close at once, of those that were open on average.
  public var share: Double
  private var steps = 0
  private var meanInput: [Float] = []
  private var meanKeep: [Double] = []

  /// An alarm with the given thresholds.
  public init(closedBelow: Double = 0.1, share: Double = 0.5) {
    (self.closedBelow, self.share) = (closedBelow, share)
  }

  /// Takes in one step; an event where enough units close.
  ///
  /// - Precondition: the recording is of one step of one sequence, always of the same layer.
  public mutating func look(at recording: LayerRecording) -> Event? {
    require(recording.input.shape.prefix(2) == [1, 1], "ForgetAlarm: expected one step of one sequence")
    guard let keep = recording.memory()?.keep.first else { return nil }
    let x = recording.input.scalars
    defer {
      steps += 1
      // A mean over the last hundred steps or so, over all of them at first.
      let rate = max(1 / Double(steps), 0.01)
      meanInput = meanInput.isEmpty ? x : zip(meanInput, x).map { $0 + Float(rate) * ($1 - $0) }
      meanKeep = meanKeep.isEmpty ? keep : zip(meanKeep, keep).map { $0 + rate * ($1 - $0) }
    }
    guard !meanKeep.isEmpty else { return nil }
    let open = keep.indices.filter { meanKeep[$0] > 0.5 }
    let closed = open.filter { abs(keep[$0]) < closedBelow }
    guard !closed.isEmpty, Double(closed.count) >= share * Double(open.count) else { return nil }
    return Event(
      step: steps, units: closed, features: recording.closers(of: closed, step: 0, usual: meanInput))
  }
}

extension LayerRecording {
  /// The features of the input that closed some units at a step walked, most to blame first: by how much the mean keep factor
  /// of these units would have been higher had the feature been as in `usual`.
  ///
  /// *Cost*: one step for each feature. Empty where the cell does not fit the equation.
  public func closers(of units: [Int], step: Int, row: Int = 0, usual: [Float])
    -> [(feature: Int, effect: Double)]
  {
    let x = input(at: step, row: row).scalars, count = x.count
    // Where a sequence starts anew no feature is to blame.
    if startsAnew(at: step, row: row) { return [] }
    require(usual.count == count, "closers: expected \(count) usual values, got \(usual.count)")
    // The first row as it was, the others with one feature changed.
    var inputs = (0...count).flatMap { _ in x }
    for j in 0..<count { inputs[(j + 1) * count + j] = usual[j] }
    guard !units.isEmpty,
      let replayed = replayed(step: step, row: row, inputs: Tensor(inputs, shape: [count + 1, count]))
    else { return [] }
    let kept = (0...count).map { row -> Double in
      guard let keep = replayed.memory(row: row)?.keep.first else { return 0 }
      return units.reduce(0) { $0 + abs(keep[$1]) } / Double(units.count)
    }
    return (0..<count).map { (feature: $0, effect: kept[$0 + 1] - kept[0]) }.filter { $0.effect > 0 }
      .sorted { ($1.effect, $0.feature) < ($0.effect, $1.feature) }
  }
}
