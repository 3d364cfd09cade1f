import LetheCore

/// The sections on half-lives, gradients, certificates and boundaries, and the head of the page.
extension LookPage {
  /// What was answered, and what belongs to this look.
  var answerSection: HTMLPage.Section? {
    let head = report.headline
    var blocks: [HTMLPage.Block] = []
    if !head.answers.isEmpty {
      var writer = MarkupWriter()
      writer.element("ol", ["class": "answers"]) { writer in
        for answer in head.answers.prefix(6) {
          let share = min(max(LookWords.finite(answer.probability) ?? 0, 0), 1)
          writer.element("li", ["class": answer.name == head.truth ? "right" : ""]) { writer in
            writer.element("span", text: LookWords.shown(answer.name, atMost: 40))
            writer.element("i") {
              $0.element("b", ["style": "width:\(DecimalText.short(share * 100))%"]) { _ in }
            }
            writer.element("span", text: LookWords.share(answer.probability))
            if answer.name == head.truth { writer.element("em", text: "right answer") }
          }
        }
      }
      if let truth = head.truth, !head.answers.prefix(6).contains(where: { $0.name == truth }) {
        writer.element("p", ["class": "aside"], text: "Right answer: \(LookWords.shown(truth, atMost: 80))")
      }
      blocks.append(.markup(writer.text))
    } else if let truth = head.truth {
      blocks.append(.paragraph([.text("Right answer: \(truth)")]))
    }
    if !head.facts.isEmpty {
      blocks.append(
        .details(
          "The model and the run",
          [
            .table(
              HTMLPage.Table(
                caption: "This look", header: ["What", "Value"], rows: head.facts.map { [$0.name, $0.value] })
            )
          ]))
    }
    return blocks.isEmpty ? nil : HTMLPage.Section("What it answered", short: "Answer", blocks: blocks)
  }

  var memorySection: HTMLPage.Section? {
    let known = report.memories.filter { !$0.halfLives.isEmpty }
    guard !known.isEmpty else { return nil }
    var blocks: [HTMLPage.Block] = known.map { .paragraph([.text(words.memory($0))]) }
    let figures = known.map { memory in
      HTMLPage.Figure(
        "\(memory.layer).", caption: "Units by half-life in steps, ln ½ / ln f. " + LookPage.basis(memory),
        drawing: LookPage.halfLives(memory).svg(width: 440, height: 250, placement: .page))
    }
    blocks.append(.figures(figures))
    let rows = known.map { memory in
      [
        memory.layer, DecimalText.grouped(memory.halfLives.count),
        memory.horizon.map { LookWords.number($0) } ?? "", DecimalText.grouped(memory.neverClose.count),
        DecimalText.grouped(memory.neverOpen.count), DecimalText.grouped(memory.saturated.count),
        DecimalText.grouped(memory.duplicates.count),
      ]
    }
    blocks.append(
      .table(
        HTMLPage.Table(
          caption: "Units by what their gate does; horizon in steps",
          header: ["Layer", "Units", "Horizon", "Never close", "Never open", "Saturated", "Alike"],
          rows: rows,
          numeric: Set(1...6))))
    let special = known.flatMap { memory in
      LookPage.special(memory).map { [known.count > 1 ? "\(memory.layer), \($0[0])" : $0[0], $0[1]] }
    }
    if !special.isEmpty {
      let table = HTMLPage.Table(caption: "Units by number", header: ["Which", "Units"], rows: special)
      blocks.append(.details("Which units these are", [.table(table)]))
    }
    return HTMLPage.Section("How long it remembers", short: "Half-lives", blocks: blocks)
  }

  private static func basis(_ memory: LookReport.Memory) -> String {
    memory.basis.isEmpty ? "" : "Measured over \(memory.basis)."
  }

  private static func special(_ memory: LookReport.Memory) -> [[String]] {
    let lists = [
      ("never close", memory.neverClose), ("never open", memory.neverOpen), ("saturated", memory.saturated),
    ]
    return lists.filter { !$0.1.isEmpty }.map { [$0.0, LookWords.units($0.1, atMost: 24)] }
      + memory.duplicates.prefix(12).map { ["do the same", LookWords.units($0, atMost: 24)] }
  }

  /// The units by half-life, each bar twice as far as the one before.
  static func halfLives(_ memory: LookReport.Memory) -> BarChart {
    let known = memory.halfLives.filter { !$0.isNaN }
    let longest = known.filter(\.isFinite).max() ?? 1
    var edges = [1.0]
    while let edge = edges.last, edge <= longest, edge < 1e6 { edges.append(edge * 2) }
    var bars = [BarChart.Bar("< 1", Double(known.count { $0 < 1 }))]
    for (low, high) in zip(edges, edges.dropFirst()) {
      bars.append(
        .init(LookPage.edge(low) + "–" + LookPage.edge(high), Double(known.count { low <= $0 && $0 < high })))
    }
    let beyond = known.count { $0.isFinite && $0 >= edges[edges.count - 1] }
    if beyond > 0 { bars.append(.init("≥ " + LookPage.edge(edges[edges.count - 1]), Double(beyond))) }
    let endless = known.count { $0 == .infinity }
    if endless > 0 { bars.append(.init("∞", Double(endless))) }
    var chart = BarChart(
      title: "Half-lives of \(memory.layer)", xLabel: "half-life in steps", yLabel: "units", bars: bars)
    chart.yIsWhole = true
    return chart
  }

