import LetheCore

/// A recurrent layer whose state is a matrix for each head: it stores values under keys and reads them by queries.
///
///     S_t = D_t S_{t−1} + k_t u_tᵀ      o_t = S_tᵀ q_t      y_t = W_o [norm(o_t of head 1), norm(o_t of head 2), …]
///
/// q = W_q x, k = W_k x, v = W_v x for each head; `rule` says what D (what is kept) and u (what is written) are. All gates
/// see the input only. norm is a layer norm over a head's values, with a learned scale that the heads share and no shift
/// (ε 1e-5); without `normalizesHeads` it is left out.
///
/// *Shapes*: x [batch, time, features] → [batch, time, hidden], or [batch, hidden] with `outputs: .last`. Parameters:
/// `weight_q`, `weight_k` [heads · key, features], `weight_v` [heads · value, features], `weight_gate` [gates, features]
/// and `bias_gate` [gates], where gates is 2 · heads or heads · key (see `Rule`), `log_rate` [heads], `weight_norm`
/// [value], `weight_out` [hidden, heads · value]. HGRN2 has no `weight_k`, only Gated DeltaNet has `log_rate`.
/// *State*: `hidden` is [S], [batch, heads · key · value]; `cell` is [n, m], [batch, heads · key] and [batch, heads], for
/// mLSTM, else empty. Nothing is kept between calls; no initial state is the same as zeros.
/// *Gradient*: into inputs, weights and initial state, from outputs and final state. S is kept every 32 steps and made
/// again in between.
/// *Cost*: 2 · batch · time · features · (rows of all weights) for the projections, 5 · batch · time · heads · key · value
/// for the memory (7 with Gated DeltaNet), about three times that again backward.
/// *Source*: see `Rule`. No short convolution lies before q, k and v, in contrast to the Gated DeltaNet and mLSTM blocks
/// of their papers, nor an output gate behind o: put such layers around this one.
public struct MatrixMemory: Layer {
  public static let kind = "matrix_memory"
  public static let recordingLimit: String? =
    "its memory is a matrix for each head, which the ledger of units does not describe"
  /// The width of the output.
  public var hiddenSize: Int
  /// What is kept and what is written.
  public var rule: Rule
  /// How many memories lie side by side.
  public var heads: Int
  /// The length of a head's keys and queries.
  public var keySize: Int
  /// The length of a head's values.
  public var valueSize: Int
  /// Every step's output or the last.
  public var outputs: RecurrentOutputs
  /// Whether what each head reads is normalised before the output weights.
  public var normalizesHeads: Bool
  /// Whether it walks from the last step to the first; outputs stay in time order.
  public var isReversed: Bool

  var weightQ = Parameter()
  var weightK = Parameter()
  var weightV = Parameter()
  var weightGate = Parameter()
  var biasGate = Parameter()
  var logRate = Parameter()
  var weightNorm = Parameter()
  var weightOut = Parameter()
  // The width of the input, once built.
  private(set) var features = 0

