import LetheInsight
import Testing

@Suite struct DemoReportTests {
  /// A report with everything in it: `count` examples of `steps` steps and `units` units.
  static func full(
    count: Int = 3, steps: Int = 4, units: Int = 5, gates: [DemoReport.Gate.Role] = [.memory]
  ) -> DemoReport {
    var report = DemoReport(
      title: "Digits", dataSet: "A set of digits", licence: "CC BY 4.0", testAccuracy: 0.95, testCount: 200,
      classNames: (0..<10).map { "class \($0)" })
    report.layers = [
      .init(name: "LSTM", outputShape: "[batch, 8, 64]", parameters: 18_944),
      .init(name: "Linear", outputShape: "[batch, 10]", parameters: 650),
    ]
    report.history = (1...20).map { epoch in
      let loss = 2 / Double(epoch)
      return .init(
        epoch: epoch, loss: loss, validationLoss: loss + 0.1, validationAccuracy: epoch == 13 ? 0.9621 : 0.9)
    }
    report.comparison = "A nearest neighbour gets 97.0%."
    report.confusion = (0..<10).map { row in (0..<10).map { $0 == row ? 19 : $0 == 9 - row ? 1 : 0 } }
    report.examples = (0..<count).map { index in
      let image = (0..<8).map { row in (0..<8).map { Float((row * 8 + $0 + index) % 17) / 16 } }
      let gate = (0..<steps).map { step in
        (0..<units).map { Float((step * 31 + $0 * 17 + index * 7) % 101) / 100 }
      }
      return .init(
        image: image, trueClass: index % 10, predictedClass: index == 1 ? 7 : index % 10, probability: 0.875,
        gates: gates.enumerated().map { .init(name: "gate \($0.offset)", role: $0.element, keep: gate) })
    }
    report.mistakes = report.examples
    report.facts = [.init("Seed", "42")]
    return report
  }

  /// What kinds of gates a page may have to show.
  static let mixtures: [[DemoReport.Gate.Role]] = [
    [], [.readOut], [.memory], [.readOut, .memory], [.memory, .readOut], [.memory, .readOut, .memory],
  ]

  @Test func pageIsWellFormedAndAlwaysTheSame() {
    for roles in DemoReportTests.mixtures {
      let html = DemoReportTests.full(gates: roles).html()
      let checker = MarkupChecker(html)
      #expect(checker.errors.isEmpty)
      #expect(checker.brokenNumbers.isEmpty)
      #expect(html == DemoReportTests.full(gates: roles).html())
    }
  }

  @Test func pageLoadsAndRunsNothing() {
    let html = DemoReportTests.full(gates: [.readOut, .memory]).html()
    let checker = MarkupChecker(html)
    for word in ["http:", "https:", "//", "url(", "@import", "src=", "xlink"] {
      #expect(!html.contains(word), "\(word)")
    }
    for name in ["script", "link", "img", "iframe", "object", "embed", "use", "image"] {
      #expect(checker.count(name) == 0, "\(name)")
    }
    for element in checker.elements {
      for (name, value) in element.attributes {
        #expect(!name.hasPrefix("on"), "\(name)")
        if name == "href" { #expect(value.hasPrefix("#")) }
      }
    }
    #expect(html.contains("default-src &#39;none&#39;"))
  }

  @Test func pageTellsWhatItWasGiven() {
    let text = MarkupChecker(DemoReportTests.full().html()).text
    for words in [
      "A set of digits", "CC BY 4.0", "95.0%", "190 of 200 unseen images", "91.0–97.3%", "19,594",
      "A nearest neighbour gets 97.0%.", "Best: 96.2% in epoch 13.", "[batch, 8, 64]", "18,944", "87.5% sure",
      "Seed", "misread", "keeps, 5 units", "What the pictures do not prove",
    ] {
      #expect(text.contains(words), "\(words)")
    }
    #expect(DemoReportTests.full().html().contains("true class 2, predicted class 7: 1"))
  }

  @Test func eachCardShowsImageGateMeansAndWhatIsLeft() {
    let checker = MarkupChecker(
      DemoReportTests.full(count: 2, steps: 4, units: 5, gates: [.memory, .memory]).html())
    let boxes = checker.elements.filter { $0.name == "svg" }.compactMap { $0.attributes["viewBox"] }
    // Two images, two gates each: the image seen and left (and two among the mistakes), the gate, the bars.
    #expect(boxes.count { $0 == "0 0 8 8" } == 2 * 2 * 2 + 2)
    #expect(boxes.count { $0 == "0 0 5 4" } == 4)
    #expect(boxes.count { $0 == "0 0 1 4" } == 4)
    // Seams cut image and gate at the same heights: every quarter.
    let seams = checker.elements.filter { $0.attributes["class"] == "seam" }.compactMap { $0.attributes["d"] }
    #expect(seams.count { $0 == "M0 2h8M0 4h8M0 6h8" } == 8)
    #expect(seams.count { $0 == "M0 1h5M0 2h5M0 3h5" } == 4)
  }

  @Test func stepsNeedNotDivideTheImage() {
    for steps in [1, 3, 5, 8, 64] {
      let checker = MarkupChecker(DemoReportTests.full(steps: steps).html())
      #expect(checker.errors.isEmpty)
      #expect(checker.brokenNumbers.isEmpty)
    }
  }

  @Test func twelveExamplesStayUnderAMegabyte() {
    #expect(
      DemoReportTests.full(count: 12, steps: 8, units: 64, gates: [.readOut, .memory]).html().utf8.count
        < 1_000_000)
  }

