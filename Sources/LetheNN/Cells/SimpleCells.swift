import LetheCore

/// Minimal gated unit: one gate.
///
///     f_t = σ(W_f x_t + U_f h_{t−1} + b_f)
///     n_t = tanh(W_n x_t + U_n (f_t ⊙ h_{t−1}) + b_n)
///     h_t = (1 − f_t) ⊙ h_{t−1} + f_t ⊙ n_t
///
/// Here f near 0 keeps, as printed. *Source*: Zhou, Wu, Zhang & Zhou 2016, arXiv 1603.09420.
public struct MGUCell: RecurrentCell {
  public static let kind = "mgu"
  public var hiddenSize: Int

  /// A cell of the given width.
  public init(_ hiddenSize: Int) { self.hiddenSize = hiddenSize }

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  public var description: CellDescription {
    CellDescription("MGU") { cell in
      let f = sigmoid(cell.gate("forget"))
      let n = tanh(cell.gate("candidate", sees: [.input, .signal(f * cell.hidden)]))
      return (1 - f) * cell.hidden + f * n
    }
  }
}

/// Just another network: an LSTM that kept only its forget gate.
///
///     s_t = W_f x_t + U_f h_{t−1} + b_f
///     h_t = σ(s_t) ⊙ h_{t−1} + (1 − σ(s_t − β)) ⊙ tanh(W_u x_t + U_u h_{t−1} + b_u)
///
/// The forget bias starts at 1 or, with `longestLag`, from chrono initialisation, which is what the paper advises.
/// *Source*: van der Westhuizen & Lasenby 2018, arXiv 1804.04849 (β = 1).
public struct JANETCell: RecurrentCell {
  public static let kind = "janet"
  public var hiddenSize: Int
  /// β: how much less is written than is forgotten.
  public var beta: Float
  /// The longest lag to start with, for chrono initialisation; `nil`: a forget bias of 1.
  public var longestLag: Int?

  /// A cell of the given width.
  public init(_ hiddenSize: Int, beta: Float = 1, longestLag: Int? = nil) {
    self.hiddenSize = hiddenSize
    self.beta = beta
    self.longestLag = longestLag
  }

  enum CodingKeys: String, CodingKey {
    case beta
    case hiddenSize = "hidden_size"
    case longestLag = "longest_lag"
  }

  public var description: CellDescription {
    CellDescription("JANET") { cell in
      let s = cell.gate("forget", bias: .forget(bias: 1, longestLag: longestLag))
      let u = tanh(cell.gate("candidate"))
      return sigmoid(s) * cell.hidden + (1 - sigmoid(s - beta)) * u
    }
  }
  public func check() throws(LetheError) {
    guard beta.isFinite else { throw LetheError(Self.kind, "beta is not finite", found: "\(beta)") }
    try Initializer.check(longestLag: longestLag, Self.kind)
  }
}

/// Independently recurrent network: each unit sees only itself.
///
///     h_t = relu(W x_t + u ⊙ h_{t−1} + b)        or tanh
///
/// *Source*: Li, Li, Cook, Zhu & Gao 2018, arXiv 1803.04831. u starts uniform in 0..<1, as there for layers that keep.
public struct IndRNNCell: RecurrentCell {
  public static let kind = "indrnn"
  public var hiddenSize: Int
  /// What is applied to the sum.
  public var activation: RNNCell.Nonlinearity

  /// A cell of the given width.
  public init(_ hiddenSize: Int, activation: RNNCell.Nonlinearity = .relu) {
    self.hiddenSize = hiddenSize
    self.activation = activation
  }

  enum CodingKeys: String, CodingKey {
    case activation
    case hiddenSize = "hidden_size"
  }

  public var description: CellDescription {
    CellDescription("IndRNN") { cell in
      let sum = cell.gate("hidden", sees: [.input]) + cell.vector("recurrent", .unit) * cell.hidden
      return activation == .relu ? relu(sum) : tanh(sum)
    }
  }
}

