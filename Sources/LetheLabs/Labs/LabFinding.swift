import LetheCore
import LetheInsight

/// One thing that was measured, and what was expected of it.
public struct LabFinding: Sendable, Codable, Equatable {
  /// How the numbers are written.
  public enum Format: String, Sendable, Codable {
    /// `0.03124`.
    case plain
    /// `97.2%`.
    case share
    /// `1,234`; what did not happen is infinite, `never`.
    case count
    /// `3.1e-07`.
    case power
  }

  /// What values must be for a finding to hold: all of them, not their median.
  public enum Expectation: Sendable {
    /// Nothing is expected: it is only told.
    case none
    /// At most so much.
    case atMost(Double)
    /// At least so much.
    case atLeast(Double)
    /// From the first to the second.
    case within(ClosedRange<Double>)
    /// Each below that of the same seed among these, which have a name.
    case below([Double], String)
    /// Each above that of the same seed among these.
    case above([Double], String)
  }

  /// What it is.
  public let what: String
  /// The values, one a seed; one alone where no seed plays a part.
  public let values: [Double]
  /// How they are written.
  public let format: Format
  /// What is claimed by it.
  public let kind: LabKind
  /// What was expected, in words; empty where nothing was.
  public let expected: String
  /// Whether it is as expected; `nil` where nothing was.
  public let holds: Bool?

  /// A finding; that nothing was measured, or no number, does not hold.
  ///
  /// - Precondition: what values are compared with has one for each of them.
  public init(
    _ what: String, _ values: [Double], _ format: Format, _ kind: LabKind, _ expectation: Expectation
  ) {
    (self.what, self.values, self.format, self.kind) = (what, values, format, kind)
    func text(_ value: Double) -> String { Self.text(value, format) }
    func all(_ holds: (Double) -> Bool) -> Bool { !values.isEmpty && values.allSatisfy(holds) }
    func pairs(_ others: [Double], _ holds: (Double, Double) -> Bool) -> Bool {
      require(others.count == values.count, "LabFinding: \(values.count) values against \(others.count)")
      return !values.isEmpty && zip(values, others).allSatisfy(holds)
    }
    switch expectation {
    case .none: (expected, holds) = ("", nil)
    case .atMost(let most): (expected, holds) = ("at most " + text(most), all { $0 <= most })
    case .atLeast(let least): (expected, holds) = ("at least " + text(least), all { $0 >= least })
    case .within(let range):
      expected = text(range.lowerBound) + " to " + text(range.upperBound)
      holds = all { range.contains($0) }
    case .below(let others, let name):
      (expected, holds) = ("below \(name): " + Self.text(others, format), pairs(others) { $0 < $1 })
    case .above(let others, let name):
      (expected, holds) = ("above \(name): " + Self.text(others, format), pairs(others) { $0 > $1 })
    }
  }

  /// The median of the values, and their range where there are several: `97.2% (95.0% to 98.1%)`.
  public var measured: String { Self.text(values, format) }

  /// As `measured`.
  static func text(_ values: [Double], _ format: Format) -> String {
    let median = text(values.median, format)
    // NaN last, as in the median.
    let sorted = values.sorted { $0 < $1 || $1.isNaN && !$0.isNaN }
    guard let least = sorted.first, let most = sorted.last, sorted.count > 1 else { return median }
    let (low, high) = (text(least, format), text(most, format))
    return low == high ? median : "\(median) (\(low) to \(high))"
  }

  /// One number.
  static func text(_ value: Double, _ format: Format) -> String {
    if value.isNaN { return DecimalText.missing }
    if value.isInfinite { return value < 0 ? "-∞" : format == .count ? "never" : "∞" }
    switch format {
    case .share: return DecimalText.percent(value)
    case .count: return DecimalText.grouped(Int(value.rounded()))
    case .power where value != 0: return power(value)
    case .plain where value != 0 && (abs(value) < 1e-4 || abs(value) >= 1e6): return power(value)
    case .plain, .power:
      let digits = value == 0 ? 0 : max(3 - exponent(abs(value)), 0)
      return DecimalText.short(value, digits)
    }
  }

  private static func power(_ value: Double) -> String {
    let exponent = exponent(abs(value))
    if exponent == 0 { return DecimalText.short(value, 1) }
    var mantissa = value
    for _ in 0..<abs(exponent) { mantissa = exponent < 0 ? mantissa * 10 : mantissa / 10 }
    return DecimalText.fixed(mantissa, 1) + "e\(exponent)"
  }

  /// The power of ten of the first digit.
  private static func exponent(_ value: Double) -> Int {
    var (value, exponent) = (value, 0)
    while value >= 9.95 { (value, exponent) = (value / 10, exponent + 1) }
    while value < 0.995 { (value, exponent) = (value * 10, exponent - 1) }
    return exponent
  }
}
