import LetheCore

/// The sentences of a ``LookReport``, each computed from its data. Steps count from 1 here.
struct LookWords: Sendable {
  let report: LookReport

  /// The token read at `step`, in quotation marks, or nothing where the input has no tokens.
  func token(_ step: Int) -> String {
    guard case .text(let tokens, _) = report.input, tokens.indices.contains(step) else { return "" }
    return "“" + LookWords.shown(tokens[step]) + "”"
  }

  /// `step 12 “not”`.
  func step(_ step: Int) -> String {
    "step \(DecimalText.grouped(step + 1))" + (token(step).isEmpty ? "" : " " + token(step))
  }

  /// Where a column lies: a step, or the steps it joins.
  func column(_ steps: Range<Int>) -> String {
    steps.count == 1
      ? step(steps.lowerBound)
      : "steps \(DecimalText.grouped(steps.lowerBound + 1))–\(DecimalText.grouped(steps.upperBound))"
  }

  /// A token as one short run of visible characters.
  static func shown(_ token: String, atMost limit: Int = 24) -> String {
    var text = ""
    for scalar in token.unicodeScalars {
      switch scalar {
      case "\n": text += "↵"
      case "\t": text += "⇥"
      case "\r": text += "␍"
      case " ": text += token.unicodeScalars.count == 1 ? "␣" : " "
      default: text.unicodeScalars.append(LookWords.isHarmless(scalar) ? scalar : "\u{FFFD}")
      }
    }
    return text.count <= limit ? text : String(text.prefix(limit - 1)) + "…"
  }

  /// Whether a character stays where it is: controls and marks that turn the direction of a line do not.
  static func isHarmless(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar {
    case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{200E}", "\u{200F}", "\u{2028}"..."\u{202E}",
      "\u{2066}"..."\u{2069}", "\u{FEFF}", "\u{FFFE}", "\u{FFFF}":
      false
    default: true
    }
  }

  /// A number as a person writes it: about three digits, more just below one, powers of ten where they are
  /// needed. Bounds round outward: `rule` is then `.up` or `.down`.
  static func number(_ value: Double, _ rule: FloatingPointRoundingRule = .toNearestOrAwayFromZero) -> String
  {
    if value == .infinity { return "∞" }
    if value == -.infinity { return "−∞" }
    guard value.isFinite else { return DecimalText.missing }
    let size = value.magnitude
    let sign = value < 0 ? "−" : ""
    func cut(_ size: Double, _ decimals: Int) -> String {
      let scale = Elementary.pow(10, decimals)
      return DecimalText.short(((value < 0 ? -size : size) * scale).rounded(rule).magnitude / scale, decimals)
    }
    switch size {
    case 0: return "0"
    case 1e-3..<0.1: return sign + cut(size, 4)
    case 0.1..<0.99: return sign + cut(size, 3)
    case 0.99..<1: return sign + (size < 0.9999 ? cut(size, 4) : cut(size, 8))
    case 1..<10: return sign + cut(size, 2)
    case 10..<100: return sign + cut(size, 1)
    case 100..<1e6:
      let whole = (value < 0 ? -size : size).rounded(rule).magnitude
      return sign + DecimalText.grouped(Int(whole))
    default:
      let exponent = Int((Elementary.log(size) / Elementary.log(10)).rounded(.down))
      let mantissa = size < 1e-290 ? "1" : cut(size / Elementary.pow(10, exponent), 1)
      return sign + (mantissa == "1" ? "" : mantissa + " × ") + power(exponent)
    }
  }

  /// Ten to a power; plain for small ones.
  static func power(_ exponent: Int) -> String {
    switch exponent {
    case -3: "0.001"
    case -2: "0.01"
    case -1: "0.1"
    case 0: "1"
    case 1: "10"
    case 2: "100"
    case 3: "1,000"
    default:
      "10" + (exponent < 0 ? "⁻" : "")
        + String(
          String(exponent.magnitude).compactMap { digit in
            digit.wholeNumberValue.map { Array("⁰¹²³⁴⁵⁶⁷⁸⁹")[$0] }
          })
    }
  }

  /// `1 step`, `7 steps`.
  static func count(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    DecimalText.grouped(count) + " " + (count == 1 ? one : many ?? one + "s")
  }

  /// A share of one as a percentage, with a decimal where it is small.
  static func share(_ share: Double) -> String {
    share.magnitude < 0.095 ? DecimalText.percent(share, 1) : DecimalText.percent(share, 0)
  }

  /// Numbers of units as a list, cut where it grows long.
  static func units(_ units: [Int], atMost limit: Int = 12) -> String {
    let list = units.prefix(limit).map(String.init).joined(separator: ", ")
    return units.count > limit ? "\(list) and \(units.count - limit) more" : list
  }
}

