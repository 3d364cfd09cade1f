/// What may be changed in an LSTM, switch by switch; the default is the LSTM that everybody means.
///
///     let odyssey = LSTMRecipe(inputGate: false)           // "NIG" of Greff et al.
///     let peephole = LSTMRecipe(peepholes: true)
///     let budget = LSTMRecipe(writing: .budget)            // f + i ≤ 1 by construction
///     let narrow = LSTMRecipe(peepholes: true, norm: .layer, projection: 16)
///     let latch = LSTMRecipe(gates: .init(forget: .init(.hardSigmoid(), temperature: 0.5)))
///     let layer = Recurrent(LSTMCell(64, recipe: budget), inputSize: 8)
///
///     s_g = W_g x_t + U_g h_{t−1} (+ p_g ⊙ c) (+ Σ over gates k R_gk k_{t−1}) + b_g   what gate g sums up
///     s_u = W_u x_t + U_u h_{t−1} + b_u                                               and the candidate
///     c_t = f_t ⊙ c_{t−1} + i_t ⊙ a(s_u)                                              a: tanh, or nothing
///     h_t = o_t ⊙ a'(c_t)
///
/// An LSTM with any switch off its default has one bias a gate, where the plain one has PyTorch's two.
/// *Source*: Hochreiter & Schmidhuber 1997 (no forget gate); Gers & Schmidhuber 2000 (peepholes); Greff, Srivastava,
/// Koutník, Steunebrink & Schmidhuber 2017, arXiv 1503.04069 (the eight variants).
public struct LSTMRecipe: Sendable, Codable, Equatable {
  /// How much is written when a part is kept.
  public enum Writing: String, Sendable, Codable {
    /// i is a gate of its own.
    case free
    /// i = 1 − f: what is forgotten is replaced (Greff et al.'s CIFG; ONNX's input_forget). They learn i and take
    /// f = 1 − i: with σ, the same with all signs of that gate's parameters changed.
    case coupled
    /// f = eᵃ / (1 + eᵃ + eᵇ), i = eᵇ / (1 + eᵃ + eᵇ): f + i ≤ 1, so |c| never exceeds the largest candidate.
    case budget
  }

  /// What normalises.
  public enum Norm: String, Sendable, Codable {
    /// N(W x) + N(U h) + b in place of each sum, N over all of them together, and N(c) for c in h: `LayerNormLSTMCell`.
    case layer
  }

  /// Where a bound is put; libraries mean different things by "clip".
  public enum Clip: Sendable, Codable, Equatable {
    /// Every sum, before its activation: ONNX.
    case sums(Float)
    /// The candidate after its activation. (Core ML clips at this gate; older specifications say before the activation,
    /// which with tanh is `sums` for the candidate alone.)
    case candidate(Float)
    /// The cell after each step, before h is made of it: cuDNN, Burn.
    case cell(Float)
    /// h after each step.
    case hidden(Float)
  }

  /// Whether there is a forget gate; without it f = 1, the network of 1997.
  public var forgetGate: Bool
  /// Whether there is an input gate; without it i = 1. It has to be on for `writing` to be other than `free`.
  public var inputGate: Bool
  /// Whether there is an output gate; without it o = 1.
  public var outputGate: Bool
  /// Whether the candidate goes through tanh.
  public var inputActivation: Bool
  /// Whether the cell goes through tanh on its way out.
  public var outputActivation: Bool
  /// How the input gate follows from the forget gate.
  public var writing: Writing
  /// Whether the gates see the cell, unit by unit: i and f the old one, o the new one.
  public var peepholes: Bool
  /// Whether the gates see what the gates were a step before, by matrices of their own ("full gate recurrence").
  public var fullGateRecurrence: Bool
  /// The sums of the gates (not of the candidate) are divided by this: below 1 gates are harder, above softer.
  public var temperature: Float
  /// What single gates do with their sums, where that is not the cell's `gateActivation` and `temperature`.
  public var gates: GateForms?
  /// What normalises the sums, and the cell on its way out; `nil`: nothing.
  public var norm: Norm?
  /// The width of h = W_p (what it would be), narrower than the cell; `nil`: as wide. See `ProjectedLSTMCell`.
  public var projection: Int?
  /// A bound, if any.
  public var clip: Clip?
  /// Whether the forget gate is 1 where its sum is above 0, else 0, trained as if it were the sum (straight through).
  public var hardForget: Bool

  /// What a gate does with its sum: a(sum / temperature).
  public struct GateForm: Sendable, Codable, Equatable {
    /// a.
    public var activation: GateActivation
    /// Below 1 the gate is harder, above softer.
    public var temperature: Float

    /// A form, by default σ(sum).
    public init(_ activation: GateActivation = .sigmoid, temperature: Float = 1) {
      (self.activation, self.temperature) = (activation, temperature)
    }
  }

  /// The forms of single gates; `nil` for those that do as the others.
  public struct GateForms: Sendable, Codable, Equatable {
    /// Of the input gate.
    public var input: GateForm?
    /// Of the forget gate.
    public var forget: GateForm?
    /// Of the output gate.
    public var output: GateForm?

    /// The forms that are given.
    public init(input: GateForm? = nil, forget: GateForm? = nil, output: GateForm? = nil) {
      (self.input, self.forget, self.output) = (input, forget, output)
    }
  }

  /// Chances of keeping an old state, in training; `nil`: none.
  public var zoneout: Zoneout?

  /// The chance of each state to stay as it was, unit by unit and step by step (Krueger et al. 2017).
  public struct Zoneout: Sendable, Codable, Equatable {
    /// That of h.
    public var hidden: Float
    /// That of c.
    public var cell: Float

    /// Chances in 0..<1.
    public init(hidden: Float = 0, cell: Float = 0) { (self.hidden, self.cell) = (hidden, cell) }
  }

  /// The default but for what is given.
  public init(
    forgetGate: Bool = true, inputGate: Bool = true, outputGate: Bool = true, inputActivation: Bool = true,
    outputActivation: Bool = true, writing: Writing = .free, peepholes: Bool = false,
    fullGateRecurrence: Bool = false, temperature: Float = 1, gates: GateForms? = nil,
    norm: Norm? = nil,
    projection: Int? = nil, clip: Clip? = nil, hardForget: Bool = false, zoneout: Zoneout? = nil
  ) {
    (self.forgetGate, self.inputGate, self.outputGate) = (forgetGate, inputGate, outputGate)
    (self.inputActivation, self.outputActivation) = (inputActivation, outputActivation)
    (self.writing, self.peepholes, self.fullGateRecurrence) = (writing, peepholes, fullGateRecurrence)
    (self.temperature, self.clip, self.hardForget) = (temperature, clip, hardForget)
    (self.gates, self.norm, self.projection, self.zoneout) = (gates, norm, projection, zoneout)
  }
}
