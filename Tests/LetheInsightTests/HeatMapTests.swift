import LetheInsight
import Testing

@Suite struct HeatMapTests {
  @Test func levelsFollowTheDomain() {
    #expect(HeatMap(title: "", values: [[0, 0.5, 1]]).levels == [[0, 16, 32]])
    #expect(HeatMap(title: "", values: [[-4, 0, 2]], colorMap: .diverging).levels == [[0, 16, 24]])
    #expect(HeatMap(title: "", values: [[-1, 0.25, 9]], domain: 0...1).levels == [[0, 8, 32]])
    #expect(HeatMap(title: "", values: [[7, 7]]).levels == [[16, 16]])
  }

  @Test func missingCellsStayOpen() {
    let map = HeatMap(title: "", values: [[.nan, 1, .infinity], [0]])
    #expect(map.levels == [[nil, 32, nil], [0]])
    let paths = MarkupChecker(map.svg(width: 200, height: 100, placement: .page)).elements
      .filter { $0.name == "path" }
    #expect(paths.count == 2)
  }

  @Test func cellsOfOneColourShareOnePath() {
    let values = (0..<8).map { _ in (0..<64).map { Double($0 / 16) } }
    let svg = HeatMap(title: "", values: values).svg(width: 320, height: 80, placement: .page)
    #expect(MarkupChecker(svg).count("path") == 4)
    #expect(svg.utf8.count < 2500)
  }

  @Test func cellsCarryWordsAndTitles() {
    var map = HeatMap(title: "", values: [[0, 1]])
    map.cellText = [["no", "yes"]]
    map.cellTitles = [["", "it is 1"]]
    let svg = map.svg(width: 200, height: 100)
    #expect(svg.contains(">no</text>") && svg.contains(">yes</text>"))
    #expect(svg.contains("<title>it is 1</title>"))
    #expect(MarkupChecker(svg).count("title") == 1)
  }

  @Test func longColumnNamesAreTurned() {
    var map = HeatMap(title: "", values: [[0, 1, 2, 3]])
    map.columnLabels = ["a", "b", "c", "d"]
    #expect(!map.svg(width: 120, height: 100).contains("rotate"))
    map.columnLabels[2] = "quite a long name"
    #expect(map.svg(width: 120, height: 100).contains("rotate"))
  }

  @Test(arguments: ColorMap.allCases)
  func coloursAreColours(_ map: ColorMap) {
    for dark in [false, true] {
      let colours = (0..<ColorMap.levels).map { map.hex($0, dark: dark) }
      #expect(colours.allSatisfy { $0.wholeMatch(of: /#[0-9a-f]{6}/) != nil })
      #expect(Set(colours).count == ColorMap.levels)
    }
    #expect(ColorMap.level(at: -1) == 0)
    #expect(ColorMap.level(at: 2) == 32)
    #expect(ColorMap.level(at: .nan) == nil)
  }

  /// Away from the quiet level, brightness only falls (light) or only rises (dark): order survives in grey.
  @Test(arguments: ColorMap.allCases)
  func brightnessHasOneDirection(_ map: ColorMap) {
    let quiet = map == .diverging ? ColorMap.levels / 2 : 0
    for dark in [false, true] {
      let grey = (0..<ColorMap.levels).map { luminance(map.hex($0, dark: dark)) }
      let arms = [Array(grey[quiet...]), Array(grey[...quiet].reversed())]
      for arm in arms {
        #expect(zip(arm, arm.dropFirst()).allSatisfy { dark ? $0 < $1 : $0 > $1 })
      }
    }
  }

  @Test(arguments: ColorMap.allCases)
  func wordsOnCellsCanBeRead(_ map: ColorMap) {
    for level in 0..<ColorMap.levels {
      let tone = map.words(on: level)
      #expect(contrast(tone.light, map.hex(level, dark: false)) >= 4.3, "light \(level)")
      #expect(contrast(tone.dark, map.hex(level, dark: true)) >= 4.3, "dark \(level)")
    }
  }

  @Test func linesAndWordsStandOutFromThePaper() {
    for tone in PlotTheme.series + [PlotTheme.ink, PlotTheme.muted] {
      #expect(contrast(tone.light, PlotTheme.paper.light) >= 4.3, "\(tone.name)")
      #expect(contrast(tone.dark, PlotTheme.paper.dark) >= 4.3, "\(tone.name)")
    }
  }

  private func contrast(_ a: String, _ b: String) -> Double {
    let (x, y) = (luminance(a), luminance(b))
    return (max(x, y) + 0.05) / (min(x, y) + 0.05)
  }

  /// The relative luminance of an sRGB colour, with the curve's 2.4 power taken as x² · x^(2/5).
  private func luminance(_ hex: String) -> Double {
    let number = Int(hex.dropFirst(), radix: 16) ?? 0
    return zip([16, 8, 0], [0.2126, 0.7152, 0.0722]).reduce(0) { sum, part in
      let share = Double(number >> part.0 & 0xFF) / 255
      let base = (share + 0.055) / 1.055
      return sum + part.1 * (share <= 0.04045 ? share / 12.92 : base * base * fifthRoot(base * base))
    }
  }

  private func fifthRoot(_ value: Double) -> Double {
    var root = 1.0
    for _ in 0..<60 { root = (4 * root + value / (root * root * root * root)) / 5 }
    return root
  }
}
