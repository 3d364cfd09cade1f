import CLetheKernels
import LetheCore

/// The Forgetting Gate Network: a gate layer decides, step by step, what of a memory unit's reading is kept.
///
///     f_t = σ(W_f x_t + b_f)                        forget-gate layer: near 1 keeps, near 0 forgets
///     (c_t, m_t) = LSTM(x_t, (c_{t−1}, m_{t−1}))    memory unit, with its output gate o_t
///     y_t = f_t ⊙ m_t + (1 − f_t) ⊙ z_t             read-out
///
/// The network is printed as y_t = f_t ⊙ o_t ⊙ m_t + (1 − f_t) ⊙ z_t. An LSTM's m_t = o_t ⊙ tanh(c_t) contains o_t
/// already, so by default o_t acts once, as in the line above; `OutputGate.twice` multiplies by it again, as printed.
///
/// f scales the read-out and is fed by x_t alone; the LSTM's own forget gate is another gate, inside the memory unit.
/// Both start with bias 1. z_t is zero or V m_{t−1}, V learned; m_{t−1} is the initial m at the first step and zero at a
/// reset. The error trains the gate layer and the memory unit together.
///
/// *Shapes*: x [batch, time, features] → [batch, time, hidden], or [batch, hidden] with `outputs: .last`.
/// *State*: (c, m). m recurs, not y. Backward in time m_{t−1} is that of the step after.
/// *Parameters*: `gate.weight` [hidden, features], `gate.bias`, `memory.…` as `LSTM`, `recall.weight` [hidden, hidden].
/// *Cost*: that of the LSTM and 2 · batch · time · hidden · features (and · hidden² for V).
public struct ForgettingGateNetwork: Layer {
  /// What stands in for the memory where it is forgotten.
  public enum Recall: String, Sendable, Codable {
    /// z_t = 0.
    case zero
    /// z_t = V m_{t−1}.
    case previousMemory = "previous_memory"
  }

  /// How often the memory unit's output gate acts on the read-out.
  public enum OutputGate: String, Sendable, Codable {
    /// Once, inside m_t.
    case once
    /// Once inside m_t and once more, as the equation is printed.
    case twice
  }

  public static let kind = "fgn"
  /// The name of f in recordings.
  public static let readOutGate = "read-out"
  /// The width of memory and output.
  public var hiddenSize: Int
  /// Every step's output or the last.
  public var outputs: RecurrentOutputs
  /// z.
  public var recall: Recall
  /// Which reading of the equation.
  public var outputGate: OutputGate
  /// What b_f and the bias of the LSTM's forget gate start at.
  public var forgetBias: Float
  /// Chances of zeroing, in training.
  public var dropout: RecurrentDropout
  /// Whether it walks from the last step to the first; outputs stay in time order.
  public var isReversed: Bool {
    get { memory.isReversed }
    set { memory.isReversed = newValue }
  }

  /// The forget-gate layer. This and the two below follow from the options above whenever the network is built; parameters are
  /// set through `forEachParameter`.
  public private(set) var gate: Dense
  /// The memory unit.
  public private(set) var memory: LSTM
  /// V.
  public private(set) var recallMap: Dense