extension LookWords {
  var title: String {
    "What \(LookWords.shown(report.headline.model, atMost: 60)) remembers"
  }

  var lead: String {
    let head = report.headline
    var words = "Row \(head.row) of \(head.data), \(LookWords.count(report.steps, "step"))."
    if let answer = head.answers.first {
      words += " It answered \(answer.name), \(LookWords.share(answer.probability)) sure"
      switch head.truth {
      case answer.name: words += ", and that is right."
      case .some(let truth): words += "; the right answer is \(truth)."
      case nil: words += "."
      }
    }
    return words
  }

  /// What to see in the gates of a layer.
  func gates(_ layer: LookReport.Layer) -> String {
    var words = layer.isReversed ? "This direction reads from the end, right to left. " : ""
    guard let gate = layer.signals.first(where: { $0.role == .memory }) else { return words }
    let means = LookWords.meanByStep(gate)
    let overall = drawableMean(means)
    guard !overall.isNaN, let lowest = LookWords.lowest(means) else { return words }
    words +=
      "In the mean, \(gate.name) keeps \(LookWords.share(overall)) of the memory from one step to the next"
    if report.steps > 1, let least = LookWords.finite(means[lowest]), least < overall {
      words += "; it lets go most at \(step(lowest)), where \(LookWords.share(least)) stay"
    }
    return words + "."
  }

  /// What to see in the ledger: since when half of the last memory was written.
  var ledger: String? {
    guard let last = report.ledger?.maps.first?.shares.last else { return nil }
    let shares = last.map { AxisTicks.isDrawable(Double($0)) ? abs(Double($0)) : 0 }
    let first = report.ledger?.initial.last.map { abs(Double($0)) }.flatMap(LookWords.finite) ?? 0
    let total = shares.reduce(first, +)
    guard total > 0, shares.count > 1 else { return nil }
    var sum = 0.0
    for (index, share) in shares.enumerated().reversed() {
      sum += share
      guard sum * 2 >= total else { continue }
      let count = shares.count - index
      let since =
        count == 1
        ? "by the last step" : "in the last \(LookWords.count(count, "step")), from \(step(index)) on"
      return "Half of what is in memory at the end was written \(since)."
    }
    return "More than half of what is in memory at the end was there before the first step."
  }

  /// What to see in the bars under the ledger.
  var attribution: String? {
    guard let found = report.attribution else { return nil }
    let order = LookWords.strongest(found.contributions)
    let whole = found.contributions.filter(AxisTicks.isDrawable).reduce(0) { $0 + $1.magnitude }
    guard let first = order.first, whole > 0 else { return nil }
    let top = order.prefix(3)
    let part = top.reduce(0) { $0 + found.contributions[$1].magnitude } / whole
    var words =
      "The answer “\(LookWords.shown(found.answer))” rests most on \(step(first)), which adds "
      + "\(LookWords.number(found.contributions[first])) to its logit of \(LookWords.number(found.total))"
    if order.count > 3 {
      words += "; the three strongest steps make up \(LookWords.share(part)) of all weight"
    }
    return words + ". Not explained by any step: \(LookWords.number(found.remainder))."
  }

  /// What to see in the half-lives of a layer.
  func memory(_ memory: LookReport.Memory) -> String {
    let known = memory.halfLives.filter { !$0.isNaN }.sorted()
    guard !known.isEmpty else { return "No half-life could be measured." }
    let median = known[(known.count - 1) / 2]
    let long = known.count { $0 >= Double(max(report.steps, 1)) }
    let units = LookWords.count(known.count, "unit") + " of \(LookWords.shown(memory.layer, atMost: 40))"
    if known.allSatisfy({ $0 == 0 }) {
      return
        "The \(units) keep nothing from one step to the next by themselves: what lasts, lasts by being written again."
    }
    var words =
      "Half of the \(units) lose half of what they hold within \(LookWords.number(median)) steps"
    if median == .infinity { words = "Most of the \(units) never forget" }
    if long > 0, median.isFinite {
      words += "; \(LookWords.number(Double(long))) would hold it longer than the whole row"
    }
    return words + "."
  }

