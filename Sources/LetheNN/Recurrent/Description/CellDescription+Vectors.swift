import LetheCore

/// Vectors of a described cell, and what is made of them alone: that is computed once a pass, in doubles, and its gradients,
/// summed over all rows and steps, are led back to the vectors once.
extension CellDescription {
  /// Vectors, and what is made of them.
  var allVectors: Int { vectors.count + derivedVectors.count }

  /// The vectors as they stand in the parameters, [units] each.
  func givenVectors(_ parts: [Tensor], units: Int) -> [[Float]] {
    vectors.indices.map { number in
      let (part, block) = vectorPlace(number)
      return Array(UnsafeBufferPointer(start: parts[part].pointer + block * units, count: units))
    }
  }

  /// What follows from the vectors.
  func derivedValues(_ given: [[Float]]) -> [[Float]] {
    guard let graph = described?.graph, let units = given.first?.count, !derivedVectors.isEmpty else {
      return []
    }
    return evaluate(graph, derivedVectors, units, given)
  }

  /// What gradients of derived vectors add to those of the vectors; none where a vector has no part in any.
  func gradients(ofDerived sums: [[Float]], _ given: [[Float]]) -> [[Float]?] {
    guard var graph = described?.graph, let units = given.first?.count, !derivedVectors.isEmpty else {
      return vectors.map { _ in nil }
    }
    let seeds = Dictionary(
      uniqueKeysWithValues: derivedVectors.enumerated().map { ($1, graph.leaf(.dVector($0))) })
    let leaves = vectors.indices.map { graph.leaf(.vector($0)) }
    let found = graph.gradients(of: seeds, to: Set(leaves))
    return leaves.map { leaf in
      found[leaf].flatMap { evaluate(graph, [$0], units, given, sums).first }
    }
  }

  private func evaluate(
    _ graph: CellGraph, _ nodes: [CellGraph.ID], _ units: Int, _ given: [[Float]], _ sums: [[Float]] = []
  ) -> [[Float]] {
    graph.columns(nodes, count: units, units: units) { leaf in
      switch leaf {
      case .vector(let number): given[number].map { Double($0) }
      case .dVector(let number): sums[number].map { Double($0) }
      default: stop("\(name): expected a value made of vectors alone")
      }
    }.map { $0.map { Float($0) } }
  }
}
