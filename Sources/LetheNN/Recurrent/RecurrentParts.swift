import LetheCore

/// One parameter of a layer and direction, as a file has it.
package struct RecurrentPart {
  var name: String
  var shape: [Int]
  var initializer: Initializer
}

extension CellDescription {
  /// The parameters of one layer and direction in the order of files: weight_ih [rows · units, inputs − scalars], weight_hh
  /// [rows · units, width of h], bias_ih and bias_hh [rows · units], weight_hr [width of h, units], then vectors
  /// [blocks · units]; those that the cell has.
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
          name: "weight_hh", shape: [hiddenRows * units, projected ?? units],
          initializer: .stacked(Array(repeating: .orthogonal, count: hiddenRows))))
    }
    if biasRows > 0 {
      parts.append(RecurrentPart(name: "bias_ih", shape: [biasRows * units], initializer: .stacked(biases)))
    }
    if hasHiddenBias {
      parts.append(RecurrentPart(name: "bias_hh", shape: [biasRows * units], initializer: .zeros))
    }
    if let projected {
      parts.append(RecurrentPart(name: "weight_hr", shape: [projected, units], initializer: .glorotUniform))
    }
    for vector in vectors {
      if vector.block == 0 {
        parts.append(RecurrentPart(name: vector.name, shape: [units], initializer: vector.initializer))
      } else {
        let blocks = vectors.filter { $0.name == vector.name }.prefix(vector.block + 1)
        parts[parts.count - 1].shape = [blocks.count * units]
        parts[parts.count - 1].initializer = .stacked(blocks.map(\.initializer))
      }
    }
    return parts
  }

  /// The slots that weights feed from the input: the first ones.
  var fedSlots: Int { projections.reduce(0) { $0 + $1.rows.count } }

  /// Their names and shapes alone.
  func partNames() -> [String] { parts(inputs: 1, units: 1, biases: []).map(\.name) }
  func hasShapes(_ parts: [Tensor], inputs: Int, units: Int) -> Bool {
    guard parts.count == firstVectorPart + vectors.count(where: { $0.block == 0 }) else { return false }
    func fits(_ part: Int?, _ rows: Int, _ columns: Int? = nil) -> Bool {
      guard let part else { return true }
      let shape = parts[part].shape
      return shape.first == rows * units && shape.last == columns ?? rows * units
        && shape.count == (columns == nil ? 1 : 2)
    }
    return fits(inputPart, inputRows, seen(inputs)) && fits(hiddenPart, hiddenRows, projected ?? units)
      && (projectionPart.map { parts[$0].shape == [projected ?? 0, units] } ?? true)
      && fits(inputBiasPart, biasRows) && fits(hiddenBiasPart, biasRows)
      && vectors.allSatisfy { vector in
        fits(vectorPart(vector), vectors.count { $0.name == vector.name })
      }
  }

  /// Where each of them stands in that order.
  var inputPart: Int? { inputRows > 0 ? 0 : nil }
  var hiddenPart: Int? { hiddenRows > 0 ? (inputRows > 0 ? 1 : 0) : nil }
  var inputBiasPart: Int? { biasRows > 0 ? (inputRows > 0 ? 1 : 0) + (hiddenRows > 0 ? 1 : 0) : nil }
  var hiddenBiasPart: Int? { hasHiddenBias ? 3 : nil }
  var projectionPart: Int? {
    projected == nil ? nil : [inputRows > 0, hiddenRows > 0, biasRows > 0, hasHiddenBias].count { $0 }
  }
  private var firstVectorPart: Int {
    [inputRows > 0, hiddenRows > 0, biasRows > 0, hasHiddenBias, projected != nil].count { $0 }
  }
  /// The matrix that a stage multiplies what it sees with, how many rows a gate has there and how many columns.
  func weight(of stage: Stage, units: Int) -> (part: Int?, units: Int, k: Int) {
    (
      stage.width == nil ? hiddenPart : projectionPart, stage.width ?? units,
      stage.source == .state(0) ? projected ?? units : units
    )
  }
  private func vectorPart(_ vector: CellBuilder.Vector) -> Int {
    firstVectorPart + vectors.prefix { $0.name != vector.name }.count { $0.block == 0 }
  }
  /// The part that holds a vector, and which block of it.
  func vectorPlace(_ number: Int) -> (part: Int, block: Int) {
    (vectorPart(vectors[number]), vectors[number].block)
  }

  /// Why a layer of this cell cannot have such an input; `nil` if it can.
  func complaint(inputs: Int, units: Int) -> (expected: String, found: Int, advice: String)? {
    if takesItsInput && inputs - scalars != units {
      return (
        "as many features as units, \(units)\(scalars > 0 ? ", and \(scalars) more" : "")", inputs,
        "this cell takes its input unit by unit; put a Dense layer before it"
      )
    }
    if let projected, projected > units {
      return (
        "an h no wider than the cell, \(units) units", projected, "project to fewer, or make the cell wider"
      )
    }
    if inputs <= scalars {
      return ("more than \(scalars) features", inputs, "the last \(scalars) of them are not for gates")
    }
    return nil
  }
}
