import LetheCore
import LetheData
import LetheNN

/// What a model reached on some rows. Every answer counts once: a row, or each real step of a row where the
/// model answers step by step.
struct Score: Sendable, Codable, Equatable {
  private var lossSum = 0.0
  private var answers = 0
  /// `nil` where targets are numbers.
  private var right: Int?

  /// Nothing yet.
  init() {}

  /// The score of one batch from the model's output and its mean loss; `kind` says how to read the output.
  init(_ output: Variable, _ batch: Dataset, _ kind: Loss, loss: Float) {
    let rows = output.shape.first ?? 0
    let lengths = output.timing?.lengths
    switch batch.targets {
    case .values(let values) where kind == .categoricalCrossEntropy:
      // Each row of probabilities stands for its largest class.
      let (found, wanted) = (output.tensor.argmax, values.argmax)
      let width = found.count / max(rows, 1)
      right = 0
      for row in 0..<rows {
        let counted = lengths?[row] ?? width
        answers += counted
        for i in row * width..<row * width + counted where found[i] == wanted[i] { right? += 1 }
      }
    case .values: answers = lengths?.reduce(0, +) ?? rows
    case .classes(let labels, _):
      let width = labels.count / max(rows, 1)
      let found = Self.classes(output.tensor, kind)
      var count = 0
      for row in 0..<rows {
        // Of a row's labels those of its real steps.
        let counted = lengths.map { $0[row] * width / max(output.shape[1], 1) } ?? width
        answers += counted
        for i in row * width..<row * width + counted where found[i] == labels[i] { count += 1 }
      }
      right = count
    }
    lossSum = Double(loss) * Double(answers)
  }

  /// The mean loss of an answer.
  var loss: Double { lossSum / Double(max(answers, 1)) }
  /// The fraction of right classes; `nil` where targets are numbers.
  var accuracy: Double? { right.map { Double($0) / Double(max(answers, 1)) } }

  static func += (a: inout Score, b: Score) {
    a.lossSum += b.lossSum
    a.answers += b.answers
    if let more = b.right { a.right = (a.right ?? 0) + more }
  }

  /// The class that each answer of an output names: the largest of its row, or for yes or no the sign.
  private static func classes(_ output: Tensor, _ loss: Loss) -> [Int32] {
    if loss == .binaryCrossEntropy { return output.scalars.map { $0 > 0 ? 1 : 0 } }
    return output.argmax.map { Int32($0) }
  }
}

extension Loss {
  /// The loss of an output for the targets of its batch.
  func callAsFunction(_ output: Variable, _ batch: Dataset) -> Variable {
    switch batch.targets {
    case .classes(let labels, _): self(output, labels)
    case .values(let values): self(output, values)
    }
  }
}

extension Dataset {
  /// The lengths, as values carry them.
  var timing: Timing? { lengths.map { Timing(lengths: $0) } }
}
