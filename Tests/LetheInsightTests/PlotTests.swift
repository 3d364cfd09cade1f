import LetheInsight
import Testing

@Suite struct PlotTests {
  static let hostile = "<script>alert(\"1\")</script> & 'co'"
  static let awkward: [Double] = [.nan, 1, .infinity, -2, -.infinity, 1e300, 0, .nan, 3, 4, .nan]

  /// One chart of each kind, full of hostile words and of numbers that are none.
  static func charts(_ placement: SVGPlacement) -> [String] {
    let line = LineChart(
      title: hostile, xLabel: hostile, yLabel: hostile,
      series: [
        .init(hostile, values: awkward), .init("b", values: awkward.reversed(), from: -3),
        .init("", values: []),
      ])
    var bars = BarChart(
      title: hostile, xLabel: hostile, yLabel: hostile, bars: awkward.map { BarChart.Bar(hostile, $0) })
    bars.showsValues = true
    var map = HeatMap(
      title: hostile, values: [awkward, [1], [], awkward.reversed()], colorMap: .diverging)
    map.rowLabels = [hostile, "a", "b", "c", "one too many"]
    map.columnLabels = [hostile]
    map.rowAxis = hostile
    map.columnAxis = hostile
    map.cellText = [[hostile, "1"], [], ["x"]]
    map.cellTitles = [[hostile], ["t", "u"]]
    map.showsScale = true
    let histogram = BarChart.histogram(hostile, of: awkward, bins: 7, over: -1...4, xLabel: hostile)
    return [
      line.svg(width: 400, height: 240, placement: placement),
      bars.svg(width: 300, height: 200, placement: placement),
      map.svg(width: 500, height: 300, placement: placement),
      map.svg(width: 40, height: 40, placement: placement),
      histogram.svg(width: 41, height: 40, placement: placement),
    ]
  }

  @Test(arguments: [SVGPlacement.file, .page])
  func wellFormedWhateverIsInside(_ placement: SVGPlacement) {
    for svg in PlotTests.charts(placement) {
      let checker = MarkupChecker(svg)
      #expect(checker.errors.isEmpty)
      #expect(checker.brokenNumbers.isEmpty)
      #expect(checker.count("script") == 0)
      #expect(checker.elements.first?.attributes["role"] == "img")
      #expect(checker.elements.first?.attributes["aria-label"]?.hasPrefix("&lt;script&gt;") == true)
    }
    #expect(PlotTests.charts(placement) == PlotTests.charts(placement))
  }

  @Test func fileStandsAloneAndPageDoesNot() {
    for (file, page) in zip(PlotTests.charts(.file), PlotTests.charts(.page)) {
      #expect(file.hasPrefix("<svg xmlns=\"http://www.w3.org/2000/svg\""))
      #expect(MarkupChecker(file).count("style") == 1)
      #expect(!page.contains("xmlns") && !page.contains("<style"))
    }
  }

  @Test func emptyChartsAreCharts() {
    let empty = [
      LineChart(title: "", series: []).svg(width: 100, height: 80),
      BarChart(title: "", bars: []).svg(width: 100, height: 80),
      HeatMap(title: "", values: []).svg(width: 100, height: 80),
      LineChart(title: "", series: [.init("a", values: [.nan])]).svg(width: 100, height: 80),
    ]
    for svg in empty {
      #expect(MarkupChecker(svg).errors.isEmpty)
      #expect(MarkupChecker(svg).brokenNumbers.isEmpty)
    }
  }

  /// The `d` of the line of the first series.
  private func path(_ values: [Double]) -> String {
    let svg = LineChart(title: "t", series: [.init("a", values: values)])
      .svg(width: 200, height: 100, placement: .page)
    return MarkupChecker(svg).elements.first { $0.attributes["stroke-linejoin"] != nil }?.attributes["d"]
      ?? ""
  }

  @Test func missingNumbersMakeGaps() {
    #expect(path([1, 2, 3, 4]).count { $0 == "M" } == 1)
    #expect(path([1, 2, .nan, 3, 4]).count { $0 == "M" } == 2)
    #expect(path([.infinity, 1, 2, 3, .nan]).count { $0 == "M" } == 1)
    #expect(path([.nan, .nan]) == "")
  }

  @Test func lineRunsFromEdgeToEdge() {
    // A page chart of 200 by 100 without words: labels of three characters leave 188 - 30.1 = 157.9 in width.
    #expect(path([0, 1]) == "M30.1 76L188 14")
  }

  @Test func isolatedPointsOfLongLinesAreDots() {
    var values = [Double](repeating: .nan, count: 200)
    values[50] = 1
    values[100] = 2
    values[101] = 3
    let svg = LineChart(title: "t", series: [.init("a", values: values)]).svg(width: 200, height: 100)
    #expect(MarkupChecker(svg).count("circle") == 1)
  }

  @Test func dotsTellTheirNumbers() {
    var chart = LineChart(
      title: "t", xLabel: "epoch", series: [.init("loss", values: [0.25, 0.125], from: 1)])
    #expect(chart.svg(width: 200, height: 100).contains("<title>loss, epoch 2: 0.125</title>"))
    chart.yIsShare = true
    #expect(chart.svg(width: 200, height: 100).contains("<title>loss, epoch 2: 12.50%</title>"))
  }

  @Test func legendNeedsTwoNames() {
    let one = LineChart(title: "t", series: [.init("only", values: [1, 2])])
    let two = LineChart(
      title: "t", series: [.init("first", values: [1, 2]), .init("second", values: [2, 1])])
    #expect(!one.svg(width: 200, height: 100).contains(">only</text>"))
    #expect(two.svg(width: 200, height: 100).contains(">first</text>"))
    #expect(two.svg(width: 200, height: 100).contains(">second</text>"))
    #expect(two.svg(width: 200, height: 100).contains("stroke-dasharray"))
  }

  @Test func optionsDoSomething() {
    var line = LineChart(title: "t", series: [.init("a", values: [10, 11], from: 1)])
    let plain = line.svg(width: 400, height: 100)
    line.yFromZero = true
    let zero = line.svg(width: 400, height: 100)
    line.xIsWhole = true
    let whole = line.svg(width: 400, height: 100)
    #expect(!plain.contains(">0</text>") && zero.contains(">0</text>"))
    #expect(zero.contains(">1.2</text>") && !whole.contains(">1.2</text>"))
    var bars = BarChart(title: "t", bars: [.init("a", 2.5)])
    #expect(!bars.svg(width: 200, height: 100).contains(">2.5</text>"))
    bars.showsValues = true
    #expect(bars.svg(width: 200, height: 100).contains(">2.5</text>"))
    bars.yIsShare = true
    #expect(bars.svg(width: 200, height: 100).contains(">250.0%</text>"))
    var map = HeatMap(title: "t", values: [[0, 1]])
    let bare = map.svg(width: 200, height: 100)
    map.showsScale = true
    #expect(!bare.contains(">1.0</text>") && map.svg(width: 200, height: 100).contains(">1.0</text>"))
  }
}
