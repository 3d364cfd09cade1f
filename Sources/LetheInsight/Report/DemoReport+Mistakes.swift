extension DemoReport {
  /// Where the answers went wrong: the matrix of answers, the errors of each class, and the images.
  var mistakeSection: HTMLPage.Section? {
    guard !confusion.isEmpty || !mistakes.isEmpty else { return nil }
    var blocks: [HTMLPage.Block] = []
    if !confusion.isEmpty {
      blocks.append(.figures([confusionFigure, errorFigure]))
    }
    if !mistakes.isEmpty {
      blocks.append(.heading(mistakes.count == 1 ? "One image it misread" : "Images it misread"))
      blocks.append(.markup(mistakeStrip))
    }
    return HTMLPage.Section("Where it was wrong", short: "Mistakes", blocks: blocks)
  }

  private var confusionFigure: HTMLPage.Figure {
    let largestError =
      confusion.enumerated().flatMap { row, counts in
        counts.enumerated().filter { $0.offset != row }.map(\.element)
      }.max() ?? 0
    // Right answers on one side of the colours, as a share of their class; errors on the other, on their own
    // scale, or a single one among forty right answers could not be seen.
    let values = confusion.enumerated().map { row, counts in
      let total = max(counts.reduce(0, +), 1)
      return counts.enumerated().map { column, count -> Double in
        if row == column { return Double(count) / Double(total) * 0.85 }
        return count > 0 ? -0.3 - 0.5 * Double(count) / Double(max(largestError, 1)) : 0
      }
    }
    var map = HeatMap(
      title: "Confusion matrix", values: values, colorMap: .diverging, domain: -1...1)
    map.rowAxis = "true"
    map.columnAxis = "predicted"
    map.rowLabels = confusion.indices.map(className)
    map.columnLabels = (0..<(confusion.map(\.count).max() ?? 0)).map(className)
    map.cellText = confusion.map { $0.map { $0 == 0 ? "" : String($0) } }
    map.cellTitles = confusion.enumerated().map { row, counts in
      counts.enumerated().map { "true \(className(row)), predicted \(className($0.offset)): \($0.element)" }
    }
    return HTMLPage.Figure(
      "Confusion matrix.", caption: DemoWords.confusion,
      drawing: map.svg(width: 440, height: 380, placement: .page))
  }

  private var errorFigure: HTMLPage.Figure {
    let bars = confusion.enumerated().map { row, counts in
      BarChart.Bar(
        className(row),
        Double(counts.enumerated().reduce(0) { $1.offset == row ? $0 : $0 + $1.element }))
    }
    var chart = BarChart(
      title: "Errors by true class", xLabel: "true class", yLabel: "images misread", bars: bars)
    chart.yIsWhole = true
    return HTMLPage.Figure(
      "Errors by class.", caption: DemoWords.errors,
      drawing: chart.svg(width: 440, height: 380, placement: .page))
  }

  private var mistakeStrip: String {
    var writer = MarkupWriter()
    writer.element("ul", ["class": "misread"]) { writer in
      for mistake in mistakes {
        let truth = className(mistake.trueClass)
        let answer = className(mistake.predictedClass)
        writer.element("li") { writer in
          writer.raw(GateCard.picture(of: mistake.image, label: "image of \(truth)"))
          writer.element("p") { writer in
            writer.words("true ")
            writer.element("strong", text: truth)
            writer.leaf("br")
            writer.words("read as ")
            writer.element("strong", ["class": "wrong"], text: answer)
          }
          if mistake.probability.isFinite {
            writer.element(
              "p", ["class": "aside"], text: DecimalText.percent(mistake.probability, 0) + " sure")
          }
        }
      }
    }
    return writer.text
  }
}
