import Foundation
import LetheInsight
import Testing

@Suite struct LookReportTests {
  static let samples = [
    LookSamples.sentence(), LookSamples.digit(), LookSamples.signal(steps: 60, units: 12),
    LookSamples.broken(),
  ]

  /// What the page holds for its script.
  static func data(_ html: String) throws -> [String: Any] {
    let start = try #require(html.range(of: "id=\"look-data\">")).upperBound
    let end = try #require(html.range(of: "</script>", range: start..<html.endIndex)).lowerBound
    let value = try JSONSerialization.jsonObject(with: Data(html[start..<end].utf8))
    return try #require(value as? [String: Any])
  }

  /// The cells of a map.
  static func bytes(of map: [String: Any]) throws -> Data {
    let text = try #require(map["cells"] as? String)
    return try #require(Data(base64Encoded: text))
  }

  @Test(arguments: samples)
  func pageIsWellFormedAndAlwaysTheSame(_ report: LookReport) {
    let html = report.html()
    let checker = MarkupChecker(html)
    #expect(checker.errors.isEmpty)
    #expect(checker.brokenNumbers.isEmpty)
    #expect(checker.count("script") == 2)
    #expect(html == report.html())
    let names = checker.elements.compactMap { $0.attributes["id"] }
    #expect(Set(names).count == names.count)
  }

