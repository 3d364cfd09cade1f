import LetheCore
import LetheData
import LetheNN

// What has to hold before training begins, and who is to blame when it breaks down.

extension TrainingRun {
  /// Checks that options, data and model fit together.
  func check(_ model: some Model) throws {
    try options.validated()
    if validation == nil {
      if options.earlyStopping != nil {
        throw LetheError("early stopping", "needs validation data", advice: "give some, or go without it")
      }
      if options.schedule.needsValidation {
        throw LetheError(
          "schedule: plateau", "needs validation data", advice: "give some, or take another schedule")
      }
    }
    try model.checkTrainable()
    try model.check(train, name: "training data", loss: options.loss)
    if let validation { try model.check(validation, name: "validation data", loss: options.loss) }
  }

  /// The error for a step whose loss is not finite.
  func notFinite(_ model: some Model, _ batch: Dataset, _ key: RandomKey) -> LetheError {
    if let (name, _) = model.parameters.first(where: { !$0.value.isFinite }) {
      return breakdown("the parameter '\(name)' holds a number that is not finite")
    }
    let tape = Tape(key: key, isTraining: true, records: false, checksValues: true)
    let input = tape.constant(batch.inputs, timing: batch.timing)
    _ = options.loss(options.loss.output(of: model, for: input), batch)
    let culprit = tape.firstNonFinite.map { "; the first result that is not finite is that of \($0)" }
    return breakdown("the loss is not finite" + (culprit ?? ""))
  }

  /// The error for a step whose gradient is not finite.
  func notFinite(_ gradients: Gradients, of model: some Model) -> LetheError {
    let name = model.parameters.enumerated().first { slot, _ in
      !(gradients[slot: slot]?.isFinite ?? true)
    }?.element.name
    return breakdown("the gradient\(name.map { " of '\($0)'" } ?? "") is not finite")
  }

  private func breakdown(_ problem: String) -> LetheError {
    LetheError(
      "epoch \(state.counts.epoch + 1), step \(state.counts.step + 1)", problem,
      advice: "try a lower learning rate, a warm-up, or a tighter clipping")
  }
}

extension Model {
  /// Checks that there are parameters, and that they are filled.
  func checkTrainable() throws(LetheError) {
    var copy = self
    var failure: LetheError?
    var count = 0
    copy.forEachParameter { name, parameter in
      count += parameter.value.count
      if failure == nil && parameter.value.shape != parameter.shape {
        failure = LetheError(
          "model: parameter '\(name)'", "is not filled", expected: "shape \(parameter.shape)",
          found: "shape \(parameter.value.shape)", advice: "call initialize(key:) or load a file first")
      }
    }
    if let failure { throw failure }
    if count == 0 { throw LetheError("model", "has no parameters to train") }
  }

  /// Checks that the data are sound, and that the model gives the answers that targets and loss want.
  ///
  /// *Cost*: one look at the data, and one row's way through the model.
  func check(_ data: Dataset, name: String, loss: Loss) throws {
    if data.count == 0 { throw LetheError(name, "holds no rows", expected: "1 or more") }
    try data.validated(name: name)
    try loss.check(self)
    if let model = self as? Sequential {
      let shape = Array(data.inputs.shape.dropFirst())
      let fits =
        shape.count == model.input.count && zip(shape, model.input).allSatisfy { $1 == .any || $0 == $1 }
      if !fits {
        throw LetheError(
          "\(name): inputs", "do not fit the model",
          expected:
            "rows of shape [\(model.input.map { $0 == .any ? "any" : "\($0)" }.joined(separator: ", "))]",
          found: "rows of shape \(shape)")
      }
    }
    if let embedding = (self as? Sequential)?.layers.first as? Embedding {
      let width = data.inputs.count / data.count
      let bad = data.inputs.scalars.enumerated().first { place, index in
        (data.lengths.map { place % width < $0[place / width] } ?? true)
          && (index != index.rounded() || index < 0 || index >= Float(embedding.count))
      }?.offset
      if let bad {
        throw LetheError(
          "\(name): row \(bad / width), position \(bad % width)", "is no index of the embedding",
          expected: "a whole number in 0..<\(embedding.count)", found: "\(data.inputs.scalars[bad])")
      }
    }
    let row = data[0..<1]
    let answer = loss.output(of: self, for: Variable(row.inputs, timing: row.timing)).shape
    switch data.targets {
    case .classes(let labels, let classes):
      try check(labels.count, classes, answer, rows: data.count, name: name, loss: loss)
    case .values(let values): try check(values.shape, answer, name: name, loss: loss)
    }
  }

  /// Checks labels against the shape of the answer to one row.
  private func check(
    _ labels: Int, _ classes: Int, _ answer: [Int], rows: Int, name: String, loss: Loss
  ) throws(LetheError) {
    if !loss.takesLabels {
      throw LetheError(
        "\(name): targets", "are classes, which the loss \(loss.rawValue) does not take",
        expected: "numbers, or a loss such as \(Loss.categoricalCrossEntropy.rawValue)")
    }
    let isBinary = loss == .binaryCrossEntropy
    let width = isBinary ? 1 : answer.last ?? 0
    if isBinary ? classes > 2 : answer.count < 2 || classes > width {
      throw LetheError(
        "\(name): targets", "hold more classes than the model answers with",
        expected: "at most \(isBinary ? 2 : width)", found: "\(classes)")
    }
    let answers = answer.reduce(1, *) / max(width, 1)
    if labels != rows * answers {
      throw LetheError(
        "\(name): labels", "differ in number from the model's answers",
        expected: "\(answers) a row, for an output of shape \(answer.dropFirst())",
        found: "\(labels) for \(rows) rows",
        advice: answers > 1 && labels == rows
          ? "let the last recurrent layer give its last step only (outputs: .last)" : nil)
    }
  }

  /// Checks the shape of target values against that of the answer to one row.
  private func check(_ values: [Int], _ answer: [Int], name: String, loss: Loss) throws(LetheError) {
    let (found, wanted) = (Array(values.dropFirst()), Array(answer.dropFirst()))
    // Losses that go number by number let a last dimension of 1 go missing.
    let isByNumber = loss != .categoricalCrossEntropy && loss != .probabilityCrossEntropy
    let fits = found == wanted || isByNumber && (found + [1] == wanted || found == wanted + [1])
    if !fits {
      throw LetheError(
        "\(name): targets", "do not fit the model's output", expected: "rows of shape \(wanted)",
        found: "rows of shape \(found)")
    }
  }
}
