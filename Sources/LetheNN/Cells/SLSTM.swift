import LetheCore

/// LSTM with exponential gates, a normaliser, and a running maximum that keeps both finite.
///
///     m_t = max(log f + m_{t−1}, ĩ)      i = exp(ĩ − m_t)      f = exp(log σ(f̃) + m_{t−1} − m_t)
///     c_t = f ⊙ c_{t−1} + i ⊙ tanh(z̃)      n_t = f ⊙ n_{t−1} + i      h_t = σ(õ) ⊙ c_t / n_t
///
/// ĩ, f̃, z̃, õ are W x_t + U h_{t−1} + b. Where a unit's n is still 0 its m is ĩ: the first step, and the first after a
/// reset, unit by unit (the published code asks whether a whole batch is new). U is dense: one head.
/// *State*: h, c, n, m. *Source*: Beck et al. 2024, arXiv 2405.04517, eq. 8-17.
public struct SLSTMCell: RecurrentCell {
  public static let kind = "slstm"
  public var hiddenSize: Int
  /// What the forget gate makes of its sum.
  public var forgetGate: ForgetGate

  /// The forget gate's function.
  public enum ForgetGate: String, Sendable, Codable {
    /// σ.
    case sigmoid
    /// exp, the paper's other choice.
    case exponential
  }

  /// A cell of the given width.
  public init(_ hiddenSize: Int, forgetGate: ForgetGate = .sigmoid) {
    self.hiddenSize = hiddenSize
    self.forgetGate = forgetGate
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case forgetGate = "forget_gate"
  }

  public var description: CellDescription {
    CellDescription("sLSTM") { cell in
      let c = cell.state("cell"), n = cell.state("normalizer"), m = cell.state("maximum")
      let i = cell.gate("input")
      let f = cell.gate("forget", bias: .powerLawForget)
      let u = tanh(cell.gate("candidate"))
      let o = sigmoid(cell.gate("output"))
      let kept = (forgetGate == .sigmoid ? logSigmoid(f) : f) + m
      let most = select(n, max(kept, i), i)
      let (write, keep) = (exp(i - most), select(n, exp(kept - most), 0 * m))
      let (nextC, nextN) = (keep * c + write * u, keep * n + write)
      cell.update(c, to: nextC)
      cell.update(n, to: nextN)
      cell.update(m, to: most)
      return o * (nextC / nextN)
    }
  }
}
