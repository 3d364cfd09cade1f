import LetheInsight
import Testing

@Suite struct AxisTicksTests {
  @Test func stepsAreRound() {
    #expect(AxisTicks(covering: 0...1).labels == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"])
    #expect(AxisTicks(covering: 0...1).values == [0, 0.2, 0.4, 0.6, 0.8, 1])
    #expect(AxisTicks(covering: 0.03...1.93, about: 4).labels == ["0.0", "0.5", "1.0", "1.5", "2.0"])
    #expect(AxisTicks(covering: -7...12).labels == ["-10", "-5", "0", "5", "10", "15"])
    #expect(AxisTicks(covering: 0...43).labels == ["0", "10", "20", "30", "40", "50"])
  }

  @Test func growsOutwardOnlyWhenAsked() {
    #expect(AxisTicks(covering: 1...24).bounds == 0...25)
    let inward = AxisTicks(covering: 1...24, outward: false)
    #expect(inward.bounds == 1...24)
    #expect(inward.values == [5, 10, 15, 20])
    #expect(inward.fraction(1) == 0)
    #expect(inward.fraction(24) == 1)
  }

  @Test func wholeNumbersStayWhole() {
    #expect(AxisTicks(covering: 1...2, about: 9, outward: false, integers: true).values == [1, 2])
    #expect(AxisTicks(covering: 0...3, about: 6, integers: true).values == [0, 1, 2, 3])
  }

  @Test func percent() {
    #expect(
      AxisTicks(covering: 0.41...0.98, about: 3, format: .percent).labels == ["40%", "60%", "80%", "100%"])
    #expect(
      AxisTicks(covering: 0.981...0.984, about: 3, format: .percent).labels
        == ["98.1%", "98.2%", "98.3%", "98.4%"])
  }

  @Test func largeAndSmallNumbersUsePowers() {
    #expect(AxisTicks(covering: 0...4e7, about: 4).labels == ["0", "1e7", "2e7", "3e7", "4e7"])
    #expect(AxisTicks(covering: 0...4e-7, about: 4).labels == ["0", "1e-7", "2e-7", "3e-7", "4e-7"])
  }

  /// Whatever the range, the marks are few, rising, distinct in words, and cover it.
  @Test(
    arguments: [
      0...0, 5...5, -5...(-5), 1e15...1_000_000_000_000_001, 0...1e100, -1e100...1e100, 1e-300...2e-300,
      0...1e-120,
      99.999...100.001, 0.1...0.3, -1e-9...1e9, 0...0.9999999, 3...Double.infinity,
    ] as [ClosedRange<Double>])
  func survivesAnyRange(_ range: ClosedRange<Double>) {
    for count in 1...8 {
      let ticks = AxisTicks(covering: range, about: count)
      #expect((2...count + 3).contains(ticks.values.count), "\(count) steps over \(range): \(ticks.values)")
      #expect(zip(ticks.values, ticks.values.dropFirst()).allSatisfy { $0 < $1 })
      #expect(Set(ticks.labels).count == ticks.labels.count, "\(ticks.labels)")
      #expect(ticks.values.allSatisfy { (0...1).contains(ticks.fraction($0)) })
      guard range.upperBound.isFinite, range.upperBound > 1e-100 else { continue }
      #expect(ticks.bounds.lowerBound <= range.lowerBound && range.upperBound <= ticks.bounds.upperBound)
    }
  }

  @Test func rangeLeavesOutWhatCannotBeDrawn() {
    #expect(AxisTicks.range(of: [.nan, 3, -.infinity, -1, 1e200]) == -1...3)
    #expect(AxisTicks.range(of: [.nan]) == nil)
  }
}
