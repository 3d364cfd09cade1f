import Lethe

/// The largest |a − b| / (1 + |b|); infinite when the shapes differ or a number is not finite.
public func difference(_ a: Tensor, _ b: Tensor) -> Float {
  guard a.shape == b.shape, a.isFinite, b.isFinite else { return .infinity }
  return zip(a.scalars, b.scalars).map { abs($0 - $1) / (1 + abs($1)) }.max() ?? 0
}

/// Whether two tensors have the same shape and bits.
public func sameBits(_ a: Tensor, _ b: Tensor) -> Bool {
  a.shape == b.shape && zip(a.scalars, b.scalars).allSatisfy { $0.bitPattern == $1.bitPattern }
}

/// Numbers in −1..<1 that depend on the name only.
public func numbers(_ name: String, _ shape: [Int], scale: Float = 1) -> Tensor {
  RandomKey(seed: 7).child(name).uniform(shape: shape, in: -scale..<scale)
}
