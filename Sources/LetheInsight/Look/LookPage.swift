import LetheCore

/// The page of a ``LookReport`` while it is written: sections add maps and lines that the script draws and reads out.
///
/// All panels share one time axis: a column a step, or at most ``mostColumns`` columns that join steps.
struct LookPage {
  let report: LookReport
  let words: LookWords
  let axis: TimeAxis
  /// How many rows a map of units may have, so that all maps fit ``LevelMap/mostCells``.
  let mostRows: Int
  private(set) var maps: [JSONText] = []
  private(set) var lines: [JSONText] = []

  static let mostColumns = 1500
  /// How many columns and rows the map of the ledger has.
  static let mostLedgerColumns = 240

  init(_ report: LookReport) {
    self.report = report
    words = LookWords(report: report)
    axis = TimeAxis(steps: report.steps, atMost: LookPage.mostColumns)
    let signals = report.layers.reduce(0) { $0 + $1.signals.count }
    mostRows = max(1, min(LevelMap.mostRows, LevelMap.mostCells / max(signals * axis.columns, 1)))
  }

  /// Adds a map and returns its number.
  mutating func add(_ map: LevelMap, label: String, groups: [String] = []) -> Int {
    maps.append(map.json(label: LookWords.shown(label, atMost: 40), groups: groups))
    return maps.count - 1
  }

  /// Adds a value for each column that is read out at the cursor, and returns their number; `isSpoken` ones are also
  /// in the line at the foot of the page.
  mutating func add(line columns: [Double], name: String, isSpoken: Bool = false) -> Int {
    lines.append(
      .object([
        "name": .string(LookWords.shown(name, atMost: 40)), "spoken": .number(isSpoken ? 1 : 0),
        "values": .numbers(columns),
      ]))
    return lines.count - 1
  }

  /// What the script of the page reads.
  var data: String {
    let labels = (0..<axis.columns).map { words.column(axis.steps(of: $0)) }
    let palettes = ColorMap.allCases.map { map in
      JSONText.object([
        "name": .string(map.rawValue),
        "light": .strings((0..<ColorMap.levels).map { map.hex($0, dark: false) }),
        "dark": .strings((0..<ColorMap.levels).map { map.hex($0, dark: true) }),
      ])
    }
    return JSONText.object([
      "steps": .number(Double(report.steps)), "columns": .number(Double(axis.columns)),
      "labels": .strings(labels), "lines": .list(lines), "maps": .list(maps), "palettes": .list(palettes),
    ]).text
  }
}

extension LookPage {
  /// One row of a stack: a name with the value at the cursor, and beside it what `plot` writes over time.
  func row(
    _ name: String, note: String = "", line: Int? = nil, style: String = "", label: String = "",
    map: Int? = nil, into writer: inout MarkupWriter, gutter: (inout MarkupWriter) -> Void = { _ in },
    plot: (inout MarkupWriter) -> Void
  ) {
    writer.element("div", ["class": "lane " + style]) { writer in
      writer.element("div", ["class": "gutter"]) { writer in
        writer.element("p") { writer in
          writer.element("strong", text: name)
          if !note.isEmpty { writer.element("span", text: " " + note) }
        }
        if let line { writer.element("output", ["class": "live", "data-line": String(line)], text: "") }
        gutter(&writer)
      }
      writer.element(
        "div",
        [
          "class": "plot", "role": label.isEmpty ? "" : "img", "aria-label": label,
          "tabindex": map == nil ? "" : "0", "data-map": map.map(String.init) ?? "",
          "data-line": line.map(String.init) ?? "",
        ]
      ) { writer in
        plot(&writer)
        writer.element("i", ["class": "now"]) { _ in }
      }
    }
  }

  /// The numbers of the steps, at round places.
  func ticks(into writer: inout MarkupWriter) {
    guard report.steps > 0 else { return }
    if case .text(let tokens, _) = report.input, report.steps <= 60 {
      let style = report.steps > 24 ? "lane ticks names many" : "lane ticks names"
      writer.element("div", ["class": style, "aria-hidden": "true"]) { writer in
        writer.element("div", ["class": "gutter"]) { _ in }
        writer.element("div", ["class": "plot"]) { writer in
          for token in tokens.prefix(report.steps) {
            writer.element("span", text: LookWords.shown(token, atMost: 14))
          }
        }
      }
    }
    writer.element("div", ["class": "lane ticks", "aria-hidden": "true"]) { writer in
      writer.element("div", ["class": "gutter"]) { $0.element("p", text: "step") }
      writer.element("div", ["class": "plot"]) { writer in
        for step in LookPage.marks(report.steps, about: 8) {
          let place = (Double(step) - 0.5) / Double(report.steps) * 100
          let style = "left:\(DecimalText.short(place, 3))%"
          writer.element(
            "span", ["class": place > 96 && report.steps > 99 ? "end" : "", "style": style],
            text: DecimalText.grouped(step))
        }
      }
    }
  }

