import LetheCore
import LetheData
import LetheNN

/// What a model reached on data.
public struct Evaluation: Sendable, Codable, Equatable {
  /// The mean loss.
  public var loss: Double
  /// The fraction of right classes; `nil` for targets that are numbers.
  public var accuracy: Double?
}

extension Model {
  /// The mean loss and the accuracy over a dataset.
  ///
  /// - Throws: a `LetheError` when model, data and loss do not fit together.
  ///
  /// *Cost*: the forward passes; memory for one batch.
  public func evaluate(_ dataset: Dataset, loss: Loss, batchSize: Int = 256) throws -> Evaluation {
    try check(dataset, name: "data", loss: loss)
    let score = score(dataset, loss: loss, batchSize: batchSize) { false } ?? Score()
    return Evaluation(loss: score.loss, accuracy: score.accuracy)
  }

  /// The model's output for every row, in evaluation mode.
  ///
  /// *Shapes*: [rows, …], rows as in the dataset.
  /// - Precondition: the model takes such inputs.
  ///
  /// *Cost*: the forward passes, and one copy of the outputs.
  public func predictions(for dataset: Dataset, batchSize: Int = 256) -> Tensor {
    predict(dataset.inputs, timing: dataset.timing, batchSize: batchSize)
  }

  /// What the model reaches on data; `nil` when it was told to stop.
  func score(_ dataset: Dataset, loss: Loss, batchSize: Int, shouldStop: () -> Bool) -> Score? {
    var total = Score()
    for first in stride(from: 0, to: dataset.count, by: batchSize) {
      let batch = dataset[first..<min(first + batchSize, dataset.count)]
      let output = loss.output(of: self, for: Variable(batch.inputs, timing: batch.timing))
      total += Score(output, batch, loss, loss: loss(output, batch).tensor.scalar)
      if shouldStop() { return nil }
    }
    return total
  }
}
