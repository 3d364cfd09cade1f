import LetheCore

/// What laboratories count with.
enum Statistics {
  /// The mean; NaN of nothing.
  static func mean(_ values: some Collection<Double>) -> Double {
    values.reduce(0, +) / Double(values.count)
  }

  /// The larger one; NaN where one of them is, which `max` may swallow.
  static func largest(_ a: Double, _ b: Double) -> Double { a.isNaN || b.isNaN ? .nan : max(a, b) }

  /// Pearson's correlation; 0 where one of the two does not vary.
  static func correlation(_ a: [Double], _ b: [Double]) -> Double {
    let (ma, mb) = (mean(a), mean(b))
    var (ab, aa, bb) = (0.0, 0.0, 0.0)
    for (x, y) in zip(a, b) {
      ab += (x - ma) * (y - mb)
      aa += (x - ma) * (x - ma)
      bb += (y - mb) * (y - mb)
    }
    return aa > 0 && bb > 0 ? ab / (aa * bb).squareRoot() : 0
  }

  /// Spearman's: the correlation of the ranks, equal values sharing theirs.
  static func rankCorrelation(_ a: [Double], _ b: [Double]) -> Double { correlation(ranks(a), ranks(b)) }

  private static func ranks(_ values: [Double]) -> [Double] {
    let order = values.indices.sorted { (values[$0], $0) < (values[$1], $1) }
    var ranks = [Double](repeating: 0, count: values.count)
    var first = 0
    while first < order.count {
      var end = first
      while end < order.count, values[order[end]] == values[order[first]] { end += 1 }
      for place in order[first..<end] { ranks[place] = Double(first + end - 1) / 2 }
      first = end
    }
    return ranks
  }
}

/// A linear read-out of a number from others, by least squares with a ridge.
struct LinearProbe {
  /// One for each feature, then the constant.
  private let weights: [Double]

  /// The read-out that fits rows of features best.
  ///
  /// *Cost*: rows · features² + features³.
  init(_ features: [[Double]], _ targets: [Double], ridge: Double = 1e-6) {
    let width = (features.first?.count ?? 0) + 1
    var system = Array(repeating: [Double](repeating: 0, count: width + 1), count: width)
    for (row, target) in zip(features, targets) {
      let row = row + [1, target]
      for i in 0..<width {
        for j in 0...width { system[i][j] += row[i] * row[j] }
      }
    }
    // The ridge is a share of each feature's own size.
    for i in 0..<width { system[i][i] *= 1 + ridge }
    // Gauss & Jordan with the largest pivot; a feature that never varies gets the weight 0.
    var weights = [Double](repeating: 0, count: width), rows = Array(0..<width)
    for column in 0..<width {
      let best = (column..<width).max { abs(system[rows[$0]][column]) < abs(system[rows[$1]][column]) }
      rows.swapAt(column, best ?? column)
      let pivot = system[rows[column]]
      guard abs(pivot[column]) > 1e-12 else { continue }
      for other in 0..<width where other != column {
        let factor = system[rows[other]][column] / pivot[column]
        for j in column...width { system[rows[other]][j] -= factor * pivot[j] }
      }
    }
    for column in 0..<width {
      let row = system[rows[column]]
      weights[column] = abs(row[column]) > 1e-12 ? row[width] / row[column] : 0
    }
    self.weights = weights
  }

  /// The share of the variance of other rows' targets that it explains; below 0 where their mean is a better guess.
  func explained(_ features: [[Double]], _ targets: [Double]) -> Double {
    let mean = Statistics.mean(targets)
    var (rest, whole) = (0.0, 0.0)
    for (row, target) in zip(features, targets) {
      let guess = zip(row + [1], weights).reduce(0) { $0 + $1.0 * $1.1 }
      rest += (target - guess) * (target - guess)
      whole += (target - mean) * (target - mean)
    }
    return whole > 0 ? 1 - rest / whole : 0
  }
}
