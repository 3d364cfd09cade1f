extension DemoReport {
  /// What the gates did: how to read the pictures, the pictures, and what they do not prove.
  var gateSection: HTMLPage.Section? {
    let gates = examples.flatMap(\.gates)
    guard !gates.isEmpty else { return nil }
    var blocks: [HTMLPage.Block] = DemoWords.gate
    blocks.append(.heading("How to read the pictures"))
    blocks.append(.list(DemoWords.reading))
    blocks.append(.markup(cards))
    blocks.append(.heading("All gate values together"))
    blocks.append(.figures(spreadFigures + [stepFigure]))
    blocks.append(.heading("What the pictures do not prove"))
    blocks.append(.list(DemoWords.limits))
    return HTMLPage.Section("What it kept and what it let go", short: "Gates", blocks: blocks)
  }

  /// The names of the gates, each once, in the order they come.
  private var gateNames: [String] {
    var names: [String] = []
    for gate in examples.flatMap(\.gates) where !names.contains(gate.name) { names.append(gate.name) }
    return names
  }

  /// One order of units for each gate name, the same on every card.
  private func unitOrder(_ name: String) -> [Int] {
    let gates = examples.flatMap(\.gates).filter { $0.name == name }
    return GateMemory.order(of: gates.map { GateMemory(keep: $0.keep) })
  }

  private var cards: String {
    let orders = gateNames.map { (name: $0, units: unitOrder($0)) }
    var writer = MarkupWriter()
    GateCard.writeLegend(orders.count == 1 ? orders[0].name : "", into: &writer)
    writer.element("div", ["class": "cards"]) { writer in
      let shown = examples.filter { !$0.gates.isEmpty }
      for (index, example) in shown.enumerated() {
        let card = GateCard(
          example: example, truth: className(example.trueClass), answer: className(example.predictedClass),
          orders: example.gates.map { gate in orders.first { $0.name == gate.name }?.units ?? [] })
        // The first card is large, and so is a last one that would stand beside an empty place.
        let isWide = index == 0 || (index == shown.count - 1 && index % 2 == 1)
        card.write(wide: isWide, into: &writer)
        writer.raw("\n")
      }
    }
    return writer.text
  }

  private var spreadFigures: [HTMLPage.Figure] {
    gateNames.map { name in
      let rows = examples.flatMap(\.gates).filter { $0.name == name }.flatMap(\.keep)
      let values = rows.joined().map(Double.init)
      let chart = BarChart.histogram(
        "\(name), all values", of: values, bins: 20, xLabel: "gate value: 0 lets go, 1 keeps")
      return HTMLPage.Figure(
        name + ".", caption: DemoWords.spread(values),
        drawing: chart.svg(width: 440, height: 230, placement: .page))
    }
  }

  /// The mean of each gate by step, over all examples.
  private var stepFigure: HTMLPage.Figure {
    let series = gateNames.map { name in
      let means = examples.flatMap(\.gates).filter { $0.name == name }
        .map { GateMemory(keep: $0.keep).meanByStep }
      let values = (0..<(means.map(\.count).max() ?? 0)).map { step in
        GateMemory.mean(means.compactMap { step < $0.count ? $0[step] : nil })
      }
      return LineChart.Series(name, values: values, from: 1)
    }
    var chart = LineChart(
      title: "Mean gate value by step", xLabel: "step", yLabel: "mean gate value", series: series)
    chart.xIsWhole = true
    chart.yFromZero = true
    return HTMLPage.Figure(
      "By step.", caption: DemoWords.byStep, drawing: chart.svg(width: 440, height: 230, placement: .page))
  }
}
