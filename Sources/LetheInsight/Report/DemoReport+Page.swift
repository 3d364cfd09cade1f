extension DemoReport {
  /// The report as one page that needs nothing else: no network, no script, no other file.
  ///
  /// - Cost: about 13 kilobytes for each gate of an example with 8 steps of 64 units.
  public func html() -> String {
    var page = HTMLPage(title: title, lead: DemoWords.lead)
    page.addedStyle = GateCard.style
    page.lines = [dataSet, licence].filter { !$0.isEmpty }
    page.sections = [
      resultSection, learningSection, gateSection, mistakeSection, modelSection,
    ].compactMap { $0 }
    page.footer = DemoWords.footer
    return page.html()
  }

  private var resultSection: HTMLPage.Section {
    let right = Int(exactly: (testAccuracy * Double(testCount)).rounded()).map(DecimalText.grouped)
    var tiles = [
      HTMLPage.Tile(
        "Test accuracy", DecimalText.percent(testAccuracy),
        note: "\(right ?? DecimalText.missing) of \(DecimalText.grouped(testCount)) unseen images")
    ]
    if let range = DemoReport.plausibleRange(accuracy: testAccuracy, count: testCount) {
      let low = DecimalText.fixed(range.lowerBound * 100, 1)
      let high = DecimalText.percent(range.upperBound)
      tiles.append(
        HTMLPage.Tile(
          "As far as \(DecimalText.grouped(testCount)) images can tell", "\(low)–\(high)",
          note: "95% Wilson interval"))
    }
    if !layers.isEmpty {
      let total = layers.reduce(0) { $0 + $1.parameters }
      tiles.append(
        HTMLPage.Tile("Numbers learned", DecimalText.grouped(total), note: "in \(layers.count) layers"))
    }
    if let last = history.last {
      tiles.append(
        HTMLPage.Tile(
          "Training", DecimalText.grouped(history.count) + (history.count == 1 ? " epoch" : " epochs"),
          note: "last loss \(DecimalText.short(last.loss, 4))"))
    }
    var blocks = [HTMLPage.Block.tiles(tiles)]
    if !comparison.isEmpty { blocks.append(.note([.text(comparison)])) }
    return HTMLPage.Section("The result", short: "Result", blocks: blocks)
  }

  private var learningSection: HTMLPage.Section? {
    guard !history.isEmpty else { return nil }
    var figures = [lossFigure]
    if let accuracy = accuracyFigure { figures.append(accuracy) }
    if let memory = memoryFigure { figures.append(memory) }
    let table = HTMLPage.Table(
      caption: "Every epoch", header: ["Epoch", "Loss", "Validation loss", "Validation accuracy"],
      rows: history.map { epoch in
        [
          String(epoch.epoch), DecimalText.fixed(epoch.loss, 4),
          epoch.validationLoss.map { DecimalText.fixed($0, 4) } ?? "",
          epoch.validationAccuracy.map { DecimalText.percent($0, 2) } ?? "",
        ]
      }, numeric: [0, 1, 2, 3])
    return HTMLPage.Section(
      "How it learned", short: "Learning",
      blocks: [.figures(figures), .details("The numbers behind the curves", [.table(table)])])
  }

  private var lossFigure: HTMLPage.Figure {
    func points(_ value: (Epoch) -> Double?) -> [LineChart.Point] {
      history.map { LineChart.Point(x: Double($0.epoch), y: value($0) ?? .nan) }
    }
    var series = [LineChart.Series("training", points: points { $0.loss })]
    if history.contains(where: { $0.validationLoss != nil }) {
      series.append(LineChart.Series("validation", points: points { $0.validationLoss }))
    }
    var chart = LineChart(title: "Loss by epoch", xLabel: "epoch", yLabel: "loss", series: series)
    chart.xIsWhole = true
    chart.yFromZero = true
    return HTMLPage.Figure(
      "Loss.", caption: DemoWords.loss, drawing: chart.svg(width: 440, height: 270, placement: .page))
  }

  private var accuracyFigure: HTMLPage.Figure? {
    let known = history.filter { $0.validationAccuracy?.isFinite == true }
    let best = known.max { ($0.validationAccuracy ?? 0) < ($1.validationAccuracy ?? 0) }
    guard let best, let share = best.validationAccuracy else { return nil }
    let points = history.map { LineChart.Point(x: Double($0.epoch), y: $0.validationAccuracy ?? .nan) }
    var chart = LineChart(
      title: "Validation accuracy by epoch", xLabel: "epoch", yLabel: "validation accuracy",
      series: [LineChart.Series("accuracy", points: points)])
    chart.xIsWhole = true
    chart.yIsShare = true
    return HTMLPage.Figure(
      "Validation accuracy.",
      caption: "Best: \(DecimalText.percent(share)) in epoch \(best.epoch). "
        + "The axis need not start at zero.",
      drawing: chart.svg(width: 440, height: 270, placement: .page))
  }

  /// The quartiles of the units' half-lives, epoch by epoch.
  private var memoryFigure: HTMLPage.Figure? {
    let known = history.filter { !$0.halfLives.isEmpty }
    guard let first = known.first, let last = known.last else { return nil }
    func quartile(_ share: Double, _ epoch: Epoch) -> Double {
      Retention.quantile(epoch.halfLives.sorted(), share)
    }
    let series = [("upper quartile", 0.75), ("median", 0.5), ("lower quartile", 0.25)]
      .map { name, share in
        LineChart.Series(
          name, points: known.map { LineChart.Point(x: Double($0.epoch), y: quartile(share, $0)) })
      }
    var chart = LineChart(
      title: "Half-lives by epoch", xLabel: "epoch", yLabel: "half-life in steps", series: series)
    chart.xIsWhole = true
    chart.yFromZero = true
    let ends = [first, last].map { DecimalText.fixed(quartile(0.5, $0), 2) }
    return HTMLPage.Figure(
      "How long the memory keeps.",
      caption: "The middle unit lost half of what it held within \(ends[0]) steps after epoch "
        + "\(first.epoch), within \(ends[1]) after epoch \(last.epoch).",
      drawing: chart.svg(width: 440, height: 270, placement: .page))
  }

  private var modelSection: HTMLPage.Section? {
    guard !layers.isEmpty || !facts.isEmpty else { return nil }
    var blocks: [HTMLPage.Block] = []
    if !layers.isEmpty {
      let total = layers.reduce(0) { $0 + $1.parameters }
      let rows = layers.map { [$0.name, $0.outputShape, DecimalText.grouped($0.parameters)] }
      blocks.append(
        .table(
          HTMLPage.Table(
            caption: "Layers, from the input up", header: ["Layer", "Output shape", "Parameters"],
            rows: rows + [["Total", "", DecimalText.grouped(total)]], numeric: [2])))
    }
    if !facts.isEmpty {
      blocks.append(
        .table(
          HTMLPage.Table(
            caption: "The run", header: ["What", "Value"], rows: facts.map { [$0.name, $0.value] })))
    }
    return HTMLPage.Section("The network and the run", short: "Network", blocks: blocks)
  }

  /// Between which shares the true accuracy plausibly lies, after `count` trials: Wilson's 95% interval.
  package static func plausibleRange(accuracy: Double, count: Int) -> ClosedRange<Double>? {
    guard count > 0, (0...1).contains(accuracy) else { return nil }
    let n = Double(count)
    let z = 1.959963984540054
    let shrink = 1 + z * z / n
    let middle = (accuracy + z * z / (2 * n)) / shrink
    let half = z / shrink * (accuracy * (1 - accuracy) / n + z * z / (4 * n * n)).squareRoot()
    return max(0, middle - half)...min(1, middle + half)
  }
}
