import CLetheKernels
import LetheCore

extension MatrixMemory {
  /// What a head keeps of its state S [key, value] at a step, and what it writes. S is 0 at the start.
  public enum Rule: Sendable, Equatable {
    /// The matrix memory of xLSTM, with exponential input gates.
    ///
    ///     k_t = W_k x_t / √K                                    K: the length of a key
    ///     m_t = max(log σ(f̃_t) + m_{t−1}, ĩ_t)                  keeps the exponentials in range
    ///     f_t = exp(log σ(f̃_t) + m_{t−1} − m_t)    i_t = exp(ĩ_t − m_t)
    ///     S_t = f_t S_{t−1} + i_t k_t v_tᵀ          n_t = f_t n_{t−1} + i_t k_t
    ///     o_t = S_tᵀ q_t / (max(|n_tᵀ q_t|, e^−m_t) + 1e−6)
    ///
    /// f̃ and ĩ are one number a head, linear in x (the paper's; the authors' code takes them from q, k and v). Where n
    /// is all zero, m_t = ĩ_t: each head and row for itself, so that a row may be reset alone. e^−m is bounded by e⁸⁰.
    /// Gate rows: forget of every head, then input of every head. Biases start at 3…6 over the heads and N(0, 0.1), gate
    /// weights at 0. *Source*: Beck et al. 2024, arXiv 2405.04517, eq. 19-27; ε as in NX-AI/xlstm.
    case mLSTM
    /// Gated linear attention: every key forgets at its own rate.
    ///
    ///     a_t = σ(W_a x_t + b_a)^{1/16}      S_t = diag(a_t) S_{t−1} + k_t v_tᵀ      o_t = S_tᵀ q_t / √K
    ///
    /// W_a is a full matrix where the paper's has low rank. Gate rows: [heads, key].
    /// *Source*: Yang, Wang, Shen, Panda & Kim 2024, arXiv 2312.06635, sec. 4.1 and 4.4 (the exponent 1/16).
    case gatedLinearAttention
    /// HGRN2: what a key does not keep is what it writes.
    ///
    ///     f_t = γ + (1 − γ) σ(W_f x_t + b_f)     k_t = 1 − f_t     q_t = silu(W_q x_t)
    ///     S_t = diag(f_t) S_{t−1} + k_t v_tᵀ     o_t = S_tᵀ q_t
    ///
    /// γ is for the model's builder to raise from layer to layer. Gate rows: [heads, key]; b_f starts at 1.
    /// *Source*: Qin et al. 2024, arXiv 2404.07904; silu on q as in flash-linear-attention.
    case hgrn2(lowerBound: Float = 0)
    /// Gated DeltaNet: what is written under a key is corrected, not added to.
    ///
    ///     S̃_t = e^g_t S_{t−1}        g_t = −e^A softplus(W_a x_t + b_a)
    ///     u_t = β_t (v_t − S̃_tᵀ k_t)        β_t = σ(W_β x_t + b_β), or twice that
    ///     S_t = S̃_t + k_t u_tᵀ        o_t = S_tᵀ q_t / √K
    ///
    /// q and k are divided by √(Σ q² + 1e−6) in each head. The state's map is e^g (1 − β k kᵀ): with β up to 2 its
    /// eigenvalue along k reaches −e^g, which counting modulo 2 needs. No short convolution and no silu after it come
    /// before q, k and v. Gate rows: decay of every head, then write strength of every head. e^A and softplus(b_a) start
    /// spread over the heads where the authors draw them from: 0…16 evenly, 1e−3…0.1 on a logarithmic scale.
    /// *Source*: Yang, Kautz & Hatamizadeh 2024, arXiv 2412.06464, sec. 3.1; the factor 2: Grazzi et al. 2024, arXiv
    /// 2411.12537; gates as in flash-linear-attention.
    case gatedDeltaNet(negativeEigenvalues: Bool = false)
  }
}

extension MatrixMemory.Rule {
  /// Whether a gate is one number a key, not one a head.
  var hasGatePerKey: Bool {
    switch self {
    case .gatedLinearAttention, .hgrn2: true
    case .mLSTM, .gatedDeltaNet: false
    }
  }

