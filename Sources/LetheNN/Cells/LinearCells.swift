import LetheCore

/// Cells whose gates see the input only (SRU's also their own unit): the state enters linearly, so that what happens to it
/// over many steps is a product of gates. All matrix products are done for whole chunks of time at once.

/// Simple recurrent unit.
///
///     f_t = σ(W_f x_t + v_f ⊙ c_{t−1} + b_f)
///     r_t = σ(W_r x_t + v_r ⊙ c_{t−1} + b_r)
///     c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ W x_t
///     h_t = r_t ⊙ c_t + (1 − r_t) ⊙ α x_t
///
/// The layer is as wide as its input. b_r starts at `highwayBias` and α = √(1 + 2 e^b), which keeps the variance.
/// *Source*: Lei, Zhang, Wang, Dai & Artzi 2018, arXiv 1709.02755, eq. 1-4 and sec. 3.2.
public struct SRUCell: RecurrentCell {
  public static let kind = "sru"
  public var hiddenSize: Int
  /// What the bias of the highway gate starts at.
  public var highwayBias: Float

  /// A cell of the given width.
  public init(_ hiddenSize: Int, highwayBias: Float = -2) {
    self.hiddenSize = hiddenSize
    self.highwayBias = highwayBias
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case highwayBias = "highway_bias"
  }

  public var description: CellDescription {
    CellDescription("SRU") { cell in
      let c = cell.state("cell")
      let f = sigmoid(cell.gate("forget", sees: [.input]) + cell.vector("forget_peephole", .unit) * c)
      let r = sigmoid(
        cell.gate("reset", sees: [.input], bias: .constant(highwayBias)) + cell.vector(
          "reset_peephole", .unit) * c)
      let next = f * c + (1 - f) * cell.gate("candidate", sees: [.input], bias: nil)
      cell.update(c, to: next)
      let alpha = Float((1 + 2 * Elementary.exp(Double(highwayBias))).squareRoot())
      return r * next + (1 - r) * (alpha * cell.input)
    }
  }
}

/// Quasi-recurrent network, fo-pooling.
///
///     z_t = tanh(W_z x_t + b_z)    f_t = σ(W_f x_t + b_f)    o_t = σ(W_o x_t + b_o)
///     c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ z_t        h_t = o_t ⊙ c_t
///
/// The paper's convolution of width k over time is this cell behind a window of k steps.
/// *Source*: Bradbury, Merity, Xiong & Socher 2017, arXiv 1611.01576, eq. 3-5.
public struct QRNNCell: RecurrentCell {
  public static let kind = "qrnn"
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
    CellDescription("QRNN") { cell in
      let c = cell.state("cell")
      let z = tanh(cell.gate("candidate", sees: [.input]))
      let f = sigmoid(cell.gate("forget", sees: [.input], bias: .constant(forgetBias)))
      let o = sigmoid(cell.gate("output", sees: [.input]))
      let next = f * c + (1 - f) * z
      cell.update(c, to: next)
      return o * next
    }
  }
}

/// Minimal GRU: its gate does not look back.
///
///     z_t = σ(W_z x_t + b_z)      h_t = (1 − z_t) ⊙ h_{t−1} + z_t ⊙ g(W_h x_t + b_h)
///     g(x) = x + ½ for x ≥ 0, else σ(x): positive, so that sums may also be taken of logarithms
///
/// z writes, as in the paper. *Source*: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi 2024, arXiv 2410.01201, app. A.
public struct MinGRUCell: RecurrentCell {
  public static let kind = "mingru"
  public var hiddenSize: Int
  /// Whether the candidate goes through g; without it, it is linear (the paper's plain form).
  public var isPositive: Bool

  /// A cell of the given width.
  public init(_ hiddenSize: Int, isPositive: Bool = true) {
    self.hiddenSize = hiddenSize
    self.isPositive = isPositive
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case isPositive = "positive"
  }

  public var description: CellDescription {
    CellDescription("minGRU") { cell in
      let z = sigmoid(cell.gate("update", sees: [.input]))
      let u = cell.gate("candidate", sees: [.input])
      return (1 - z) * cell.hidden + z * (isPositive ? positivePart(u) : u)
    }
  }
}

