/// LSTM with layer normalisation of what its gates sum up and of its cell.
///
///     s = N(W x_t; γ_x, β_x) + N(U h_{t−1}; γ_h, β_h) + b        N over all four gates together
///     c_t = σ(s_f) ⊙ c_{t−1} + σ(s_i) ⊙ tanh(s_u)
///     h_t = σ(s_o) ⊙ tanh(N(c_t; γ_c, β_c))
///
/// N(v; γ, β) = (v − mean v) / √(mean (v − mean v)² + 10⁻⁵) ⊙ γ + β. Parameters beside weight_ih and weight_hh [4 hidden, …]:
/// norm_ih.weight, norm_ih.bias, norm_hh.weight, norm_hh.bias and bias [4 hidden], norm_cell.weight, norm_cell.bias [hidden].
/// `LSTMRecipe(norm: .layer)` goes together with the other switches of an LSTM.
/// *Cost*: of an LSTM, and that a step waits four times for a mean. *Source*: Ba, Kiros & Hinton 2016, arXiv 1607.06450, eq. 20-22.
public struct LayerNormLSTMCell: RecurrentCell {
  public static let kind = "layer_norm_lstm"
  public var hiddenSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  /// A cell of the given width.
  public init(_ hiddenSize: Int, forgetBias: Float = 1) {
    (self.hiddenSize, self.forgetBias) = (hiddenSize, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
  }

  public var description: CellDescription {
    CellDescription("layer-norm LSTM") { cell in
      let c = cell.state("cell")
      let gates = ["input", "forget", "candidate", "output"]
      let biases = cell.vectors("bias", [.zeros, .constant(forgetBias), .zeros, .zeros])
      let ofInput = cell.normalised("norm_ih", gates.map { cell.product($0 + " of x", sees: [.input]) })
      let ofHidden = cell.normalised("norm_hh", gates.map { cell.product($0 + " of h", sees: [.hidden]) })
      func sum(_ gate: Int) -> Signal { ofInput[gate] + ofHidden[gate] + biases[gate] }
      let i = cell.named("input", sigmoid(sum(0)))
      let f = cell.named("forget", sigmoid(sum(1)))
      let u = cell.named("candidate", tanh(sum(2)))
      let o = cell.named("output", sigmoid(sum(3)))
      let next = f * c + i * u
      cell.update(c, to: next)
      return o * tanh(cell.normalised("norm_cell", [next])[0])
    }
  }
}

extension CellBuilder {
  /// N over some signals together, with gain and shift; parameters `name`.weight and `name`.bias.
  func normalised(_ name: String, _ signals: [Signal]) -> [Signal] {
    let share = 1 / Float(signals.count)
    func meanOfAll(_ x: [Signal]) -> Signal { mean(x.dropFirst().reduce(x[0], +)) * share }
    let center = meanOfAll(signals)
    let scale = 1 / sqrt(meanOfAll(signals.map { ($0 - center) * ($0 - center) }) + 1e-5)
    let gains = vectors(name + ".weight", signals.map { _ in .constant(1) })
    let shifts = vectors(name + ".bias", signals.map { _ in .zeros })
    return signals.indices.map { (signals[$0] - center) * scale * gains[$0] + shifts[$0] }
  }
}