  @Test func bareReportIsAPage() {
    let bare = DemoReport(
      title: "", dataSet: "", licence: "", testAccuracy: .nan, testCount: 0, classNames: [])
    let checker = MarkupChecker(bare.html())
    #expect(checker.errors.isEmpty)
    #expect(checker.count("section") == 1)
    #expect(checker.text.contains("n/a"))
  }

  @Test func brokenDataDoesNotBreakThePage() {
    let hostile = "<script>alert(1)</script>"
    var report = DemoReportTests.full()
    report.title = hostile
    report.comparison = hostile
    report.classNames = [hostile]
    report.testAccuracy = .infinity
    report.testCount = -1
    report.layers[0].name = hostile
    report.facts = [.init(hostile, hostile)]
    report.history[3].loss = .nan
    report.history[4].validationLoss = nil
    report.history[5].validationAccuracy = .nan
    report.confusion = [[1, 2, 3], [], [0, -5]]
    report.examples[0].image = [[.nan, .infinity], [], [7, -7, 0.5]]
    report.examples[0].gates = [
      .init(name: hostile, role: .readOut, keep: [[.nan, 2], [], [-.infinity, 0.5, 0.25]]),
      .init(name: hostile, role: .memory, keep: [[.nan, 2], [], [-.infinity, 0.5, 0.25]]),
      .init(name: "", role: .memory, keep: []), .init(name: "", role: .readOut, keep: []),
    ]
    report.examples[1].image = []
    report.examples[1].trueClass = -3
    report.examples[2].probability = .nan
    report.mistakes = report.examples
    let checker = MarkupChecker(report.html())
    #expect(checker.errors.isEmpty)
    #expect(checker.brokenNumbers.isEmpty)
    #expect(checker.count("script") == 0)
    #expect(checker.text.contains("#-3"))
  }

  @Test func intervalIsWilsons() throws {
    // Checked by hand: 350 of 360 at z = 1.96 gives 0.9496 to 0.9848.
    let range = try #require(DemoReport.plausibleRange(accuracy: 350.0 / 360, count: 360))
    #expect(abs(range.lowerBound - 0.94962) < 5e-5)
    #expect(abs(range.upperBound - 0.98484) < 5e-5)
    let perfect = try #require(DemoReport.plausibleRange(accuracy: 1, count: 10))
    #expect(perfect.upperBound > 0.999_999 && perfect.lowerBound < 0.75)
    #expect(DemoReport.plausibleRange(accuracy: 0.5, count: 0) == nil)
    #expect(DemoReport.plausibleRange(accuracy: .nan, count: 10) == nil)
  }
}
