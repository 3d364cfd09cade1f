import LetheInsight

/// Results of laboratories, as a page and as tables.
public struct LabReport: Sendable {
  /// The results, in the order they are shown.
  public let results: [LabResult]

  /// A report.
  public init(_ results: [LabResult]) { self.results = results }

  /// Whether an identity or a bound did not hold.
  public var hasFailures: Bool { results.contains { $0.verdict == .failed } }

  /// How it went, in a sentence: `12 laboratories: 10 held, 2 not confirmed.`
  public var summary: String {
    let counts = LabResult.Verdict.allCases.compactMap { verdict -> String? in
      let count = results.count { $0.verdict == verdict }
      return count == 0 ? nil : "\(count) \(verdict.rawValue)"
    }
    let noun = results.count == 1 ? "laboratory" : "laboratories"
    return "\(results.count) \(noun)\(counts.isEmpty ? "" : ": ")\(counts.joined(separator: ", "))."
  }

  /// One row a laboratory, as a table in Markdown.
  public var markdown: [String] {
    let rows = results.map { result in
      "| *\(result.name)* | \(Self.cell(result.claim)) | \(Self.cell(Self.found(result))) | \(result.verdict.rawValue)\(result.isQuick ? " (quick form)" : "") |"
    }
    return ["| laboratory | claim | found | verdict |", "|---|---|---|---|"] + rows
  }

  /// What a table says was found.
  static func found(_ result: LabResult) -> String {
    result.reason.isEmpty ? result.seen.first ?? "" : result.reason
  }

  private static func cell(_ text: String) -> String {
    text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
  }
}

extension LabReport {
  /// The report as one page that needs nothing else: no network, no script, no other file.
  public func html() -> String {
    let only = results.count == 1 ? results.first : nil
    var page = HTMLPage(
      title: only.map { "The laboratory: \($0.name)" } ?? "The laboratory",
      lead: only?.claim ?? "Claims about gates, each one an experiment. \(summary)")
    page.sections = (only == nil ? [overview] : []) + results.map(Self.section)
    page.footer = "Written by 'lethe lab'."
    page.addedStyle = "td,tbody th{white-space:normal;min-width:5rem}tbody th{font-weight:500}\n"
    return page.html()
  }

  private var overview: HTMLPage.Section {
    let tiles = LabResult.Verdict.allCases.map { verdict in
      let names = results.filter { $0.verdict == verdict }.map(\.name)
      return HTMLPage.Tile(verdict.rawValue, "\(names.count)", note: names.joined(separator: ", "))
    }
    let rows = results.map {
      [$0.name, $0.kind.rawValue, $0.verdict.rawValue + ($0.isQuick ? " (quick form)" : ""), Self.found($0)]
    }
    return HTMLPage.Section(
      "All of them", short: "All",
      blocks: [
        .tiles(tiles),
        .table(
          HTMLPage.Table(
            caption:
              "An identity or a bound that fails is a defect; an empirical claim may well not be confirmed",
            header: ["laboratory", "claim", "verdict", "found"], rows: rows)),
      ])
  }

  private static func section(_ result: LabResult) -> HTMLPage.Section {
    var blocks: [HTMLPage.Block] = [.note([.text(result.claim)])]
    let seeds = "\(result.seeds) seed\(result.seeds == 1 ? "" : "s")"
    let form = result.isQuick ? "the quick form, \(seeds)" : seeds
    blocks.append(
      .paragraph([
        .strong(result.verdict.rawValue), .text(result.reason.isEmpty ? "" : ": \(result.reason)"),
        .text(" (\(result.kind.rawValue); \(form))"),
      ]))
    if !result.findings.isEmpty {
      let rows = result.findings.map { finding in
        [
          finding.what, finding.measured, finding.expected.isEmpty ? "only told" : finding.expected,
          finding.kind.rawValue, finding.holds.map { $0 ? "yes" : "no" } ?? "",
        ]
      }
      blocks.append(
        .table(
          HTMLPage.Table(
            caption: "Medians over the seeds, and their range",
            header: ["what", "measured", "expected", "sort", "holds"], rows: rows)))
    }
    blocks += result.seen.map { .paragraph([.text($0)]) }
    if !result.plots.isEmpty { blocks.append(.figures(result.plots.map(\.figure))) }
    return HTMLPage.Section(result.name, short: result.name, blocks: blocks)
  }
}
