import Lethe
import LetheTestSupport
import Testing

@Suite struct LabTests {
  /// What follows from the equation holds; what is learned may not, in a quick form.
  @Test(arguments: LabCatalog.all.map(\.name))
  func theQuickFormRuns(name: String) throws {
    let lab = try #require(LabCatalog.lab(name))
    var shares: [Double] = []
    let result = try lab.run(
      LabSetup(isQuick: true), progress: LabProgress { share, _ in shares.append(share) })
    if result.verdict == .skipped {
      #expect(lab.dataFolder != nil && !result.reason.isEmpty)
      return
    }
    #expect(result.verdict == .held || result.verdict == .notConfirmed, "\(result.lines)")
    #expect(result.name == name && result.claim == lab.claim && result.isQuick && result.seeds == 2)
    #expect(!result.findings.isEmpty && !result.plots.isEmpty && !result.seen.isEmpty)
    for finding in result.findings {
      #expect(!finding.values.isEmpty && finding.values.allSatisfy { !$0.isNaN }, "\(finding)")
      #expect(finding.expected.isEmpty == (finding.holds == nil))
      if finding.kind != .empirical { #expect(finding.holds != false, "\(finding)") }
    }
    if lab.kind != .empirical {
      #expect(result.findings.contains { $0.kind == lab.kind && $0.holds == true })
    }
    #expect(!shares.isEmpty && shares.allSatisfy { (0...1).contains($0) })
    #expect(shares == shares.sorted(), "progress goes forward only")
  }

  @Test func everyLabStops() throws {
    for lab in LabCatalog.all where lab.dataFolder == nil {
      #expect(throws: LabInterruption.self) {
        try lab.run(LabSetup(isQuick: true, shouldStop: { true }))
      }
    }
  }

  @Test func catalogNamesAreDifferent() {
    let names = LabCatalog.all.map(\.name)
    #expect(Set(names).count == names.count)
    for name in names { #expect(LabCatalog.lab(name)?.name == name) }
    #expect(LabCatalog.lab("none") == nil)
  }

  // MARK: Findings and verdicts

  @Test func aFindingHoldsForEveryValueOrNot() {
    func holds(_ values: [Double], _ expectation: LabFinding.Expectation) -> Bool? {
      LabFinding("it", values, .plain, .empirical, expectation).holds
    }
    #expect(holds([1, 2], .atMost(2)) == true && holds([1, 2.5], .atMost(2)) == false)
    #expect(holds([1, 2], .atLeast(1)) == true && holds([0.5, 2], .atLeast(1)) == false)
    #expect(holds([1, 2], .within(1...2)) == true && holds([1, 3], .within(1...2)) == false)
    #expect(holds([1, 2], .below([2, 3], "b")) == true && holds([1, 3], .below([2, 3], "b")) == false)
    #expect(holds([3, 4], .above([2, 3], "b")) == true && holds([2, 4], .above([2, 3], "b")) == false)
    #expect(holds([.nan], .atMost(1)) == false && holds([], .atMost(1)) == false)
    #expect(holds([.infinity], .below([.infinity], "b")) == false, "neither got there")
    #expect(holds([1], .none) == nil)
  }

  @Test func numbersAreWrittenAsTheyShould() {
    func text(_ values: [Double], _ format: LabFinding.Format) -> String {
      LabFinding("it", values, format, .empirical, .none).measured
    }
    #expect(text([0.5], .share) == "50.0%" && text([1234], .count) == "1,234")
    #expect(text([.infinity], .count) == "never" && text([.infinity], .plain) == "∞")
    #expect(text([0.348678], .plain) == "0.3487" && text([1234.5678], .plain) == "1235")
    #expect(text([0.00001234], .plain) == "1.2e-5" && text([0], .power) == "0")
    #expect(text([1.5463e21], .power) == "1.5e21" && text([3, 1, 2], .plain) == "2 (1 to 3)")
    #expect(text([.nan, 1, 2], .plain) == "2 (1 to n/a)")
  }

  private struct Stub: Lab {
    let name = "stub"
    let claim = "It | is so."
    let kind = LabKind.empirical
    var findings: [LabFinding]
    func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
      LabResult(
        self, setup, findings: findings, seen: ["Seen <here>."],
        plots: [
          LabPlot(
            LineChart(title: "A", series: [.init("a", values: [1, .nan, .infinity])]), caption: "a & b"),
          LabPlot(BarChart(title: "B", bars: [.init("b", 2)]), caption: ""),
          LabPlot(HeatMap(title: "C", values: [[1, 2]], colorMap: .diverging, domain: -2...2), caption: ""),
        ])
    }
  }

  @Test func theWorstFindingDecides() throws {
    func finding(_ kind: LabKind, _ value: Double) -> LabFinding {
      LabFinding("it", [value], .plain, kind, .atMost(1))
    }
    func verdict(_ findings: LabFinding...) throws -> LabResult.Verdict {
      try Stub(findings: findings).run(LabSetup()).verdict
    }
    #expect(try verdict(finding(.identity, 0), finding(.empirical, 0)) == .held)
    #expect(try verdict(finding(.identity, 0), finding(.empirical, 2)) == .notConfirmed)
    #expect(try verdict(finding(.bound, 2), finding(.empirical, 2)) == .failed)
    #expect(try verdict(finding(.identity, .nan)) == .failed)
    #expect(try verdict() == .failed, "nothing was measured")
    let skipped = LabResult.skipped(Stub(findings: []), LabSetup(), reason: "no files")
    #expect(skipped.verdict == .skipped && skipped.lines[0] == "stub: skipped, no files")
  }

  @Test func resultsComeBackFromAFolderAndGoIntoAPage() throws {
    let folder = try TemporaryFolder()
    let kept = LabFolder(folder.path)
    #expect(try kept.load().isEmpty)
    let result = try #require(LabCatalog.lab("bounded")).run(LabSetup(isQuick: true))
    try kept.save(result)
    #expect(try kept.load() == [result])

    let stub = try Stub(findings: [LabFinding("never", [.infinity], .count, .empirical, .atMost(3))])
      .run(LabSetup())
    let report = LabReport([result, stub])
    #expect(report.summary == "2 laboratories: 1 held, 1 not confirmed." && !report.hasFailures)
    #expect(report.markdown.count == 4 && report.markdown[3].contains("| It \\| is so. |"))
    let page = report.html()
    #expect(page.contains("Seen &lt;here&gt;.") && page.contains("never") && page.contains("<svg"))
    #expect(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"))
  }
}
