import LetheInsight

extension ComparisonReport {
  /// How many lines a chart can show apart.
  private static let linesShown = PlotTheme.series.count

  /// The report as one page that needs nothing else: no network, no script, no other file.
  public func html() -> String {
    let task = comparison.task
    var page = HTMLPage(title: "Which cell for \(task.name)?", lead: "The task: \(task.meaning).")
    page.lines = [explanation.prefix(1).uppercased() + explanation.dropFirst() + "."]
    page.sections = [resultSection, curveSection, methodSection]
    page.footer = "Written by 'lethe compare'."
    return page.html()
  }

  private var resultSection: HTMLPage.Section {
    let task = comparison.task
    var chart = BarChart(
      title: "\(task.metric) by cell", yLabel: task.metric,
      bars: rows.map { BarChart.Bar($0.contestant.cell.name, $0.median) })
    chart.yIsShare = task.isAccuracy
    chart.showsValues = rows.count <= 8
    let table = HTMLPage.Table(
      caption: "Best first; * marks runs that ended early", header: header, rows: cells,
      numeric: Set(1..<header.count))
    return HTMLPage.Section(
      "The result", short: "Result",
      blocks: [
        .note([.text(verdict)]), .table(table),
        .figures([
          HTMLPage.Figure(
            "Medians.",
            caption: task.isAccuracy
              ? "Chance is \(ComparisonText.value(task.baseline, task))."
              : "Lower is better; the best constant answer has \(ComparisonText.value(task.baseline, task)).",
            drawing: chart.svg(width: 440, height: 270, placement: .page))
        ]),
      ])
  }

  private var curveSection: HTMLPage.Section {
    let note = rows.count > Self.linesShown ? " The first \(Self.linesShown) cells." : ""
    return HTMLPage.Section(
      "How they learned", short: "Learning",
      blocks: [
        .figures([
          HTMLPage.Figure(
            "Over training time.",
            caption: "On validation examples, the median over the seeds; training steps alone count." + note,
            drawing: curve("seconds of training") { $0.seconds }),
          HTMLPage.Figure(
            "Over training steps.", caption: "The same over the number of steps." + note,
            drawing: curve("training steps") { Double($0.steps) }),
        ])
      ])
  }

  private func curve(_ label: String, _ x: (ComparisonTrial.Point) -> Double) -> String {
    let task = comparison.task
    var chart = LineChart(
      title: "\(task.metric) over \(label)", xLabel: label, yLabel: "validation \(task.metric)",
      series: rows.prefix(Self.linesShown).map { row in
        LineChart.Series(
          row.contestant.cell.name, points: row.curve.map { LineChart.Point(x: x($0), y: $0.value) })
      })
    chart.yIsShare = task.isAccuracy
    chart.yFromZero = !task.isAccuracy
    return chart.svg(width: 440, height: 290, placement: .page)
  }

  private var methodSection: HTMLPage.Section {
    HTMLPage.Section(
      "How it was done", short: "Method",
      blocks: [.list(method.map { [.text($0)] })])
  }

  private var method: [String] {
    let rates = comparison.rates.map { "\($0)" }
    return [
      (comparison.layers == 1 ? "One recurrent layer" : "\(comparison.layers) recurrent layers")
        + " and a dense read-out of "
        + (comparison.task.answersEachStep ? "every step's output" : "the last output")
        + "; cells that take their input unit by unit, matrix memories and forgetting attention have a dense layer "
        + "before them.",
      "Batches of \(ComparisonTrial.batchSize) sequences, the same for all cells with a seed; sequences of up to "
        + "\(comparison.task.length) steps.",
      "Adam with the rate "
        + (rates.count == 1
          ? rates[0]
          : "that does best on the validation examples, of " + ComparisonText.list(rates))
        + ", falling along half a cosine to 0 over the budget; the gradient's norm is bounded by 1.",
      "The budget, \(comparison.budget.words), is each cell's and seed's own and counts training steps alone.",
      "The test examples are met once a run, at its end, and choose nothing.",
    ] + (isComplete ? [] : ["The comparison was interrupted: runs are missing."])
  }
}
