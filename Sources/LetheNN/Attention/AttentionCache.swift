import LetheCore

/// What forgetting attention has seen and may still attend to: a value, to keep, copy or go on from.
///
/// For each sequence and head the keys, the values and the sums of log f of the past, oldest first. Constant: no gradient
/// flows into it.
/// *Shapes*: each sequence and head has its own number of entries, for lengths, resets and pruning are their own.
public struct AttentionCache: Sendable, Equatable {
  /// The number of sequences.
  public let batch: Int
  /// The number of heads.
  public let heads: Int
  /// The length of a key and of a value.
  public let headSize: Int
  var lanes: [AttentionLane]

  /// An empty cache: the same as none.
  public init(batch: Int, heads: Int, headSize: Int) {
    self.init(batch: batch, heads: heads, headSize: headSize, lanes: [])
    lanes = Array(repeating: AttentionLane(size: headSize), count: batch * heads)
  }

  init(batch: Int, heads: Int, headSize: Int, lanes: [AttentionLane]) {
    (self.batch, self.heads, self.headSize, self.lanes) = (batch, heads, headSize, lanes)
  }

  /// How many steps a head still sees of a sequence.
  ///
  /// - Precondition: there are such a sequence and such a head.
  public func count(row: Int, head: Int) -> Int {
    require(
      (0..<batch).contains(row) && (0..<heads).contains(head),
      "AttentionCache: row \(row) and head \(head) are not among \(batch) rows of \(heads) heads")
    return lanes[row * heads + head].count
  }

  /// The largest count of any sequence and head.
  public var largestCount: Int { lanes.map(\.count).max() ?? 0 }

  /// All that is kept, number by number: of each sequence and head the keys, the values and the sums of log f, a sum in three
  /// numbers that add up to it, then what pruning remembers.
  package var tensors: [Tensor] { lanes.flatMap(\.tensors) }

  /// The part of one sequence, as a batch of 1.
  ///
  /// - Precondition: there is such a sequence.
  public func row(_ row: Int) -> AttentionCache {
    require((0..<batch).contains(row), "AttentionCache: row \(row) is not among \(batch)")
    return AttentionCache(
      batch: 1, heads: heads, headSize: headSize, lanes: Array(lanes[row * heads..<(row + 1) * heads]))
  }
}

/// What one head sees of one sequence.
struct AttentionLane: Sendable, Equatable {
  let size: Int
  /// [entry][size], oldest first.
  private(set) var keys: [Float] = []
  private(set) var values: [Float] = []
  /// The sum of log f from the beginning of the sequence to each entry; in doubles, for only differences matter.
  private(set) var decays: [Double] = []
  /// The oldest entry that is still seen.
  private(set) var first = 0
  private var decay = 0.0
  private var longestQuery = 0.0
  private var longestKey = 0.0

  init(size: Int) { self.size = size }

  var count: Int { decays.count }

  mutating func reserve(_ steps: Int) {
    keys.reserveCapacity((count + steps) * size)
    values.reserveCapacity((count + steps) * size)
    decays.reserveCapacity(count + steps)
  }

  /// Adds a step; `logPruning` is ln ε.
  mutating func add(
    query: UnsafePointer<Float>, key: UnsafePointer<Float>, value: UnsafePointer<Float>, logForget: Double,
    isNew: Bool, logPruning: Double?
  ) {
    if isNew {
      first = count
      (decay, longestQuery, longestKey) = (0, 0, 0)
    }
    decay += logForget
    keys.append(contentsOf: UnsafeBufferPointer(start: key, count: size))
    values.append(contentsOf: UnsafeBufferPointer(start: value, count: size))
    decays.append(decay)
    longestQuery = max(longestQuery, Self.norm(query, size))
    longestKey = max(longestKey, Self.norm(key, size))
    guard let logPruning else { return }
    // Two scores differ by at most 2 |q| |k| / √d, so against the newest entry, which has not decayed, an entry weighs at
    // most exp(2 |q| |k| / √d + its decay).
    let least = logPruning - 2 * longestQuery * longestKey / Double(size).squareRoot()
    while first < count - 1 && decay - decays[first] < least { first += 1 }
  }

  /// Lets go of what is no longer seen.
  mutating func trim() {
    guard first > 0 else { return }
    keys.removeFirst(first * size)
    values.removeFirst(first * size)
    decays.removeFirst(first)
    first = 0
  }

  fileprivate var tensors: [Tensor] {
    /// A double of ordinary size is the sum of three floats, exactly.
    func split(_ x: Double) -> [Float] {
      let high = Float(x), middle = Float(x - Double(high))
      return [high, middle, Float(x - Double(high) - Double(middle))]
    }
    return [
      Tensor(keys, shape: [count, size]), Tensor(values, shape: [count, size]),
      Tensor(decays.flatMap(split), shape: [count, 3]),
      Tensor([decay, longestQuery, longestKey].flatMap(split), shape: [3, 3]),
    ]
  }

  private static func norm(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
    var sum = 0.0
    for i in 0..<count { sum += Double(x[i]) * Double(x[i]) }
    return sum.squareRoot()
  }
}

/// Sums over the numbers of one entry, in one order whatever lies around it.
enum AttentionRow {
  /// Eight sums side by side, then those; the rest one by one.
  @inline(__always)
  static func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ count: Int) -> Float {
    var sums = SIMD8<Float>.zero
    var i = 0
    while i + 8 <= count {
      sums +=
        UnsafeRawPointer(a + i).loadUnaligned(as: SIMD8<Float>.self)
        * UnsafeRawPointer(b + i).loadUnaligned(as: SIMD8<Float>.self)
      i += 8
    }
    let four = sums.lowHalf + sums.highHalf
    let two = four.lowHalf + four.highHalf
    var total = two.x + two.y
    while i < count {
      total += a[i] * b[i]
      i += 1
    }
    return total
  }

  /// y += factor · x.
  @inline(__always)
  static func add(
    _ factor: Float, _ x: UnsafePointer<Float>, to y: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    for i in 0..<count { y[i] += factor * x[i] }
  }
}
