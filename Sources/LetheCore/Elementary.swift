/// Elementary functions of doubles from additions, multiplications and divisions only, so that schedules and
/// initialisers have the same bits on every machine; the C library's choose their code by processor.
///
/// Errors are a few ulp of double over the stated ranges, far below the floats they end in.
public enum Elementary {
  private static let ln2High = 0x1.62e42feep-1
  private static let ln2Low = 0x1.a39ef35793c76p-33

  /// eˣ: x = n ln 2 + r, |r| ≤ ln 2 / 2, and the Taylor series of eʳ to r¹³.
  public static func exp(_ x: Double) -> Double {
    if x.isNaN { return x }
    if x > 709.8 { return .infinity }
    if x < -745.2 { return 0 }
    let n = (x * 1.4426950408889634).rounded()
    let r = (x - n * ln2High) - n * ln2Low
    var sum = 1.0
    for k in stride(from: 13.0, through: 1.0, by: -1.0) { sum = 1 + sum * r / k }
    let half = Int(n) / 2
    return sum * power2(half) * power2(Int(n) - half)
  }

  private static func power2(_ n: Int) -> Double { Double(sign: .plus, exponent: n, significand: 1) }

  /// ln x: x = 2ⁿ m with m in [√½, √2), ln m = 2 artanh((m − 1) / (m + 1)).
  public static func log(_ x: Double) -> Double {
    if x.isNaN || x < 0 { return .nan }
    if x == 0 { return -.infinity }
    if x.isInfinite { return x }
    var n = Double(x.exponent), m = x.significand
    if m > 1.4142135623730951 {
      m /= 2
      n += 1
    }
    let s = (m - 1) / (m + 1), s2 = s * s
    var sum = 0.0
    for k in stride(from: 23.0, through: 1.0, by: -2.0) { sum = 1 / k + sum * s2 }
    return n * ln2High + (n * ln2Low + 2 * s * sum)
  }

  /// xʸ for x > 0.
  public static func pow(_ x: Double, _ y: Double) -> Double { y == 0 ? 1 : exp(y * log(x)) }

  /// xⁿ by squaring.
  public static func pow(_ x: Double, _ n: Int) -> Double {
    var result = 1.0, base = n < 0 ? 1 / x : x, n = n.magnitude
    while n > 0 {
      if n & 1 == 1 { result *= base }
      base *= base
      n >>= 1
    }
    return result
  }

  /// sin and cos of x radians, |x| < 10⁵: reduced by multiples of π / 2, then Taylor series.
  public static func sinCos(_ x: Double) -> (sin: Double, cos: Double) {
    let n = (x * 0.6366197723675814).rounded()
    let r = (x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a626331p-34
    let r2 = r * r
    var s = 0.0, c = 0.0
    for k in stride(from: 17.0, through: 1.0, by: -2.0) { s = 1 - s * r2 / ((k + 1) * (k + 2)) }
    for k in stride(from: 16.0, through: 0.0, by: -2.0) { c = 1 - c * r2 / ((k + 1) * (k + 2)) }
    s *= r
    switch Int(n) & 3 {
    case 0: return (s, c)
    case 1: return (c, -s)
    case 2: return (-s, -c)
    default: return (-c, s)
    }
  }
}
