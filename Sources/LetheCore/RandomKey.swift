import CLetheKernels

/// A place in an endless tree of random streams: the same key gives the same numbers on every machine, in
/// every order, on any number of threads.
///
///     let key = RandomKey(seed: 1)
///     let weights = key.child("weights").uniform(shape: [4, 3], in: -0.1..<0.1)
///
/// *Source*: Philox 4x32-10, Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
public struct RandomKey: Sendable, Equatable {
  /// The seed all of the tree's streams share.
  public let seed: UInt64
  package let stream: UInt64

  /// The root of the tree of a seed.
  public init(seed: UInt64) { self.init(seed: seed, stream: 0) }

  private init(seed: UInt64, stream: UInt64) {
    self.seed = seed
    self.stream = stream
  }

  /// The branch with the given number.
  public func child(_ number: Int) -> RandomKey {
    RandomKey(seed: seed, stream: Self.mix(stream &+ Self.mix(UInt64(bitPattern: Int64(number)) &+ 1)))
  }

  /// The branch with the given name.
  public func child(_ name: String) -> RandomKey {
    // FNV-1a, 64 bits.
    let hash = name.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return RandomKey(seed: seed, stream: Self.mix(stream ^ Self.mix(hash)))
  }

  // The finaliser of splitmix64.
  private static func mix(_ x: UInt64) -> UInt64 {
    var z = x &+ 0x9e37_79b9_7f4a_7c15
    z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
    z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
    return z ^ (z >> 31)
  }

  /// The first `count` words of the stream, uniform over all 32-bit numbers.
  public func words(_ count: Int) -> [UInt32] {
    let groups = (count + 3) / 4
    var words = [UInt32](unsafeUninitializedCapacity: groups * 4) { buffer, used in
      if let start = buffer.baseAddress, groups > 0 { lethe_philox(start, seed, stream, 0, Int64(groups)) }
      used = groups * 4
    }
    words.removeLast(words.count - count)
    return words
  }

  /// Numbers uniform in a half-open range.
  public func uniform(shape: [Int], in range: Range<Float>) -> Tensor {
    let words = words(shape.reduce(1, *))
    let width = range.upperBound - range.lowerBound
    return Tensor(
      // Rounding may reach the upper bound, which is not in the range.
      words.map {
        width == 0
          ? range.lowerBound
          : min(range.lowerBound + width * (Float($0 >> 8) * 0x1p-24), range.upperBound.nextDown)
      },
      shape: shape)
  }

  /// Normally distributed numbers (Box & Muller 1958).
  public func normal(shape: [Int], mean: Float = 0, deviation: Float = 1) -> Tensor {
    let count = shape.reduce(1, *)
    let words = words((count + 1) / 2 * 2)
    var values = [Float]()
    values.reserveCapacity(words.count)
    for i in stride(from: 0, to: words.count, by: 2) {
      let radius = (-2 * Elementary.log((Double(words[i]) + 1) * 0x1p-32)).squareRoot()
      let turn = Elementary.sinCos(Double(words[i + 1]) * 0x1p-32 * (2 * Double.pi))
      values.append(mean + deviation * Float(radius * turn.cos))
      values.append(mean + deviation * Float(radius * turn.sin))
    }
    values.removeLast(values.count - count)
    return Tensor(values, shape: shape)
  }

  /// The numbers `0..<count` in random order (Fisher & Yates).
  public func permutation(_ count: Int) -> [Int] {
    var order = Array(0..<count)
    let words = words(max(count, 1))
    for i in stride(from: count - 1, to: 0, by: -1) {
      order.swapAt(i, Int((UInt64(words[i]) * UInt64(i + 1)) >> 32))
    }
    return order
  }

  /// 0 with probability `1 - keep`, else `1 / keep`: what dropout multiplies with.
  ///
  /// - Precondition: `0 < keep <= 1`.
  package func dropoutMask(shape: [Int], keep: Float) -> Tensor {
    require(keep > 0 && keep <= 1, "dropout: expected a rate in 0..<1, got \(1 - keep)")
    return Tensor(shape: shape) { to in
      if let start = to.baseAddress { lethe_dropout_mask(start, seed, stream, keep, Int64(to.count)) }
    }
  }
}
