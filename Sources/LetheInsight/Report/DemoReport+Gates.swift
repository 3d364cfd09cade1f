extension DemoReport {
  /// One gate over all images: its name, its role, and its units from left to right, the same on every card.
  struct GateKind: Sendable {
    let name: String
    let role: Gate.Role
    let units: [Int]

    /// Whether `gate` is of this kind.
    func holds(_ gate: Gate) -> Bool { gate.name == name && gate.role == role }
  }

  /// What the gates did: how to read the pictures, the pictures, and what they do not prove.
  var gateSection: HTMLPage.Section? {
    let kinds = gateKinds
    guard !kinds.isEmpty else { return nil }
    let roles = Set(kinds.map(\.role))
    var blocks = DemoWords.gates(roles)
    blocks.append(.heading("How to read the pictures"))
    blocks.append(.list(DemoWords.reading(roles)))
    blocks.append(.markup(cards(kinds)))
    blocks.append(.heading("All gate values together"))
    blocks.append(.figures(kinds.map(spreadFigure) + [stepFigure(kinds)]))
    blocks.append(.heading("What the pictures do not prove"))
    blocks.append(.list(DemoWords.limits(roles)))
    return HTMLPage.Section("What it kept and what it let go", short: "Gates", blocks: blocks)
  }

  /// The gates, each once: those of the read-out first, else in the order they come.
  private var gateKinds: [GateKind] {
    var kinds: [GateKind] = []
    let gates = examples.flatMap(\.gates)
    for role in Gate.Role.allCases {
      for gate in gates where gate.role == role && !kinds.contains(where: { $0.holds(gate) }) {
        let alike = gates.filter { $0.name == gate.name && $0.role == role }
        let units = GateMemory.order(of: alike.map { GateMemory(keep: $0.keep) })
        kinds.append(GateKind(name: gate.name, role: role, units: units))
      }
    }
    return kinds
  }

  private func cards(_ kinds: [GateKind]) -> String {
    var writer = MarkupWriter()
    GateCard.writeLegend(kinds.count == 1 ? kinds[0].name : "", into: &writer)
    writer.element("div", ["class": "cards"]) { writer in
      let shown = examples.filter { !$0.gates.isEmpty }
      for (index, example) in shown.enumerated() {
        let card = GateCard(
          example: example, truth: className(example.trueClass), answer: className(example.predictedClass),
          kinds: kinds)
        // The first card is large, and so is a last one that would stand beside an empty place.
        let isWide = index == 0 || (index == shown.count - 1 && index % 2 == 1)
        card.write(wide: isWide, into: &writer)
        writer.raw("\n")
      }
    }
    return writer.text
  }

  private func spreadFigure(_ kind: GateKind) -> HTMLPage.Figure {
    let rows = examples.flatMap(\.gates).filter(kind.holds).flatMap(\.keep)
    let values = rows.joined().map(Double.init)
    let chart = BarChart.histogram(
      "\(kind.name), all values", of: values, bins: 20, xLabel: kind.role.axis)
    return HTMLPage.Figure(
      kind.name + ".", caption: DemoWords.spread(values),
      drawing: chart.svg(width: 440, height: 230, placement: .page))
  }

  /// The mean of each gate by step, over all examples.
  private func stepFigure(_ kinds: [GateKind]) -> HTMLPage.Figure {
    let series = kinds.map { kind in
      let means = examples.flatMap(\.gates).filter(kind.holds).map { GateMemory(keep: $0.keep).meanByStep }
      let values = (0..<(means.map(\.count).max() ?? 0)).map { step in
        GateMemory.mean(means.compactMap { step < $0.count ? $0[step] : nil })
      }
      return LineChart.Series(kind.name, values: values, from: 1)
    }
    var chart = LineChart(
      title: "Mean gate value by step", xLabel: "step", yLabel: "mean", series: series)
    chart.xIsWhole = true
    chart.yFromZero = true
    return HTMLPage.Figure(
      "By step.", caption: DemoWords.byStep(Set(kinds.map(\.role))),
      drawing: chart.svg(width: 440, height: 230, placement: .page))
  }
}
