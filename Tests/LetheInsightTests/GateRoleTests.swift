import LetheInsight
import Testing

/// A gate of the read-out and a gate of the memory forget different things, and the page must not mix them up.
@Suite struct GateRoleTests {
  typealias Role = DemoReport.Gate.Role

  private func page(_ roles: [Role]) -> MarkupChecker {
    MarkupChecker(DemoReportTests.full(gates: roles).html())
  }

  /// Words that are true of one role only; each pair is told with its own equation.
  private let readOutWords = [">as read<", "As read", "gate layer", "Dropped is not unseen"]
  private let memoryWords = [
    "left at the end", "Left at the end", "forget gate", "Faded is not lost", "later gates",
  ]

  @Test func readOutGateShowsNothingOfTheMemorys() {
    let html = DemoReportTests.full(gates: [.readOut]).html()
    #expect(memoryWords.filter(html.contains) == [])
    #expect(readOutWords.filter(html.contains) == readOutWords)
    #expect(html.contains("<var>y<sub>t</sub></var> = <var>f<sub>t</sub></var> ⊙ <var>m<sub>t</sub></var>"))
    #expect(!html.contains("<var>c<sub>t−1</sub></var>"))
  }

  @Test func memoryGateShowsNothingOfTheReadOuts() {
    let html = DemoReportTests.full(gates: [.memory]).html()
    #expect(readOutWords.filter(html.contains) == [])
    #expect(memoryWords.filter(html.contains) == memoryWords)
    #expect(
      html.contains("<var>c<sub>t</sub></var> = <var>k<sub>t</sub></var> ⊙ <var>c<sub>t−1</sub></var>"))
    #expect(!html.contains("<var>y<sub>t</sub></var>"))
  }

  @Test func bothAreToldApart() {
    let html = DemoReportTests.full(gates: [.readOut, .memory]).html()
    #expect((readOutWords + memoryWords).filter { !html.contains($0) } == [])
    #expect(html.contains("Two gates, two kinds of forgetting."))
    #expect(!page([.readOut]).text.contains("Two gates"))
    #expect(!page([.memory, .memory]).text.contains("Two gates"))
  }

  /// The labels of the drawings of one page that begin with `start`.
  private func labels(_ checker: MarkupChecker, _ start: String) -> [String] {
    checker.elements.compactMap { $0.attributes["aria-label"] }.filter { $0.hasPrefix(start) }
  }

  /// The faded image follows the mean of its own row for the read-out, the product of later rows for the memory.
  @Test func eachFadesTheImageInItsOwnWay() throws {
    var report = DemoReportTests.full(count: 1)
    let keep: [[Float]] = [[0.75, 0.25], [0, 0], [1, 0.5]]
    report.examples[0].gates = [
      .init(name: "k", role: .memory, keep: keep), .init(name: "f", role: .readOut, keep: keep),
    ]
    let checker = MarkupChecker(report.html())
    #expect(
      labels(checker, "the image, each row")
        == [
          "the image, each row as faint as the mean of the gate there; by step: 0.50, 0.00, 0.75",
          "the image, each row as faint as the later gates leave it; by step: 0.00, 0.75, 1.00",
        ])
  }

  /// A row of ink 1 at a gate of 0 is drawn like paper, at a gate of 1 like ink.
  @Test func fadedRowsAreDrawnFaint() {
    var report = DemoReportTests.full(count: 1)
    report.mistakes = []
    report.examples[0].image = [[1], [1], [1]]
    report.examples[0].gates = [.init(name: "f", role: .readOut, keep: [[1], [0], [1]])]
    let ink = ColorMap.ink.className(ColorMap.levels - 1)
    let paper = ColorMap.ink.className(0)
    func paths(_ name: String) -> [String] {
      MarkupChecker(report.html()).elements.filter { $0.attributes["class"] == name }
        .compactMap { $0.attributes["d"] }
    }
    #expect(paths(ink) == ["M0 0h1v1H0zM0 1h1v1H0zM0 2h1v1H0z", "M0 0h1v1H0zM0 2h1v1H0z"])
    #expect(paths(paper) == ["M0 1h1v1H0z"])
    report.examples[0].gates[0].role = .memory
    #expect(paths(paper) == ["M0 0h1v1H0z"])
  }

  @Test func readOutComesFirstWhateverTheOrder() throws {
    for roles: [Role] in [[.memory, .readOut], [.readOut, .memory]] {
      let html = DemoReportTests.full(gates: roles).html()
      for (first, second) in [(">as read<", ">left at the end<"), ("<var>y<sub>", "<var>c<sub>")] {
        let readOut = try #require(html.firstRange(of: first))
        let memory = try #require(html.firstRange(of: second))
        #expect(readOut.lowerBound < memory.lowerBound)
      }
    }
  }

  @Test func eachRoleHasItsOwnSpreadAndLine() {
    let checker = page([.readOut, .memory])
    #expect(labels(checker, "gate 0, all values").count == 1)
    #expect(labels(checker, "gate 1, all values").count == 1)
    #expect(checker.text.contains("0 drops the reading"))
    #expect(checker.text.contains("0 lets the memory go"))
    #expect(labels(checker, "Mean gate value by step").count == 1)
    #expect(checker.text.contains("A dip of the gate layer"))
    #expect(checker.text.contains("A dip of the memory’s gate"))
  }

  /// One name in two roles is two gates.
  @Test func rolesPartGatesOfOneName() {
    var report = DemoReportTests.full(count: 2, gates: [.readOut, .memory])
    for index in report.examples.indices {
      for gate in 0..<2 { report.examples[index].gates[gate].name = "same" }
    }
    let checker = MarkupChecker(report.html())
    #expect(labels(checker, "same, all values").count == 2)
    #expect(labels(checker, "same; mean by step").count == 4)
  }
}
