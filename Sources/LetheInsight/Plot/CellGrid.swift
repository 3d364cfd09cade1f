/// Coloured cells without anything around them: the part that heat maps and pictures of gates share.
struct CellGrid {
  /// The colour of each cell, row by row; nil leaves the cell open.
  let levels: [[Int?]]
  /// The colours.
  let colorMap: ColorMap

  /// Writes the cells, each `width` by `height`, from the corner at `x`, `y`.
  ///
  /// Cells of one colour share one path, and without a `gap` neighbours in a row are one piece of it,
  /// so that a map of thousands of cells stays a few kilobytes.
  func draw(
    x: Double = 0, y: Double = 0, width: Double = 1, height: Double = 1, gap: Double = 0,
    into writer: inout MarkupWriter
  ) {
    var paths = [String](repeating: "", count: ColorMap.levels)
    let h = DecimalText.short(height - gap)
    for (r, row) in levels.enumerated() {
      var start = 0
      while start < row.count {
        guard let level = row[start] else {
          start += 1
          continue
        }
        var end = start + 1
        while gap == 0, end < row.count, row[end] == level { end += 1 }
        let left = DecimalText.short(x + width * Double(start) + gap / 2)
        let top = DecimalText.short(y + height * Double(r) + gap / 2)
        let w = DecimalText.short(width * Double(end - start) - gap)
        paths[level] += "M\(left) \(top)h\(w)v\(h)H\(left)z"
        start = end
      }
    }
    writer.element("g", ["shape-rendering": gap == 0 ? "crispEdges" : ""]) { writer in
      for (level, path) in paths.enumerated() where !path.isEmpty {
        writer.leaf(
          "path",
          ["class": colorMap.className(level), "fill": colorMap.hex(level, dark: false), "d": path])
      }
    }
  }
}
