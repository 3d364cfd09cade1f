import LetheCore

/// A chart of one or several lines over a common x axis.
///
/// A point whose x or y is NaN, infinite or beyond 1e100 in size leaves a gap in its line.
/// Lines differ in colour and in dashes.
public struct LineChart: Sendable, Equatable, Codable {
  /// One place on a line.
  public struct Point: Sendable, Equatable, Codable {
    /// Where it lies along the x axis.
    public var x: Double
    /// Where it lies along the y axis.
    public var y: Double

    /// The point at `x` and `y`.
    public init(x: Double, y: Double) {
      self.x = x
      self.y = y
    }
  }

  /// One line.
  public struct Series: Sendable, Equatable, Codable {
    /// What the legend calls it.
    public var name: String
    /// Its points, joined in this order.
    public var points: [Point]

    /// A line through `points`.
    public init(_ name: String, points: [Point]) {
      self.name = name
      self.points = points
    }

    /// A line through `values` at x = `start`, `start` + 1 and so on.
    public init(_ name: String, values: [Double], from start: Double = 0) {
      self.name = name
      points = values.enumerated().map { Point(x: start + Double($0.offset), y: $0.element) }
    }
  }

  /// What the chart shows, in a few words.
  public var title: String
  /// What is along the x axis.
  public var xLabel: String
  /// What is along the y axis.
  public var yLabel: String
  /// The lines, in the order of the legend.
  public var series: [Series]
  /// Whether only whole numbers are marked on the x axis, as for epochs.
  public var xIsWhole = false
  /// Whether the y axis must reach zero, as for a loss.
  public var yFromZero = false
  /// Whether the y axis is written in percent of one.
  public var yIsShare = false

  /// Whether the y axis counts powers of ten; a point at zero or below it then leaves a gap.
  public var yIsLogarithmic = false

  /// A chart of `series`.
  public init(title: String, xLabel: String = "", yLabel: String = "", series: [Series]) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.series = series
  }

  /// The chart as SVG text.
  ///
  /// - Precondition: `width` and `height` are finite and at least 40.
  /// - Cost: linear in the number of points; a chart of at most 60 points a line also gets a dot on each,
  ///   which tells its numbers when pointed at.
  public func svg(width: Double, height: Double, placement: SVGPlacement = .file) -> String {
    require(
      width >= 40 && height >= 40 && width.isFinite && height.isFinite,
      "LineChart.svg: expected a finite size of at least 40 by 40, got \(width) by \(height)")
    let drawable = series.map { line in
      line.points.map { point -> Point? in
        let y = yIsLogarithmic ? LineChart.decade(point.y) : point.y
        return AxisTicks.isDrawable(point.x) && AxisTicks.isDrawable(y) ? Point(x: point.x, y: y) : nil
      }
    }
    let points = drawable.joined().compactMap { $0 }
    var yRange = AxisTicks.range(of: points.map(\.y)) ?? 0...1
    if yFromZero, !yIsLogarithmic { yRange = min(0, yRange.lowerBound)...max(0, yRange.upperBound) }
    let yTicks = AxisTicks(
      covering: yRange, about: max(2, Int(height / 55)), integers: yIsLogarithmic,
      format: yIsShare ? .percent : .number
    ).labelled { yIsLogarithmic ? LookWords.power(Int($0)) : nil }
    let frame = PlotFrame(
      width: width, height: height,
      header: .init(title: title, xLabel: xLabel, yLabel: yLabel, legend: series.map(\.name)),
      yLabels: yTicks.labels, placement: placement)
    let xTicks = AxisTicks(
      covering: AxisTicks.range(of: points.map(\.x)) ?? 0...1, about: max(2, Int(width / 70)),
      outward: false, integers: xIsWhole)

    return PlotTheme.svg(width: width, height: height, label: title, placement: placement) { writer in
      frame.drawY(yTicks, into: &writer)
      let marks = zip(xTicks.values, xTicks.labels).map { (xTicks.fraction($0), $1) }
      frame.drawX(marks, baseline: frame.bottom, into: &writer)
      frame.drawHeader(into: &writer)
      for (index, line) in drawable.enumerated() {
        writer.toned(PlotTheme.series[index % PlotTheme.series.count]) { writer in
          draw(line, index: index, frame: frame, xTicks: xTicks, yTicks: yTicks, into: &writer)
        }
      }
    }
  }

  private func draw(
    _ line: [Point?], index: Int, frame: PlotFrame, xTicks: AxisTicks, yTicks: AxisTicks,
    into writer: inout MarkupWriter
  ) {
    var path = ""
    var dots: [(x: String, y: String, words: String)] = []
    var penIsDown = false
    for (place, point) in line.enumerated() {
      guard let point else {
        penIsDown = false
        continue
      }
      let x = DecimalText.short(frame.x(xTicks.fraction(point.x)))
      let y = DecimalText.short(frame.y(yTicks.fraction(point.y)))
      path += "\(penIsDown ? "L" : "M")\(x) \(y)"
      let isAlone = !penIsDown && (place + 1 == line.count || line[place + 1] == nil)
      if line.count <= 60 || isAlone { dots.append((x, y, hover(point, index))) }
      penIsDown = true
    }
    guard !path.isEmpty else { return }
    writer.leaf(
      "path",
      [
        "d": path, "stroke": "currentColor", "stroke-width": "2", "fill": "none",
        "stroke-linejoin": "round", "stroke-linecap": "round",
        "stroke-dasharray": PlotTheme.dashes[index % PlotTheme.dashes.count],
      ])
    for dot in dots {
      // The wide, invisible edge is what a pointer finds.
      writer.element(
        "circle",
        [
          "cx": dot.x, "cy": dot.y, "r": "2.4", "fill": "currentColor", "stroke": "currentColor",
          "stroke-opacity": "0", "stroke-width": "10", "pointer-events": "all",
        ]
      ) { $0.element("title", text: dot.words) }
    }
  }

  private func hover(_ point: Point, _ index: Int) -> String {
    let y =
      yIsLogarithmic
      ? LookWords.number(Elementary.pow(10, point.y))
      : yIsShare ? DecimalText.percent(point.y, 2) : DecimalText.short(point.y, 4)
    let x = (xLabel.isEmpty ? "" : xLabel + " ") + DecimalText.short(point.x, 3)
    return "\(series[index].name), \(x): \(y)"
  }

  /// log₁₀ of a positive number; nothing else has a place on a logarithmic axis.
  static func decade(_ value: Double) -> Double {
    AxisTicks.isDrawable(value) && value > 0 ? Elementary.log(value) / Elementary.log(10) : .nan
  }
}
