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
/// With `longestLag` it starts at log u, u uniform in 1..<longestLag − 1, and the input bias at −log u (chrono
/// initialisation: Tallec & Ollivier 2018, arXiv 1804.11188, eq. 16); with `halfLives`, where f = ½^(1 / half-life), half-lives
/// even on a logarithmic scale. Both rest on f = σ(sum), so no other form of f takes them.
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
  /// The longest lag to start with, for chrono initialisation; `nil`: `forgetBias` says it.
  public var longestLag: Int?
  /// The half-lives to start with, in steps, unit by unit; `nil`: `forgetBias` or `longestLag` says it.
  public var halfLives: ClosedRange<Float>?

  /// A cell of the given width.
  public init(
    _ hiddenSize: Int, forgetBias: Float = 1, longestLag: Int? = nil, halfLives: ClosedRange<Float>? = nil,
    gateActivation: GateActivation = .sigmoid, recipe: LSTMRecipe? = nil
  ) {
    self.hiddenSize = hiddenSize
    self.forgetBias = forgetBias
    self.gateActivation = gateActivation
    self.recipe = recipe
    self.longestLag = longestLag
    self.halfLives = halfLives
  }

  enum CodingKeys: String, CodingKey {
    case recipe
    case hiddenSize = "hidden_size"
    case forgetBias = "forget_bias"
    case longestLag = "longest_lag"
    case halfLives = "half_lives"
    case gateActivation = "gate_activation"
  }

  /// The recipe's projection, or the width of the cell.
  public var outputSize: Int { recipe?.projection ?? hiddenSize }
  public var description: CellDescription {
    if let recipe, recipe != LSTMRecipe() {
      return recipe.description(gateActivation, forgetStart: forgetStart, isChrono: longestLag != nil)
    }
    var description = CellDescription.lstm
    description.gateActivation = gateActivation
    return description
  }
  public var biasInitializers: [Initializer] {
    let own = description
    if own.program != nil { return own.biasInitializers }
    return [longestLag == nil ? .zeros : .opposite(of: 1), forgetStart, .zeros, .zeros]
  }
  private var forgetStart: Initializer {
    .forget(bias: forgetBias, longestLag: longestLag, halfLives: halfLives)
  }
  public func check() throws(LetheError) {
    try gateActivation.check(Self.kind)
    if let recipe { try recipe.check(Self.kind, gateActivation) }
    guard (1...max(hiddenSize, 1)).contains(outputSize) || recipe?.projection == nil else {
      throw LetheError(
        Self.kind, "widths are out of range", expected: "an output of 1 to the hidden width",
        found: "\(outputSize) of \(hiddenSize)")
    }
    try Initializer.check(longestLag: longestLag, Self.kind)
    if let halfLives { try checkHalfLives(Self.kind, halfLives) }
    if let longestLag, let halfLives {
      throw LetheError(
        Self.kind, "a longest lag and half-lives both say how forget biases start", expected: "one of them",
        found: "longest lag \(longestLag), half-lives \(halfLives)")
    }
    if let spread = longestLag.map({ _ in "longest lag" }) ?? halfLives.map({ _ in "half-lives" }),
      let fault = notSpread
    {
      throw LetheError(
        Self.kind, "the \(spread) cannot be taken",
        expected: "a forget gate σ(sum) with no bias of its own and nothing between sum and σ", found: fault)
    }
    if recipe?.forgetGate == false && forgetBias != 1 {
      throw LetheError(Self.kind, "has no forget gate to start", found: "forget bias \(forgetBias)")
    }
  }
  /// Why a spread of forget biases would not give the half-lives that it is for; `nil` if it does.
  private var notSpread: String? {
    if forgetBias != 1 { return "forget bias \(forgetBias)" }
    guard let recipe else { return gateActivation == .sigmoid ? nil : "gate activation \(gateActivation)" }
    if !recipe.forgetGate { return "no forget gate" }
    if recipe.hardForget { return "a hard forget gate" }
    if halfLives != nil && recipe.writing == .budget { return "a budget, where f is no σ(sum)" }
    let form = recipe.forms(gateActivation).forget
    if recipe.writing != .budget && form.activation != .sigmoid {
      return "gate activation \(form.activation)"
    }
    if form.temperature != 1 { return "temperature \(form.temperature)" }
    if case .sums(let bound) = recipe.clip { return "sums clipped at \(bound)" }
    return nil
  }
}

/// Layers of long short-term memory; see `LSTMCell` for the equations and `Recurrent` for shapes and state.
public typealias LSTM = Recurrent<LSTMCell>

extension Recurrent where Cell == LSTMCell {
  /// Layers that learn their input width when they are built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false, outputs: RecurrentOutputs = .last,
    forgetBias: Float = 1, longestLag: Int? = nil, halfLives: ClosedRange<Float>? = nil,
    gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false
  ) {
    self.init(
      LSTMCell(
        hiddenSize, forgetBias: forgetBias, longestLag: longestLag, halfLives: halfLives,
        gateActivation: gateActivation),
      layers: layers, bidirectional: bidirectional, outputs: outputs, dropout: dropout, headSize: headSize,
      start: start, reversed: reversed)
  }

  /// Layers ready for use.
  public init(
    inputSize: Int, hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    forgetBias: Float = 1, longestLag: Int? = nil, halfLives: ClosedRange<Float>? = nil,
    gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, layers: layers, bidirectional: bidirectional, outputs: outputs, forgetBias: forgetBias,
      longestLag: longestLag, halfLives: halfLives, gateActivation: gateActivation, dropout: dropout,
      headSize: headSize, start: start, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }
}
