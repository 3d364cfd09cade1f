import LetheCore

/// All numbers from `low` to `high`, ends included; either may be infinite.
///
/// Every operation gives an interval that holds the result for all numbers of its operands: ends are computed in doubles and
/// moved outward where the double is not exact. `single` moves them on to floats, so that they also hold what an operation in
/// single precision gives, rounded to nearest: rounding is monotone. sigmoid, tanh, exp and log are widened by more than the
/// errors stated with the kernels' functions. 0 · ∞ counts as 0: the numbers meant are finite.
/// *Source*: Moore, Kearfott & Cloud 2009, Introduction to Interval Analysis, ch. 2-5.
public struct Interval: Sendable, Equatable {
  /// The least number.
  public let low: Double
  /// The greatest number.
  public let high: Double

  /// The numbers between two ends; all numbers where an end is not a number.
  public init(_ low: Double, _ high: Double) {
    if low.isNaN || high.isNaN || low > high {
      (self.low, self.high) = (-.infinity, .infinity)
    } else {
      (self.low, self.high) = (low, high)
    }
  }

  /// One number.
  public init(_ value: Double) { self.init(value, value) }

  /// All numbers.
  public static let everything = Interval(-.infinity, .infinity)
  /// Zero alone.
  public static let zero = Interval(0)

  /// The largest absolute value.
  public var magnitude: Double { Swift.max(abs(low), abs(high)) }
  /// `high` − `low`.
  public var width: Double { Rounded.up(high, -low) }
  /// Whether both ends are finite.
  public var isBounded: Bool { low.isFinite && high.isFinite }

  /// Whether a number is in it.
  public func contains(_ value: Double) -> Bool { low <= value && value <= high }
  /// Whether all of another is in it.
  public func contains(_ other: Interval) -> Bool { low <= other.low && other.high <= high }

  /// The smallest interval that holds both.
  public func union(_ other: Interval) -> Interval {
    Interval(Swift.min(low, other.low), Swift.max(high, other.high))
  }

  /// What is in both; this one where nothing is.
  public func intersection(_ other: Interval) -> Interval {
    let (l, h) = (Swift.max(low, other.low), Swift.min(high, other.high))
    return l <= h ? Interval(l, h) : self
  }

  /// With ends that are floats, outward.
  public var single: Interval { Interval(Self.floatBelow(low), Self.floatAbove(high)) }

  static func floatBelow(_ x: Double) -> Double {
    let near = Float(x)
    return Double(near) <= x ? Double(near) : Double(near.nextDown)
  }
  static func floatAbove(_ x: Double) -> Double {
    let near = Float(x)
    return Double(near) >= x ? Double(near) : Double(near.nextUp)
  }

  // MARK: Arithmetic

  /// Sums.
  public static func + (a: Interval, b: Interval) -> Interval {
    Interval(Rounded.down(a.low, b.low), Rounded.up(a.high, b.high))
  }
  /// Differences.
  public static func - (a: Interval, b: Interval) -> Interval { a + -b }
  /// Negatives.
  public static prefix func - (a: Interval) -> Interval { Interval(-a.high, -a.low) }
  /// Products.
  public static func * (a: Interval, b: Interval) -> Interval {
    var (low, high) = (Double.infinity, -Double.infinity)
    for x in [a.low, a.high] {
      for y in [b.low, b.high] {
        low = Swift.min(low, Rounded.product(x, y, up: false))
        high = Swift.max(high, Rounded.product(x, y, up: true))
      }
    }
    return Interval(low, high)
  }
  /// Quotients; all numbers where the divisor may be 0.
  public static func / (a: Interval, b: Interval) -> Interval {
    if b.low <= 0 && b.high >= 0 { return .everything }
    var (low, high) = (Double.infinity, -Double.infinity)
    for x in [a.low, a.high] {
      for y in [b.low, b.high] {
        let q = x / y
        if q.isNaN { return .everything }
        low = Swift.min(low, x == 0 ? 0 : q.nextDown)
        high = Swift.max(high, x == 0 ? 0 : q.nextUp)
      }
    }
    return Interval(low, high)
  }

  /// The larger of two numbers.
  public static func max(_ a: Interval, _ b: Interval) -> Interval {
    Interval(Swift.max(a.low, b.low), Swift.max(a.high, b.high))
  }
  /// The smaller of two numbers.
  public static func min(_ a: Interval, _ b: Interval) -> Interval {
    Interval(Swift.min(a.low, b.low), Swift.min(a.high, b.high))
  }

