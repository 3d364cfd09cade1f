import LetheCore
import LetheNN

extension LawSubject {
  /// The rules of `MatrixMemory` whose laws can be checked, by their names.
  static let matrixMemories: [(name: String, rule: MatrixMemory.Rule)] = [
    ("mlstm", .mLSTM), ("gla", .gatedLinearAttention), ("hgrn2", .hgrn2(lowerBound: 0.1)),
    ("deltanet", .gatedDeltaNet(negativeEigenvalues: true)),
  ]

  /// A matrix memory of two heads, its sizes off the vector width.
  static func matrixMemory(_ name: String, _ rule: MatrixMemory.Rule, units: Int) -> LawSubject {
    var layer = MatrixMemory(
      inputSize: 3, hiddenSize: units, rule: rule, heads: 2, keySize: 5, valueSize: units + 2)
    fill(&layer, name)
    let built = layer
    var subject = LawSubject(
      name: name, inputs: 3, units: units, others: built.stateSizes.count - 1, layer: layer,
      run: { built.run($0, from: $1) },
      gradients: { body in
        let (_, all) = built.gradients { layer, tape in body({ layer.run($0, from: $1) }, tape) }
        let named = all.named(for: built)
        return (built.parameters.map { ($0.name, named[$0.name] ?? $0.value) }, all)
      })
    subject.stateSizes = built.stateSizes
    subject.stream = { LawStream(built.stream()) }
    subject.twin = MatrixMemoryTwin(built)
    return subject
  }
}

extension LawStream {
  init(_ stream: MatrixMemoryStream) {
    var stream = stream
    self.init(step: { stream.step($0) }, state: { stream.state })
  }
}