  /// What to see in a gradient: where it is lost, or where it has grown.
  func gradient(_ flow: LookReport.GradientFlow) -> String {
    // As walked: the last is where the walk ends.
    let norms = flow.turned(flow.norms)
    guard let last = norms.indices.last(where: { AxisTicks.isDrawable(norms[$0]) }), norms[last] > 0 else {
      return "No gradient could be measured."
    }
    // The ways a gradient is lost or grows are read backward from the end, as it travels.
    let relative = norms.map { $0 / norms[last] }
    let name = "In \(LookWords.shown(flow.layer, atMost: 40)), "
    let (start, end) = flow.isReversed ? ("last step", "the first step") : ("first step", "the end")
    func place(_ index: Int) -> String {
      let steps = LookWords.count(last - index, "step")
      return flow.isReversed
        ? "\(step(norms.count - 1 - index)), \(steps) later" : "\(step(index)), \(steps) back"
    }
    if let lost = relative.indices.last(where: { relative[$0] < LookWords.vanished }) {
      return name + "the gradient vanishes: less than a millionth of what it is at \(end) reaches "
        + "\(place(lost))."
    }
    if let grown = relative.indices.last(where: { relative[$0] > LookWords.exploded }) {
      return name + "the gradient explodes: at \(place(grown)), "
        + "it is over a thousand times what it is at \(end)."
    }
    guard let first = relative.first(where: AxisTicks.isDrawable) else { return "" }
    func part(_ value: Double) -> String {
      (1e-5..<1).contains(value)
        ? LookWords.number(value * 100) + "%" : LookWords.number(value) + " times as much"
    }
    var words = name + "\(part(first)) of the gradient at \(end) reaches the \(start)"
    if let rate = flow.plainRate, rate.isFinite {
      let plain = LookWords.plain(rate, steps: norms.count)[0]
      words += "; through a plain network with r = \(LookWords.number(rate)) it would be \(part(plain))"
    }
    return words + "."
  }

  static let vanished = 1e-6
  static let exploded = 1e3

  /// r^(T − k) for each step k walked.
  static func plain(_ rate: Double, steps: Int) -> [Double] {
    (0..<steps).map { Elementary.pow(rate, steps - 1 - $0) }
  }

  /// What to see in the certificates.
  var certificates: String {
    let all = report.certificates
    let proved = all.count { $0.isProved }
    let broken = all.filter { $0.isProved && !LookWords.holds($0) }
    var words =
      proved == all.count
      ? (all.count == 1 ? "The bound is proved." : "All \(all.count) bounds are proved.")
      : "\(proved) of \(LookWords.count(all.count, "bound")) \(proved == 1 ? "is" : "are") proved."
    if !broken.isEmpty {
      words += " Seen outside of its proved bound, which is a mistake in the proof: "
      words += broken.map(\.what).joined(separator: ", ") + "."
    }
    return words
  }

  /// Whether what was seen lies inside the bound.
  static func holds(_ certificate: LookReport.Certificate) -> Bool {
    guard let bound = certificate.bound, let seen = certificate.observed else { return true }
    return bound.lowerBound <= seen.lowerBound && seen.upperBound <= bound.upperBound
  }

  /// An interval as words; a bound is rounded outward.
  static func interval(_ range: ClosedRange<Double>?, isBound: Bool = false) -> String {
    guard let range else { return "" }
    let low = number(range.lowerBound, isBound ? .down : .toNearestOrAwayFromZero)
    let high = number(range.upperBound, isBound ? .up : .toNearestOrAwayFromZero)
    switch (range.lowerBound.isFinite, range.upperBound.isFinite) {
    case (false, false): return "any"
    case (false, true): return "≤ " + high
    case (true, false): return "≥ " + low
    case (true, true):
      return low == high ? low : low + " to " + high
    }
  }

  /// What to see in the boundaries.
  func boundaries(_ found: LookReport.Boundaries) -> String {
    guard !found.events.isEmpty else { return "No step clears the memory more than chance does." }
    let real = found.events.count { $0.pValue < found.threshold }
    let closing =
      found.events.count == 1
      ? "At one step the forget gates close" : "At \(found.events.count) steps the forget gates close"
    if real == 0 { return closing + ", none of them farther than shuffled units do by chance." }
    let share = LookWords.number(100 - found.threshold * 100)
    let baseline =
      found.trials > 0 ? "farther than in \(share)% of \(DecimalText.grouped(found.trials)) shuffles" : ""
    if real == found.events.count { return closing + (baseline.isEmpty ? "." : ", \(baseline).") }
    return closing + "; \(real) of them \(baseline.isEmpty ? "by more than chance" : baseline)."
  }

  /// The mean over the units at each step, of values the mean of their sizes; NaN for a step without a number.
  static func meanByStep(_ signal: LookReport.Signal) -> [Double] {
    signal.values.map { row in
      drawableMean(row.lazy.map { signal.role == .value ? Double($0.magnitude) : Double($0) })
    }
  }

  /// The steps with contributions, the strongest first.
  static func strongest(_ values: [Double]) -> [Int] {
    values.indices.filter { AxisTicks.isDrawable(values[$0]) && values[$0] != 0 }
      .sorted { (-values[$0].magnitude, $0) < (-values[$1].magnitude, $1) }
  }

  static func lowest(_ values: [Double]) -> Int? {
    values.indices.filter { AxisTicks.isDrawable(values[$0]) }.min { values[$0] < values[$1] }
  }

  static func finite(_ value: Double) -> Double? { AxisTicks.isDrawable(value) ? value : nil }
}
