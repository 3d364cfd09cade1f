import LetheCore

/// The Forgetting Gate Network as one cell, with every reading of it: `ForgettingGateNetwork` is the first of them in faster
/// parts.
///
///     s_t = W_f x_t + b_f        f_t = σ(s_t), or 1 where s_t > 0 and else 0 (`isHard`)
///
///     printed:  (c_t, m_t) = LSTM(x_t, (c_{t−1}, m_{t−1}))
///               y_t = f_t ⊙ m_t + (1 − f_t) ⊙ z_t
///     program:  c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ σ(s_t) + σ(W_i x_t + b_i) ⊙ tanh(W_u x_t + b_u)
///               y_t = σ(W_o x_t + b_o) ⊙ tanh(c_t)
///
/// Printed, f scales what is read; in the published program it is the memory's own forget gate, and what is forgotten is
/// replaced by the gate's value. A hard f is trained straight through. *State*: y, m, c; or y, c.
public struct ForgettingGateCell: RecurrentCell {
  /// Which of the two updates.
  public enum Update: String, Sendable, Codable {
    /// The printed equations.
    case printed
    /// The published program's.
    case program
  }

  public static let kind = "fgn_cell"
  public var hiddenSize: Int
  /// Which of the two updates.
  public var update: Update
  /// Whether f is 0 or 1.
  public var isHard: Bool
  /// z; for the printed equations.
  public var recall: ForgettingGateNetwork.Recall
  /// How often the output gate acts; for the printed equations.
  public var outputGate: ForgettingGateNetwork.OutputGate
  /// What b_f, and the bias of the LSTM's forget gate, start at.
  public var forgetBias: Float

  /// A cell of the given width.
  public init(
    _ hiddenSize: Int, update: Update = .printed, isHard: Bool = false,
    recall: ForgettingGateNetwork.Recall = .zero, outputGate: ForgettingGateNetwork.OutputGate = .once,
    forgetBias: Float = 1
  ) {
    (self.hiddenSize, self.update, self.isHard) = (hiddenSize, update, isHard)
    (self.recall, self.outputGate, self.forgetBias) = (recall, outputGate, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case update, recall
    case hiddenSize = "hidden_size"
    case isHard = "hard"
    case outputGate = "output_gate"
    case forgetBias = "forget_bias"
  }

  public var description: CellDescription {
    CellDescription("Forgetting Gate Network") { cell in
      let s = cell.gate("keep", sees: [.input], bias: .constant(forgetBias))
      let f = isHard ? hardStep(s) : sigmoid(s)
      if update == .program {
        let c = cell.state("cell")
        let i = sigmoid(cell.gate("input", sees: [.input])), u = tanh(cell.gate("candidate", sees: [.input]))
        let next = f * c + (1 - f) * sigmoid(s) + i * u
        cell.update(c, to: next)
        return sigmoid(cell.gate("output", sees: [.input])) * tanh(next)
      }
      let m = cell.state("memory"), c = cell.state("cell")
      func sum(_ name: String, _ bias: Float = 0) -> Signal {
        cell.gate(name, sees: [.input, .signal(m)], bias: .constant(bias))
      }
      let i = sigmoid(sum("input")), forget = sigmoid(sum("forget", forgetBias))
      let u = tanh(sum("candidate")), o = sigmoid(sum("output"))
      let next = forget * c + i * u
      let reading = o * tanh(next)
      cell.update(c, to: next)
      cell.update(m, to: reading)
      let kept = f * (outputGate == .twice ? o * reading : reading)
      if recall == .zero { return kept }
      return kept + (1 - f) * cell.gate("recall", sees: [.signal(m)], bias: nil)
    }
  }

  public func check() throws(LetheError) {
    if update == .program && (recall != .zero || outputGate != .once) {
      throw LetheError(
        Self.kind, "recall and output gate belong to the printed equations", advice: "leave them out")
    }
  }
}
