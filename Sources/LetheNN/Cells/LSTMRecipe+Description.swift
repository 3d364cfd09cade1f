extension LSTMRecipe {
  /// The cell. With chrono initialisation the input gate, where there is one of its own, starts opposite to the forget gate.
  func description(_ activation: GateActivation, forgetStart: Initializer, isChrono: Bool) -> CellDescription
  {
    CellDescription("LSTM") { cell in
      let c = cell.state("cell")
      let sums = norm == .layer ? normalisedSums(cell, forgetStart, isChrono: isChrono) : nil
      let before = fullGateRecurrence ? gateNames.map { cell.state("\($0)_gate") } : []

      func sum(
        _ name: String, gates: [Signal] = [], bias: Initializer = .zeros, peephole seen: Signal? = nil
      ) -> Signal {
        var sum =
          sums?[name] ?? cell.gate(name, sees: [.input, .hidden] + gates.map { .signal($0) }, bias: bias)
        if peepholes, let seen { sum = sum + cell.vector("peephole_\(name)") * seen }
        if case .sums(let bound) = clip { sum = clamp(sum, -bound, bound) }
        return sum
      }
      /// A normalised sum is nobody's gate before it is opened.
      func named(_ name: String, _ value: Signal) -> Signal {
        sums == nil ? value : cell.named(name, value)
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
        (f, i) = (named("forget", keep / all), named("input", write / all))
      } else {
        if inputGate && writing == .free {
          let inputStart: Initializer = isChrono ? .opposite(of: 1) : .zeros
          i = named(
            "input", opened(sum("input", gates: before, bias: inputStart, peephole: c), forms.input))
        }
        if forgetGate {
          let forget = sum("forget", gates: before, bias: forgetStart, peephole: c)
          f = named("forget", hardForget ? hardStep(forget) : opened(forget, forms.forget))
        }
        if writing == .coupled, let f { i = 1 - f }
      }
      var u = sum("candidate")
      if inputActivation { u = tanh(u) }
      if case .candidate(let bound) = clip { u = clamp(u, -bound, bound) }
      u = named("candidate", u)

      let written = i.map { $0 * u } ?? u
      var next = (f.map { $0 * c } ?? c) + written
      switch clip {
      case .cell(let bound): next = clamp(next, -bound, bound)
      default: break
      }
      if let zoneout { next = cell.zoneout(next, keeping: c, rate: zoneout.cell) }
      cell.update(c, to: next)
      let read = sums == nil ? next : cell.normalised("norm_cell", [next])[0]
      var h = outputActivation ? tanh(read) : read
      var o: Signal?
      if outputGate {
        let open = named(
          "output", opened(sum("output", gates: before, peephole: next), forms.output))
        h = open * h
        o = open
      }
      if case .hidden(let bound) = clip { h = clamp(h, -bound, bound) }
      if let zoneout { h = cell.zoneout(h, keeping: cell.hidden, rate: zoneout.hidden) }
      for (state, value) in zip(before, gateNames.map { ["input": i, "forget": f, "output": o][$0] ?? nil }) {
        if let value { cell.update(state, to: value) }
      }
      return projection.map { cell.project(h, to: $0) } ?? h
    }
  }

  /// N(W x) + N(U h) + b of each gate that has a sum, N over all of them together.
  private func normalisedSums(
    _ cell: CellBuilder, _ forgetStart: Initializer, isChrono: Bool
  ) -> [String: Signal] {
    let names =
      (inputGate && writing != .coupled ? ["input"] : []) + (forgetGate ? ["forget"] : []) + ["candidate"]
      + (outputGate ? ["output"] : [])
    let forget = names.firstIndex(of: "forget")
    let biases = cell.vectors(
      "bias",
      names.map { name in
        switch name {
        case "forget": forgetStart
        case "input" where isChrono: forget.map { .opposite(of: $0) } ?? .zeros
        default: .zeros
        }
      })
    let ofInput = cell.normalised("norm_ih", names.map { cell.product($0 + " of x", sees: [.input]) })
    let ofHidden = cell.normalised("norm_hh", names.map { cell.product($0 + " of h", sees: [.hidden]) })
    return Dictionary(
      uniqueKeysWithValues: names.indices.map { (names[$0], ofInput[$0] + ofHidden[$0] + biases[$0]) })
  }

  /// The gates that full gate recurrence carries over.
  private var gateNames: [String] {
    (inputGate ? ["input"] : []) + (forgetGate ? ["forget"] : []) + (outputGate ? ["output"] : [])
  }
}
