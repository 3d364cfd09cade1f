import LetheCore

/// A law of motion, dx/dt = g(x), followed by fourth-order Runge-Kutta steps in doubles.
struct DynamicalSystem: Sendable {
  /// Its name.
  let name: String
  /// g.
  let slope: @Sendable ([Double]) -> [Double]

  /// x after a time, by steps of at most `largest`.
  func advanced(_ x: [Double], by time: Double, largest: Double = 0.005) -> [Double] {
    let steps = max(1, Int((time / largest).rounded(.up)))
    let h = time / Double(steps)
    var x = x
    for _ in 0..<steps {
      let a = slope(x)
      let b = slope(Self.sum(x, a, h / 2))
      let c = slope(Self.sum(x, b, h / 2))
      let d = slope(Self.sum(x, c, h))
      for i in x.indices { x[i] += h / 6 * (a[i] + 2 * b[i] + 2 * c[i] + d[i]) }
    }
    return x
  }

  /// `count` states, `time` apart, the first after `x` has run for `before`.
  func path(from x: [Double], count: Int, every time: Double, after before: Double = 0) -> [[Double]] {
    var x = before > 0 ? advanced(x, by: before) : x
    return (0..<count).map { step in
      if step > 0 { x = advanced(x, by: time) }
      return x
    }
  }

  private static func sum(_ x: [Double], _ y: [Double], _ scale: Double) -> [Double] {
    zip(x, y).map { $0 + scale * $1 }
  }

  /// Lorenz's convection at σ = 10, ρ = 28, β = 8/3: chaotic, with a largest Lyapunov exponent of 0.906.
  /// *Source*: Lorenz 1963.
  static let lorenz = DynamicalSystem(name: "Lorenz") { x in
    [10 * (x[1] - x[0]), x[0] * (28 - x[2]) - x[1], x[0] * x[1] - 8.0 / 3 * x[2]]
  }

  /// Van der Pol's oscillator at μ = 2: a limit cycle with a period of 7.63.
  /// *Source*: van der Pol 1926.
  static let vanDerPol = DynamicalSystem(name: "Van der Pol") { x in
    [x[1], 2 * (1 - x[0] * x[0]) * x[1] - x[0]]
  }
}
