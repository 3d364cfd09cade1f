import LetheCore

/// Which units of a batch count: all, or those of the real steps where sequences have lengths.
///
/// A unit is `unit` neighbouring scalars: one scalar, or a row of classes.
struct CountedUnits {
  /// Neighbouring units that count, in order.
  let ranges: [Range<Int>]
  /// How many units count.
  let count: Int
  /// Whether all do.
  let isWhole: Bool

  /// - Precondition: lengths, where there are some, are those of a batch of the shape [batch, time, …].
  init(_ x: Variable, unit: Int, in name: String) {
    let total = unit == 0 ? 0 : x.tensor.count / unit
    guard let lengths = x.timing?.lengths else {
      (ranges, count, isWhole) = ([0..<total], total, true)
      return
    }
    let shape = x.shape
    require(
      shape.count >= 2 && lengths.count == shape[0] && lengths.allSatisfy { (0...shape[1]).contains($0) },
      "\(name): expected one length in 0...time for each sequence of [batch, time, …], got \(lengths) "
        + "for \(shape)"
    )
    let step = unit == 0 ? 0 : shape.dropFirst(2).reduce(1, *) / unit
    require(
      step > 0 || total == 0, "\(name): a value of shape \(shape) with lengths has no unit for each step")
    ranges = lengths.enumerated().compactMap { row, length in
      let first = row * shape[1] * step
      return length == 0 ? nil : first..<first + length * step
    }
    count = ranges.reduce(0) { $0 + $1.count }
    isWhole = count == total
  }

  /// Calls `body` with parts of the ranges, on several threads where there are more than `grain` units.
  func forEachPart(grain: Int, _ body: (Range<Int>) -> Void) {
    if ranges.count == 1, let all = ranges.first {
      Parallel.split(all.count, grain: grain) { part in
        body(all.lowerBound + part.lowerBound..<all.lowerBound + part.upperBound)
      }
    } else {
      let average = max(1, count / max(ranges.count, 1))
      Parallel.split(ranges.count, grain: max(1, grain / average)) { part in
        for range in ranges[part] { body(range) }
      }
    }
  }

  /// What the mean divides by; 1 where nothing counts, so that the mean is 0.
  var divisor: Double { Double(max(count, 1)) }
}

extension Tensor {
  /// A loss's gradient times that of the loss itself, which is nearly always 1.
  func scaled(by gradient: Tensor) -> Tensor { gradient.scalar == 1 ? self : self * gradient.scalar }
}
