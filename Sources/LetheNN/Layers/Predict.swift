import LetheCore

extension Model {
  /// The outputs for many examples, `batchSize` at a time, in evaluation mode; memory for one batch at a
  /// time.
  ///
  /// An example's output has the same bits whatever the batch size.
  /// *Shapes*: x [count, …] → [count, …]; `timing` gives lengths and resets of all examples.
  /// - Precondition: the batch size is above 0.
  public func predict(_ x: Tensor, timing: Timing? = nil, batchSize: Int = 256) -> Tensor {
    require(batchSize > 0, "predict: expected a batch size above 0, got \(batchSize)")
    require(!x.shape.isEmpty, "predict: expected [count, …], got one number")
    let count = x.shape[0]
    var parts: [Tensor] = []
    for first in stride(from: 0, to: max(count, 1), by: batchSize) {
      let range = first..<min(first + batchSize, count)
      let part = Variable(range.count == count ? x : x.rows(range), timing: timing?.examples(range))
      parts.append(self(part).tensor)
    }
    if parts.count == 1 { return parts[0] }
    return Tensor(shape: [count] + parts[0].shape.dropFirst()) { to in
      var next = 0
      for part in parts {
        part.withUnsafeBuffer { from in
          for i in from.indices { to[next + i] = from[i] }
          next += from.count
        }
      }
    }
  }
}

extension Timing {
  fileprivate func examples(_ range: Range<Int>) -> Timing {
    Timing(lengths: lengths.map { Array($0[range]) }, resets: resets.map { Array($0[range]) })
  }
}
