import LetheCore

/// Long short-term memory.
///
///     i_t = σ(W_i x_t + U_i h_{t−1} + b_i)      input gate: what to write
///     f_t = σ(W_f x_t + U_f h_{t−1} + b_f)      forget gate: 1 keeps, 0 forgets
///     g_t = tanh(W_g x_t + U_g h_{t−1} + b_g)   candidate
///     o_t = σ(W_o x_t + U_o h_{t−1} + b_o)      output gate: what to show
///     c_t = f_t ⊙ c_{t−1} + i_t ⊙ g_t
///     h_t = o_t ⊙ tanh(c_t)
///
/// Each b is the sum of the two biases of a file. Gates stand in the order i, f, g, o.
/// The forget bias starts at 1 (Gers, Schmidhuber & Cummins 2000; Jozefowicz, Zaremba & Sutskever 2015); PyTorch's is 0.
/// *Source*: Hochreiter & Schmidhuber 1997; Gers, Schmidhuber & Cummins 2000.
public struct LSTMCell: RecurrentCell {
  public static let kind = "lstm"
  public var hiddenSize: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float
  /// What the gates do with their sums.
  public var gateActivation: GateActivation
  /// What differs from the equations above, if anything.
  public var recipe: LSTMRecipe?

  /// A cell of the given width.
  public init(
    _ hiddenSize: Int, forgetBias: Float = 1, gateActivation: GateActivation = .sigmoid,
    recipe: LSTMRecipe? = nil
  ) {
    self.hiddenSize = hiddenSize
    self.forgetBias = forgetBias
    self.gateActivation = gateActivation
    self.recipe = recipe
  }

  enum CodingKeys: String, CodingKey {
    case recipe
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
    case gateActivation = "gate_activation"
  }

  public var description: CellDescription {
    if let recipe, recipe != LSTMRecipe() {
      return recipe.description(gateActivation, forgetBias: forgetBias)
    }
    var description = CellDescription.lstm
    description.gateActivation = gateActivation
    return description
  }
  public var biasInitializers: [Initializer] {
    let own = description
    return own.program == nil ? [.zeros, .constant(forgetBias), .zeros, .zeros] : own.biasInitializers
  }
  public func check() throws(LetheError) {
    if let fault = recipe?.contradiction {
      throw LetheError(Self.kind, "its recipe contradicts itself: \(fault)")
    }
  }
}

/// Layers of long short-term memory; see `LSTMCell` for the equations and `Recurrent` for shapes and state.
public typealias LSTM = Recurrent<LSTMCell>

extension Recurrent where Cell == LSTMCell {
  /// Layers that learn their input width when they are built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false, outputs: RecurrentOutputs = .last,
    forgetBias: Float = 1, gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil
  ) {
    self.init(
      LSTMCell(hiddenSize, forgetBias: forgetBias, gateActivation: gateActivation), layers: layers,
      bidirectional: bidirectional, outputs: outputs, dropout: dropout, headSize: headSize)
  }

  /// Layers ready for use.
  public init(
    inputSize: Int, hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    forgetBias: Float = 1, gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil, key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, layers: layers, bidirectional: bidirectional, outputs: outputs, forgetBias: forgetBias,
      gateActivation: gateActivation, dropout: dropout, headSize: headSize)
    builtOrStop(input: [.any, inputSize], key: key)
  }
}
