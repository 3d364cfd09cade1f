import LetheCore

/// A chart of bars: one for each category, or the bins of a histogram.
///
/// Bars stand on zero, always. A value that is NaN, infinite or beyond 1e100 in size has no bar.
public struct BarChart: Sendable, Equatable, Codable {
  /// One bar.
  public struct Bar: Sendable, Equatable, Codable {
    /// What stands under it.
    public var label: String
    /// How high it is.
    public var value: Double

    /// A bar of height `value`.
    public init(_ label: String, _ value: Double) {
      self.label = label
      self.value = value
    }
  }

  /// What the chart shows, in a few words.
  public var title: String
  /// What is along the x axis.
  public var xLabel: String
  /// What is along the y axis.
  public var yLabel: String
  /// The bars, from left to right.
  public var bars: [Bar]
  /// For a histogram, what its bins span together; the x axis is then one of numbers.
  public var binRange: ClosedRange<Double>?
  /// Whether the y axis is written in percent of one.
  public var yIsShare = false
  /// Whether only whole numbers are marked on the y axis, as for counts.
  public var yIsWhole = false
  /// Whether each bar's value is written at its end.
  public var showsValues = false

  /// A chart of `bars`.
  public init(title: String, xLabel: String = "", yLabel: String = "", bars: [Bar]) {
    self.title = title
    self.xLabel = xLabel
    self.yLabel = yLabel
    self.bars = bars
  }

  /// How `values` spread over `range`: `bins` bars of equal width, each the share of the values inside it.
  ///
  /// A value on the border of two bins counts in the upper one, one at the end of `range` in the last.
  /// Values outside `range`, and NaN, are left out of the bars and of the whole that the shares refer to.
  ///
  /// - Precondition: `bins` is at least 1, and `range` is finite and not empty.
  public static func histogram(
    _ title: String, of values: [Double], bins: Int = 20, over range: ClosedRange<Double> = 0...1,
    xLabel: String = ""
  ) -> BarChart {
    let span = range.upperBound - range.lowerBound
    require(
      bins >= 1 && span > 0 && span.isFinite,
      "BarChart.histogram: expected at least 1 bin over a finite range, got \(bins) over \(range)")
    var counts = [Int](repeating: 0, count: bins)
    for value in values where range.contains(value) {
      counts[min(Int((value - range.lowerBound) / span * Double(bins)), bins - 1)] += 1
    }
    let total = max(counts.reduce(0, +), 1)
    let bars = counts.enumerated().map { index, count in
      let low = range.lowerBound + span * Double(index) / Double(bins)
      let high = range.lowerBound + span * Double(index + 1) / Double(bins)
      let label = "\(DecimalText.short(low, 3)) to \(DecimalText.short(high, 3))"
      return Bar(label, Double(count) / Double(total))
    }
    var chart = BarChart(title: title, xLabel: xLabel, yLabel: "share", bars: bars)
    chart.binRange = range
    chart.yIsShare = true
    return chart
  }

  /// The chart as SVG text.
  ///
  /// - Precondition: `width` and `height` are finite and at least 40.
  public func svg(width: Double, height: Double, placement: SVGPlacement = .file) -> String {
    require(
      width >= 40 && height >= 40 && width.isFinite && height.isFinite,
      "BarChart.svg: expected a finite size of at least 40 by 40, got \(width) by \(height)")
    let found = AxisTicks.range(of: bars.map(\.value)) ?? 0...0
    let yTicks = AxisTicks(
      covering: min(0, found.lowerBound)...max(0, found.upperBound), about: max(2, Int(height / 55)),
      integers: yIsWhole, format: yIsShare ? .percent : .number)
    let frame = PlotFrame(
      width: width, height: height,
      header: .init(title: title, xLabel: xLabel, yLabel: yLabel, legend: []),
      yLabels: yTicks.labels, placement: placement)

    return PlotTheme.svg(width: width, height: height, label: title, placement: placement) { writer in
      frame.drawY(yTicks, into: &writer)
      writer.toned(PlotTheme.series[0]) { drawBars(frame, yTicks, into: &$0) }
      frame.drawX(xMarks(frame), baseline: frame.y(yTicks.fraction(0)), into: &writer)
      frame.drawHeader(into: &writer)
    }
  }

  private func drawBars(_ frame: PlotFrame, _ yTicks: AxisTicks, into writer: inout MarkupWriter) {
    let slot = (frame.right - frame.left) / Double(max(bars.count, 1))
    let gap = binRange == nil ? slot * 0.28 : min(1.5, slot * 0.2)
    let zero = frame.y(yTicks.fraction(0))
    for (index, bar) in bars.enumerated() where AxisTicks.isDrawable(bar.value) {
      let end = frame.y(yTicks.fraction(bar.value))
      let x = frame.left + slot * Double(index) + gap / 2
      let value = yIsShare ? DecimalText.percent(bar.value, 1) : DecimalText.short(bar.value, 3)
      writer.element(
        "rect",
        [
          "x": DecimalText.short(x), "y": DecimalText.short(min(zero, end)),
          "width": DecimalText.short(slot - gap), "height": DecimalText.short(abs(zero - end)),
          "fill": "currentColor",
        ]
      ) { $0.element("title", text: "\(bar.label): \(value)") }
      if showsValues {
        let y = bar.value < 0 ? end + 14 : end - 5
        writer.toned(PlotTheme.ink) {
          $0.label(value, x: x + (slot - gap) / 2, y: y, anchor: "middle")
        }
      }
    }
  }

  private func xMarks(_ frame: PlotFrame) -> [(fraction: Double, label: String)] {
    if let binRange {
      let ticks = AxisTicks(
        covering: binRange, about: max(2, Int((frame.right - frame.left) / 70)), outward: false)
      return zip(ticks.values, ticks.labels).map { (ticks.fraction($0), $1) }
    }
    let widest = bars.map { PlotFrame.width(of: $0.label) }.max() ?? 0
    let slot = (frame.right - frame.left) / Double(max(bars.count, 1))
    // Labels that would run into each other are thinned out evenly.
    let stride = max(1, Int(min((widest / slot).rounded(.up), 1000)))
    return bars.enumerated().compactMap { index, bar in
      index % stride == 0 ? ((Double(index) + 0.5) / Double(bars.count), bar.label) : nil
    }
  }
}
