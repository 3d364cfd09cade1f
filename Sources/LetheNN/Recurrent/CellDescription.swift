import CLetheKernels
import LetheCore

/// What a gate does with its sum.
public enum GateActivation: Sendable, Codable, Equatable {
  /// σ(x) = 1 / (1 + e⁻ˣ).
  case sigmoid
  /// clamp(slope · x + offset, 0, 1), which reaches 0 and 1 exactly. Keras 3: slope 1/6, offset ½; Keras 2 and
  /// ONNX: slope 0.2, offset ½.
  case hardSigmoid(slope: Float = 1 / 6, offset: Float = 0.5)
}

/// What the engine must know of a cell: its gates, in which order files hold them, and what the state multiplies.
///
/// The engine owns the matrix products, the time loop, direction, lengths, resets and saved activations.
public struct CellDescription: Sendable, Equatable {
  /// Its name in messages.
  public let name: String
  /// The gates in the order of the rows of `weight_ih` and `weight_hh` (PyTorch's).
  public let gates: [String]
  /// Whether there is a cell state beside the hidden state.
  public let hasCellState: Bool
  /// What the gates do with their sums.
  public var gateActivation: GateActivation = .sigmoid

  let kernel: lethe_cell
  /// Vectors of saved values for each unit, and which file gate each of the first ones takes from the input.
  let slots: Int
  let inputOrder: [Int]
  /// The first slot the hidden state feeds, and which file gate each takes.
  let hiddenFirst: Int
  let hiddenOrder: [Int]
  /// The file gate whose recurrent product comes in a second phase (GRU with reset before), if any.
  let candidate: Int?
  /// Whether the candidate's recurrent bias stands inside the reset and apart (GRU with reset after).
  let keepsHiddenBias: Bool

  static let lstm = CellDescription(
    name: "LSTM", gates: ["input", "forget", "candidate", "output"], hasCellState: true,
    kernel: LETHE_CELL_LSTM, slots: 4,
    inputOrder: [0, 1, 2, 3], hiddenFirst: 0, hiddenOrder: [0, 1, 2, 3], candidate: nil,
    keepsHiddenBias: false)

  static let gruAfter = CellDescription(
    name: "GRU", gates: ["reset", "update", "candidate"], hasCellState: false, kernel: LETHE_CELL_GRU_AFTER,
    slots: 4,
    inputOrder: [2, 0, 1], hiddenFirst: 1, hiddenOrder: [0, 1, 2], candidate: nil, keepsHiddenBias: true)

  static let gruBefore = CellDescription(
    name: "GRU", gates: ["reset", "update", "candidate"], hasCellState: false, kernel: LETHE_CELL_GRU_BEFORE,
    slots: 4,
    inputOrder: [2, 0, 1], hiddenFirst: 1, hiddenOrder: [0, 1], candidate: 2, keepsHiddenBias: false)

  static func rnn(_ kernel: lethe_cell) -> CellDescription {
    CellDescription(
      name: "RNN", gates: ["hidden"], hasCellState: false, kernel: kernel, slots: 1, inputOrder: [0],
      hiddenFirst: 0,
      hiddenOrder: [0], candidate: nil, keepsHiddenBias: false)
  }

  /// A matrix [gates · units, k] of a file as the kernels want its gates.
  func matrix(_ order: [Int], units: Int, k: Int) -> lethe_gates {
    var gates = lethe_gates()
    gates.units = Int64(units)
    gates.k = Int64(k)
    gates.slots = Int64(order.count)
    withUnsafeMutableBytes(of: &gates.order) { to in
      for (slot, gate) in order.enumerated() { to[slot] = UInt8(gate) }
    }
    return gates
  }

  /// Tells the kernels which cell it is and what its gates do.
  func fill(_ arguments: inout lethe_recurrent) {
    arguments.cell = kernel
    if case .hardSigmoid(let slope, let offset) = gateActivation {
      arguments.hard_gates = true
      arguments.gate_slope = slope
      arguments.gate_offset = offset
    }
  }
}
