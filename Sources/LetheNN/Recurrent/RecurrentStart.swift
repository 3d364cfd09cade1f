import LetheCore

/// Whose rules a recurrent layer's matrices and biases start by.
///
/// H is the width of the cell. Vectors (peepholes, norms) start as the cell says in any case.
public enum RecurrentStart: String, Sendable, Codable {
  /// Lethe's: matrices of inputs Glorot-uniform and those of states orthogonal, gate by gate; biases as the cell says.
  case lethe
  /// PyTorch's: every matrix and both biases uniform in ±1 / √H, so that a forget gate starts near ½. For the cells that
  /// have two biases, with no forget bias asked for.
  case pytorch
  /// Keras's: the matrix of inputs Glorot-uniform over all gates together, that of states orthogonal as a whole; biases as
  /// the cell says, which by default is as there (1 for an LSTM's forget gate, else 0). For RNN, LSTM and GRU.
  case keras

  /// The parts of a layer, started so.
  func applied(to parts: [RecurrentPart], units: Int) -> [RecurrentPart] {
    parts.map { part in
      var part = part
      switch (self, part.name) {
      case (.pytorch, "weight_ih"), (.pytorch, "weight_hh"), (.pytorch, "weight_hr"), (.pytorch, "bias_ih"),
        (.pytorch, "bias_hh"):
        part.initializer = .torchUniform(fan: units)
      case (.keras, "weight_ih"): part.initializer = .glorotUniform
      case (.keras, "weight_hh"): part.initializer = .orthogonal
      default: break
      }
      return part
    }
  }
}
