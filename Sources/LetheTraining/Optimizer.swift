import LetheCore

/// How parameters follow their gradients; the rules and their results are PyTorch's.
///
///     try model.fit(train, optimizer: .adam(rate: 0.003), loss: .categoricalCrossEntropy)
///
/// p is a parameter, g its gradient, λ the weight decay, η the rate. All but `adamW` add the penalty to the
/// gradient first: g ← g + λ p.
public enum Optimizer: Sendable, Codable, Equatable {
  /// Gradient descent.
  ///
  ///     u ← μ u + g,   p ← p − η u,   with nesterov: p ← p − η (g + μ u)
  ///
  /// *Source*: Sutskever, Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep
  /// learning", ICML 2013; with the rate outside the velocity, as in PyTorch.
  case sgd(rate: Float = 0.01, momentum: Float = 0, nesterov: Bool = false, weightDecay: Float = 0)

  /// The gradient over the root of its mean square.
  ///
  ///     s ← α s + (1 − α) g²,   d = g / (√s + ε),   u ← μ u + d,   p ← p − η u
  ///
  /// *Source*: Tieleman and Hinton, "Lecture 6.5: RMSprop", Coursera 2012.
  case rmsprop(
    rate: Float = 0.001, smoothing: Float = 0.99, momentum: Float = 0, epsilon: Float = 1e-8,
    weightDecay: Float = 0)

  /// The mean gradient over the root of the mean square, both corrected for starting at zero.
  ///
  ///     m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²
  ///     p ← p − η (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε)
  ///
  /// *Source*: Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015, algorithm 1.
  case adam(
    rate: Float = 0.001, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8,
    weightDecay: Float = 0)

  /// Adam with the decay beside the gradient, p ← p − η λ p, so that no square dilutes it.
  ///
  /// *Source*: Loshchilov and Hutter, "Decoupled weight decay regularization", ICLR 2019, algorithm 2; the
  /// decay is scaled by the rate, as in PyTorch.
  case adamW(
    rate: Float = 0.001, beta1: Float = 0.9, beta2: Float = 0.999, epsilon: Float = 1e-8,
    weightDecay: Float = 0.01)

  /// The rate that schedules start from.
  public var rate: Float {
    switch self {
    case .sgd(let rate, _, _, _), .rmsprop(let rate, _, _, _, _), .adam(let rate, _, _, _, _),
      .adamW(let rate, _, _, _, _):
      rate
    }
  }

  /// The same optimizer, if its numbers make sense.
  ///
  /// - Throws: a `LetheError` that names the number out of range.
  @discardableResult
  public func validated() throws(LetheError) -> Optimizer {
    switch self {
    case .sgd(let rate, let momentum, let nesterov, let decay):
      try Self.check("sgd", rate, decay)
      try Self.check("sgd: momentum", momentum, "0 or more, below 1", momentum >= 0 && momentum < 1)
      if nesterov && momentum == 0 {
        throw LetheError("sgd: nesterov", "does nothing without momentum", expected: "a momentum above 0")
      }
    case .rmsprop(let rate, let smoothing, let momentum, let epsilon, let decay):
      try Self.check("rmsprop", rate, decay)
      try Self.check("rmsprop: smoothing", smoothing, "0 or more, below 1", smoothing >= 0 && smoothing < 1)
      try Self.check("rmsprop: momentum", momentum, "0 or more, below 1", momentum >= 0 && momentum < 1)
      try Self.check("rmsprop: epsilon", epsilon, "a number above 0", epsilon > 0 && epsilon.isFinite)
    case .adam(let rate, let beta1, let beta2, let epsilon, let decay):
      try Self.check("adam", rate, beta1, beta2, epsilon, decay)
    case .adamW(let rate, let beta1, let beta2, let epsilon, let decay):
      try Self.check("adamW", rate, beta1, beta2, epsilon, decay)
    }
    return self
  }

  private static func check(
    _ name: String, _ rate: Float, _ beta1: Float, _ beta2: Float, _ epsilon: Float, _ decay: Float
  ) throws(LetheError) {
    try check(name, rate, decay)
    try check("\(name): beta1", beta1, "0 or more, below 1", beta1 >= 0 && beta1 < 1)
    try check("\(name): beta2", beta2, "0 or more, below 1", beta2 >= 0 && beta2 < 1)
    try check("\(name): epsilon", epsilon, "a number above 0", epsilon > 0 && epsilon.isFinite)
  }

  private static func check(_ name: String, _ rate: Float, _ decay: Float) throws(LetheError) {
    try check("\(name): rate", rate, "a number above 0", rate > 0 && rate.isFinite)
    try check("\(name): weightDecay", decay, "0 or more", decay >= 0 && decay.isFinite)
  }

  private static func check(
    _ name: String, _ value: Float, _ expected: String, _ holds: Bool
  ) throws(LetheError) {
    if !holds { throw LetheError(name, "is out of range", expected: expected, found: "\(value)") }
  }
}