/// Light gated recurrent unit: no reset gate, and a candidate through relu.
///
///     z_t = σ(W_z x_t + U_z h_{t−1} + b_z)
///     h_t = z_t ⊙ h_{t−1} + (1 − z_t) ⊙ relu(W_n x_t + U_n h_{t−1} + b_n)
///
/// The paper normalises W x over the batch, which this does not; a LayerNorm before the layer is the nearest thing.
/// *Source*: Ravanelli, Brakel, Omologo & Bengio 2018, arXiv 1803.10225.
public struct LiGRUCell: RecurrentCell {
  public static let kind = "ligru"
  public var hiddenSize: Int

  /// A cell of the given width.
  public init(_ hiddenSize: Int) { self.hiddenSize = hiddenSize }

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  public var description: CellDescription {
    CellDescription("LiGRU") { cell in
      let z = sigmoid(cell.gate("update"))
      return z * cell.hidden + (1 - z) * relu(cell.gate("candidate"))
    }
  }
}

/// Gated recurrent unit whose update follows an attention score a_t in 0...1, the last column of the input.
///
///     r, u as in a GRU (u writes)        n_t = tanh(W_n x_t + r_t ⊙ (U_n h_{t−1} + c_n) + b_n)
///     h_t = (1 − a_t u_t) ⊙ h_{t−1} + a_t u_t ⊙ n_t
///
/// A score of 0 leaves the state as it is. Here u writes, as in the paper; the paper's own code, OpenVINO and oneDNN keep
/// with (1 − a) u instead, which is another cell. c_n, as PyTorch's GRU has it, is not in the paper.
/// *Shapes*: x [batch, time, features + 1]. The score's gradient is that column's.
/// *Source*: Zhou et al. 2019, arXiv 1809.03672.
public struct AUGRUCell: RecurrentCell {
  public static let kind = "augru"
  public var hiddenSize: Int

  /// A cell of the given width.
  public init(_ hiddenSize: Int) { self.hiddenSize = hiddenSize }

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  public var description: CellDescription {
    CellDescription("AUGRU") { cell in
      let a = cell.scalar("attention")
      let r = sigmoid(cell.gate("reset"))
      let u = a * sigmoid(cell.gate("update"))
      let n = tanh(cell.gate("candidate", sees: [.input]) + r * cell.gate("recurrent", sees: [.hidden]))
      return (1 - u) * cell.hidden + u * n
    }
  }
}

/// Gated recurrent unit for steps at uneven times: the state decays over the time δ_t since the step before, the last
/// column of the input.
///
///     γ_t = exp(−max(0, w ⊙ δ_t + b))       d_t = γ_t ⊙ h_{t−1}
///     h_t = GRU(x_t, d_t)                   reset before the product, the update gate keeps
///
/// In print the update gate writes (the signs of its parameters changed); in the authors' code it keeps, as here, but h_{t−1}
/// undecayed. *Shapes*: x [batch, time, features + 1].
/// *Source*: Che, Purushotham, Cho, Sontag & Liu 2018, arXiv 1606.01865, eq. 4
/// and 12; filling gaps in x by decay (eq. 10 and 11) is left to the data.
public struct DecayGRUCell: RecurrentCell {
  public static let kind = "gru_d"
  public var hiddenSize: Int

  /// A cell of the given width.
  public init(_ hiddenSize: Int) { self.hiddenSize = hiddenSize }

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  public var description: CellDescription {
    CellDescription("GRU-D") { cell in
      let delta = cell.scalar("delta")
      let decay = exp(-relu(cell.vector("decay", .constant(0.1)) * delta + cell.vector("decay_bias")))
      let d = decay * cell.hidden
      let r = sigmoid(cell.gate("reset", sees: [.input, .signal(d)]))
      let z = sigmoid(cell.gate("update", sees: [.input, .signal(d)]))
      let n = tanh(cell.gate("candidate", sees: [.input, .signal(r * d)]))
      return z * d + (1 - z) * n
    }
  }
}

