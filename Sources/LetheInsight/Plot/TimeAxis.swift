/// Steps laid side by side in columns: one a step, or an even share of the steps where there are too many.
package struct TimeAxis: Sendable, Equatable {
  /// How many steps there are.
  package let steps: Int
  /// How many columns they share.
  package let columns: Int

  /// An axis of `steps` in at most `limit` columns.
  package init(steps: Int, atMost limit: Int) {
    self.steps = max(steps, 0)
    columns = min(self.steps, max(limit, 1))
  }

  /// Whether a column holds more than one step.
  package var joinsSteps: Bool { columns < steps }

  /// The steps of a column; the columns cut the steps in order and without gaps.
  package func steps(of column: Int) -> Range<Int> {
    column * steps / columns..<(column + 1) * steps / columns
  }

  /// The column of a step.
  package func column(of step: Int) -> Int {
    min(((step + 1) * columns - 1) / max(steps, 1), columns - 1)
  }

  /// The mean of the drawable `values` of each column; NaN where there is none.
  package func means(_ values: some RandomAccessCollection<Double>) -> [Double] {
    (0..<columns).map { column in
      mean(steps(of: column).lazy.compactMap { $0 < values.count ? values[offset: $0] : nil })
    }
  }

  /// The sum of the drawable `values` of each column; NaN where there is none.
  package func sums(_ values: [Double]) -> [Double] {
    (0..<columns).map { column in
      let known = steps(of: column).lazy.filter { $0 < values.count }.map { values[$0] }
        .filter(AxisTicks.isDrawable)
      return known.isEmpty ? .nan : known.reduce(0, +)
    }
  }
}

/// The mean of the numbers that a chart can draw; NaN without any.
func mean(_ values: some Sequence<Double>) -> Double {
  GateMemory.mean(values.lazy.filter(AxisTicks.isDrawable))
}

extension RandomAccessCollection {
  /// The element `offset` places from the start.
  fileprivate subscript(offset offset: Int) -> Element { self[index(startIndex, offsetBy: offset)] }
}
