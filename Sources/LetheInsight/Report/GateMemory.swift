/// What can be said of one gate from its values alone.
///
/// Means and orders hold for every gate, ``leftAtEnd`` only for one of ``DemoReport/Gate/Role/memory``.
package struct GateMemory {
  /// The values, row by row for the steps; one column for each unit.
  package let keep: [[Float]]

  /// What can be said of the gate with the values `keep`.
  package init(keep: [[Float]]) {
    self.keep = keep
  }

  /// How many units the widest step has.
  package var units: Int { keep.map(\.count).max() ?? 0 }

  /// The mean over the units at each step; NaN for a step without a number.
  package var meanByStep: [Double] {
    keep.map { GateMemory.mean($0.lazy.map(Double.init)) }
  }

  /// The mean over the steps of each unit; NaN for a unit without a number.
  package var meanByUnit: [Double] {
    (0..<units).map { unit in
      GateMemory.mean(keep.lazy.compactMap { unit < $0.count ? Double($0[unit]) : nil })
    }
  }

  /// How much of what a step adds to the memory the later gates leave at the end:
  /// the product of the values of all later steps, averaged over the units.
  ///
  /// It follows from c_t = k_t ⊙ c_{t−1} + i_t ⊙ u_t, and says nothing of a gate that does not act on c_{t−1}.
  /// The last step keeps all of its own. A gate value that is not a number counts as 1 for its unit.
  package var leftAtEnd: [Double] {
    var products = [Double](repeating: 1, count: units)
    var result: [Double] = []
    for row in keep.reversed() {
      result.append(GateMemory.mean(products))
      for (unit, value) in row.enumerated() where value.isFinite { products[unit] *= Double(value) }
    }
    return result.reversed()
  }

  /// The mean of the finite numbers, NaN without any.
  package static func mean(_ values: some Sequence<Double>) -> Double {
    var sum = 0.0
    var count = 0
    for value in values where value.isFinite {
      sum += value
      count += 1
    }
    return count == 0 ? .nan : sum / Double(count)
  }

  /// Units from the one that keeps least to the one that keeps most over all `gates`; equals stay in order.
  package static func order(of gates: [GateMemory]) -> [Int] {
    let means = gates.map(\.meanByUnit)
    let units = means.map(\.count).max() ?? 0
    let total = (0..<units).map { unit in
      GateMemory.mean(means.compactMap { unit < $0.count ? $0[unit] : nil })
    }
    // A unit without numbers goes last; NaN itself would break the order.
    let keys = total.map { $0.isNaN ? Double.infinity : $0 }
    return (0..<units).sorted { (keys[$0], $0) < (keys[$1], $1) }
  }
}
