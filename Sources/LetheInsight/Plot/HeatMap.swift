import LetheCore

/// A matrix as coloured cells.
///
/// Row 0 is at the top. A value that is NaN, infinite or beyond 1e100 in size, or beyond the end of a
/// short row, leaves its cell open.
public struct HeatMap: Sendable, Equatable, Codable {
  /// What the map shows, in a few words.
  public var title: String
  /// The numbers that become colours, row by row.
  public var values: [[Double]]
  /// The colours.
  public var colorMap: ColorMap
  /// What the two ends of the colours stand for; without it, the range of the values
  /// (for ``ColorMap/diverging``, the same distance on both sides of zero).
  public var domain: ClosedRange<Double>?
  /// The names of the rows.
  public var rowLabels: [String] = []
  /// The names of the columns.
  public var columnLabels: [String] = []
  /// What the rows are.
  public var rowAxis = ""
  /// What the columns are.
  public var columnAxis = ""
  /// What is written in each cell; the same shape as `values`, or empty.
  public var cellText: [[String]] = []
  /// What a cell says when pointed at; the same shape as `values`, or empty.
  public var cellTitles: [[String]] = []
  /// Whether a bar beside the cells tells what the colours stand for.
  public var showsScale = false

  /// A map of `values`.
  public init(
    title: String, values: [[Double]], colorMap: ColorMap = .sequential, domain: ClosedRange<Double>? = nil
  ) {
    self.title = title
    self.values = values
    self.colorMap = colorMap
    self.domain = domain
  }

  /// The map as SVG text.
  ///
  /// - Precondition: `width` and `height` are finite and at least 40.
  /// - Cost: cells without words are written as one path for each colour, with neighbours of the same colour
  ///   joined; words or titles cost one more element a cell.
  public func svg(width: Double, height: Double, placement: SVGPlacement = .file) -> String {
    require(
      width >= 40 && height >= 40 && width.isFinite && height.isFinite,
      "HeatMap.svg: expected a finite size of at least 40 by 40, got \(width) by \(height)")
    let layout = Layout(of: self, width: width, height: height, placement: placement)
    return PlotTheme.svg(
      width: width, height: height, label: title, placement: placement, maps: [colorMap]
    ) { writer in
      drawWords(layout, placement, into: &writer)
      let grid = CellGrid(levels: levels, colorMap: colorMap)
      grid.draw(
        x: layout.left, y: layout.top, width: layout.cell.width, height: layout.cell.height,
        gap: min(layout.cell.width, layout.cell.height) >= 14 ? 1.5 : 0, into: &writer)
      drawCellWords(grid, layout, into: &writer)
      if showsScale { drawScale(layout, into: &writer) }
    }
  }

  /// What the ends of the colours stand for.
  package var span: ClosedRange<Double> {
    if let domain { return domain }
    let found = AxisTicks.range(of: values.joined()) ?? 0...1
    guard colorMap == .diverging else { return found }
    let size = max(found.lowerBound.magnitude, found.upperBound.magnitude)
    return -size...size
  }

  /// The colour of each cell, nil for a missing value.
  package var levels: [[Int?]] {
    let span = span
    let width = span.upperBound - span.lowerBound
    return values.map { row in
      row.map { value in
        guard AxisTicks.isDrawable(value) else { return nil }
        guard width > 0 else { return ColorMap.level(at: 0.5) }
        return ColorMap.level(at: (value - span.lowerBound) / width)
      }
    }
  }

  /// The places of the cells inside the whole.
  private struct Layout {
    let left: Double
    let top: Double
    let right: Double
    let bottom: Double
    let cell: (width: Double, height: Double)
    /// Whether the names of the columns are too long to stand side by side, and are turned.
    let turnsColumns: Bool

    init(of map: HeatMap, width: Double, height: Double, placement: SVGPlacement) {
      let rowLabels = map.rowLabels.map { PlotFrame.width(of: $0) }.max() ?? 0
      left = min((map.rowAxis.isEmpty ? 2 : 22) + (rowLabels > 0 ? rowLabels + 8 : 0), width * 0.5)
      right = width - (map.showsScale ? 62 : 2)
      var y = map.title.isEmpty || placement == .page ? 2.0 : 30.0
      if !map.columnAxis.isEmpty { y += 18 }
      let columns = max(map.values.map(\.count).max() ?? 0, 1)
      let cellWidth = max(right - left, 1) / Double(columns)
      let widest = map.columnLabels.map { PlotFrame.width(of: $0) }.max() ?? 0
      turnsColumns = widest > cellWidth
      if !map.columnLabels.isEmpty { y += turnsColumns ? widest + 10 : 18 }
      top = min(y, height * 0.5)
      bottom = height - 2
      cell = (cellWidth, (bottom - top) / Double(max(map.values.count, 1)))
    }
  }