  private static func edge(_ value: Double) -> String {
    value >= 1024 ? "\(Int(value) / 1024)k" : "\(Int(value))"
  }

  mutating func gradientSection() -> HTMLPage.Section? {
    let flows = report.gradients.filter { AxisTicks.range(of: $0.norms) != nil }
    guard !flows.isEmpty, report.steps > 0 else { return nil }
    var blocks: [HTMLPage.Block] = flows.map { .paragraph([.text(words.gradient($0))]) }
    let numbers = flows.map { add(line: axis.means($0.norms), name: "gradient, " + $0.layer) }
    blocks.append(
      LookPage.stack { writer in
        for (flow, number) in zip(flows, numbers) {
          let lines = LookPage.lines(of: flow).map { (name: $0.name, values: axis.means($0.values)) }
          // The first two lines set the scale; a plain network's may leave it.
          let range = LookPage.decades(of: lines.prefix(flow.gateProducts.isEmpty ? 1 : 2).map(\.values))
          let ticks = AxisTicks(covering: range, about: 5, integers: true)
          row(
            flow.layer, note: "|∂s at \(flow.isReversed ? "the first step" : "the end") / ∂s here|",
            line: number, style: "gradient",
            label: words.gradient(flow), into: &writer,
            gutter: { writer in
              writer.element("ul", ["class": "key"]) { writer in
                for (index, line) in lines.enumerated() {
                  writer.element("li") { writer in
                    writer.raw(LookPage.sample(index))
                    writer.words(line.name)
                  }
                }
              }
            },
            plot: { writer in
              drawing(height: 220, style: "log", into: &writer) { writer in
                for (index, line) in lines.enumerated() {
                  LookPage.line(
                    line.values.map(LineChart.decade), on: ticks.bounds, series: index, into: &writer)
                }
              }
              let marks = ticks.values.map { (ticks.fraction($0), LookWords.power(Int($0))) }
              LookPage.levels(marks, into: &writer)
            })
        }
        ticks(into: &writer)
      })
    return HTMLPage.Section("How far a gradient reaches back", short: "Gradient", blocks: blocks)
  }

  /// What is drawn of a gradient, each with its name.
  static func lines(of flow: LookReport.GradientFlow) -> [(name: String, values: [Double])] {
    var lines = [(name: "whole gradient", values: flow.norms)]
    if !flow.gateProducts.isEmpty { lines.append(("forget gates alone", flow.gateProducts)) }
    if let rate = flow.plainRate {
      let plain = flow.turned(LookWords.plain(rate, steps: flow.norms.count))
      lines.append(("plain network, r = \(LookWords.number(rate))", plain))
    }
    return lines
  }

  private static func decades(of lines: [[Double]]) -> ClosedRange<Double> {
    let found = AxisTicks.range(of: lines.joined().map(LineChart.decade)) ?? -1...0
    return max(found.lowerBound, found.upperBound - 30)...max(found.upperBound, found.lowerBound + 1)
  }

  /// A short piece of a line as the legend shows it.
  private static func sample(_ series: Int) -> String {
    var writer = MarkupWriter()
    writer.element(
      "svg",
      ["class": "lethe-plot", "viewBox": "0 0 26 8", "width": "26", "height": "8", "aria-hidden": "true"]
    ) { writer in
      writer.toned(PlotTheme.series[series]) {
        $0.leaf(
          "path",
          [
            "d": "M1 4h24", "stroke": "currentColor", "stroke-width": "2", "fill": "none",
            "stroke-dasharray": PlotTheme.dashes[series],
          ])
      }
    }
    return writer.text
  }

  var certificateSection: HTMLPage.Section? {
    guard !report.certificates.isEmpty else { return nil }
    var writer = MarkupWriter()
    let label = "Bounds, what was seen, and whether they are proved"
    writer.element("div", ["class": "scroll", "role": "region", "aria-label": label, "tabindex": "0"]) {
      writer in
      writer.element("table", ["class": "bounds"]) { writer in
        writer.element("caption", text: "Bar: seen, inside what the bound allows")
        writer.element("thead") { writer in
          writer.element("tr") { writer in
            for name in ["What", "Bound", "Seen", "", "Verdict", ""] {
              writer.element("th", ["scope": "col"], text: name)
            }
          }
        }
        writer.element("tbody") { writer in
          for certificate in report.certificates { LookPage.write(certificate, into: &writer) }
        }
      }
    }
    return HTMLPage.Section(
      "What is certain", short: "Certificates",
      blocks: [.paragraph([.text(words.certificates)]), .markup(writer.text)])
  }

