extension LookReport {
  /// A plot of its own.
  public struct Drawing: Sendable, Equatable {
    /// A name that fits a file: small letters, digits and hyphens, different for each drawing.
    public var name: String
    /// The plot as an SVG file.
    public var svg: String
  }

  /// The plots of the report, each as an SVG file that stands alone.
  ///
  /// Time has at most 300 columns and units at most 64 rows here; neighbours are averaged.
  public func drawings() -> [Drawing] {
    let words = LookWords(report: self)
    var made: [(name: String, svg: String)] = []
    let axis = TimeAxis(steps: steps, atMost: 300)
    for layer in layers {
      for signal in layer.signals where GateMemory(keep: signal.values).units > 0 && steps > 0 {
        let order = GateMemory.order(of: [GateMemory(keep: signal.values)])
        let map = LevelMap(signal, order: order, limit: 64, axis: axis)
        var plot = HeatMap(
          title: "\(signal.name) of \(layer.name)", values: map.values,
          colorMap: map.colorMap, domain: map.colorMap == .diverging ? -map.top...map.top : 0...1)
        plot.columnAxis = "step 1 to \(steps)"
        plot.rowAxis = "units"
        plot.showsScale = true
        made.append(("gate \(layer.name) \(signal.name)", plot.svg(width: 900, height: 300)))
      }
    }
    for view in ledger?.maps ?? [] where steps > 0 {
      let map = LevelMap(ledger: view.shares, axis: TimeAxis(steps: steps, atMost: 150))
      let low = map.colorMap == .diverging ? -map.top : 0
      var plot = HeatMap(
        title: "What is in memory, \(view.name)", values: map.values, colorMap: map.colorMap,
        domain: low...max(map.top, low + 1e-300))
      plot.columnAxis = "read at step 1 to \(steps)"
      plot.rowAxis = "written at"
      plot.showsScale = true
      made.append(("ledger \(view.name)", plot.svg(width: 700, height: 640)))
    }
    if let attribution, steps > 0 {
      let bars = axis.sums(attribution.contributions).enumerated().map { column, value in
        BarChart.Bar(words.column(axis.steps(of: column)), value)
      }
      let plot = BarChart(
        title: "What the answer \(LookWords.shown(attribution.answer)) rests on", yLabel: "adds to the logit",
        bars: bars)
      made.append(("answer", plot.svg(width: 900, height: 320)))
    }
    for memory in memories where !memory.halfLives.isEmpty {
      made.append(("half-lives \(memory.layer)", LookPage.halfLives(memory).svg(width: 640, height: 360)))
    }
    for flow in gradients where AxisTicks.range(of: flow.norms) != nil {
      var plot = LineChart(
        title: "How far a gradient reaches back, \(flow.layer)", xLabel: "step",
        yLabel: "relative to the \(flow.isReversed ? "first step" : "end")",
        series: LookPage.lines(of: flow).map { .init($0.name, values: $0.values, from: 1) })
      plot.xIsWhole = true
      plot.yIsLogarithmic = true
      made.append(("gradient \(flow.layer)", plot.svg(width: 900, height: 360)))
    }
    if let boundaries, steps > 0 {
      var plot = LineChart(
        title: "How far the forget gates close", xLabel: "step", yLabel: "closing",
        series: [.init("closing", values: boundaries.scores, from: 1)])
      plot.xIsWhole = true
      plot.yFromZero = true
      made.append(("boundaries", plot.svg(width: 900, height: 260)))
    }
    var used: Set<String> = []
    return made.map { made in
      var name = LookReport.fileName(made.name)
      var count = 2
      while !used.insert(name).inserted {
        name = LookReport.fileName(made.name) + "-\(count)"
        count += 1
      }
      return Drawing(name: name, svg: made.svg)
    }
  }

  private static func fileName(_ words: String) -> String {
    let letters = words.lowercased().unicodeScalars.prefix(60).map { scalar in
      ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar) ? Character(scalar) : "-"
    }
    return String(letters).split(separator: "-").joined(separator: "-")
  }
}