/// Minimal LSTM: its gates do not look back, and share out 1.
///
///     f_t = σ(W_f x_t + b_f)    i_t = σ(W_i x_t + b_i)
///     h_t = f_t / (f_t + i_t) ⊙ h_{t−1} + i_t / (f_t + i_t) ⊙ g(W_h x_t + b_h)      g as in minGRU
///
/// 10⁻³⁴ is added to f + i: where both are far below that (sums under −85), the candidate is written. A state
/// handed from one call to the next is h itself; the most used implementation passes it through g again.
/// *Source*: Feng et al. 2024, arXiv 2410.01201, app. A.
public struct MinLSTMCell: RecurrentCell {
  public static let kind = "minlstm"
  public var hiddenSize: Int
  /// Whether the candidate goes through g.
  public var isPositive: Bool

  /// A cell of the given width.
  public init(_ hiddenSize: Int, isPositive: Bool = true) {
    self.hiddenSize = hiddenSize
    self.isPositive = isPositive
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case isPositive = "positive"
  }

  public var description: CellDescription {
    CellDescription("minLSTM") { cell in
      let f = sigmoid(cell.gate("forget", sees: [.input])), i = sigmoid(cell.gate("input", sees: [.input]))
      let u = cell.gate("candidate", sees: [.input])
      let keep = f / (f + (i + 1e-34))
      return keep * cell.hidden + (1 - keep) * (isPositive ? positivePart(u) : u)
    }
  }
}

private func positivePart(_ x: Signal) -> Signal { select(x, x + 0.5, sigmoid(x)) }

/// Real-gated linear recurrent unit.
///
///     r_t = σ(W_r x_t + b_r)    i_t = σ(W_i x_t + b_i)    a_t = exp(−8 r_t softplus(Λ))
///     h_t = a_t ⊙ h_{t−1} + √(1 − a_t²) ⊙ (i_t ⊙ x_t)
///
/// The layer is as wide as its input. Λ starts so that e^−softplus(Λ) lies in 0.9..<0.999. Gates are full matrices where
/// the paper's are block-diagonal. What is under the root counts as 2.5e−7 below that, without slope; the published code
/// takes the root itself and a slope of 1000, and 1 for the root at the first step of a sequence.
/// *Source*: De et al. 2024, arXiv 2402.19427, eq. 1-4.
public struct RGLRUCell: RecurrentCell {
  public static let kind = "rglru"
  public var hiddenSize: Int

  /// A cell of the given width.
  public init(_ hiddenSize: Int) { self.hiddenSize = hiddenSize }

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  public var description: CellDescription {
    CellDescription("RG-LRU") { cell in
      let r = sigmoid(cell.gate("recurrence", sees: [.input]))
      let i = sigmoid(cell.gate("input", sees: [.input]))
      let a = exp(-8 * (r * softplus(cell.vector("lambda", .softplusOfDecay(0.9..<0.999)))))
      return a * cell.hidden + sqrt(clamp(1 - a * a, 2.5e-7, 1)) * (i * cell.input)
    }
  }
}

/// Hierarchically gated recurrent network, real-valued: a forget gate that cannot fall below a bound.
///
///     f_t = γ + (1 − γ) σ(W_f x_t + b_f)      h_t = f_t ⊙ h_{t−1} + (1 − f_t) ⊙ silu(W_u x_t + b_u)
///
/// γ is for the model's builder to raise from layer to layer; the paper learns it by a cumulative softmax over layers.
/// *Source*: Qin, Yang & Zhong 2023, arXiv 2311.04823, without its complex phase, as in flash-linear-attention.
public struct HGRNCell: RecurrentCell {
  public static let kind = "hgrn"
  public var hiddenSize: Int
  /// γ.
  public var lowerBound: Float

  /// A cell of the given width.
  public init(_ hiddenSize: Int, lowerBound: Float = 0) {
    self.hiddenSize = hiddenSize
    self.lowerBound = lowerBound
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case lowerBound = "lower_bound"
  }

  public var description: CellDescription {
    CellDescription("HGRN") { cell in
      let f = lowerBound + (1 - lowerBound) * sigmoid(cell.gate("forget", sees: [.input]))
      let u = cell.gate("candidate", sees: [.input])
      return f * cell.hidden + (1 - f) * (u * sigmoid(u))
    }
  }
  public func check() throws(LetheError) {
    guard lowerBound >= 0 && lowerBound < 1 else {
      throw LetheError(
        Self.kind, "the lower bound is out of range", expected: "0..<1", found: "\(lowerBound)")
    }
  }
}
