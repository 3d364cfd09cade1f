import CLetheKernels
import LetheCore

/// The plain recurrent network.
///
///     h_t = a(W x_t + U h_{t−1} + b)        a = tanh or relu
///
/// *Source*: Elman 1990.
public struct RNNCell: RecurrentCell {
  /// What is applied to the sum.
  public enum Nonlinearity: String, Sendable, Codable {
    /// tanh.
    case tanh
    /// max(x, 0).
    case relu
  }

  public static let kind = "rnn"
  public var hiddenSize: Int
  /// a.
  public var activation: Nonlinearity

  /// A cell of the given width.
  public init(_ hiddenSize: Int, activation: Nonlinearity = .tanh) {
    self.hiddenSize = hiddenSize
    self.activation = activation
  }

  enum CodingKeys: String, CodingKey {
    case activation
    case hiddenSize = "hidden_size"
  }

  public var description: CellDescription {
    .rnn(activation == .tanh ? LETHE_CELL_RNN_TANH : LETHE_CELL_RNN_RELU)
  }
  public var biasInitializers: [Initializer] { [.zeros] }
}

/// Layers of plain recurrent units; see `RNNCell` for the equation and `Recurrent` for shapes and state.
public typealias RNN = Recurrent<RNNCell>

extension Recurrent where Cell == RNNCell {
  /// Layers that learn their input width when they are built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false, outputs: RecurrentOutputs = .last,
    activation: RNNCell.Nonlinearity = .tanh, dropout: RecurrentDropout = RecurrentDropout(),
    headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false
  ) {
    self.init(
      RNNCell(hiddenSize, activation: activation), layers: layers, bidirectional: bidirectional,
      outputs: outputs,
      dropout: dropout, headSize: headSize, start: start, reversed: reversed)
  }

  /// Layers ready for use.
  public init(
    inputSize: Int, hiddenSize: Int, layers: Int = 1, bidirectional: Bool = false,
    outputs: RecurrentOutputs = .all,
    activation: RNNCell.Nonlinearity = .tanh, dropout: RecurrentDropout = RecurrentDropout(),
    headSize: Int? = nil,
    start: RecurrentStart = .lethe, reversed: Bool = false,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, layers: layers, bidirectional: bidirectional, outputs: outputs, activation: activation,
      dropout: dropout, headSize: headSize, start: start, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }
}
