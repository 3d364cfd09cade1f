import LetheCore
import LetheNN

/// How long the units of a layer keep what they have, over some sequences.
///
///     half-life = ln ½ / ln f̄        ln f̄: the mean of ln |f_t| over all steps
///
/// The geometric mean is the one that counts: a memory after n steps is what it was times f_1 … f_n.
public struct Retention: Sendable {
  /// One unit.
  public struct Unit: Sendable {
    /// The least, the quartiles and the largest of its keep factor, signs left out.
    public let quantiles: [Double]
    /// Steps until half is left; 0 for one that keeps nothing, infinite for one that loses nothing.
    public let halfLife: Double
    /// The share of steps at which it keeps next to nothing (below 0.05), and next to all (above 0.95).
    public let closed: Double
    public let open: Double
    /// Whether it never forgets (always above 0.95) or never remembers (always below 0.05).
    public var neverCloses: Bool { quantiles[0] > 0.95 }
    public var neverOpens: Bool { quantiles[4] < 0.05 }
  }

  /// All units, in order.
  public let units: [Unit]
  /// Pairs of units whose memories run alike: |correlation| above 0.99.
  public let duplicates: [(Int, Int)]
  /// Steps back within which nine tenths of what is in memory at the end were written: the median over the sequences.
  public let horizon: Double
  /// Steps looked at.
  public let steps: Int

  /// The retention of a layer over all rows of some recordings of it; `nil` where the cell does not fit the equation.
  public init?(_ traces: [MemoryTrace]) {
    let traces = traces.filter { $0.count > 0 }
    if traces.isEmpty { return nil }
    steps = traces.reduce(0) { $0 + $1.count }
    let kept = traces.flatMap(\.kept), halfLives = MemoryTrace.halfLives(of: traces)
    units = halfLives.enumerated().map { unit, halfLife in Unit(kept.map { $0[unit] }, halfLife: halfLife) }
    duplicates = Self.duplicates(traces)
    horizon = Self.median(traces.map { Double(Ledger($0).age(at: $0.count - 1)) })
  }

  /// The half-life in the middle of all units.
  public var medianHalfLife: Double { Self.median(units.map(\.halfLife)) }

  static func median(_ values: [Double]) -> Double { quantile(values.sorted(), 0.5) }

  /// Between neighbours in a sorted list.
  static func quantile(_ sorted: [Double], _ share: Double) -> Double {
    guard let last = sorted.last else { return .nan }
    let at = share * Double(sorted.count - 1), low = Int(at)
    if low + 1 >= sorted.count || sorted[low] == sorted[low + 1] {
      return low + 1 >= sorted.count ? last : sorted[low]
    }
    return sorted[low] + (at - Double(low)) * (sorted[low + 1] - sorted[low])
  }

  private static func duplicates(_ traces: [MemoryTrace]) -> [(Int, Int)] {
    let count = traces.reduce(0) { $0 + $1.count }
    guard count > 2, let width = traces.first?.units else { return [] }
    let columns = (0..<width).map { unit -> [Double]? in
      let values = traces.flatMap { trace in trace.value.map { $0[unit] } }
      let mean = values.reduce(0, +) / Double(count)
      let norm = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }.squareRoot()
      return norm > 1e-9 * Double(count) ? values.map { ($0 - mean) / norm } : nil
    }
    var pairs: [(Int, Int)] = []
    for a in columns.indices {
      guard let x = columns[a] else { continue }
      for b in columns.indices.dropFirst(a + 1) {
        guard let y = columns[b] else { continue }
        var product = 0.0
        for i in x.indices { product += x[i] * y[i] }
        if abs(product) > 0.99 { pairs.append((a, b)) }
      }
    }
    return pairs
  }
}

extension Retention.Unit {
  fileprivate init(_ values: [Double], halfLife: Double) {
    let sorted = values.sorted()
    quantiles = [0, 0.25, 0.5, 0.75, 1].map { Retention.quantile(sorted, $0) }
    self.halfLife = halfLife
    closed = Double(values.count { $0 < 0.05 }) / Double(values.count)
    open = Double(values.count { $0 > 0.95 }) / Double(values.count)
  }
}