/// LSTM for steps at uneven times: the forget gate is raised to the time δ_t since the step before, the last column of the
/// input, so that the half-life of a cell is in units of time and not of steps.
///
///     f_t = σ(…)^δ_t = exp(δ_t log σ(…))        the rest as in an LSTM
///
/// δ = 1 gives the LSTM, δ = 0 forgets nothing. *Shapes*: x [batch, time, features + 1].
/// *Source*: this form is ours; in a network of that name, Baytas et al. 2017, a learned short-term part of c decays instead.
public struct TimeAwareLSTMCell: RecurrentCell {
  public static let kind = "time_lstm"
  public var hiddenSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  /// A cell of the given width.
  public init(_ hiddenSize: Int, forgetBias: Float = 1) {
    self.hiddenSize = hiddenSize
    self.forgetBias = forgetBias
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
  }

  public var description: CellDescription {
    CellDescription("time-aware LSTM") { cell in
      let c = cell.state("cell")
      let delta = cell.scalar("delta")
      let i = sigmoid(cell.gate("input"))
      let f = exp(delta * logSigmoid(cell.gate("forget", bias: .constant(forgetBias))))
      let u = tanh(cell.gate("candidate"))
      let o = sigmoid(cell.gate("output"))
      let next = f * c + i * u
      cell.update(c, to: next)
      return o * tanh(next)
    }
  }
}

/// Exponential moving average: the baseline that a memory has to beat.
///
///     h_t = α ⊙ h_{t−1} + (1 − α) ⊙ x_t        α = σ(a), one learned a for each feature
///
/// The layer is as wide as its input. With `halfLives` a starts from half-lives spread evenly on a logarithmic scale.
public struct EMACell: RecurrentCell {
  public static let kind = "ema"
  public var hiddenSize: Int
  /// The half-lives to start from, in steps.
  public var halfLives: ClosedRange<Float>

  /// A cell of the given width.
  public init(_ hiddenSize: Int, halfLives: ClosedRange<Float> = 1...64) {
    self.hiddenSize = hiddenSize
    self.halfLives = halfLives
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case halfLives = "half_lives"
  }

  public var description: CellDescription {
    CellDescription("EMA") { cell in
      let alpha = sigmoid(cell.vector("decay", .halfLives(halfLives)))
      return alpha * cell.hidden + (1 - alpha) * cell.input
    }
  }
  public func check() throws(LetheError) { try checkHalfLives(Self.kind, halfLives) }
}

/// Leaky integrator: what is put in adds up and drains away at a constant rate.
///
///     h_t = λ ⊙ h_{t−1} + W x_t + b        λ = σ(a), one learned a for each unit
///
/// The bound |h| ≤ max |W x + b| / (1 − λ) is what certificates rest on.
public struct LeakyCell: RecurrentCell {
  public static let kind = "leaky"
  public var hiddenSize: Int
  /// The half-lives to start from, in steps.
  public var halfLives: ClosedRange<Float>

  /// A cell of the given width.
  public init(_ hiddenSize: Int, halfLives: ClosedRange<Float> = 1...64) {
    self.hiddenSize = hiddenSize
    self.halfLives = halfLives
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case halfLives = "half_lives"
  }

  public var description: CellDescription {
    CellDescription("leaky integrator") { cell in
      sigmoid(cell.vector("decay", .halfLives(halfLives))) * cell.hidden + cell.gate("input", sees: [.input])
    }
  }
  public func check() throws(LetheError) { try checkHalfLives(Self.kind, halfLives) }
}

func checkHalfLives(_ place: String, _ range: ClosedRange<Float>) throws(LetheError) {
  guard range.lowerBound > 0, range.upperBound.isFinite else {
    throw LetheError(place, "half-lives are out of range", expected: "numbers above 0", found: "\(range)")
  }
}
