/// Numbers as a line of block characters, for terminals.
public enum Sparkline {
  private static let blocks = Array("▁▂▃▄▅▆▇█")
  /// What stands for a place without a number.
  package static let gap: Character = "·"

  /// `values` as at most `width` characters from `▁` to `█`, a `·` for each place without a number.
  ///
  /// More values than characters are averaged, the numbers among them only. NaN, infinities and anything beyond
  /// 1e100 in size count as missing. The lowest block is the start of `domain` and the highest its end (without
  /// one: the range of what is drawn); values beyond stay at the end. Equal values stand in the middle.
  /// A `width` below 1 gives an empty text.
  public static func text(_ values: [Double], width: Int, domain: ClosedRange<Double>? = nil) -> String {
    guard width >= 1, !values.isEmpty else { return "" }
    let axis = TimeAxis(steps: values.count, atMost: width)
    let means = axis.means(values)
    guard let range = domain ?? AxisTicks.range(of: means) else {
      return String(repeating: gap, count: means.count)
    }
    let span = range.upperBound - range.lowerBound
    return String(
      means.map { mean in
        guard AxisTicks.isDrawable(mean) else { return gap }
        let place = span > 0 ? (mean - range.lowerBound) / span : 0.5
        return blocks[Int((min(max(place, 0), 1) * Double(blocks.count - 1)).rounded())]
      })
  }
}
