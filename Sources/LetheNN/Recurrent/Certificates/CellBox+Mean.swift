import LetheCore

extension CellBox {
  /// The mean over the units, as the engine adds it up: lane by lane over the blocks, then the 16 lanes, then a division.
  func mean(_ x: [Interval]) -> [Interval] {
    var (low, high, size) = (0.0, 0.0, 0.0)
    for own in x {
      low += own.low
      high += own.high
      size += own.magnitude
    }
    let count = Double(units), m = Double((units + 15) / 16 + 8)
    // Also the roundings of these doubles.
    let room = (m * 0x1p-24 / (1 - m * 0x1p-24) * (1 + 0x1p-10) + count * 0x1p-50) * size + m * 0x1p-149
    let mean = Interval(((low - room) / count).nextDown, ((high + room) / count).nextUp).single
    return Array(repeating: mean, count: units)
  }

  /// What |a / root| is at most, where the root's square is a weighted sum of numbers that are not negative and of a mean of a²:
  /// √(units / weight). `nil` where the graph does not say so, or where nothing (an ε) keeps the square above what underflows.
  mutating func normalised(_ a: CellGraph.ID, byRoot root: CellGraph.ID) -> Double? {
    guard case .unary(.sqrt, let square) = graph.nodes[root], let weight = weight(ofSquare: a, in: square),
      value(square).allSatisfy({ $0.low >= 0x1p-60 })
    else { return nil }
    // The engine's roundings of mean, sum, root and quotient are less.
    return (1 / weight).squareRoot() * (1 + 0x1p-12 + Double(units) * 0x1p-27)
  }

  /// The same for a · (1 / root).
  mutating func normalised(_ a: CellGraph.ID, by b: CellGraph.ID) -> Double? {
    guard case .binary(.divide, let one, let root) = graph.nodes[b], graph.constant(of: one) == 1 else {
      return nil
    }
    return normalised(a, byRoot: root)
  }

  /// A w with w a² ≤ the number at `id` for each unit.
  private mutating func weight(ofSquare a: CellGraph.ID, in id: CellGraph.ID) -> Double? {
    func isNotNegative(_ id: CellGraph.ID) -> Bool { value(id).allSatisfy { $0.low >= 0 } }
    switch graph.nodes[id] {
    case .binary(.multiply, a, a): return 1
    case .mean(let inner):
      guard isNotNegative(inner), let own = weight(ofSquare: a, in: inner) else { return nil }
      return own / Double(units)
    case .binary(.add, let x, let y):
      if isNotNegative(y), let own = weight(ofSquare: a, in: x) { return own }
      return isNotNegative(x) ? weight(ofSquare: a, in: y) : nil
    case .binary(.multiply, let x, let y):
      for (factor, other) in [(x, y), (y, x)] {
        if let c = graph.constant(of: factor), c > 0, let own = weight(ofSquare: a, in: other) {
          return own * Double(c)
        }
      }
      return nil
    default: return nil
    }
  }
}
