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

/// The mean over counted scalars of a function of output and target.
///
/// `f` takes the place, the output and the target of one scalar and gives the loss and its slope in the
/// output. The sum is a chain of doubles in the order of the scalars.
@inline(__always)
func elementwiseLoss(
  _ name: String, _ x: Variable, _ targets: Tensor, _ f: (Int, Float, Float) -> (loss: Float, slope: Float)
) -> Variable {
  let expected = x.shape
  require(
    targets.shape == expected || targets.shape + [1] == expected || targets.shape == expected + [1],
    "\(name): expected targets of the output's shape \(expected), got \(targets.shape)")
  let output = x.tensor
  let counted = CountedUnits(x, unit: 1, in: name)
  var slopes = Tensor(zeros: expected)
  var sum = 0.0
  slopes.withUnsafeMutableBuffer { slope in
    output.withUnsafeBuffer { x in
      targets.withUnsafeBuffer { t in
        for range in counted.ranges {
          for i in range {
            let result = f(i, x[i], t[i])
            sum += Double(result.loss)
            slope[i] = result.slope
          }
        }
      }
    }
  }
  let scale = Float(1 / counted.divisor)
  let saved = slopes
  return .operation(name, [x], Tensor(Float(sum / counted.divisor))) { [saved * ($0.scalar * scale)] }
}
