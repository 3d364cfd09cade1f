import LetheCore

/// One parameter of a layer and direction, as a file has it.
package struct RecurrentPart {
  var name: String
  var shape: [Int]
  var initializer: Initializer
}

extension CellDescription {
  /// The parameters of one layer and direction in the order of files: weight_ih [rows · units, inputs − scalars], weight_hh
  /// [rows · units, units], bias_ih and bias_hh [rows · units], then vectors [units]; those that the cell has.
  package func parts(inputs: Int, units: Int, biases: [Initializer]) -> [RecurrentPart] {
    var parts: [RecurrentPart] = []
    if inputRows > 0 {
      parts.append(
        RecurrentPart(
          name: "weight_ih", shape: [inputRows * units, inputs - scalars],
          initializer: .stacked(Array(repeating: .glorotUniform, count: inputRows))))
    }
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

  /// The slots that weights feed from the input: the first ones.
  var fedSlots: Int { projections.reduce(0) { $0 + $1.rows.count } }

  /// Their names and shapes alone.
  func partNames() -> [String] { parts(inputs: 1, units: 1, biases: []).map(\.name) }
  func hasShapes(_ parts: [Tensor], inputs: Int, units: Int) -> Bool {
    guard parts.count == vectorPart(vectors.count) else { return false }
    func fits(_ part: Int?, _ rows: Int, _ columns: Int? = nil) -> Bool {
      guard let part else { return true }
      let shape = parts[part].shape
      return shape.first == rows * units && shape.last == columns ?? rows * units
        && shape.count == (columns == nil ? 1 : 2)
    }
    return fits(inputPart, inputRows, seen(inputs)) && fits(hiddenPart, hiddenRows, units)
      && fits(inputBiasPart, biasRows) && fits(hiddenBiasPart, biasRows)
      && vectors.indices.allSatisfy { fits(vectorPart($0), 1) }
  }

  /// Where each of them stands in that order.
  var inputPart: Int? { inputRows > 0 ? 0 : nil }
  var hiddenPart: Int? { hiddenRows > 0 ? (inputRows > 0 ? 1 : 0) : nil }
  var inputBiasPart: Int? { biasRows > 0 ? (inputRows > 0 ? 1 : 0) + (hiddenRows > 0 ? 1 : 0) : nil }
  var hiddenBiasPart: Int? { hasHiddenBias ? 3 : nil }
  func vectorPart(_ number: Int) -> Int {
    [inputRows > 0, hiddenRows > 0, biasRows > 0, hasHiddenBias].count { $0 } + number
  }

  /// Why a layer of this cell cannot have such an input; `nil` if it can.
  package func complaint(inputs: Int, units: Int) -> (expected: String, advice: String)? {
    if fixedInputs.contains(where: { $0.input == .identity }) && inputs - scalars != units {
      return (
        "as many features as units, \(units)\(scalars > 0 ? ", and \(scalars) more" : "")",
        "this cell takes its input unit by unit; put a Dense layer before it"
      )
    }
    if inputs <= scalars {
      return ("more than \(scalars) features", "the last \(scalars) of them are not for gates")
    }
    return nil
  }
}