  private func drawWords(_ layout: Layout, _ placement: SVGPlacement, into writer: inout MarkupWriter) {
    if !title.isEmpty, placement == .file {
      writer.toned(PlotTheme.ink) { $0.label(title, x: 10, y: 21, size: 14, bold: true) }
    }
    let middle = (x: (layout.left + layout.right) / 2, y: (layout.top + layout.bottom) / 2)
    writer.toned(PlotTheme.muted) { writer in
      if !columnAxis.isEmpty {
        let y = placement == .file && !title.isEmpty ? 43.0 : 13.0
        writer.label(columnAxis, x: middle.x, y: y, anchor: "middle")
      }
      if !rowAxis.isEmpty {
        HeatMap.turned(rowAxis, x: 14, y: middle.y, anchor: "middle", into: &writer)
      }
    }
    writer.toned(PlotTheme.ink) { writer in
      for (index, label) in columnLabels.enumerated() {
        let x = layout.left + layout.cell.width * (Double(index) + 0.5)
        if layout.turnsColumns {
          HeatMap.turned(label, x: x + 4, y: layout.top - 6, anchor: "start", into: &writer)
        } else {
          writer.label(label, x: x, y: layout.top - 8, anchor: "middle")
        }
      }
      for (index, label) in rowLabels.enumerated() {
        let y = layout.top + layout.cell.height * (Double(index) + 0.5) + 4
        writer.label(label, x: layout.left - 8, y: y, anchor: "end")
      }
    }
  }

  private func drawCellWords(_ grid: CellGrid, _ layout: Layout, into writer: inout MarkupWriter) {
    let longest = cellText.joined().map { PlotFrame.width(of: $0) }.max() ?? 0
    let size = min(14, layout.cell.height * 0.55, longest > 0 ? layout.cell.width * 0.86 / longest * 12 : 0)
    for (r, row) in values.enumerated() {
      for c in row.indices {
        let words = size >= 6 ? HeatMap.item(cellText, r, c) : ""
        let title = HeatMap.item(cellTitles, r, c)
        guard !words.isEmpty || !title.isEmpty else { continue }
        let x = layout.left + layout.cell.width * Double(c)
        let y = layout.top + layout.cell.height * Double(r)
        let tone = grid.levels[r][c].map { colorMap.words(on: $0) } ?? PlotTheme.ink
        writer.toned(tone) { writer in
          if !words.isEmpty {
            writer.label(
              words, x: x + layout.cell.width / 2, y: y + layout.cell.height / 2 + size * 0.36,
              anchor: "middle", size: size)
          }
          if !title.isEmpty {
            writer.element(
              "rect",
              [
                "x": DecimalText.short(x), "y": DecimalText.short(y),
                "width": DecimalText.short(layout.cell.width),
                "height": DecimalText.short(layout.cell.height), "fill-opacity": "0",
              ]
            ) { $0.element("title", text: title) }
          }
        }
      }
    }
  }

  private func drawScale(_ layout: Layout, into writer: inout MarkupWriter) {
    let steps = (0..<ColorMap.levels).reversed().map { [Optional($0)] }
    let height = layout.bottom - layout.top
    CellGrid(levels: steps, colorMap: colorMap).draw(
      x: layout.right + 12, y: layout.top, width: 12, height: height / Double(steps.count), into: &writer)
    let ticks = AxisTicks(covering: span, about: max(2, Int(height / 50)), outward: false)
    writer.toned(PlotTheme.muted) { writer in
      for (value, label) in zip(ticks.values, ticks.labels) {
        let y = layout.bottom - height * ticks.fraction(value)
        // Half a line is kept free at both ends.
        writer.label(label, x: layout.right + 29, y: min(max(y + 4, layout.top + 9), layout.bottom - 1))
      }
    }
  }

  /// Words that run upwards from a point.
  private static func turned(
    _ words: String, x: Double, y: Double, anchor: String, into writer: inout MarkupWriter
  ) {
    let place = "\(DecimalText.short(x)) \(DecimalText.short(y))"
    writer.element("g", ["transform": "translate(\(place)) rotate(-90)"]) {
      $0.label(words, x: 0, y: 0, anchor: anchor)
    }
  }

  private static func item(_ table: [[String]], _ row: Int, _ column: Int) -> String {
    row < table.count && column < table[row].count ? table[row][column] : ""
  }
}
