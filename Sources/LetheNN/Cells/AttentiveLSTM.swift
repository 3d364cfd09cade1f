import LetheCore

/// LSTM whose forget gate is computed by attention over the cell's own past: what is kept now may follow from what was shown
/// long ago, not only a step before.
///
///     q_t = W_q x_t + U_q h_{t−1} + b_q                         what is looked for
///     a_j = softmax over j of q_t · h_{t−j} / √H + p_j          among the last outputs, j = 1 … window
///     r_t = Σ_j a_j h_{t−j}                                     what is found
///     f_t = σ(W_f x_t + U_f r_t + b_f)                          takes the place of U_f h_{t−1}
///     i, u, o, c_t = f_t ⊙ c_{t−1} + i_t ⊙ u_t and h_t as in an LSTM
///
/// p says how much a lag counts by itself. Before the first step, and before a reset, the past is zeros, as h is.
/// *Shapes*: `weight_ih` and `bias` have rows for i, f, u, o, q, `weight_hh` for i, u, o, q [· hidden, hidden];
/// `weight_past` (U_f) [hidden, hidden], `lag` (p) [window], which starts at 0.
/// *State*: h, c, and the window − 1 outputs before h, newest first: a stream's state is bounded.
/// *Gradient*: into everything; it also reaches back `window` steps at once.
/// *Cost*: 2 · batch · (5 · hidden · features + 5 · hidden²) a step, and 4 · batch · window · hidden for the attention. It runs
/// on the tape: a description has no sums over units or past steps.
/// *Source*: this form is ours. A cell that attends to its own past: Cheng, Dong & Lapata 2016, arXiv 1601.06733, where
/// over the whole past a mean of h takes the place of h in every gate and in the candidate, and one of c that of c in the
/// update. A window instead: Heng Li, "Integrating Attention Feedback into the Recurrent Neural Network", 2021, whose
/// attention feeds all gates and the cell state.
public struct AttentiveLSTMCell: SteppedCell {
  public static let kind = "attentive_lstm"
  /// The width of its states.
  public var hiddenSize: Int
  /// How many of its last outputs the forget gate looks at, 2 or more.
  public var window: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  private var input = Parameter()
  private var hidden = Parameter()
  private var past = Parameter()
  private var bias = Parameter()
  private var lag = Parameter()

  /// A cell of the given width.
  public init(_ hiddenSize: Int, window: Int = 8, forgetBias: Float = 1) {
    (self.hiddenSize, self.window, self.forgetBias) = (hiddenSize, window, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case window
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
  }

  public var stateSizes: [Int] { [hiddenSize, hiddenSize, (window - 1) * hiddenSize] }

  public mutating func build(input shape: [Int]) throws(LetheError) {
    let inputs = shape.reduce(1, *)
    guard (1..<1 << 16).contains(hiddenSize), (2...1 << 12).contains(window), forgetBias.isFinite else {
      throw LetheError(
        Self.kind, "options are out of range",
        expected: "a width above 0, a window of 2 to 4096 and a finite forget bias",
        found: "width \(hiddenSize), window \(window), bias \(forgetBias)")
    }
    input = Parameter(
      shape: [5 * hiddenSize, inputs], .stacked(Array(repeating: .glorotUniform, count: 5)))
    hidden = Parameter(
      shape: [4 * hiddenSize, hiddenSize], .stacked(Array(repeating: .orthogonal, count: 4)))
    past = Parameter(shape: [hiddenSize, hiddenSize], .orthogonal)
    bias = Parameter(
      shape: [5 * hiddenSize], .stacked([.zeros, .constant(forgetBias), .zeros, .zeros, .zeros]))
    lag = Parameter(shape: [window], .zeros)
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_ih", &input)
    visitor.visit("weight_hh", &hidden)
    visitor.visit("weight_past", &past)
    visitor.visit("bias", &bias)
    visitor.visit("lag", &lag)
  }

  public func step(_ x: Variable, _ states: [Variable]) -> [Variable] {
    let (h, c, older) = (x.alongside(states[0]), x.alongside(states[1]), x.alongside(states[2]))
    let ofInput = linear(x, x.with(input), x.with(bias)), ofHidden = linear(h, x.with(hidden), nil)
    func rows(_ sums: Variable, _ gate: Int) -> Variable {
      sums.columns(gate * hiddenSize..<(gate + 1) * hiddenSize)
    }
    func sum(_ inputRow: Int, _ hiddenRow: Int) -> Variable {
      rows(ofInput, inputRow) + rows(ofHidden, hiddenRow)
    }
    let seen = Variable.concatenated([h, older])
    let memory = seen.reshaped([x.shape[0], window, hiddenSize])
    let scores = dotScores(sum(4, 3), memory, scale: 1 / Float(hiddenSize).squareRoot()) + x.with(lag)
    let found = attending(scores, memory).context
    let f = (rows(ofInput, 1) + linear(found, x.with(past), nil)).sigmoid()
    let next = f * c + sum(0, 0).sigmoid() * sum(2, 1).tanh()
    return [
      sum(3, 2).sigmoid() * next.tanh(), next, seen.columns(0..<(window - 1) * hiddenSize),
    ]
  }
}