  // MARK: Functions

  /// What a monotone function gives, moved outward by so many spacings of floats.
  private func mapped(ulps: Double, _ f: (Double) -> Double) -> Interval {
    let (l, h) = (f(low), f(high))
    return Interval(l - ulps * Self.spacing(l), h + ulps * Self.spacing(h))
  }
  private static func spacing(_ x: Double) -> Double {
    x.isFinite ? Double(Float(x).ulp.isFinite ? Float(x).ulp : 0x1p104) : 0
  }

  /// 1 / (1 + e⁻ˣ); never outside 0...1.
  public var sigmoid: Interval {
    let y = mapped(ulps: 3) { 1 / (1 + Elementary.exp(-$0)) }
    // The kernels give 0 where the truth is below 4.2e−39.
    return Interval(y.low < 5e-39 ? 0 : y.low, Swift.min(y.high, 1))
  }
  /// tanh; never outside −1...1.
  public var tanh: Interval {
    func exact(_ x: Double) -> Double {
      if abs(x) < 1e-3 { return x - x * x * x / 3 }
      let e = Elementary.exp(-2 * abs(x))
      return (x < 0 ? -1 : 1) * (1 - e) / (1 + e)
    }
    let y = mapped(ulps: 3, exact)
    return Interval(Swift.max(y.low, -1), Swift.min(y.high, 1))
  }
  /// eˣ; never below 0, and not above 1 for x ≤ 0.
  public var exp: Interval {
    let y = mapped(ulps: 2) { Elementary.exp($0) }
    // Beyond 88.72 the kernels give infinity.
    let top = high > 88.7 ? Double.infinity : high <= 0 ? Swift.min(y.high, 1) : y.high
    return Interval(low < -87 ? 0 : Swift.max(y.low, 0), top)
  }
  /// The natural logarithm; from −∞ on where numbers are not above 0.
  public var log: Interval {
    if high <= 0 { return .everything }
    let ends = Interval(Swift.max(low, 0), high)
    return ends.mapped(ulps: 2) { Elementary.log($0) }
  }
  /// log(1 + eˣ), as it is computed: 1 + e^−|x| is rounded, so the error is an absolute one.
  public var softplus: Interval {
    func margin(_ y: Double) -> Double { 3e-7 + 1e-7 * y }
    let (bottom, top) = (NaiveTwin.softplus(low), NaiveTwin.softplus(high))
    return Interval(Swift.max(bottom - margin(bottom), 0), top + margin(top)).single
  }

  /// √x; all numbers where some have no root.
  public var squareRoot: Interval {
    if low < 0 { return .everything }
    return Interval(
      low == 0 ? 0 : Swift.max(low.squareRoot().nextDown, 0), high == 0 ? 0 : high.squareRoot().nextUp)
  }
  /// |x|.
  public var absolute: Interval {
    low >= 0 ? self : high <= 0 ? -self : Interval(0, magnitude)
  }
  /// max(x, 0).
  public var relu: Interval { .max(self, .zero) }
  /// 1 where x > 0, else 0.
  public var step: Interval { Interval(low > 0 ? 1 : 0, high > 0 ? 1 : 0) }
}

/// Sums and products of doubles, moved outward where they are not exact.
enum Rounded {
  /// Whether a + b is exactly the sum (Knuth's two-sum).
  private static func isExact(_ a: Double, _ b: Double, _ sum: Double) -> Bool {
    let part = sum - a
    return (a - (sum - part)) + (b - part) == 0
  }
  static func down(_ a: Double, _ b: Double) -> Double {
    let sum = a + b
    return isExact(a, b, sum) ? sum : sum.nextDown
  }
  static func up(_ a: Double, _ b: Double) -> Double {
    let sum = a + b
    return isExact(a, b, sum) ? sum : sum.nextUp
  }
  static func product(_ a: Double, _ b: Double, up: Bool) -> Double {
    if a == 0 || b == 0 { return 0 }
    let product = a * b
    if abs(product) > 1e-280 && product.isFinite && (-product).addingProduct(a, b) == 0 { return product }
    return up ? product.nextUp : product.nextDown
  }
}

extension [Interval] {
  /// The interval that holds all of them.
  public var joined: Interval { dropFirst().reduce(first ?? .zero) { $0.union($1) } }
}
