import LetheCore

/// What may be changed in an LSTM, switch by switch; the default is the LSTM that everybody means.
///
///     let odyssey = LSTMRecipe(inputGate: false)           // "NIG" of Greff et al.
///     let peephole = LSTMRecipe(peepholes: true)
///     let budget = LSTMRecipe(writing: .budget)            // f + i ≤ 1 by construction
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
    fullGateRecurrence: Bool = false, temperature: Float = 1, gates: GateForms? = nil, clip: Clip? = nil,
    hardForget: Bool = false, zoneout: Zoneout? = nil
  ) {
    (self.forgetGate, self.inputGate, self.outputGate) = (forgetGate, inputGate, outputGate)
    (self.inputActivation, self.outputActivation) = (inputActivation, outputActivation)
    (self.writing, self.peepholes, self.fullGateRecurrence) = (writing, peepholes, fullGateRecurrence)
    (self.temperature, self.clip, self.hardForget) = (temperature, clip, hardForget)
    (self.gates, self.zoneout) = (gates, zoneout)
  }

  /// The form of each gate.
  func forms(_ activation: GateActivation) -> (input: GateForm, forget: GateForm, output: GateForm) {
    let usual = GateForm(activation, temperature: temperature)
    return (gates?.input ?? usual, gates?.forget ?? usual, gates?.output ?? usual)
  }

  /// Throws for switches that contradict each other, or one that could not act.
  func check(_ place: String, _ activation: GateActivation) throws(LetheError) {
    if let fault = contradiction ?? unused(activation) {
      throw LetheError(place, "its recipe contradicts itself: \(fault)")
    }
    for form in [gates?.input, gates?.forget, gates?.output] { try form?.activation.check(place) }
  }

  /// What is asked for and could not act; `nil` if there is nothing.
  private func unused(_ activation: GateActivation) -> String? {
    let isBudget = writing == .budget
    if gates?.input != nil && !(inputGate && writing == .free) {
      return "the input gate has no sum of its own form here"
    }
    if gates?.forget != nil && (!forgetGate || isBudget || hardForget) {
      return "the forget gate has no sum of its own form here"
    }
    if gates?.output != nil && !outputGate { return "there is no output gate whose form could be chosen" }
    if isBudget && activation != .sigmoid {
      return "a budget is kept by exponentials, not by \(activation); choose the output gate's form in gates"
    }
    if forgetGate || inputGate || outputGate { return nil }
    if peepholes || fullGateRecurrence { return "there is no gate that could look" }
    if activation != .sigmoid || temperature != 1 { return "there is no gate that could be harder or softer" }
    return nil
  }

  /// What contradicts itself in it; `nil` if nothing does.
  private var contradiction: String? {
    if writing != .free && !(forgetGate && inputGate) {
      return "writing \(writing.rawValue) needs both the forget gate and the input gate"
    }
    if writing == .budget && hardForget { return "a budget of 1 cannot be kept by a hard forget gate" }
    if hardForget && !forgetGate { return "a hard forget gate needs the forget gate" }
    let forms = [gates?.input, gates?.forget, gates?.output].compactMap { $0?.temperature }
    for temperature in [temperature] + forms where !(temperature > 0 && temperature.isFinite) {
      return "the temperature has to be above 0, not \(temperature)"
    }
    if let zoneout, !(0..<1).contains(zoneout.hidden) || !(0..<1).contains(zoneout.cell) {
      return "zoneout has to be in 0..<1, not \(zoneout.hidden) and \(zoneout.cell)"
    }
    switch clip {
    case .sums(let bound), .candidate(let bound), .cell(let bound), .hidden(let bound):
      return bound > 0 && bound.isFinite ? nil : "a bound has to be above 0 and finite, not \(bound)"
    case nil: return nil
    }
  }

  /// The cell. With chrono initialisation the input gate, where there is one of its own, starts opposite to the forget gate.
  func description(_ activation: GateActivation, forgetStart: Initializer, isChrono: Bool) -> CellDescription
  {
    CellDescription("LSTM") { cell in
      let c = cell.state("cell")
      let before = fullGateRecurrence ? gateNames.map { cell.state("\($0)_gate") } : []

      func sum(
        _ name: String, gates: [Signal] = [], bias: Initializer = .zeros, peephole seen: Signal? = nil
      ) -> Signal {
        var sum = cell.gate(
          name, sees: [.input, .hidden] + gates.map { .signal($0) }, bias: bias)
        if peepholes, let seen { sum = sum + cell.vector("peephole_\(name)") * seen }
        if case .sums(let bound) = clip { sum = clamp(sum, -bound, bound) }
        return sum
      }
      let forms = forms(activation)
      func opened(_ sum: Signal, _ form: GateForm) -> Signal {
        gate(form.temperature == 1 ? sum : sum / form.temperature, form.activation)
      }

      // The gates; nil where there is none.
      var i: Signal?
      var f: Signal?
      if writing == .budget {
        let inputStart: Initializer = isChrono ? .opposite(of: 0) : .zeros
        let a = sum("forget", gates: before, bias: forgetStart, peephole: c) / temperature
        let b = sum("input", gates: before, bias: inputStart, peephole: c) / temperature
        let most = relu(max(a, b))
        let (keep, write) = (exp(a - most), exp(b - most))
        let all = exp(-most) + keep + write
        (f, i) = (keep / all, write / all)
      } else {
        if inputGate && writing == .free {
          let inputStart: Initializer = isChrono ? .opposite(of: 1) : .zeros
          i = opened(sum("input", gates: before, bias: inputStart, peephole: c), forms.input)
        }
        if forgetGate {
          let forget = sum("forget", gates: before, bias: forgetStart, peephole: c)
          f = hardForget ? hardStep(forget) : opened(forget, forms.forget)
        }
        if writing == .coupled, let f { i = 1 - f }
      }
      var u = sum("candidate")
      if inputActivation { u = tanh(u) }
      if case .candidate(let bound) = clip { u = clamp(u, -bound, bound) }

      let written = i.map { $0 * u } ?? u
      var next = (f.map { $0 * c } ?? c) + written
      switch clip {
      case .cell(let bound): next = clamp(next, -bound, bound)
      default: break
      }
      if let zoneout { next = cell.zoneout(next, keeping: c, rate: zoneout.cell) }
      cell.update(c, to: next)
      var h = outputActivation ? tanh(next) : next
      var o: Signal?
      if outputGate {
        let open = opened(sum("output", gates: before, peephole: next), forms.output)
        h = open * h
        o = open
      }
      if case .hidden(let bound) = clip { h = clamp(h, -bound, bound) }
      if let zoneout { h = cell.zoneout(h, keeping: cell.hidden, rate: zoneout.hidden) }
      for (state, value) in zip(before, gateNames.map { ["input": i, "forget": f, "output": o][$0] ?? nil }) {
        if let value { cell.update(state, to: value) }
      }
      return h
    }
  }

  /// The gates that full gate recurrence carries over.
  private var gateNames: [String] {
    (inputGate ? ["input"] : []) + (forgetGate ? ["forget"] : []) + (outputGate ? ["output"] : [])
  }
}
