extension LayerRecording {
  /// Path, layer and direction for files: `2.memory.layer0.forward`; `layer0.forward` for a layer by itself.
  public var label: String {
    (path.isEmpty ? "" : path + ".") + "layer\(layer)." + (isReversed ? "backward" : "forward")
  }

  /// The gates that are open or shut by degrees: whose recorded value is that of a sigmoid, a hard sigmoid or a step.
  public var openings: [String] {
    let equations = description.equations
    return equations.terms.filter { term in
      switch equations.graph.nodes[term.home] {
      case .unary(.sigmoid, _), .unary(.hardSigmoid, _), .unary(.hardStep, _), .unary(.positive, _):
        term.fixed == nil
      default: false
      }
    }.map(\.name)
  }
}
