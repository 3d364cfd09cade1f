import LetheCore
import LetheNN

/// The statements of a layer, in words whose numbers are rounded away from what they bound.
enum CertificateWords {
  static func statements(_ bounds: RecurrentBounds, _ recordings: [LayerRecording]) -> [Certificate] {
    var all: [Certificate] = []
    for gate in bounds.gates {
      let range = gate.units.joined
      all.append(
        Certificate(
          subject: .gate(gate.name), bound: range, observed: seen(gate.name, recordings),
          isProved: range.isBounded, text: "in " + self.range(range)))
    }
    for state in bounds.states {
      let range = state.units.joined
      all.append(
        Certificate(
          subject: .state(state.name), bound: range, observed: seen(state.name, recordings),
          isProved: range.isBounded, text: words(of: state, bounds)))
    }
    if let memory = bounds.memory { all.append(halfLife(memory, bounds, recordings)) }
    all += stability(bounds)
    return all
  }

  private static func words(of state: RecurrentBounds.Named, _ bounds: RecurrentBounds) -> String {
    let range = state.units.joined
    let loose = state.units.indices.filter { !state.units[$0].isBounded }
    guard !loose.isEmpty else {
      let isMemory = bounds.memory?.state == state.name
      let isCoupled = bounds.memory?.isCoupled.allSatisfy { $0 } ?? false
      return "in \(self.range(range))"
        + (isMemory && isCoupled ? ", between the extremes of what is written and the start" : "")
    }
    let count = "\(loose.count) of \(state.units.count) units"
    guard let memory = bounds.memory, memory.state == state.name else {
      return "not proved: \(count) have no bound"
    }
    let growth = loose.map { memory.growth($0) ?? .infinity }.max() ?? 0
    return growth.isFinite
      ? "no bound: \(count) can keep all, and grow by at most \(up(growth)) a step, rounding left out"
      : "not proved: \(count) can multiply what they hold"
  }

  private static func halfLife(
    _ memory: RecurrentBounds.MemoryBound, _ bounds: RecurrentBounds, _ recordings: [LayerRecording]
  ) -> Certificate {
    let all = memory.keep.indices.map { memory.longestHalfLife($0) }
    let longest = all.max() ?? 0
    let endless = all.count { $0 == .infinity }
    // What a gate was seen to keep, as a half-life.
    var kept: Double?
    for recording in recordings {
      for row in 0..<recording.input.shape[0] {
        guard let trace = recording.memory(row: row) else { continue }
        let top = trace.keep.flatMap { $0 }.map(\.magnitude).max()
        kept = [kept, top].compactMap { $0 }.max()
      }
    }
    let seen = kept.map { f in
      Interval(f >= 1 ? .infinity : f <= 0 ? 0 : 0.6931471805599453 / -Elementary.log(f))
    }
    let text =
      longest == .infinity
      ? "no bound: \(endless) of \(all.count) units can keep all of what they hold"
      : "\(up(longest)) steps at most, by the equation: a float may round to 1"
    return Certificate(
      subject: .longestHalfLife, bound: Interval(0, longest),
      observed: seen,
      isProved: longest < .infinity, text: text)
  }

  private static func stability(_ bounds: RecurrentBounds) -> [Certificate] {
    let contraction = bounds.contraction
    guard contraction.isProved else {
      let gain = bounds.stepGain
      return [
        Certificate(
          subject: .contraction, bound: Interval(0, contraction.rate), observed: nil, isProved: false,
          text: "not proved; a step multiplies a disturbance by "
            + (gain.isFinite ? "at most \(up(gain))" : "no known number: something can jump"))
      ]
    }
    var all = [
      Certificate(
        subject: .contraction, bound: Interval(0, contraction.rate), observed: nil, isProved: true,
        text: "a step leaves at most \(up(contraction.rate)) of any disturbance")
    ]
    if let steps = contraction.steps(within: 0.001) {
      all.append(
        Certificate(
          subject: .settling, bound: Interval(0, Double(steps)), observed: nil, isProved: true,
          text: "\(steps) steps after any disturbance within these bounds, all states are within 0.001 again")
      )
    }
    if let gain = contraction.gain {
      all.append(
        Certificate(
          subject: .gain, bound: Interval(0, gain), observed: nil, isProved: true,
          text: "inputs that differ by d move outputs by at most \(up(gain)) d"))
    }
    return all
  }

  // MARK: What was seen

  /// The extremes of a gate or state over all real steps.
  private static func seen(_ name: String, _ recordings: [LayerRecording]) -> Interval? {
    var range: Interval?
    for recording in recordings where recording[name] != nil {
      for row in 0..<recording.input.shape[0] {
        for step in recording.steps(name, row: row) ?? [] {
          for value in step {
            let one = Interval(Double(value))
            range = range?.union(one) ?? one
          }
        }
      }
    }
    return range
  }

  /// The extremes of each feature; steps past a sequence's length count too.
  static func ranges(of input: Tensor) -> [Interval] {
    let features = input.shape.last ?? 0
    var low = [Float](repeating: .infinity, count: features), high = low.map { -$0 }
    input.withUnsafeBuffer { values in
      for (index, value) in values.enumerated() {
        low[index % features] = min(low[index % features], value)
        high[index % features] = max(high[index % features], value)
      }
    }
    return zip(low, high).map { Interval(Double($0), Double($1)) }
  }

  // MARK: Numbers

  static func range(_ interval: Interval) -> String {
    "\(down(interval.low)) … \(up(interval.high))"
  }
  static func down(_ x: Double) -> String {
    let text = up(-x)
    return text == "0" ? text : text.hasPrefix("-") ? String(text.dropFirst()) : "-" + text
  }

  /// x with four digits, rounded up.
  static func up(_ x: Double) -> String {
    if x == .infinity { return "∞" }
    if x == -.infinity { return "-∞" }
    if abs(x) < 1e-12 { return x > 0 ? "1e-12" : "0" }
    var scale = 1.0, exponent = 0
    while abs(x) * scale < 1000 { (scale, exponent) = (scale * 10, exponent - 1) }
    while abs(x) * scale >= 10000 { (scale, exponent) = (scale / 10, exponent + 1) }
    let digits = (x * scale).rounded(.up)
    if exponent < 1 && exponent > -8 {
      var power = 1.0
      for _ in exponent..<0 { power *= 10 }
      return DecimalText.short(digits / power, -exponent)
    }
    return "\(DecimalText.short(digits / 1000, 3))e\(exponent + 3)"
  }
}
