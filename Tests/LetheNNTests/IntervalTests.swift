import Lethe
import LetheTestSupport
import Testing

@Suite("Intervals hold what is in them")
struct IntervalTests {
  /// Floats of all sizes, zeros and signs; their sums and products are exact in doubles or checked by fma.
  static func floats(_ name: String, _ count: Int) -> [Float] {
    RandomKey(seed: 5).child(name).words(count).map { word in
      if word % 17 == 0 { return 0 }
      let exponent = Int(word >> 8 & 63) - 32
      let significand = 1 + Float(word >> 14) * 0x1p-18
      return (word & 1 == 0 ? 1 : -1) * Float(sign: .plus, exponent: exponent / 2, significand: significand)
    }
  }

  /// Intervals, and numbers in them with both ends among these.
  static func cases(_ name: String, _ count: Int) -> [(interval: Interval, points: [Double])] {
    let numbers = floats(name, count * 4)
    return (0..<count).map { i in
      let own = numbers[4 * i..<4 * i + 4].map(Double.init).sorted()
      return (Interval(own[0], own[3]), own)
    }
  }

  @Test("sums, products and quotients, to the last bit")
  func arithmetic() {
    for (a, b) in zip(Self.cases("a", 3000), Self.cases("b", 3000)) {
      let (sum, difference, product, quotient) = (
        a.interval + b.interval, a.interval - b.interval, a.interval * b.interval, a.interval / b.interval
      )
      for x in a.points {
        for y in b.points {
          // x + y − end, exactly: floats within 2^±17 of each other fit a double.
          #expect(sum.low <= x + y && x + y <= sum.high)
          #expect(difference.low <= x - y && x - y <= difference.high)
          #expect((-product.low).addingProduct(x, y) >= 0 && (-product.high).addingProduct(x, y) <= 0)
          if y != 0, quotient.isBounded {
            // q − x / y has the sign of (q y − x) / y.
            let (l, h) = ((-x).addingProduct(quotient.low, y) / y, (-x).addingProduct(quotient.high, y) / y)
            #expect(l <= 0 && h >= 0, "\(x) / \(y)")
          }
          #expect(sum.single.contains(Double(Float(x) + Float(y))))
          #expect(product.single.contains(Double(Float(x) * Float(y))))
          #expect(quotient.single.contains(y == 0 ? 0 : Double(Float(x) / Float(y))))
          #expect(Interval.max(a.interval, b.interval).contains(max(x, y)))
          #expect(Interval.min(a.interval, b.interval).contains(min(x, y)))
          #expect(a.interval.union(b.interval).contains(y))
        }
        #expect(a.interval.absolute.contains(abs(x)) && a.interval.relu.contains(max(x, 0)))
        #expect(a.interval.step.contains(x > 0 ? 1 : 0) && (-a.interval).contains(-x))
        if a.interval.low >= 0 {
          let root = a.interval.squareRoot
          #expect(root.low * root.low <= x.nextUp && root.high * root.high >= x.nextDown)
        }
      }
      // Not wider than it has to be.
      if product.isBounded {
        let exact = a.points.flatMap { x in b.points.map { x * $0 } }
        #expect(product.low >= (exact.min() ?? 0).nextDown && product.high <= (exact.max() ?? 0).nextUp)
      }
    }
    #expect((Interval(1, 2) / Interval(-1, 1)) == .everything)
    #expect((Interval.zero * .everything) == .zero)
    #expect(Interval(.nan, 1) == .everything)
    #expect(Interval(0.1).single.low < 0.1 && Interval(0.1).single.high > 0.1)
    #expect(Interval(1e300).single.high == .infinity)
  }

  @Test("functions hold what the engine's floats give, and are hardly wider")
  func functions() {
    var inputs = Self.floats("x", 20_000)
    inputs += [0, -0.0, 1e-30, -1e-30, 16.98, 17, -88.4, -88.3, -87, 88.7, 88.8, 104, -104, 9.01, 9.02, 0.52]
    inputs += (0..<4000).map { Float($0) * 0.05 - 100 }
    let x = Variable(Tensor(inputs))
    func check(_ engine: Tensor, _ name: String, _ f: (Interval) -> Interval) {
      for (x, y) in zip(inputs, engine.scalars) {
        let own = f(Interval(Double(x)))
        #expect(own.low <= Double(y) && Double(y) <= own.high, "\(name) \(x): \(y) not in \(own)")
        if own.isBounded && abs(y) > 1e-37 && abs(y) < 1e37 {
          #expect(own.width <= 8 * Double(y.ulp), "\(name) \(x): \(own)")
        }
      }
    }
    check(x.sigmoid().tensor, "sigmoid") { $0.sigmoid }
    check(x.tanh().tensor, "tanh") { $0.tanh }
    check(x.exp().tensor, "exp") { $0.exp }
    let positive = inputs.map { abs($0) + 1e-20 }
    let logs = Variable(Tensor(positive)).log().tensor.scalars
    for (x, y) in zip(positive, logs) { #expect(Interval(Double(x)).log.contains(Double(y)), "log \(x)") }
    // Wide ones hold what is between.
    for (own, points) in Self.cases("wide", 2000) {
      let values = Variable(Tensor(points.map { Float($0) }))
      for y in values.sigmoid().tensor.scalars { #expect(own.sigmoid.contains(Double(y))) }
      for y in values.tanh().tensor.scalars { #expect(own.tanh.contains(Double(y))) }
      for y in values.exp().tensor.scalars { #expect(own.exp.contains(Double(y))) }
    }
    #expect(Interval.everything.sigmoid == Interval(0, 1) && Interval.everything.tanh == Interval(-1, 1))
    #expect(Interval.everything.exp == Interval(0, .infinity))
  }
}
