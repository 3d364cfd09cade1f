import LetheInsight
import Testing

@Suite struct SparklineTests {
  @Test func risesFromTheLowestBlockToTheHighest() {
    #expect(Sparkline.text([0, 1, 2, 3, 4, 5, 6, 7], width: 8) == "▁▂▃▄▅▆▇█")
    #expect(Sparkline.text([7, 0, 3.5], width: 20) == "█▁▅")
    #expect(Sparkline.text([-1, 1], width: 20) == "▁█")
  }

  @Test func numbersThatAreNoneLeaveADot() {
    #expect(Sparkline.text([.nan, 0, .infinity, 1, -.infinity, 1e300], width: 6) == "·▁·█··")
    #expect(Sparkline.text([.nan, .nan], width: 6) == "··")
    // A missing number does not spoil the mean of its neighbours.
    #expect(Sparkline.text([0, .nan, 1, 1], width: 2) == "▁█")
  }

  @Test func moreValuesThanPlacesAreAveraged() {
    #expect(Sparkline.text([0, 0, 3, 5, 8, 8], width: 3) == "▁▅█")
    #expect(Sparkline.text((0..<1000).map(Double.init), width: 8) == "▁▂▃▄▅▆▇█")
    #expect(Sparkline.text([0, 2, 4, 6, 8], width: 2) == "▁█")
  }

  @Test func domainSetsTheEnds() {
    #expect(Sparkline.text([0, 0.5, 1, 2, -1], width: 5, domain: 0...1) == "▁▅██▁")
    #expect(Sparkline.text([0.5, 0.5], width: 5) == "▅▅")
    #expect(Sparkline.text([0.5], width: 5, domain: 0.5...0.5) == "▅")
  }

  @Test func nothingGivesNothing() {
    #expect(Sparkline.text([], width: 5) == "")
    #expect(Sparkline.text([1, 2], width: 0) == "")
  }

  @Test(arguments: [(1, 1), (7, 3), (10, 10), (1000, 240), (1501, 1500), (5, 8)])
  func columnsShareTheStepsWithoutGaps(_ steps: Int, _ limit: Int) {
    let axis = TimeAxis(steps: steps, atMost: limit)
    #expect(axis.columns == min(steps, limit))
    #expect((0..<axis.columns).flatMap { Array(axis.steps(of: $0)) } == Array(0..<steps))
    for column in 0..<axis.columns {
      for step in axis.steps(of: column) { #expect(axis.column(of: step) == column) }
    }
  }

  @Test func logarithmicAxisMarksPowersOfTen() {
    var chart = LineChart(title: "", series: [.init("a", values: [1, 1e-2, 0, 1e-8, -1, .nan])])
    chart.yIsLogarithmic = true
    let svg = chart.svg(width: 400, height: 300)
    let checker = MarkupChecker(svg)
    #expect(checker.errors.isEmpty && checker.brokenNumbers.isEmpty)
    #expect(checker.text.contains("10⁻⁸") && checker.text.contains(", 3: 10⁻⁸"))
    // The zero parts the first two points from the fourth, and a lone point is a dot.
    #expect(checker.count("circle") == 3)
  }
}
