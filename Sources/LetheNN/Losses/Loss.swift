import LetheCore

/// A loss by name, for trainers and files.
///
/// Each is a mean over rows or scalars that skips the steps past a sequence's length.
public enum Loss: String, Codable, Sendable, CaseIterable {
  /// `crossEntropy` of class labels or probabilities. It works on logits: a final softmax of the model is
  /// left out while training, so `Dense(10, activation: .softmax)` at the end and `Dense(10)` both train
  /// rightly.
  case categoricalCrossEntropy = "categorical_cross_entropy"
  /// `probabilityCrossEntropy`: for models that give probabilities in some other way than by a final softmax.
  case probabilityCrossEntropy = "probability_cross_entropy"
  /// `binaryCrossEntropy` of yes-or-no targets. It works on logits: a final sigmoid is left out while
  /// training.
  case binaryCrossEntropy = "binary_cross_entropy"
  /// `meanSquaredError`.
  case meanSquaredError = "mean_squared_error"
  /// `huber` with δ = 1.
  case huber

  /// What of a model this loss takes: its output, or its logits where the loss wants those.
  ///
  ///     let loss = Loss.categoricalCrossEntropy
  ///     let (value, gradients) = model.gradients { model, tape in
  ///       loss(loss.output(of: model, for: tape.constant(x)), labels)
  ///     }
  public func output(of model: some Model, for x: Variable) -> Variable {
    guard let omitted = omittedActivation, let model = model as? any LogitsModel,
      model.finalActivation == omitted
    else { return model(x) }
    return model.logits(x)
  }

  private var omittedActivation: Activation? {
    switch self {
    case .categoricalCrossEntropy: .softmax
    case .binaryCrossEntropy: .sigmoid
    case .probabilityCrossEntropy, .meanSquaredError, .huber: nil
    }
  }

  /// Whether targets may be class labels.
  public var takesLabels: Bool { self != .meanSquaredError && self != .huber }

  /// Refuses a model that ends in an activation this loss is wrong for.
  ///
  /// - Throws: `LetheError` that says what to end in, or which loss to take.
  public func check(_ model: some Model) throws(LetheError) {
    guard let end = (model as? any LogitsModel)?.finalActivation else { return }
    let fitting: [Activation]
    let advice: String
    switch self {
    case .categoricalCrossEntropy:
      fitting = [.softmax, .linear]
      advice = "end in softmax, or for yes-or-no targets take \(Loss.binaryCrossEntropy.rawValue)"
    case .probabilityCrossEntropy:
      fitting = [.softmax]
      advice = "end in softmax, or take \(Loss.categoricalCrossEntropy.rawValue)"
    case .binaryCrossEntropy:
      fitting = [.sigmoid, .linear]
      advice = "end in sigmoid, or for one of several classes take \(Loss.categoricalCrossEntropy.rawValue)"
    case .meanSquaredError, .huber: return
    }
    if !fitting.contains(end) {
      throw LetheError(
        "the loss \(rawValue)", "does not fit the model's last activation",
        expected: fitting.map(\.rawValue).joined(separator: " or "), found: end.rawValue, advice: advice)
    }
  }

  /// The loss of an output (see `output(of:for:)`) for class labels.
  ///
  /// *Shapes*: output [..., classes] and a label for each row, row-major; for `binaryCrossEntropy` a label of
  /// 0 or 1 for each scalar.
  /// - Precondition: the loss takes labels, and they fit.
  public func callAsFunction(_ output: Variable, _ labels: [Int32]) -> Variable {
    switch self {
    case .categoricalCrossEntropy: return crossEntropy(output, labels)
    case .probabilityCrossEntropy: return LetheNN.probabilityCrossEntropy(output, labels)
    case .binaryCrossEntropy:
      require(
        labels.count == output.tensor.count,
        "binaryCrossEntropy: expected a label for each of the \(output.shape) outputs, got "
          + "\(labels.count) labels"
      )
      for (row, label) in labels.enumerated() {
        require(
          label == 0 || label == 1, "binaryCrossEntropy: row \(row) has the label \(label); expected 0 or 1")
      }
      return LetheNN.binaryCrossEntropy(output, Tensor(labels.map { Float($0) }, shape: output.shape))
    case .meanSquaredError, .huber:
      stop("\(rawValue): expected targets that are numbers, got class labels")
    }
  }

  /// The loss of an output (see `output(of:for:)`) for targets of the same shape.
  ///
  /// - Precondition: the shapes fit.
  public func callAsFunction(_ output: Variable, _ targets: Tensor) -> Variable {
    switch self {
    case .categoricalCrossEntropy: crossEntropy(output, targets)
    case .probabilityCrossEntropy: LetheNN.probabilityCrossEntropy(output, targets)
    case .binaryCrossEntropy: LetheNN.binaryCrossEntropy(output, targets)
    case .meanSquaredError: LetheNN.meanSquaredError(output, targets)
    case .huber: LetheNN.huber(output, targets)
    }
  }
}
