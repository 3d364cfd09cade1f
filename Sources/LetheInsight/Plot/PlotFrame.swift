/// The rectangle the data of a chart is drawn in, with its two axes and what is written around it.
struct PlotFrame {
  let left: Double
  let right: Double
  let top: Double
  let bottom: Double

  /// The legend's rows: each entry is a series' number and its name.
  private let legend: [[(index: Int, name: String, x: Double)]]
  private let header: Header

  /// The words around a chart.
  struct Header {
    var title: String
    var xLabel: String
    var yLabel: String
    /// The names in the legend; fewer than two make no legend.
    var legend: [String]
  }

  /// A frame inside `width` by `height` that leaves room for `header` and for the labels of the axes.
  init(
    width: Double, height: Double, header: Header, yLabels: [String], placement: SVGPlacement
  ) {
    var header = header
    if placement == .page { header.title = "" }
    let labelWidth = yLabels.map { PlotFrame.width(of: $0) }.max() ?? 0
    left = min(labelWidth + 10, width * 0.4)
    right = width - 12
    let rows = PlotFrame.legendRows(
      header.legend, from: left, width: width - 12,
      firstOffset: header.yLabel.isEmpty ? 0 : PlotFrame.width(of: header.yLabel) + 20)
    var y = header.title.isEmpty ? 4.0 : 26.0
    if !rows.isEmpty || !header.yLabel.isEmpty { y += 18 * Double(max(rows.count, 1)) }
    legend = rows
    self.header = header
    top = min(y + 10, height * 0.6)
    bottom = max(height - (header.xLabel.isEmpty ? 24 : 42), top + 10)
  }

  func x(_ fraction: Double) -> Double { left + (right - left) * fraction }
  func y(_ fraction: Double) -> Double { bottom - (bottom - top) * fraction }

  /// Writes title, legend, and the names of the axes.
  func drawHeader(into writer: inout MarkupWriter) {
    if !header.title.isEmpty {
      writer.toned(PlotTheme.ink) { $0.label(header.title, x: 10, y: 21, size: 14, bold: true) }
    }
    let firstRow = header.title.isEmpty ? 15.0 : 39.0
    writer.toned(PlotTheme.muted) { writer in
      if !header.yLabel.isEmpty { writer.label(header.yLabel, x: 2, y: firstRow) }
      if !header.xLabel.isEmpty {
        writer.label(header.xLabel, x: (left + right) / 2, y: bottom + 36, anchor: "middle")
      }
    }
    for (row, entries) in legend.enumerated() {
      let y = firstRow + 18 * Double(row)
      for entry in entries {
        let tone = PlotTheme.series[entry.index % PlotTheme.series.count]
        writer.toned(tone) { writer in
          writer.leaf(
            "path",
            [
              "d": "M\(DecimalText.short(entry.x)) \(DecimalText.short(y - 4))h22", "stroke": "currentColor",
              "stroke-width": "2.5", "fill": "none",
              "stroke-dasharray": PlotTheme.dashes[entry.index % PlotTheme.dashes.count],
            ])
        }
        writer.toned(PlotTheme.ink) { $0.label(entry.name, x: entry.x + 28, y: y) }
      }
    }
  }

  /// Writes the horizontal grid and the labels of the y axis.
  func drawY(_ ticks: AxisTicks, into writer: inout MarkupWriter) {
    writer.toned(PlotTheme.grid) { writer in
      for value in ticks.values {
        let place = y(ticks.fraction(value))
        writer.line(x1: left, y1: place, x2: right, y2: place)
      }
    }
    writer.toned(PlotTheme.muted) { writer in
      for (value, label) in zip(ticks.values, ticks.labels) {
        writer.label(label, x: left - 8, y: y(ticks.fraction(value)) + 4, anchor: "end")
      }
    }
  }

  /// Writes the base line, and the marks and labels of the x axis.
  func drawX(
    _ marks: [(fraction: Double, label: String)], baseline: Double, into writer: inout MarkupWriter
  ) {
    writer.toned(PlotTheme.muted) { writer in
      writer.line(x1: left, y1: baseline, x2: right, y2: baseline)
      for mark in marks {
        writer.label(mark.label, x: x(mark.fraction), y: bottom + 17, anchor: "middle")
      }
    }
  }

  /// About how wide `words` are at size 12; a guess that is rarely too small.
  static func width(of words: String) -> Double {
    words.reduce(0) { $0 + ($1.isASCII ? 6.7 : 12) }
  }

  private static func legendRows(
    _ names: [String], from left: Double, width: Double, firstOffset: Double
  ) -> [[(index: Int, name: String, x: Double)]] {
    guard names.count > 1 else { return [] }
    var rows: [[(index: Int, name: String, x: Double)]] = [[]]
    var x = max(left, firstOffset)
    for (index, name) in names.enumerated() {
      let wanted = 28 + PlotFrame.width(of: name)
      if x + wanted > width, rows.last?.isEmpty == false {
        rows.append([])
        x = left
      }
      rows[rows.count - 1].append((index, name, x))
      x += wanted + 18
    }
    return rows
  }
}
