import LetheCore

/// One parameter of a layer and direction, as a file has it.
struct RecurrentPart {
  var name: String
  var shape: [Int]
  var initializer: Initializer
}

extension CellDescription {
  /// The parameters of one layer and direction in the order of files: weight_ih [rows · units, inputs], weight_hh
  /// [rows · units, units], bias_ih and bias_hh [rows · units], then vectors [units]; those that the cell has.
  func parts(inputs: Int, units: Int, biases: [Initializer]) -> [RecurrentPart] {
    var parts = [
      RecurrentPart(
        name: "weight_ih", shape: [inputRows * units, inputs],
        initializer: .stacked(Array(repeating: .glorotUniform, count: inputRows)))
    ]
    if hiddenRows > 0 {
      parts.append(
        RecurrentPart(
          name: "weight_hh", shape: [hiddenRows * units, units],
          initializer: .stacked(Array(repeating: .orthogonal, count: hiddenRows))))
    }
    if biasRows > 0 {
      parts.append(RecurrentPart(name: "bias_ih", shape: [biasRows * units], initializer: .stacked(biases)))
    }
    if hasHiddenBias {
      parts.append(RecurrentPart(name: "bias_hh", shape: [biasRows * units], initializer: .zeros))
    }
    return parts
      + vectors.map { RecurrentPart(name: $0.name, shape: [units], initializer: $0.initializer) }
  }

  /// Where each of them stands in that order.
  var hiddenPart: Int? { hiddenRows > 0 ? 1 : nil }
  var inputBiasPart: Int? { biasRows > 0 ? 1 + (hiddenRows > 0 ? 1 : 0) : nil }
  var hiddenBiasPart: Int? { hasHiddenBias ? 3 : nil }
  func vectorPart(_ number: Int) -> Int {
    1 + (hiddenRows > 0 ? 1 : 0) + (biasRows > 0 ? 1 : 0) + (hasHiddenBias ? 1 : 0) + number
  }
}
