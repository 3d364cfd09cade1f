import LetheCore

/// LSTM with a projection: its gates see, and it gives, a narrower state than its cell.
///
///     (i, f, u, o) as in an LSTM, over h of width `outputSize`        h_t = W_p (o_t ⊙ tanh(c_t))
///
/// Parameters are PyTorch's with `proj_size`: weight_ih [4 hidden, inputs], weight_hh [4 hidden, output],
/// bias_ih, bias_hh, weight_hr [output, hidden]. `LSTMRecipe(projection:)` goes together with the other switches
/// of an LSTM. *Cost*: 2 · hidden · (4 · (features + output) + output) a row.
/// *Source*: Sak, Senior & Beaufays 2014, arXiv 1402.1128.
public struct ProjectedLSTMCell: RecurrentCell {
  public static let kind = "projected_lstm"
  /// The width of the cell.
  public var hiddenSize: Int
  /// The width of h.
  public var outputSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  /// A cell of the given widths.
  public init(_ hiddenSize: Int, outputSize: Int, forgetBias: Float = 1) {
    (self.hiddenSize, self.outputSize, self.forgetBias) = (hiddenSize, outputSize, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case outputSize = "output_size"
    case forgetBias = "forget_bias"
  }

  public func check() throws(LetheError) {
    guard (1...max(hiddenSize, 1)).contains(outputSize) else {
      throw LetheError(
        Self.kind, "widths are out of range", expected: "an output of 1 to the hidden width",
        found: "\(outputSize) of \(hiddenSize)")
    }
  }

  public var description: CellDescription {
    CellDescription("projected LSTM") { cell in
      cell.hasHiddenBias = true
      let c = cell.state("cell")
      let i = sigmoid(cell.gate("input"))
      let f = sigmoid(cell.gate("forget", bias: .constant(forgetBias)))
      let u = tanh(cell.gate("candidate"))
      let o = sigmoid(cell.gate("output"))
      let next = f * c + i * u
      cell.update(c, to: next)
      return cell.project(o * tanh(next), to: outputSize)
    }
  }
}