  /// Round steps from 1 to `steps`, the ends kept clear of the edge of their lane.
  static func marks(_ steps: Int, about count: Int) -> [Int] {
    guard steps > 12 else { return Array(1...max(steps, 1)) }
    let ticks = AxisTicks(covering: 0...Double(steps), about: count, outward: false, integers: true)
    return [1] + ticks.values.map { Int($0) }.filter { $0 > steps / 40 + 1 && $0 <= steps }
  }

  /// A canvas of the map, as high as suits its rows.
  static func canvas(rows: Int, height: Int? = nil, into writer: inout MarkupWriter) {
    let cell = rows >= 64 ? max(1, 128 / rows) : min(16, 128 / max(rows, 1))
    let tall = height ?? min(max(rows * cell, 24), 160)
    writer.element("canvas", ["style": "height:\(tall)px"]) { _ in }
  }

  /// A drawing over time that stretches to its place: x counts columns, y runs from 0 at the top to 100.
  func drawing(
    height: Int, style: String = "", id: String = "", into writer: inout MarkupWriter,
    draw: (inout MarkupWriter) -> Void
  ) {
    writer.element(
      "svg",
      [
        "class": "lethe-plot over " + style, "id": id, "viewBox": "0 0 \(max(axis.columns, 1)) 100",
        "preserveAspectRatio": "none", "style": "height:\(height)px", "aria-hidden": "true",
      ], draw)
  }

  /// A line through `values`, one for each column, on `range`; gaps where there is no number.
  static func line(
    _ values: [Double], on range: ClosedRange<Double>, series: Int = 0, into writer: inout MarkupWriter
  ) {
    let span = max(range.upperBound - range.lowerBound, 1e-300)
    var path = ""
    var isDown = false
    for (column, value) in values.enumerated() {
      guard AxisTicks.isDrawable(value) else {
        isDown = false
        continue
      }
      let place = min(max((value - range.lowerBound) / span, -1), 2)
      let y = DecimalText.short(100 - 100 * place, 1)
      // A value without neighbours is a dash as wide as its column.
      let next = column + 1 < values.count ? values[column + 1] : .nan
      let isAlone = !isDown && !AxisTicks.isDrawable(next)
      path += isAlone ? "M\(column) \(y)h1" : "\(isDown ? "L" : "M")\(column).5 \(y)"
      isDown = true
    }
    guard !path.isEmpty else { return }
    writer.toned(PlotTheme.series[series % PlotTheme.series.count]) { writer in
      writer.leaf(
        "path",
        [
          "class": "line", "d": path, "fill": "none", "stroke": "currentColor",
          "stroke-dasharray": PlotTheme.dashes[series % PlotTheme.dashes.count],
        ])
    }
  }

  /// Bars from zero, those below it in another colour.
  static func bars(_ values: [Double], on range: ClosedRange<Double>, into writer: inout MarkupWriter) {
    let span = max(range.upperBound - range.lowerBound, 1e-300)
    func y(_ value: Double) -> String { DecimalText.short(100 - 100 * (value - range.lowerBound) / span, 2) }
    for (series, sign) in [(0, 1.0), (1, -1.0)] {
      var path = ""
      for (column, value) in values.enumerated() where AxisTicks.isDrawable(value) && value * sign > 0 {
        path += "M\(column).1 \(y(0))h.8V\(y(value))h-.8z"
      }
      guard !path.isEmpty else { continue }
      writer.toned(PlotTheme.series[series]) { $0.leaf("path", ["d": path, "fill": "currentColor"]) }
    }
  }

  /// Lines across a drawing with their values beside them.
  static func levels(_ marks: [(place: Double, label: String)], into writer: inout MarkupWriter) {
    for mark in marks where (0...1).contains(mark.place) {
      let style = "top:\(DecimalText.short(100 - 100 * mark.place))%"
      writer.element("span", ["class": "level", "style": style]) { $0.element("b", text: mark.label) }
    }
  }

  /// A card around lanes.
  static func stack(_ content: (inout MarkupWriter) -> Void) -> HTMLPage.Block {
    var writer = MarkupWriter()
    writer.element("div", ["class": "stack"], content)
    return .markup(writer.text)
  }
}
