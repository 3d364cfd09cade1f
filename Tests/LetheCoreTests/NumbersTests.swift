import Foundation
import Lethe
import Synchronization
import Testing

/// The C library's functions, which the tests measure against.
private enum CLibrary {
  static let exp: @Sendable (Double) -> Double = { Foundation.exp($0) }
  static let log: @Sendable (Double) -> Double = { Foundation.log($0) }
  static let sin: @Sendable (Double) -> Double = { Foundation.sin($0) }
  static let cos: @Sendable (Double) -> Double = { Foundation.cos($0) }
  static let pow: @Sendable (Double, Double) -> Double = { Foundation.pow($0, $1) }
}

@Suite struct NumbersTests {
  /// Against the C library, in units of the last place of a double.
  @Test func elementaryFunctions() {
    var x = -740.0
    while x < 709 {
      expectClose(Elementary.exp(x), CLibrary.exp(x), ulp: 8, "exp \(x)")
      x += 0.37
    }
    for exponent in -300...300 {
      let x = Elementary.pow(10.0, exponent) * 1.2345
      expectClose(Elementary.log(x), CLibrary.log(x), ulp: 4, "log \(x)")
    }
    #expect(Elementary.log(1) == 0 && Elementary.log(0) == -.infinity && Elementary.log(-1).isNaN)
    #expect(Elementary.exp(800) == .infinity && Elementary.exp(-800) == 0 && Elementary.exp(.nan).isNaN)
    var angle = -50.0
    while angle < 50 {
      let (s, c) = Elementary.sinCos(angle)
      #expect(abs(s - CLibrary.sin(angle)) < 1e-15 && abs(c - CLibrary.cos(angle)) < 1e-15, "\(angle)")
      angle += 0.0137
    }
    #expect(Elementary.pow(3.0, 5) == 243 && Elementary.pow(2.0, -3) == 0.125)
    expectClose(Elementary.pow(2.5, 3.7), CLibrary.pow(2.5, 3.7), ulp: 16, "pow")
  }

  func expectClose(_ a: Double, _ b: Double, ulp: Double, _ what: String) {
    #expect(abs(a - b) <= ulp * max(b.ulp, Double.leastNormalMagnitude.ulp), "\(what): \(a) against \(b)")
  }

  /// Known answers of Random123's own tests for Philox 4x32-10.
  @Test func philox() {
    #expect(RandomKey(seed: 0).words(4) == [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])
  }

  @Test func keysGiveIndependentRepeatableStreams() {
    let key = RandomKey(seed: 4)
    #expect(key.child("a").words(8) == key.child("a").words(8))
    #expect(key.words(5) == Array(key.words(9).prefix(5)))
    let streams = [
      key, key.child("a"), key.child("b"), key.child(0), key.child(1), key.child(0).child(1),
      key.child(1).child(0),
    ]
    #expect(Set(streams.map { $0.words(4) }).count == streams.count)
  }

  @Test func momentsOfRandomNumbers() {
    let uniform = RandomKey(seed: 1).uniform(shape: [100_000], in: -1..<3).scalars.map(Double.init)
    #expect(uniform.allSatisfy { $0 >= -1 && $0 < 3 })
    expectMoments(uniform, mean: 1, variance: 16 / 12)
    expectMoments(
      RandomKey(seed: 2).normal(shape: [100_000], mean: 2, deviation: 3).scalars.map(Double.init), mean: 2,
      variance: 9)
    let mask = RandomKey(seed: 3).dropoutMask(shape: [100_000], keep: 0.7).scalars.map(Double.init)
    #expect(Set(mask).count == 2)
    expectMoments(mask, mean: 1, variance: 0.3 / 0.7)
  }

  /// Within five standard errors.
  func expectMoments(_ x: [Double], mean: Double, variance: Double) {
    let n = Double(x.count)
    let average = x.reduce(0, +) / n
    let spread = x.reduce(0) { $0 + ($1 - average) * ($1 - average) } / n
    #expect(abs(average - mean) < 5 * (variance / n).squareRoot())
    #expect(abs(spread - variance) < 5 * variance * (2 / n).squareRoot() * 1.5)
  }

  @Test func permutationsHoldEveryNumberOnce() {
    #expect(RandomKey(seed: 5).permutation(1000).sorted() == Array(0..<1000))
    #expect(RandomKey(seed: 5).permutation(1000) != RandomKey(seed: 6).permutation(1000))
    #expect(RandomKey(seed: 5).permutation(0).isEmpty && RandomKey(seed: 5).permutation(1) == [0])
  }

  @Test func parallelLoopsRunEveryIndexOnce() {
    for threads in [1, 2, 4, 7] {
      for count in [0, 1, 2, 5, 1000] {
        let hits = (0..<count).map { _ in Counter() }
        Parallel.run(count, threads: threads) { i in
          hits[i].value.add(1, ordering: .relaxed)
          // A loop inside a loop runs where it stands.
          Parallel.run(3, threads: threads) { _ in }
        }
        #expect(hits.allSatisfy { $0.value.load(ordering: .relaxed) == 1 })
      }
    }
  }

  final class Counter: Sendable { let value = Atomic<Int>(0) }

  @Test func errorsAreOneLine() {
    let error = LetheError(
      "a.gz: byte 16", "is cut short", expected: "100 bytes", found: "7", advice: "fetch it again")
    #expect("\(error)" == "a.gz: byte 16: is cut short; expected 100 bytes, found 7; fetch it again")
    #expect("\(LetheError("x", "is wrong", found: "y"))" == "x: is wrong; found y")
  }
}
