import LetheCore
import LetheData

/// A level that jumps now and then, seen through noise.
///
///     level_t = level_{t−1}, or with the chance p a fresh draw from N(0, s²)        x_t = level_t + N(0, r²)
struct LevelData {
  /// p, s and r.
  static let chance = 0.02
  static let spread = 1.5
  static let noise = 0.5

  /// [row][step]
  var x: [[Double]] = []
  var level: [[Double]] = []
  /// Steps since the last jump; 0 at the step it happened. Counted from the first step where there was none.
  var since: [[Int]] = []
  /// The size of the last jump; 0 where there was none.
  var size: [[Double]] = []

  init(_ count: Int, steps: Int, key: RandomKey) {
    let coins = key.child("jumps").uniform(shape: [count, steps], in: 0..<1).scalars
    let levels = key.child("levels").normal(shape: [count, steps], deviation: Float(Self.spread)).scalars
    let noises = key.child("noise").normal(shape: [count, steps], deviation: Float(Self.noise)).scalars
    for row in 0..<count {
      var (level, since, size) = (0.0, -1, 0.0)
      for part in [\LevelData.x, \.level, \.size] { self[keyPath: part].append([]) }
      self.since.append([])
      for t in 0..<steps {
        let at = row * steps + t
        since += 1
        if t == 0 || Double(coins[at]) < Self.chance {
          let next = Double(levels[at])
          (size, level, since) = (t == 0 ? 0 : abs(next - level), next, 0)
        }
        x[row].append(level + Double(noises[at]))
        self.level[row].append(level)
        self.since[row].append(since)
        self.size[row].append(size)
      }
    }
  }

  /// As a data set that asks for the level at every step.
  var dataset: Dataset {
    let shape = [x.count, x.first?.count ?? 0, 1]
    return Dataset(
      inputs: Tensor(x.flatMap { $0.map { Float($0) } }, shape: shape),
      targets: .values(Tensor(level.flatMap { $0.map { Float($0) } }, shape: shape)))
  }

  /// The mean squared error of estimates, from the tenth step on.
  func error(_ estimates: [[Double]]) -> Double {
    var (sum, count) = (0.0, 0)
    for (row, estimate) in estimates.enumerated() {
      for t in 10..<estimate.count {
        let difference = estimate[t] - level[row][t]
        (sum, count) = (sum + difference * difference, count + 1)
      }
    }
    return sum / Double(max(count, 1))
  }

  // MARK: Filters

  /// e_t = α e_{t−1} + (1 − α) x_t, from e_0 = x_0.
  func average(_ alpha: Double) -> [[Double]] {
    x.map { row in
      var estimate = row.first ?? 0
      return row.map { x in
        estimate = alpha * estimate + (1 - alpha) * x
        return estimate
      }
    }
  }

  /// The best linear filter: Kalman's, with a jump taken for a step of a random walk that has the same variance.
  func kalman() -> [[Double]] {
    let (walk, seen) = (Self.chance * 2 * Self.spread * Self.spread, Self.noise * Self.noise)
    return x.map { row in
      var (mean, variance) = (0.0, Self.spread * Self.spread)
      return row.enumerated().map { t, x in
        if t > 0 { variance += walk }
        let gain = variance / (variance + seen)
        mean += gain * (x - mean)
        variance *= 1 - gain
        return mean
      }
    }
  }

  /// The best filter there is: the mean over all times the last jump may have happened at, each by its probability.
  ///
  /// *Source*: Adams & MacKay 2007, arXiv 0710.3742.
  func bayes() -> [[Double]] {
    let (prior, seen) = (Self.spread * Self.spread, Self.noise * Self.noise)
    return x.map { row in
      // For each time of the last jump: its weight, and mean and variance of the level.
      var runs: [(weight: Double, mean: Double, variance: Double)] = []
      return row.enumerated().map { t, x in
        for i in runs.indices { runs[i].weight *= 1 - Self.chance }
        runs.append((t == 0 ? 1 : Self.chance, 0, prior))
        var (total, sum) = (0.0, 0.0)
        for i in runs.indices {
          let (width, off) = (runs[i].variance + seen, x - runs[i].mean)
          runs[i].weight *= Elementary.exp(-off * off / (2 * width)) / width.squareRoot()
          let gain = runs[i].variance / width
          runs[i].mean += gain * off
          runs[i].variance *= 1 - gain
          total += runs[i].weight
          sum += runs[i].weight * runs[i].mean
        }
        for i in runs.indices { runs[i].weight /= total }
        runs.removeAll { $0.weight < 1e-9 }
        return sum / total
      }
    }
  }

  /// The α that estimates used so many steps after a jump of more than three deviations of the noise: least squares of
  /// e_t = α e_{t−1} + (1 − α) x_t over all such steps.
  func effectiveAlpha(_ estimates: [[Double]], after steps: Int) -> Double {
    var (up, down) = (0.0, 0.0)
    for (row, estimate) in estimates.enumerated() {
      for t in 1..<estimate.count where since[row][t] == steps && size[row][t] > 3 * Self.noise {
        let old = estimate[t - 1] - x[row][t]
        up += (estimate[t] - x[row][t]) * old
        down += old * old
      }
    }
    return up / down
  }
}