  @Test(arguments: samples)
  func pageLoadsNothingAndRunsOnlyItsOwn(_ report: LookReport) {
    let html = report.html()
    let checker = MarkupChecker(html)
    for word in ["http:", "https:", "url(", "@import", "src="] { #expect(!html.contains(word), "\(word)") }
    for element in checker.elements {
      for name in element.attributes.keys { #expect(!name.hasPrefix("on"), "\(name)") }
    }
    #expect(html.contains("script-src &#39;nonce-lethe&#39;"))
    #expect(!html.contains("alert(\"1\")"))
    let plain = HTMLPage(title: "", lead: "").html()
    #expect(!plain.contains("script"))
  }

  @Test func missingPartsAreLeftOut() throws {
    let bare = LookReport(headline: .init(model: "m", data: "d", row: 1), steps: 0)
    #expect(MarkupChecker(bare.html()).count("section") == 0)
    #expect(MarkupChecker(bare.html()).errors.isEmpty)
    #expect(!bare.text().contains("GATES"))
    #expect(MarkupChecker(LookSamples.sentence().html()).count("section") == 9)
    var less = LookSamples.sentence()
    less.ledger = nil
    less.attribution = nil
    less.gradients = []
    less.notes = ["This cell has no ledger."]
    let text = MarkupChecker(less.html()).text
    #expect(!text.contains("What is in memory") && !text.contains("How far a gradient"))
    #expect(text.contains("This cell has no ledger."))
    #expect(MarkupChecker(less.html()).count("section") == 7)
  }

  @Test func aThousandStepsStayUnderFiveMegabytes() {
    let long = LookSamples.signal(steps: 1000, units: 128)
    let html = long.html()
    #expect(html.utf8.count > 2_000_000 && html.utf8.count < 5_000_000)
    #expect(html.contains("1,000 steps in 240 columns of the ledger"))
  }

  @Test func whatDoesNotFitIsAveragedAndSaidSo() throws {
    let steps = 3000
    var report = LookReport(headline: .init(model: "m", data: "d", row: 1), steps: steps)
    let rows = (0..<steps).map { step in (0..<400).map { Float($0 % 2 == step % 2 ? 1 : 0) } }
    report.layers = (0..<4).map {
      .init("layer \($0)", signals: [.init("forget", role: .memory, values: rows)])
    }
    let html = report.html()
    #expect(html.utf8.count < 3_000_000)
    #expect(html.contains("neighbours averaged") && html.contains("3,000 steps in 1500 columns, averaged"))
    let maps = try #require(LookReportTests.data(html)["maps"] as? [[String: Any]])
    #expect(maps.count == 4)
    #expect(maps.allSatisfy { $0["rows"] as? Int == 160 && $0["columns"] as? Int == 1500 })
  }

  @Test func dataReadsBackAsItWas() throws {
    let report = LookSamples.sentence()
    let data = try LookReportTests.data(report.html())
    #expect(data["steps"] as? Int == 35 && data["columns"] as? Int == 35)
    #expect((data["labels"] as? [String])?[3] == "step 4 “not”")
    let maps = try #require(data["maps"] as? [[String: Any]])
    // Twelve gates and values, and four views of the ledger.
    #expect(maps.count == 16)
    let forget = maps[0]
    let bytes = try LookReportTests.bytes(of: forget)
    #expect(bytes.count == 32 * 35)
    let order = GateMemory.order(of: [GateMemory(keep: report.layers[0].signals[0].values)])
    for (row, unit) in order.enumerated() {
      for step in 0..<35 {
        let read = Double(bytes[row * 35 + step] - 1) / 254
        #expect(abs(read - Double(report.layers[0].signals[0].values[step][unit])) < 0.002)
      }
    }
    let lines = try #require(data["lines"] as? [[String: Any]])
    let mean = report.layers[0].signals[0].values[7].reduce(0, +) / 32
    let read = try #require(lines[0]["values"] as? [Double])
    #expect(abs(read[7] - Double(mean)) < 1e-4)
  }

  @Test func ledgerAddsSharesOfJoinedSteps() throws {
    var report = LookReport(headline: .init(model: "m", data: "d", row: 1), steps: 480)
    report.ledger = .init(
      layer: "l",
      maps: [.init("all units", shares: (0..<480).map { t in (0...t).map { _ in 1 / Float(t + 1) } })])
    let maps = try #require(LookReportTests.data(report.html())["maps"] as? [[String: Any]])
    let bytes = try LookReportTests.bytes(of: maps[0])
    let high = try #require(maps[0]["high"] as? Double)
    func share(_ row: Int, _ column: Int) -> Double {
      let place = Double(bytes[row * 240 + column] - 1) / 254
      return high * place * place
    }
    #expect(abs(share(0, 239) - 1.0 / 240) < 2e-3)
    #expect(abs((0..<240).reduce(0) { $0 + share($1, 239) } - 1) < 0.1)
    #expect(bytes[1 * 240] == 0)
  }

  @Test func sentencesAreComputedFromTheData() {
    let text = MarkupChecker(LookSamples.sentence().html()).text
    for words in [
      "It answered positive, 91% sure, and that is right.",
      "Half of what is in memory at the end was written in the last 9 steps, from step 27 “not” on.",
      "In the mean, forget keeps 81% of the memory", "it lets go most at step 35 “.”, where 52% stay.",
      "rests most on step 27 “not”", "3 of 4 bounds are proved.", "not proved",
      "At 4 steps the forget gates close; 2 of them farther than in 95% of 1,000 shuffles.",
    ] {
      #expect(text.contains(words), "\(words)")
    }
    #expect(
      LookSamples.signal(steps: 900, units: 8).html().contains("the gradient vanishes: less than a millionth")
    )
    let broken = MarkupChecker(LookSamples.broken().html()).text
    #expect(broken.contains("Seen outside of its proved bound, which is a mistake in the proof: broken."))
  }

  /// A walk from the last step to the first ends at the first one.
  @Test func gradientsOfBackwardLayersAreReadAsTheyWalk() {
    func lines(_ norms: [Double], rate: Double? = nil) -> [String] {
      var report = LookReport(headline: .init(model: "m", data: "d", row: 1), steps: norms.count)
      report.gradients = [.init(layer: "l", isReversed: true, norms: norms, plainRate: rate)]
      return report.text(width: 300).split(separator: "\n").map(String.init)
    }
    #expect(
      lines([1, 1e-3, 1e-7]).contains(
        "In l, the gradient vanishes: less than a millionth of what it is at the first step reaches step 3, "
          + "2 steps later."))
    #expect(
      lines([1, 2000, 3000]).contains(
        "In l, the gradient explodes: at step 2, 1 step later, it is over a thousand times what it is at the "
          + "first step."))
    let plain = lines([1, 0.5, 0.25], rate: 0.5)
    #expect(
      plain.contains(
        "In l, 25% of the gradient at the first step reaches the last step; through a plain network with "
          + "r = 0.5 it would be 25%."))
    // The plain network's line lies on the layer's.
    let sparks = plain.suffix(2).map { $0.split(separator: " ").last }
    #expect(sparks[0] == sparks[1] && plain.suffix(2).first?.hasPrefix("whole gradient") == true, "\(plain)")
  }

  @Test func boundsAreRoundedOutward() {
    var report = LookReport(headline: .init(model: "m", data: "d", row: 1), steps: 1)
    report.certificates = [
      .init("a", bound: -1.00001...6.314, isProved: true),
      .init("b", bound: 0.123401...0.99991, isProved: true),
      .init("c", bound: 1234.5...1.01e9, isProved: true),
      .init("d", bound: -Double.infinity...0.00012, isProved: true),
    ]
    let text = MarkupChecker(report.html()).text
    for words in ["−1.01 to 6.32", "0.123 to 0.99991", "1,234 to 1.1 × 10⁹", "≤ 1.2 × 10⁻⁴"] {
      #expect(text.contains(words), "\(words)")
    }
  }

  @Test(arguments: samples, [40, 72, 120])
  func textFitsTheTerminal(_ report: LookReport, _ width: Int) {
    let text = report.text(width: width)
    for line in text.split(separator: "\n") { #expect(line.count <= width, "\(line)") }
    let controls = text.unicodeScalars.filter {
      $0.value < 32 && $0 != "\n" || (0x7F...0x9F).contains($0.value)
    }
    #expect(controls.isEmpty)
    #expect(!text.contains("\u{202E}"))
    #expect(text == report.text(width: width))
  }

  @Test func textShowsTheGatesAsSparklines() {
    let text = LookSamples.digit().text(width: 72)
    #expect(text.contains("forget             ▇▇▅▇▅▅▇▇ 0.792"))
    #expect(text.contains("step               1      8"))
    #expect(text.contains("  ██        ██  "))
  }

  @Test(arguments: samples)
  func drawingsAreFilesOfTheirOwn(_ report: LookReport) {
    let drawings = report.drawings()
    #expect(Set(drawings.map(\.name)).count == drawings.count)
    for drawing in drawings {
      let checker = MarkupChecker(drawing.svg)
      #expect(checker.errors.isEmpty && checker.brokenNumbers.isEmpty, "\(drawing.name)")
      #expect(drawing.svg.hasPrefix("<svg xmlns"))
      #expect(drawing.name.wholeMatch(of: /[a-z0-9-]+/) != nil)
    }
    #expect(drawings.contains { $0.name.hasPrefix("gate-") } && drawings.contains { $0.name == "answer" })
  }
}