  private static func write(_ certificate: LookReport.Certificate, into writer: inout MarkupWriter) {
    let isBroken = certificate.isProved && !LookWords.holds(certificate)
    writer.element("tr") { writer in
      writer.element("th", ["scope": "row"], text: certificate.what)
      writer.element("td", text: LookWords.interval(certificate.bound, isBound: true))
      writer.element("td", text: LookWords.interval(certificate.observed))
      writer.element("td") { writer in
        guard let bar = LookPage.bullet(certificate) else { return }
        writer.element("span", ["class": isBroken ? "bullet broken" : "bullet", "aria-hidden": "true"]) {
          writer in
          let style =
            "left:\(DecimalText.short(bar.lowerBound * 100))%;"
            + "width:\(DecimalText.short((bar.upperBound - bar.lowerBound) * 100))%"
          writer.element("i", ["style": style]) { _ in }
        }
      }
      let verdict = isBroken ? "broken" : certificate.isProved ? "proved" : "not proved"
      let style = isBroken ? "verdict warn" : certificate.isProved ? "verdict good" : "verdict"
      writer.element("td") { $0.element("span", ["class": style], text: verdict) }
      writer.element("td", ["class": "remark"], text: certificate.remark)
    }
  }

  /// Where what was seen lies inside the bound, from 0 to 1; nil where there is no room to say so.
  static func bullet(_ certificate: LookReport.Certificate) -> ClosedRange<Double>? {
    guard let bound = certificate.bound, let seen = certificate.observed else { return nil }
    let low = bound.lowerBound.isFinite ? bound.lowerBound : min(0, seen.lowerBound)
    let span = bound.upperBound - low
    guard AxisTicks.isDrawable(span), span > 0 else { return nil }
    func place(_ value: Double) -> Double { min(max((value - low) / span, 0), 1) }
    return place(seen.lowerBound)...place(seen.upperBound)
  }

  mutating func boundarySection() -> HTMLPage.Section? {
    guard let found = report.boundaries, report.steps > 0 else { return nil }
    let events = found.events.filter { (0..<report.steps).contains($0.step) }
    let line = add(line: axis.means(found.scores), name: "closing", isSpoken: true)
    let values = axis.means(found.scores)
    var blocks: [HTMLPage.Block] = [.paragraph([.text(words.boundaries(found))])]
    blocks.append(
      LookPage.stack { writer in
        row(
          "closing", note: "of the forget gates", line: line, style: "alarms",
          label: words.boundaries(found), into: &writer
        ) { writer in
          drawing(height: 72, into: &writer) { LookPage.bars(values, on: 0...1, into: &$0) }
          for event in events {
            let place = (Double(event.step) + 0.5) / Double(report.steps) * 100
            writer.element(
              "b",
              [
                "class": event.pValue < found.threshold ? "event real" : "event",
                "style": "left:\(DecimalText.short(place, 3))%", "aria-hidden": "true",
              ]
            ) { _ in }
          }
        }
        ticks(into: &writer)
        writer.element(
          "p", ["class": "aside"],
          text: "Filled marks: farther than shuffled steps close, p < \(LookWords.number(found.threshold)). "
            + "Open marks: shuffled steps do as well.")
      })
    if !events.isEmpty {
      let rows = events.prefix(60).map { event in
        [
          words.step(event.step),
          event.step < found.scores.count ? LookWords.number(found.scores[event.step]) : DecimalText.missing,
          LookPage.pValue(event.pValue, trials: found.trials), LookWords.units(event.units, atMost: 6),
          event.causes.joined(separator: ", "),
        ]
      }
      let table = HTMLPage.Table(
        caption: events.count > 60 ? "The first 60 of \(events.count) steps" : "Where the gates close",
        header: ["Step", "Closing", "p", "Units", "Closed by"], rows: rows, numeric: [1, 2])
      blocks.append(events.count <= 12 ? .table(table) : .details("All steps as a table", [.table(table)]))
    }
    return HTMLPage.Section("Where it lets go", short: "Boundaries", blocks: blocks)
  }

  static func pValue(_ value: Double, trials: Int) -> String {
    guard value.isFinite else { return DecimalText.missing }
    return value == 0 && trials > 0 ? "< \(LookWords.number(1 / Double(trials)))" : LookWords.number(value)
  }

  var noteSection: HTMLPage.Section? {
    guard !report.notes.isEmpty else { return nil }
    return HTMLPage.Section(
      "What this page cannot say", short: "Notes", blocks: [.list(report.notes.map { [.text($0)] })])
  }
}