  /// A network that learns its input width when it is built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, outputs: RecurrentOutputs = .last, recall: Recall = .zero,
    outputGate: OutputGate = .once, forgetBias: Float = 1, dropout: RecurrentDropout = RecurrentDropout(),
    reversed: Bool = false
  ) {
    self.hiddenSize = hiddenSize
    self.outputs = outputs
    self.recall = recall
    self.outputGate = outputGate
    self.forgetBias = forgetBias
    self.dropout = dropout
    (gate, memory, recallMap) = Self.parts(hiddenSize, forgetBias)
    isReversed = reversed
  }

  /// A network ready for use.
  public init(
    inputSize: Int, hiddenSize: Int, outputs: RecurrentOutputs = .all, recall: Recall = .zero,
    outputGate: OutputGate = .once, forgetBias: Float = 1, dropout: RecurrentDropout = RecurrentDropout(),
    reversed: Bool = false, key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, outputs: outputs, recall: recall, outputGate: outputGate, forgetBias: forgetBias,
      dropout: dropout, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  private static func parts(_ hiddenSize: Int, _ forgetBias: Float) -> (Dense, LSTM, Dense) {
    (
      Dense(hiddenSize, activation: .sigmoid), LSTM(hiddenSize, outputs: .all, forgetBias: forgetBias),
      Dense(hiddenSize, usesBias: false)
    )
  }

  enum CodingKeys: String, CodingKey {
    case outputs, recall, dropout
    case hiddenSize = "hidden_size"
    case outputGate = "output_gate"
    case forgetBias = "forget_bias"
    case isReversed = "reversed"
  }

  /// Files from before there was a direction have none.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode(Int.self, forKey: .hiddenSize),
      outputs: try values.decode(RecurrentOutputs.self, forKey: .outputs),
      recall: try values.decode(Recall.self, forKey: .recall),
      outputGate: try values.decode(OutputGate.self, forKey: .outputGate),
      forgetBias: try values.decode(Float.self, forKey: .forgetBias),
      dropout: try values.decode(RecurrentDropout.self, forKey: .dropout),
      reversed: try values.decodeIfPresent(Bool.self, forKey: .isReversed) ?? false)
  }

  /// The direction is written only where it is backward.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(hiddenSize, forKey: .hiddenSize)
    try values.encode(outputs, forKey: .outputs)
    try values.encode(recall, forKey: .recall)
    try values.encode(outputGate, forKey: .outputGate)
    try values.encode(forgetBias, forKey: .forgetBias)
    try values.encode(dropout, forKey: .dropout)
    if encoder.writesEveryField || isReversed { try values.encode(isReversed, forKey: .isReversed) }
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let isReversed = isReversed
    (gate, memory, recallMap) = Self.parts(hiddenSize, forgetBias)
    memory.isReversed = isReversed
    memory.dropout.recurrent = dropout.recurrent
    memory.dropout.weights = dropout.weights
    try dropout.check(Self.kind)
    if dropout.between > 0 {
      throw LetheError(Self.kind, "has one layer, so no dropout between layers", advice: "use output dropout")
    }
    let shape = try memory.build(input: input)
    _ = try gate.build(input: input)
    gate.bias = Parameter(shape: gate.bias.shape, .constant(forgetBias))
    _ = try recallMap.build(input: [hiddenSize])
    return outputs == .all ? shape : [hiddenSize]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("gate", &gate)
    visitor.visit("memory", &memory)
    if recall == .previousMemory { visitor.visit("recall", &recallMap) }
  }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The outputs, and the final state (c, m), from an initial state (`nil`: zeros).
  public func run(_ x: Variable, from state: RecurrentState? = nil) -> (
    output: Variable, state: RecurrentState
  ) {
    run(x, from: state, observer: nil)
  }

  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    observer.inside("memory") { run(x, from: nil, observer: observer).output }
  }

  private func run(_ x: Variable, from state: RecurrentState?, observer: Observer?) -> (
    output: Variable, state: RecurrentState
  ) {
    let input = x.dropped(dropout.input)
    let f = gate(input)
    let reading = memory.runAll(
      input, from: state, wantsOutputGate: outputGate == .twice, observer: observer)
    observer?.add(Self.readOutGate, f.tensor)
    var m = reading.output
    if let o = reading.outputGate { m = m * o }
    var y = f * m
    if recall == .previousMemory {
      let before = reading.output.previousStep(from: state?.hidden[0], backward: isReversed)
      y = y + (1 - f) * recallMap(before)
    }
    if outputs == .last { y = y.timed(x.timing).lastStep(backward: isReversed) }
    return (y.dropped(dropout.output), reading.state)
  }

  /// f_t for each step and unit, in evaluation mode: what is kept (near 1) and what is forgotten (near 0).
  ///
  /// *Shapes*: x [batch, time, features] → [batch, time, hidden].
  public func keepGates(_ x: Tensor) -> Tensor { gate(Variable(x)).tensor }

  /// The values of the memory unit's own gates, "input", "forget", "candidate" and "output", in evaluation mode; its
  /// "forget" is what c_{t−1} is multiplied with, and is not f.
  ///
  /// *Shapes*: x [batch, time, features] → each [batch, time, hidden].
  public func memoryGates(_ x: Tensor) -> [String: Tensor] { memory.gateValues(Variable(x)) }

  /// This network as a stream, from zeros.
  ///
  /// - Precondition: it is built, and runs forward.
  public func stream() -> ForgettingGateStream { ForgettingGateStream(self) }
}
