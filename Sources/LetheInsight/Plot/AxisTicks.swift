/// The marks of one axis: round values that cover a range, with labels that agree in their decimals.
///
/// The step is 1, 2 or 5 times a power of ten. Only products, quotients and roundings are used,
/// so the same range gives the same marks everywhere.
package struct AxisTicks: Sendable, Equatable {
  /// How a mark is written.
  package enum Format: Sendable, Equatable {
    /// As a number.
    case number
    /// As a percentage of one.
    case percent
  }

  /// The marks, rising.
  package let values: [Double]
  /// One label for each mark.
  package private(set) var labels: [String]
  /// What the axis spans: the range asked for, or the outermost marks around it.
  package let bounds: ClosedRange<Double>

  /// Marks for `range`, about `count` of them.
  ///
  /// - Parameters:
  ///   - range: what must be covered; an empty or a tiny range is widened first.
  ///   - count: how many steps to aim at.
  ///   - outward: whether the axis grows to whole steps beyond the range.
  ///   - integers: whether only whole numbers may be marked.
  ///   - format: how marks are written.
  package init(
    covering range: ClosedRange<Double>, about count: Int = 5, outward: Bool = true,
    integers: Bool = false, format: Format = .number
  ) {
    let wide = AxisTicks.widened(range)
    let step = AxisTicks.Step(
      atLeast: (wide.upperBound - wide.lowerBound) / Double(max(count, 1)), integers: integers)
    // A thousandth of a step forgives the rounding of the quotient.
    let lowest = step.count(in: wide.lowerBound)
    let highest = step.count(in: wide.upperBound)
    let first = outward ? (lowest + 1e-3).rounded(.down) : (lowest - 1e-3).rounded(.up)
    let last = outward ? (highest - 1e-3).rounded(.up) : (highest + 1e-3).rounded(.down)
    let marks = last >= first ? Int(min(last - first, 1000)) + 1 : 0
    let values = (0..<marks).map { step.value(at: first + Double($0)) }
    self.values = values
    self.labels = AxisTicks.labels(values, exponent: step.exponent, format: format)
    if outward, let low = values.first, let high = values.last, low < high {
      bounds = min(low, wide.lowerBound)...max(high, wide.upperBound)
    } else {
      bounds = wide
    }
  }

  /// The same marks with the labels that `label` gives, and their own where it gives none.
  package func labelled(_ label: (Double) -> String?) -> AxisTicks {
    var ticks = self
    ticks.labels = zip(values, labels).map { label($0) ?? $1 }
    return ticks
  }

  /// The place of `value` along the axis: 0 at its start, 1 at its end.
  package func fraction(_ value: Double) -> Double {
    (value - bounds.lowerBound) / (bounds.upperBound - bounds.lowerBound)
  }

  /// The range of the numbers that can be drawn, or nil if there is none.
  ///
  /// NaN, infinities and anything beyond 1e100 in size count as missing: ``isDrawable(_:)``.
  package static func range(of values: some Sequence<Double>) -> ClosedRange<Double>? {
    var found: ClosedRange<Double>?
    for value in values where isDrawable(value) {
      let old = found ?? value...value
      found = min(old.lowerBound, value)...max(old.upperBound, value)
    }
    return found
  }

  /// Whether a chart gives `value` a place; all others leave a gap.
  package static func isDrawable(_ value: Double) -> Bool {
    value.isFinite && value.magnitude <= 1e100
  }

  /// `range` made wide enough that steps inside it are distinct numbers.
  private static func widened(_ range: ClosedRange<Double>) -> ClosedRange<Double> {
    guard isDrawable(range.lowerBound), isDrawable(range.upperBound) else { return 0...1 }
    let size = max(range.lowerBound.magnitude, range.upperBound.magnitude)
    let span = range.upperBound - range.lowerBound
    if size == 0 { return 0...1 }
    if size < 1e-100 { return -1e-100...1e-100 }
    guard span < size * 1e-9 else { return range }
    let margin = size * (span == 0 ? 0.1 : 1e-9)
    return range.lowerBound - margin...range.upperBound + margin
  }

  private static func labels(_ values: [Double], exponent: Int, format: Format) -> [String] {
    if format == .percent {
      return values.map { DecimalText.percent($0, max(0, -exponent - 2)) }
    }
    let size = values.reduce(0) { max($0, $1.magnitude) }
    var power = 0
    if size > 0 {
      while size >= Step.powerOfTen(power + 1) { power += 1 }
      while size < Step.powerOfTen(power) { power -= 1 }
    }
    guard power >= 6 || power <= -4 else {
      return values.map { DecimalText.fixed($0, max(0, -exponent)) }
    }
    return values.map { value in
      let mantissa = power < 0 ? value * Step.powerOfTen(-power) : value / Step.powerOfTen(power)
      return value == 0 ? "0" : DecimalText.short(mantissa, max(0, power - exponent)) + "e\(power)"
    }
  }
}

extension AxisTicks {
  /// A step of `digit` times ten to the `exponent`.
  private struct Step {
    let digit: Double
    let exponent: Int

    /// The smallest step not below `least`.
    init(atLeast least: Double, integers: Bool) {
      var exponent = 0
      while Step.powerOfTen(exponent + 1) <= least { exponent += 1 }
      while !integers && Step.powerOfTen(exponent) > least { exponent -= 1 }
      let size = Step.scaled(least, by: -exponent)
      switch size {
      case ...1.0001: digit = 1
      case ...2.0001: digit = 2
      case ...5.0001: digit = 5
      default:
        digit = 1
        exponent += 1
      }
      self.exponent = exponent
    }

    /// How many steps lie between zero and `value`.
    func count(in value: Double) -> Double {
      Step.scaled(value, by: -exponent) / digit
    }

    /// The mark `index` steps from zero, rounded once.
    func value(at index: Double) -> Double {
      Step.scaled(index * digit, by: exponent) + 0
    }

    static func scaled(_ value: Double, by exponent: Int) -> Double {
      exponent < 0 ? value / powerOfTen(-exponent) : value * powerOfTen(exponent)
    }

    static func powerOfTen(_ exponent: Int) -> Double {
      var power = 1.0
      for _ in 0..<exponent.magnitude { power *= 10 }
      return exponent < 0 ? 1 / power : power
    }
  }
}
