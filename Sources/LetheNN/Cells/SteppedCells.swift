import LetheCore

/// LSTM with layer normalisation of what its gates sum up and of its cell.
///
///     s = N(W x_t; γ_x, β_x) + N(U h_{t−1}; γ_h, β_h) + b        N over all four gates together
///     c_t = σ(s_f) ⊙ c_{t−1} + σ(s_i) ⊙ tanh(s_u)
///     h_t = σ(s_o) ⊙ tanh(N(c_t; γ_c, β_c))
///
/// It runs on the tape: the norms are sums over units. *Source*: Ba, Kiros & Hinton 2016, arXiv 1607.06450, eq. 20-22.
public struct LayerNormLSTMCell: SteppedCell {
  public static let kind = "layer_norm_lstm"
  /// The width of its states.
  public var hiddenSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  private var input = Parameter()
  private var hidden = Parameter()
  private var bias = Parameter()
  private var inputNorm = LayerNorm()
  private var hiddenNorm = LayerNorm()
  private var cellNorm = LayerNorm()

  /// A cell of the given width.
  public init(_ hiddenSize: Int, forgetBias: Float = 1) {
    (self.hiddenSize, self.forgetBias) = (hiddenSize, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
  }

  public var stateSizes: [Int] { [hiddenSize, hiddenSize] }

  public mutating func build(input shape: [Int]) throws(LetheError) {
    let inputs = shape.reduce(1, *)
    guard (1..<1 << 20).contains(hiddenSize) else {
      throw LetheError(Self.kind, "the width is out of range", expected: "above 0", found: "\(hiddenSize)")
    }
    let four = 4 * hiddenSize
    input = Parameter(shape: [four, inputs], .stacked(Array(repeating: .glorotUniform, count: 4)))
    hidden = Parameter(shape: [four, hiddenSize], .stacked(Array(repeating: .orthogonal, count: 4)))
    bias = Parameter(shape: [four], .stacked([.zeros, .constant(forgetBias), .zeros, .zeros]))
    _ = try inputNorm.build(input: [four])
    _ = try hiddenNorm.build(input: [four])
    _ = try cellNorm.build(input: [hiddenSize])
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_ih", &input)
    visitor.visit("weight_hh", &hidden)
    visitor.visit("bias", &bias)
    visitor.visit("norm_ih", &inputNorm)
    visitor.visit("norm_hh", &hiddenNorm)
    visitor.visit("norm_cell", &cellNorm)
  }

  public func step(_ x: Variable, _ states: [Variable]) -> [Variable] {
    let ofInput = inputNorm(linear(x, x.with(input), nil))
    let ofHidden = hiddenNorm(linear(x.alongside(states[0]), x.with(hidden), nil))
    let s = ofInput + ofHidden + x.with(bias)
    let width = hiddenSize
    func gate(_ number: Int) -> Variable { s.columns(number * width..<(number + 1) * width) }
    let c = gate(1).sigmoid() * x.alongside(states[1]) + gate(0).sigmoid() * gate(2).tanh()
    return [gate(3).sigmoid() * cellNorm(c).tanh(), c]
  }
}

/// LSTM with a projection: its gates see, and it gives, a narrower state than its cell.
///
///     (i, f, u, o) as in an LSTM, over h of width `outputSize`        h_t = W_p (o_t ⊙ tanh(c_t))
///
/// Parameters are PyTorch's with `proj_size`: weight_ih [4 hidden, inputs], weight_hh [4 hidden, output], bias_ih, bias_hh,
/// weight_hr [output, hidden]. It runs on the tape. *Source*: Sak, Senior & Beaufays 2014, arXiv 1402.1128.
public struct ProjectedLSTMCell: SteppedCell {
  public static let kind = "projected_lstm"
  /// The width of the cell.
  public var hiddenSize: Int
  /// The width of h.
  public var outputSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  private var input = Parameter()
  private var hidden = Parameter()
  private var inputBias = Parameter()
  private var hiddenBias = Parameter()
  private var projection = Parameter()

  /// A cell of the given widths.
  public init(_ hiddenSize: Int, outputSize: Int, forgetBias: Float = 1) {
    (self.hiddenSize, self.outputSize, self.forgetBias) = (hiddenSize, outputSize, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case hiddenSize = "hidden_size"
    case outputSize = "output_size"
    case forgetBias = "forget_bias"
  }

  public var stateSizes: [Int] { [outputSize, hiddenSize] }

  public mutating func build(input shape: [Int]) throws(LetheError) {
    let inputs = shape.reduce(1, *)
    guard (1..<1 << 20).contains(hiddenSize), (1...hiddenSize).contains(outputSize) else {
      throw LetheError(
        Self.kind, "widths are out of range", expected: "an output of 1 to the hidden width",
        found: "\(outputSize) of \(hiddenSize)")
    }
    let four = 4 * hiddenSize
    input = Parameter(shape: [four, inputs], .stacked(Array(repeating: .glorotUniform, count: 4)))
    hidden = Parameter(shape: [four, outputSize], .stacked(Array(repeating: .orthogonal, count: 4)))
    inputBias = Parameter(shape: [four], .stacked([.zeros, .constant(forgetBias), .zeros, .zeros]))
    hiddenBias = Parameter(shape: [four], .zeros)
    projection = Parameter(shape: [outputSize, hiddenSize], .glorotUniform)
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_ih", &input)
    visitor.visit("weight_hh", &hidden)
    visitor.visit("bias_ih", &inputBias)
    visitor.visit("bias_hh", &hiddenBias)
    visitor.visit("weight_hr", &projection)
  }

  public func step(_ x: Variable, _ states: [Variable]) -> [Variable] {
    let s =
      linear(x, x.with(input), x.with(inputBias))
      + linear(x.alongside(states[0]), x.with(hidden), x.with(hiddenBias))
    let width = hiddenSize
    func gate(_ number: Int) -> Variable { s.columns(number * width..<(number + 1) * width) }
    let c = gate(1).sigmoid() * x.alongside(states[1]) + gate(0).sigmoid() * gate(2).tanh()
    return [linear(gate(3).sigmoid() * c.tanh(), x.with(projection), nil), c]
  }
}

extension Variable {
  /// A value of this one's computation: a constant becomes part of its tape, so that parameters can be put on it.
  func alongside(_ value: Variable) -> Variable {
    guard let tape, value.tape == nil else { return value }
    return tape.constant(value.tensor)
  }
}
