import LetheCore

extension CellDescription {
  /// Throws where an option of a layer of this cell could not act, or two of its numbers have one name.
  func check(
    _ place: String, dropout: RecurrentDropout, start: RecurrentStart, biases: [Initializer]
  ) throws(LetheError) {
    if let fault = ([.stacked(biases)] + vectors.map(\.initializer)).lazy.compactMap(\.fault).first {
      throw LetheError(place, "a parameter cannot start so", found: fault)
    }
    let names = partNames()
    if let twice = names.first(where: { name in names.count { $0 == name } > 1 }) {
      throw LetheError(place, "has two parameters of one name", found: "'\(twice)'")
    }
    if let both = states.dropFirst().first(where: gates.contains) {
      throw LetheError(place, "has a state and a gate of one name", found: "'\(both)'")
    }
    let isSeen = stages.contains { stage in
      switch stage.source {
      case .state(0): true
      case .slot: stage.width == nil
      default: false
      }
    }
    if dropout.recurrent > 0 && !isSeen {
      throw LetheError(
        place, "has no gate that sees the hidden state, so no recurrent dropout", advice: "use input dropout")
    }
    if dropout.weights > 0 && hiddenPart == nil {
      throw LetheError(
        place, "has no recurrent weights to drop", advice: "use input or output dropout")
    }
    try check(place, start, biases)
  }

  private func check(_ place: String, _ start: RecurrentStart, _ biases: [Initializer]) throws(LetheError) {
    switch start {
    case .lethe: return
    case .keras:
      if program != nil {
        throw LetheError(place, "is no cell of Keras", expected: "RNN, LSTM or GRU", found: name)
      }
    case .pytorch:
      if !hasHiddenBias {
        throw LetheError(
          place, "is no cell of PyTorch", expected: "RNN, LSTM, also projected, or GRU", found: name)
      }
      for (gate, bias) in zip(gates, biases) {
        let isPlain = bias == .zeros || bias == .constant(0) || gate == "forget" && bias == .constant(1)
        if isPlain { continue }
        throw LetheError(
          place, "a bias of the gate '\(gate)' contradicts PyTorch's start", expected: "the default",
          found: "\(bias)")
      }
    }
  }
}
