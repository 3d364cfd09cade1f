import LetheCore

/// Where a GRU applies its reset gate.
public enum ResetPlacement: String, Sendable, Codable {
  /// n = tanh(W_n x + b_n + r ⊙ (U_n h + b_hn)): PyTorch, cuDNN, Keras's default.
  case after
  /// n = tanh(W_n x + U_n (r ⊙ h) + b_n): the paper; Keras with reset_after=False, ONNX's default.
  case before
}

/// Gated recurrent unit.
///
///     r_t = σ(W_r x_t + U_r h_{t−1} + b_r)      reset gate
///     z_t = σ(W_z x_t + U_z h_{t−1} + b_z)      update gate
///     n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t−1} + b_hn))   candidate; see `ResetPlacement`
///     h_t = z_t ⊙ h_{t−1} + (1 − z_t) ⊙ n_t
///
/// The update gate keeps the OLD state, as in every library; Chung et al. 2014 print it the other way round
/// (`flipUpdateSign` converts their weights). Gates stand in the order r, z, n.
/// *Source*: Cho et al. 2014, arXiv 1406.1078; reset after: cuDNN.
public struct GRUCell: RecurrentCell {
  public static let kind = "gru"
  public var hiddenSize: Int
  /// Where the reset gate is applied.
  public var reset: ResetPlacement
  /// What the gates do with their sums.
  public var gateActivation: GateActivation
  /// What the bias of the update gate starts at: above 0 keeps the old state longer.
  public var updateBias: Float

  /// A cell of the given width.
  public init(
    _ hiddenSize: Int, reset: ResetPlacement = .after, updateBias: Float = 0,
    gateActivation: GateActivation = .sigmoid
  ) {
    self.hiddenSize = hiddenSize
    self.reset = reset
    self.updateBias = updateBias
    self.gateActivation = gateActivation
  }

  enum CodingKeys: String, CodingKey {
    case reset
    case hiddenSize = "hidden_size"
    case updateBias = "update_bias"
    case gateActivation = "gate_activation"
  }

  public var description: CellDescription {
    var description = reset == .after ? CellDescription.gruAfter : .gruBefore
    description.gateActivation = gateActivation
    return description
  }
  public var biasInitializers: [Initializer] { [.zeros, .constant(updateBias), .zeros] }
  public func check() throws(LetheError) { try gateActivation.check(Self.kind) }
}

/// Layers of gated recurrent units; see `GRUCell` for the equations and `Recurrent` for shapes and state.
public typealias GRU = Recurrent<GRUCell>

extension Recurrent where Cell == GRUCell {
  /// Layers that learn their input width when they are built, inside `Sequential`.
  ///
  /// With `headSize`, the output is y_t = tanh(W_yo [h_t, x_t] + b_y) instead of h_t.
  public init(
    _ hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false, outputs: RecurrentOutputs = .last,
    reset: ResetPlacement = .after, updateBias: Float = 0, gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false
  ) {
    self.init(
      GRUCell(hiddenSize, reset: reset, updateBias: updateBias, gateActivation: gateActivation),
      layers: layers,
      bidirectional: bidirectional, outputs: outputs, dropout: dropout, headSize: headSize, start: start,
      reversed: reversed)
  }

  /// Layers ready for use.
  public init(
    inputSize: Int, hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    reset: ResetPlacement = .after, updateBias: Float = 0, gateActivation: GateActivation = .sigmoid,
    dropout: RecurrentDropout = RecurrentDropout(), headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, layers: layers, bidirectional: bidirectional, outputs: outputs, reset: reset,
      updateBias: updateBias, gateActivation: gateActivation, dropout: dropout, headSize: headSize,
      start: start, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  /// Turns weights of a GRU whose update gate keeps the NEW state, h = (1 − z) h' + z n, into this convention, by
  /// changing the signs of everything the update gate is made of: σ(−a) = 1 − σ(a). Its own inverse.
  public mutating func flipUpdateSign() {
    let units = cell.hiddenSize
    forEachParameter { name, parameter in
      guard name.hasPrefix("weight_") || name.hasPrefix("bias_") else { return }
      let width = parameter.value.count / (3 * units)
      parameter.value.withUnsafeMutableBuffer { x in
        for i in units * width..<2 * units * width { x[i] = -x[i] }
      }
    }
  }
}
