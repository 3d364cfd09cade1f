import LetheInsight
import Testing

@Suite struct BarChartTests {
  @Test func histogramCountsEachValueOnce() {
    let chart = BarChart.histogram("h", of: [0, 0.24, 0.25, 0.5, 1, .nan, -0.1, 1.1], bins: 4)
    #expect(chart.bars.map(\.value) == [0.4, 0.2, 0.2, 0.2])
    #expect(chart.bars.map(\.label) == ["0 to 0.25", "0.25 to 0.5", "0.5 to 0.75", "0.75 to 1"])
    #expect(BarChart.histogram("h", of: [], bins: 2).bars.map(\.value) == [0, 0])
  }

  /// The rectangles of a chart 200 by 100, as bar heights below and above zero.
  @Test func barsStandOnZero() throws {
    let chart = BarChart(title: "t", bars: [.init("a", 10), .init("b", -5), .init("c", .nan), .init("d", 5)])
    let elements = MarkupChecker(chart.svg(width: 200, height: 100, placement: .page)).elements
    let bars = elements.filter { $0.name == "rect" }.map(\.attributes)
    try #require(bars.count == 3)
    let top = bars.compactMap { $0["y"].flatMap(Double.init) }
    let height = bars.compactMap { $0["height"].flatMap(Double.init) }
    #expect(abs(height[0] - 2 * height[2]) < 0.02)
    #expect(abs(height[1] - height[2]) < 0.02)
    // The positive bars end where the negative one begins.
    #expect(abs(top[0] + height[0] - top[1]) < 0.02)
    #expect(abs(top[2] + height[2] - top[1]) < 0.02)
  }

  @Test func crowdedLabelsAreThinnedOut() {
    let chart = BarChart(title: "t", bars: (0..<50).map { BarChart.Bar("label \($0)", 1) })
    let svg = chart.svg(width: 300, height: 100)
    #expect(svg.contains(">label 0</text>"))
    #expect(!svg.contains(">label 1</text>"))
  }
}
