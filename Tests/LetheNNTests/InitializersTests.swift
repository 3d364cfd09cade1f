import Lethe
import LetheTestSupport
import Testing

@Suite struct InitializersTests {
  private let key = RandomKey(seed: 11)

  private func moments(_ tensor: Tensor) -> (mean: Double, variance: Double, most: Float) {
    let mean = tensor.sum / Double(tensor.count)
    let variance = tensor.sumOfSquares / Double(tensor.count) - mean * mean
    return (mean, variance, tensor.scalars.map(abs).max() ?? 0)
  }

  // 6,144 numbers: the variance of a normal is known to 1.8 percent, that of a uniform to 1.1; the limits are
  // 4 times that.
  static let uniforms: [(Initializer, [Int], Double)] = [
    (.uniform(bound: 0.3), [96, 64], 0.03),
    (.glorotUniform, [96, 64], 2.0 / 160),
    (.heUniform, [96, 64], 2.0 / 64),
    (.torchUniform(fan: 25), [96, 64], 1.0 / 75),
    (.glorotUniform, [16, 24, 4, 4], 2.0 / 640),
    (.heUniform, [16, 24, 4, 4], 2.0 / 384),
    (.glorotUniform, [6144], 1.0 / 6144),
  ]

  @Test(arguments: uniforms)
  func uniformRangesAndVariances(_ kind: Initializer, shape: [Int], variance: Double) {
    let bound = (3 * variance).squareRoot()
    let tensor = kind.make(shape: shape, key: key)
    let found = moments(tensor)
    #expect(tensor.shape == shape)
    #expect(abs(found.variance / variance - 1) < 0.045)
    #expect(abs(found.mean) < 4 * (variance / 6144).squareRoot())
    #expect(Double(found.most) <= bound * 1.000001 && Double(found.most) > bound * 0.998)
  }

  static let normals: [(Initializer, [Int], Double)] = [
    (.normal(deviation: 0.25), [96, 64], 0.0625),
    (.embedding, [96, 64], 1.0),
    (.glorotNormal, [96, 64], 2.0 / 160),
    (.heNormal, [96, 64], 2.0 / 64),
    (.heNormal, [16, 24, 4, 4], 2.0 / 384),
  ]

  @Test(arguments: normals)
  func normalVariances(_ kind: Initializer, shape: [Int], variance: Double) {
    let tensor = kind.make(shape: shape, key: key)
    let found = moments(tensor)
    #expect(abs(found.variance / variance - 1) < 0.073)
    #expect(abs(found.mean) < 4 * (variance / 6144).squareRoot())
    // A normal has tails: 1 in 370 beyond 3 deviations.
    let tails = tensor.scalars.count { Double(abs($0)) > 3 * variance.squareRoot() }
    #expect((5...35).contains(tails))
  }

  @Test func constants() {
    #expect(Initializer.zeros.make(shape: [3, 2], key: key) == Tensor(zeros: [3, 2]))
    #expect(Initializer.constant(1.5).make(shape: [4], key: key) == Tensor(repeating: 1.5, shape: [4]))
    #expect(Initializer.uniform(bound: 0).make(shape: [5], key: key) == Tensor(zeros: [5]))
    #expect(Initializer.glorotUniform.make(shape: [0, 3], key: key).shape == [0, 3])
  }

  @Test(arguments: [[1, 1], [5, 9], [9, 5], [33, 33], [4, 3, 2, 2], [40, 2, 3, 3], [7], [64, 48]])
  func orthogonalRowsOrColumns(_ shape: [Int]) {
    let q = Initializer.orthogonal.make(shape: shape, key: key)
    #expect(q.shape == shape)
    let rows = shape[0], columns = q.count / shape[0], x = q.scalars.map(Double.init)
    let count = min(rows, columns), width = max(rows, columns)
    func at(_ i: Int, _ j: Int) -> Double { rows <= columns ? x[i * columns + j] : x[j * columns + i] }
    for a in 0..<count {
      for b in 0...a {
        let product = (0..<width).reduce(0) { $0 + at(a, $1) * at(b, $1) }
        #expect(abs(product - (a == b ? 1 : 0)) < 3e-7, "rows \(a) and \(b) of \(shape)")
      }
    }
  }

  // Under the uniform distribution each entry of a 3 by 3 matrix has mean 0 and variance 1/3, and both signs
  // of the determinant come equally often. Signs left as a factorisation gives them fail the first.
  @Test func orthogonalIsUniform() {
    let count = 2000
    var means = [Double](repeating: 0, count: 9), squares = means, positive = 0
    for i in 0..<count {
      let q = Initializer.orthogonal.make(shape: [3, 3], key: key.child(i)).scalars.map(Double.init)
      for j in 0..<9 {
        means[j] += q[j] / Double(count)
        squares[j] += q[j] * q[j] / Double(count)
      }
      let minors = [q[4] * q[8] - q[5] * q[7], q[5] * q[6] - q[3] * q[8], q[3] * q[7] - q[4] * q[6]]
      if q[0] * minors[0] + q[1] * minors[1] + q[2] * minors[2] > 0 { positive += 1 }
    }
    #expect(means.allSatisfy { abs($0) < 0.05 })
    #expect(squares.allSatisfy { abs($0 - 1.0 / 3) < 0.03 })
    #expect((900...1100).contains(positive))
  }

  @Test func sameKeySameBits() {
    for kind in [Initializer.orthogonal, .glorotUniform, .heNormal, .torchUniform(fan: 9)] {
      let once = kind.make(shape: [17, 23], key: key), again = kind.make(shape: [17, 23], key: key)
      #expect(sameBits(once, again))
      #expect(!sameBits(once, kind.make(shape: [17, 23], key: key.child(1))))
    }
  }

  // The bits that x86-64 gave; another processor must give the same.
  @Test func bitsAreTheSameOnEveryMachine() {
    func hash(_ kind: Initializer) -> UInt64 {
      bitsHash([kind.make(shape: [19, 23], key: RandomKey(seed: 5))])
    }
    #expect(hash(.orthogonal) == 8_040_999_171_361_620_065)
    #expect(hash(.glorotNormal) == 4_959_758_591_588_471_055)
    #expect(hash(.heUniform) == 12_266_510_108_248_824_638)
  }

  @Test func stackedBlocksAreTheirOwn() {
    let blocks: [Initializer] = [.orthogonal, .constant(2), .glorotUniform]
    let tensor = Initializer.stacked(blocks).make(shape: [15, 5], key: key)
    #expect(tensor.shape == [15, 5])
    for (i, block) in blocks.enumerated() {
      #expect(sameBits(tensor.rows(i * 5..<i * 5 + 5), block.make(shape: [5, 5], key: key.child(i))))
    }
    // A block's fans are its own, not the stack's.
    let most = tensor.rows(10..<15).scalars.map(abs).max() ?? 0
    #expect(most > 0.7 && most < (6.0 / 10 as Float).squareRoot())
    let bias = Initializer.stacked([.zeros, .constant(1), .zeros, .zeros]).make(shape: [8], key: key)
    #expect(bias.scalars == [0, 0, 1, 1, 0, 0, 0, 0])
  }

  @Test func twoBlocksOfOneKindDiffer() {
    let tensor = Initializer.stacked([.orthogonal, .orthogonal]).make(shape: [8, 4], key: key)
    #expect(tensor.rows(0..<4) != tensor.rows(4..<8))
  }
}
