import LetheInsight
import Testing

@Suite struct DecimalTextTests {
  @Test(
    arguments: [
      (0, 2, "0.00"), (1.005, 0, "1"), (-0.001, 2, "0.00"), (-1.5, 0, "-2"), (2.5, 0, "3"),
      (0.125, 2, "0.13"),
      (12345.678, 1, "12345.7"), (0.05, 1, "0.1"), (0.004, 3, "0.004"), (-0.25, 1, "-0.3"),
      (1e20, 2, "1e+20"),
      (.nan, 2, "n/a"), (-.infinity, 2, "n/a"),
    ] as [(Double, Int, String)])
  func fixed(value: Double, decimals: Int, expected: String) {
    #expect(DecimalText.fixed(value, decimals) == expected)
  }

  @Test(
    arguments: [
      (1.5, "1.5"), (2, "2"), (0, "0"), (100, "100"), (-0.001, "0"), (0.25, "0.25"), (1e20, "1e+20"),
      (.nan, "n/a"),
    ] as [(Double, String)])
  func short(value: Double, expected: String) {
    #expect(DecimalText.short(value) == expected)
  }

  @Test func percentAndGroups() {
    #expect(DecimalText.percent(0.97222) == "97.2%")
    #expect(DecimalText.percent(.nan) == "n/a")
    #expect(DecimalText.grouped(0) == "0")
    #expect(DecimalText.grouped(999) == "999")
    #expect(DecimalText.grouped(-1000) == "-1,000")
    #expect(DecimalText.grouped(12_345_678) == "12,345,678")
    #expect(DecimalText.grouped(.min) == "-9,223,372,036,854,775,808")
  }
}
