import LetheInsight

/// What a laboratory found.
public struct LabResult: Sendable, Codable, Equatable {
  /// Whether the claim held.
  public enum Verdict: String, Sendable, Codable, CaseIterable {
    /// All that was expected was found.
    case held
    /// Something that is mostly so was not so here.
    case notConfirmed = "not confirmed"
    /// An identity or a bound did not hold: a defect.
    case failed
    /// It could not be done here; `reason` says why.
    case skipped
  }

  /// The laboratory's name.
  public let name: String
  /// What is claimed.
  public let claim: String
  /// What sort of claim it is.
  public let kind: LabKind
  /// Whether this was the quick form.
  public let isQuick: Bool
  /// The number of seeds.
  public let seeds: Int
  /// Whether the claim held.
  public let verdict: Verdict
  /// Why it was skipped; empty otherwise.
  public let reason: String
  /// What was measured.
  public let findings: [LabFinding]
  /// What was seen, in sentences with figures; the first stands in tables.
  public let seen: [String]
  /// Drawings of it.
  public let plots: [LabPlot]

  /// A result; the findings decide the verdict.
  public init(
    _ lab: some Lab, _ setup: LabSetup, findings: [LabFinding], seen: [String], plots: [LabPlot] = []
  ) {
    self.init(lab, setup, findings: findings, seen: seen, plots: plots, reason: "")
  }

  /// The result of a laboratory that could not be done.
  public static func skipped(_ lab: some Lab, _ setup: LabSetup, reason: String) -> LabResult {
    LabResult(lab, setup, findings: [], seen: [], plots: [], reason: reason)
  }

  private init(
    _ lab: some Lab, _ setup: LabSetup, findings: [LabFinding], seen: [String], plots: [LabPlot],
    reason: String
  ) {
    (name, claim, kind) = (lab.name, lab.claim, lab.kind)
    (isQuick, seeds) = (setup.isQuick, setup.seeds)
    (self.findings, self.seen, self.plots, self.reason) = (findings, seen, plots, reason)
    let broken = findings.filter { $0.holds == false }
    verdict =
      if !reason.isEmpty {
        .skipped
      } else if broken.contains(where: { $0.kind != .empirical }) || findings.isEmpty {
        .failed
      } else {
        broken.isEmpty ? .held : .notConfirmed
      }
  }
}

/// A drawing with what to see in it.
public struct LabPlot: Sendable, Codable, Equatable {
  /// What is drawn.
  public enum Chart: Sendable, Codable, Equatable {
    /// Lines.
    case lines(LineChart)
    /// Bars.
    case bars(BarChart)
    /// Coloured cells.
    case map(HeatMap)
  }

  /// The drawing.
  public let chart: Chart
  /// What to see in it.
  public let caption: String

  /// A drawing of lines.
  public init(_ chart: LineChart, caption: String) { (self.chart, self.caption) = (.lines(chart), caption) }
  /// A drawing of bars.
  public init(_ chart: BarChart, caption: String) { (self.chart, self.caption) = (.bars(chart), caption) }
  /// A drawing of coloured cells.
  public init(_ chart: HeatMap, caption: String) { (self.chart, self.caption) = (.map(chart), caption) }

  /// It as a figure of a page.
  var figure: HTMLPage.Figure {
    let (width, height) = (440.0, 290.0)
    return switch chart {
    case .lines(let chart):
      HTMLPage.Figure(
        chart.title + ".", caption: caption,
        drawing: chart.svg(width: width, height: height, placement: .page))
    case .bars(let chart):
      HTMLPage.Figure(
        chart.title + ".", caption: caption,
        drawing: chart.svg(width: width, height: height, placement: .page))
    case .map(let chart):
      HTMLPage.Figure(
        chart.title + ".", caption: caption,
        drawing: chart.svg(width: width, height: height, placement: .page))
    }
  }
}

extension LabResult {
  /// The result as lines of text: verdict, claim, what was measured, what was seen.
  public var lines: [String] {
    var lines = [
      "\(name): \(verdict.rawValue)\(reason.isEmpty ? "" : ", " + reason)", "  " + claim,
    ]
    for finding in findings {
      let mark = finding.holds.map { $0 ? "ok  " : "NOT " } ?? "    "
      let expected = finding.expected.isEmpty ? "" : "; expected " + finding.expected
      lines.append("  \(mark)\(finding.what): \(finding.measured)\(expected)")
    }
    return lines + seen.map { "  " + $0 }
  }
}