  /// Whether keys are projected; HGRN2's follow from its gate.
  var hasKeys: Bool { if case .hgrn2 = self { false } else { true } }

  /// Whether there is a learned decay rate A.
  var hasRate: Bool { if case .gatedDeltaNet = self { true } else { false } }

  /// Whether there are n and m.
  var isNormalised: Bool { self == .mLSTM }

  var kernel: lethe_memory_rule {
    switch self {
    case .mLSTM: LETHE_MEMORY_MLSTM
    case .gatedLinearAttention: LETHE_MEMORY_GLA
    case .hgrn2: LETHE_MEMORY_HGRN2
    case .gatedDeltaNet: LETHE_MEMORY_DELTA
    }
  }

  /// The one number that a rule has: γ, or the largest β.
  var option: Float {
    switch self {
    case .hgrn2(let lowerBound): lowerBound
    case .gatedDeltaNet(let negative): negative ? 2 : 1
    case .mLSTM, .gatedLinearAttention: 0
    }
  }

  var gateInitializer: Initializer { self == .mLSTM ? .zeros : .glorotUniform }

  func biasInitializer(heads: Int) -> Initializer {
    /// 0…1 over the heads.
    func place(_ head: Int) -> Double { heads == 1 ? 0.5 : Double(head) / Double(heads - 1) }
    func spread(_ value: (Double) -> Double) -> Initializer {
      .stacked((0..<heads).map { .constant(Float(value(place($0)))) })
    }
    switch self {
    case .mLSTM: return .stacked([spread { 3 + 3 * $0 }, .normal(deviation: 0.1)])
    case .gatedLinearAttention: return .zeros
    case .hgrn2: return .constant(1)
    case .gatedDeltaNet:
      let low = Elementary.log(1e-3), high = Elementary.log(0.1)
      // softplus⁻¹(d) = log(eᵈ − 1)
      return .stacked([
        spread { Elementary.log(Elementary.exp(Elementary.exp(low + (high - low) * $0)) - 1) }, .zeros,
      ])
    }
  }

  static func rateInitializer(heads: Int) -> Initializer {
    .stacked(
      (0..<heads).map { .constant(Float(Elementary.log(16 * (Double($0) + 0.5) / Double(heads)))) })
  }

  func check() throws(LetheError) {
    if case .hgrn2(let lowerBound) = self, !(lowerBound >= 0 && lowerBound < 1) {
      throw LetheError(
        MatrixMemory.kind, "the lower bound is out of range", expected: "0..<1", found: "\(lowerBound)")
    }
  }
}

/// {"name":"hgrn2","lower_bound":0}
extension MatrixMemory.Rule: Codable {
  private enum Name: String, Codable {
    case mLSTM = "mlstm"
    case gatedLinearAttention = "gated_linear_attention"
    case hgrn2
    case gatedDeltaNet = "gated_delta_net"
  }
  enum CodingKeys: String, CodingKey {
    case name
    case lowerBound = "lower_bound"
    case negativeEigenvalues = "negative_eigenvalues"
  }

  /// Reads a rule by its name, with its option.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    switch try values.decode(Name.self, forKey: .name) {
    case .mLSTM: self = .mLSTM
    case .gatedLinearAttention: self = .gatedLinearAttention
    case .hgrn2: self = .hgrn2(lowerBound: try values.decode(Float.self, forKey: .lowerBound))
    case .gatedDeltaNet:
      self = .gatedDeltaNet(negativeEigenvalues: try values.decode(Bool.self, forKey: .negativeEigenvalues))
    }
  }

  /// Writes the rule's name and option.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    switch self {
    case .mLSTM: try values.encode(Name.mLSTM, forKey: .name)
    case .gatedLinearAttention: try values.encode(Name.gatedLinearAttention, forKey: .name)
    case .hgrn2(let lowerBound):
      try values.encode(Name.hgrn2, forKey: .name)
      try values.encode(lowerBound, forKey: .lowerBound)
    case .gatedDeltaNet(let negative):
      try values.encode(Name.gatedDeltaNet, forKey: .name)
      try values.encode(negative, forKey: .negativeEigenvalues)
    }
  }
}