  /// A layer that learns its input width when it is built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, rule: Rule, heads: Int = 1, keySize: Int, valueSize: Int,
    outputs: RecurrentOutputs = .last, normalizesHeads: Bool = true, reversed: Bool = false
  ) {
    self.hiddenSize = hiddenSize
    self.rule = rule
    self.heads = heads
    self.keySize = keySize
    self.valueSize = valueSize
    self.outputs = outputs
    self.normalizesHeads = normalizesHeads
    isReversed = reversed
  }

  /// A layer ready for use.
  ///
  /// - Precondition: sizes and options are sensible.
  public init(
    inputSize: Int, hiddenSize: Int, rule: Rule, heads: Int = 1, keySize: Int, valueSize: Int,
    outputs: RecurrentOutputs = .all, normalizesHeads: Bool = true, reversed: Bool = false,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, rule: rule, heads: heads, keySize: keySize, valueSize: valueSize, outputs: outputs,
      normalizesHeads: normalizesHeads, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case rule, heads, outputs
    case hiddenSize = "hidden_size"
    case keySize = "key_size"
    case valueSize = "value_size"
    case normalizesHeads = "normalizes_heads"
    case isReversed = "reversed"
  }

  /// Files from before there was a direction have none.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode(Int.self, forKey: .hiddenSize), rule: try values.decode(Rule.self, forKey: .rule),
      heads: try values.decode(Int.self, forKey: .heads),
      keySize: try values.decode(Int.self, forKey: .keySize),
      valueSize: try values.decode(Int.self, forKey: .valueSize),
      outputs: try values.decode(RecurrentOutputs.self, forKey: .outputs),
      normalizesHeads: try values.decode(Bool.self, forKey: .normalizesHeads),
      reversed: try values.decodeIfPresent(Bool.self, forKey: .isReversed) ?? false)
  }

  /// The direction is written only where it is backward.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(hiddenSize, forKey: .hiddenSize)
    try values.encode(rule, forKey: .rule)
    try values.encode(heads, forKey: .heads)
    try values.encode(keySize, forKey: .keySize)
    try values.encode(valueSize, forKey: .valueSize)
    try values.encode(outputs, forKey: .outputs)
    try values.encode(normalizesHeads, forKey: .normalizesHeads)
    if encoder.writesEveryField || isReversed { try values.encode(isReversed, forKey: .isReversed) }
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count == 2, let features = input.last, features > 0 else {
      throw LetheError(
        Self.kind, "cannot take this input", expected: "[time, features]", found: "\(input)",
        advice: "use Rows() to read an image row by row")
    }
    let sizes = [hiddenSize, heads, keySize, valueSize]
    guard sizes.allSatisfy({ $0 > 0 && $0 < 1 << 16 }), features < 1 << 24,
      heads * max(keySize, valueSize) < 1 << 20, heads * keySize * valueSize < 1 << 26
    else {
      throw LetheError(
        Self.kind, "sizes are out of range",
        expected: "hidden, heads, key and value sizes above 0 and sensible",
        found: "hidden \(hiddenSize), heads \(heads), key \(keySize), value \(valueSize)")
    }
    try rule.check()
    self.features = features
    let keys = heads * keySize, values = heads * valueSize
    let gates = rule.hasGatePerKey ? keys : 2 * heads
    weightQ = Parameter(shape: [keys, features], .glorotUniform)
    weightK = rule.hasKeys ? Parameter(shape: [keys, features], .glorotUniform) : Parameter()
    weightV = Parameter(shape: [values, features], .glorotUniform)
    weightGate = Parameter(shape: [gates, features], rule.gateInitializer)
    biasGate = Parameter(shape: [gates], rule.biasInitializer(heads: heads))
    logRate = rule.hasRate ? Parameter(shape: [heads], Rule.rateInitializer(heads: heads)) : Parameter()
    weightNorm = normalizesHeads ? Parameter(shape: [valueSize], .constant(1)) : Parameter()
    weightOut = Parameter(shape: [hiddenSize, values], .glorotUniform)
    return outputs == .all ? [input[0], hiddenSize] : [hiddenSize]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_q", &weightQ)
    if rule.hasKeys { visitor.visit("weight_k", &weightK) }
    visitor.visit("weight_v", &weightV)
    visitor.visit("weight_gate", &weightGate)
    visitor.visit("bias_gate", &biasGate)
    if rule.hasRate { visitor.visit("log_rate", &logRate) }
    if normalizesHeads { visitor.visit("weight_norm", &weightNorm) }
    visitor.visit("weight_out", &weightOut)
  }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The widths of the state's parts: S, and n and m where the rule has them.
  public var stateSizes: [Int] {
    [heads * keySize * valueSize] + (rule.isNormalised ? [heads * keySize, heads] : [])
  }

  /// What a step of one sequence costs beside the projections: S is kept, written and read, with Gated DeltaNet also read
  /// before it is written.
  package var memoryOperations: Int { (rule.hasRate ? 7 : 5) * heads * keySize * valueSize }

  /// The outputs as `outputs` asks for, and the final state, from an initial state (`nil`: zeros).
  ///
  /// - Precondition: x is [batch, time, features] and the state has this layer's shapes.
  public func run(_ x: Variable, from state: RecurrentState? = nil) -> (
    output: Variable, state: RecurrentState
  ) {
    require(features > 0, "\(Self.kind): not built; give inputSize, or put it into Sequential")
    require(
      x.shape.count == 3 && x.shape[2] == features,
      "\(Self.kind): expected an input of shape [batch, time, \(features)], got \(x.shape)")
    let batch = x.shape[0]
    state?.requireNumbersAlone(Self.kind)
    let initial = state.map { $0.hidden + $0.cell } ?? []
    let shapes = stateSizes.map { [batch, $0] }
    require(
      state.map { $0.hidden.count == 1 && initial.map(\.shape) == shapes } ?? true,
      "\(Self.kind): expected a state of 1 hidden and \(shapes.count - 1) cell parts of shapes \(shapes), got "
        + "\(initial.map(\.shape))")
    return x.walked(backward: isReversed, outputs: outputs) { forward($0, from: initial) }
  }

  private func forward(_ x: Variable, from initial: [Variable]) -> (
    output: Variable, state: RecurrentState
  ) {
    let (batch, time) = (x.shape[0], x.shape[1])
    let pass = MatrixMemoryPass(self, batch: batch, time: time, timing: x.timing)
    let projected = linear(
      x,
      [(x.with(weightQ), nil), (x.with(weightV), nil), (x.with(weightGate), x.with(biasGate))]
        + (rule.hasKeys ? [(x.with(weightK), nil)] : []))
    let (read, final) = pass.run(
      q: projected[0], k: rule.hasKeys ? projected[3] : nil, v: projected[1], gate: projected[2],
      rate: rule.hasRate ? x.with(logRate) : nil, initial: initial)
    var y = read.timed(x.timing)
    if normalizesHeads {
      // Rows past the lengths are zeros and stay so, for there is no shift.
      y = layerNorm(
        y.reshaped([batch, time, heads, valueSize]), x.with(weightNorm),
        Variable(Tensor(zeros: [valueSize]))
      ).reshaped([batch, time, heads * valueSize])
    }
    if outputs == .last { y = y.lastStep() }
    return (
      linear(y, x.with(weightOut), nil),
      RecurrentState(hidden: [final[0]], cell: Array(final.dropFirst()))
    )
  }

  /// This layer as a stream, from the zero state.
  ///
  /// - Precondition: it is built, and runs forward.
  public func stream() -> MatrixMemoryStream { MatrixMemoryStream(self) }
}
