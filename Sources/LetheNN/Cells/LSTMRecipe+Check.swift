import LetheCore

extension LSTMRecipe {
  /// The form of each gate.
  func forms(_ activation: GateActivation) -> (input: GateForm, forget: GateForm, output: GateForm) {
    let usual = GateForm(activation, temperature: temperature)
    return (gates?.input ?? usual, gates?.forget ?? usual, gates?.output ?? usual)
  }

  /// Throws for switches that contradict each other, or one that could not act.
  func check(_ place: String, _ activation: GateActivation) throws(LetheError) {
    if let fault = contradiction ?? unused(activation) ?? misfit {
      throw LetheError(place, "its recipe contradicts itself: \(fault)")
    }
    for form in [gates?.input, gates?.forget, gates?.output] { try form?.activation.check(place) }
  }

  /// What a narrower h, or normalised sums, cannot go with; `nil` if there is nothing.
  private var misfit: String? {
    if projection != nil {
      if fullGateRecurrence { return "beside a projection gates see the input and h alone" }
      if case .hidden = clip { return "a projected h has no bound unit by unit" }
      if zoneout.map({ $0.hidden > 0 }) ?? false { return "a projected h cannot be kept unit by unit" }
    }
    if norm != nil && fullGateRecurrence { return "normalised sums are of the input and h alone" }
    return nil
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
    if (peepholes || fullGateRecurrence) && !(forgetGate || inputGate || outputGate) {
      return "there is no gate that could look"
    }
    if takesUsualForm { return nil }
    if isBudget {
      return activation == .sigmoid
        ? nil : "a budget is kept by exponentials, not by \(activation), and no output gate could take that"
    }
    if activation != .sigmoid || temperature != 1 {
      return "there is no gate that could be harder or softer and has no form of its own"
    }
    return nil
  }

  /// Whether some gate opens its sum by `gateActivation`, over `temperature`, and not by a form of its own.
  private var takesUsualForm: Bool {
    inputGate && writing == .free && gates?.input == nil
      || forgetGate && writing != .budget && !hardForget && gates?.forget == nil
      || outputGate && gates?.output == nil
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
}
