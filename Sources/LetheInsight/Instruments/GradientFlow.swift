import LetheCore
import LetheNN

/// How far a gradient reaches back through one layer: the size of ∂s_T/∂s_t for every earlier step t, s the whole state.
///
/// Beside it the cell path alone, f_{t+1} … f_T: what is left of the gradient when the gates are held.
/// *Source*: Hochreiter 1991; Pascanu, Mikolov & Bengio 2013, arXiv 1211.5063.
public struct GradientFlow: Sendable {
  /// The step walked that gradients start from.
  public let from: Int
  /// The spectral norm of ∂s_T/∂s_t for t = −1 (before the first step), 0, … T; the last is 1.
  public let norms: [Double]
  /// The Frobenius norm of the same over √states: the mean size of a direction.
  public let meanNorms: [Double]
  /// The mean over the units of |f_{t+1} … f_T| for the same t; empty where the cell does not fit the equation.
  public let cellPath: [Double]

  /// What has become of the gradient, in a word.
  public enum Verdict: Sendable, Equatable {
    /// Below a millionth before this step walked.
    case vanishes(before: Int)
    /// Above a thousand.
    case explodes(before: Int)
    /// It stays between.
    case reaches
  }

  /// The first step, from the end, at which it is gone or has grown beyond measure.
  public var verdict: Verdict {
    for (index, norm) in norms.enumerated().reversed() {
      if !(norm <= 1e3) { return .explodes(before: index) }
      if norm < 1e-6 { return .vanishes(before: index) }
    }
    return .reaches
  }

  /// The geometric mean of a step's factor: r in r^T.
  public var factor: Double {
    guard norms.count > 1, let first = norms.first, first > 0 else { return 0 }
    return Elementary.exp(Elementary.log(first) / Double(norms.count - 1))
  }

  /// From the state after a step walked (`nil`: the last) of one sequence; `nil` where states were not kept.
  ///
  /// Up to 256 numbers of state the Jacobians are whole; beyond, 64 orthogonal random directions stand for them: norms are then
  /// those within these directions, at most the whole ones, and mean norms are estimates.
  /// *Cost*: steps · min(states, 256) rows of a training step of one step.
  public init?(_ recording: LayerRecording, row: Int = 0, from last: Int? = nil) {
    let count = recording.timing?.lengths?[row] ?? recording.input.shape[1]
    let size = recording.stateSize, end = last ?? count - 1
    guard count > 0, (0..<count).contains(end) else { return nil }
    from = end
    let rows = size <= 256 ? size : 64
    // Rows of an identity, or as many orthogonal directions by chance.
    var gradients = Tensor(shape: [rows, size]) { to in
      to.initialize(repeating: 0)
      if rows == size {
        for i in 0..<size { to[i * size + i] = 1 }
      } else {
        _ = to.update(fromContentsOf: Self.orthonormal(rows, size))
      }
    }
    // Floats end at 1e-38, r^T does not: the rows are kept near 1 and their scale beside them.
    var norms = [1.0], means = [1.0], scale = 1.0
    for step in (0...end).reversed() {
      guard let next = recording.pulledBack(gradients, through: step, row: row) else { return nil }
      gradients = next
      let mean = (gradients.scalars.reduce(0) { $0 + Double($1) * Double($1) } / Double(rows)).squareRoot()
      means.append(mean * scale)
      norms.append(Self.spectralNorm(gradients) * scale)
      if mean.isFinite, mean > 1e-30, !(1e-6..<1e6).contains(mean) {
        gradients = gradients * Float(1 / mean)
        scale *= mean
      }
    }
    self.norms = norms.reversed()
    meanNorms = means.reversed()
    guard let trace = recording.memory(row: row) else {
      cellPath = []
      return
    }
    var left = [Double](repeating: 1, count: trace.units), path = [1.0]
    for step in (0...end).reversed() {
      for unit in left.indices { left[unit] *= abs(trace.keep[step][unit]) }
      path.append(left.reduce(0, +) / Double(left.count))
    }
    cellPath = path.reversed()
  }

  /// Rows at right angles and of length 1, one behind the other (Gram & Schmidt).
  private static func orthonormal(_ rows: Int, _ size: Int) -> [Float] {
    let words = RandomKey(seed: 7).words(rows * size)
    var basis: [[Double]] = []
    for r in 0..<rows {
      var row = (0..<size).map { Double(words[r * size + $0]) / 2_147_483_648 - 1 }
      for other in basis {
        let product = zip(row, other).reduce(0) { $0 + $1.0 * $1.1 }
        for i in row.indices { row[i] -= product * other[i] }
      }
      let length = row.reduce(0) { $0 + $1 * $1 }.squareRoot()
      basis.append(row.map { $0 / length })
    }
    return basis.flatMap { $0.map { Float($0) } }
  }

  /// By power iteration on MᵀM: to a percent or so, from below.
  static func spectralNorm(_ matrix: Tensor) -> Double {
    let (rows, columns) = (matrix.shape[0], matrix.shape[1])
    let scalars = matrix.scalars
    if scalars.contains(where: { !$0.isFinite }) { return .infinity }
    var v = RandomKey(seed: 3).words(columns).map { Double($0) / 2_147_483_648 - 1 }
    var norm = 0.0
    for _ in 0..<12 {
      let length = v.reduce(0) { $0 + $1 * $1 }.squareRoot()
      if length == 0 { return 0 }
      for i in v.indices { v[i] /= length }
      var next = [Double](repeating: 0, count: columns)
      var squares = 0.0
      for r in 0..<rows {
        var sum = 0.0
        for c in 0..<columns { sum += Double(scalars[r * columns + c]) * v[c] }
        squares += sum * sum
        for c in 0..<columns { next[c] += Double(scalars[r * columns + c]) * sum }
      }
      norm = squares.squareRoot()
      v = next
    }
    return norm
  }
}
