import Lethe

/// What a demonstration found, and its report.
struct DemoOutcome {
  let result: Evaluation
  let testCount: Int
  let nearestNeighbour: Double
  let report: DemoReport

  /// At most how many misread images the report shows.
  private static let mistakesShown = 24

  /// Meets the test rows: the only place where the demonstration does.
  init(
    _ network: Sequential, _ data: (train: Dataset, test: Dataset), recipe: Recipe, split: Recipe.Split,
    epochs: [EpochRecord], halfLives: [[Double]]
  ) throws {
    result = try network.evaluate(data.test, loss: Recipe.loss)
    testCount = data.test.count
    nearestNeighbour = data.test.nearestNeighbourAccuracy(from: data.train)
    let answers = try Answers(of: network, to: data.test)
    let labels = data.test.labels

    var report = DemoReport(
      title: "Lethe reads handwritten digits",
      dataSet: "Optical recognition of handwritten digits: 1,797 images of 8 × 8 pixels, "
        + (split == .everyFifth ? "every fifth row" : "the last 360 rows") + " kept for the test.",
      licence: "E. Alpaydin and C. Kaynak, UCI Machine Learning Repository (1998), CC BY 4.0.",
      testAccuracy: result.accuracy ?? .nan, testCount: testCount, classNames: (0..<10).map(String.init))
    report.layers = zip(network.layers, network.outputs).map { layer, shape in
      DemoReport.Layer(
        name: type(of: layer).kind, outputShape: "\(shape)", parameters: layer.parameterCount)
    }
    report.history = zip(epochs, halfLives).map { record, halfLives in
      var epoch = DemoReport.Epoch(
        epoch: record.epoch, loss: record.loss, validationLoss: record.valLoss,
        validationAccuracy: record.valAccuracy)
      epoch.halfLives = halfLives
      return epoch
    }
    let nearest = Wording.share(nearestNeighbour, of: testCount)
    report.comparison = "Taking the class of the nearest training image gets \(nearest) right."
    report.confusion = answers.confusion(with: labels, classes: 10)
    report.examples = Self.firstOfEach(labels).map {
      Self.example($0, network, data.test, answers, gates: true)
    }
    report.mistakes = labels.indices.filter { answers.classes[$0] != Int(labels[$0]) }
      .prefix(Self.mistakesShown).map { Self.example($0, network, data.test, answers, gates: false) }
    report.facts = [
      DemoReport.Fact("seed", "\(recipe.seed)"), DemoReport.Fact("epochs", "\(recipe.epochs)"),
      DemoReport.Fact("rows of a step", "\(recipe.batchSize)"),
      DemoReport.Fact("learning rate", "\(recipe.rate), falling along half a cosine"),
      DemoReport.Fact("test rows", split.rawValue),
    ]
    self.report = report
  }

  /// The first row of each class.
  private static func firstOfEach(_ labels: [Int32]) -> [Int] {
    (0..<10).compactMap { labels.firstIndex(of: $0) }
  }

  private static func example(
    _ row: Int, _ network: Sequential, _ data: Dataset, _ answers: Answers, gates: Bool
  ) -> DemoReport.Example {
    let input = data.inputs.rows(row..<row + 1)
    var example = DemoReport.Example(
      image: rows(of: input, width: data.inputs.shape[2]), trueClass: Int(data.labels[row]),
      predictedClass: answers.classes[row], probability: Double(answers.probabilities[row]))
    if gates, let (layer, memory) = network.forgettingGates(input) {
      example.gates = [
        DemoReport.Gate(
          name: "Forget-gate layer f", role: .readOut, keep: rows(of: layer, width: layer.shape[2])),
        DemoReport.Gate(
          name: "Forget gate in the memory, k", role: .memory,
          keep: rows(of: memory, width: memory.shape[2])),
      ]
    }
    return example
  }

  /// The scalars of a tensor in rows.
  private static func rows(of tensor: Tensor, width: Int) -> [[Float]] {
    let scalars = tensor.scalars
    return stride(from: 0, to: scalars.count, by: width).map { Array(scalars[$0..<$0 + width]) }
  }
}
