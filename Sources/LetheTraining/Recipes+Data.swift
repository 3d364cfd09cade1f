import LetheCore
import LetheData
import LetheFormats
import LetheNN

extension Recipe {
  /// Which rows of the digits are kept for the test.
  public enum Split: String, CaseIterable, Sendable {
    /// Every fifth: `Digits.split()`.
    case everyFifth = "every-fifth"
    /// The last 360: `Digits.lastRowsSplit()`, with fewer hands in both parts.
    case lastRows = "last-rows"

    /// All rows to learn from, and those for the test.
    public func load() -> (train: Dataset, test: Dataset) {
      switch self {
      case .everyFifth: Digits.split()
      case .lastRows: Digits.lastRowsSplit()
      }
    }
  }

  /// What is fitted, what serves choices, and what is met once, at the end.
  public struct Parts: Sendable {
    /// The rows to fit.
    public var train: Dataset
    /// The rows that the epochs are checked against.
    public var validation: Dataset
    /// The rows for the end.
    public var test: Dataset
  }

  /// The data of the digits; every eighth of the rows to learn from is for validation.
  ///
  /// *Cost*: a millisecond.
  public static func digits(_ split: Split) -> Parts {
    let (train, test) = split.load()
    let rows = 0..<train.count
    return Parts(
      train: train[rows: rows.filter { $0 % 8 != 7 }], validation: train[rows: rows.filter { $0 % 8 == 7 }],
      test: test)
  }

  /// The data of MNIST; the last 5,000 training images are for validation.
  ///
  /// - Throws: as `MNIST.load`, or a `LetheError` when there are too few images.
  ///
  /// *Cost*: see `MNIST.load`.
  public static func mnist(directory: String) throws -> Parts {
    let (train, test) = try MNIST.load(directory: directory)
    let kept = train.count - 5000
    if kept < 1 {
      throw LetheError(
        directory, "there are too few training images",
        expected: "more than 5000, the last 5000 for validation",
        found: "\(train.count)")
    }
    return Parts(train: train[0..<kept], validation: train[kept..<train.count], test: test)
  }

  /// The test part of the data that a word of a command line names: `digits`, or a folder with MNIST's files.
  ///
  /// - Throws: as `MNIST.load`.
  public static func testData(_ name: String, split: Split) throws -> Dataset {
    if name == Source.digits.rawValue { return digits(split).test }
    guard FileBytes.exists(name) else {
      throw LetheError(
        name, "there is no such folder",
        expected: "'digits' for the built-in ones, or a folder with MNIST's files")
    }
    return try MNIST.load(directory: name).test
  }

  /// How the notes of a model file name the data it was trained on.
  public func dataNote(_ split: Split) -> String {
    source == .digits ? "\(source.rawValue)/\(split.rawValue)" : source.rawValue
  }

  /// The split of the digits that the notes of a model file name, if they do.
  public static func split(notes: [String: String]) -> Split? {
    let parts = notes[Note.data]?.split(separator: "/") ?? []
    return parts.count == 2 && parts[0] == Source.digits.rawValue ? Split(rawValue: String(parts[1])) : nil
  }
}

/// A model's answers to the rows of a dataset: for each the likeliest class and its probability.
public struct Answers: Sendable {
  /// The class of each row.
  public let classes: [Int]
  /// The probability the model gave it.
  public let probabilities: [Float]

  /// The answers to all rows.
  ///
  /// - Throws: `LetheError` when the model does not take such rows, or does not answer with classes.
  public init(of model: Sequential, to data: Dataset) throws {
    if data.count > 0 { _ = try model.evaluate(data[0..<1], loss: Recipe.loss) }
    let output = model.predictions(for: data)
    let shares = model.finalActivation == .softmax ? output : output.softmax
    let width = shares.shape.last ?? 1
    let best = shares.argmax
    classes = best
    probabilities = shares.withUnsafeBuffer { shares in best.indices.map { shares[$0 * width + best[$0]] } }
  }

  /// How many rows of each true class (row) got each answer (column).
  ///
  /// - Precondition: a label for each answer.
  public func confusion(with labels: [Int32], classes count: Int) -> [[Int]] {
    require(labels.count == classes.count, "confusion: \(labels.count) labels for \(classes.count) answers")
    var matrix = [[Int]](repeating: [Int](repeating: 0, count: count), count: count)
    for (label, answer) in zip(labels, classes) { matrix[Int(label)][answer] += 1 }
    return matrix
  }
}

extension Dataset {
  /// The class of each row; empty where targets are numbers.
  public var labels: [Int32] {
    if case .classes(let labels, _) = targets { labels } else { [] }
  }

  /// The images, and after them the images moved by one pixel right, left, down and up; what enters is 0.
  ///
  /// *Shapes*: inputs [rows, height, width, channels] → [5 · rows, …].
  /// - Precondition: the inputs are images, with one class each.
  public func withShiftedImages() -> Dataset {
    guard inputs.shape.count == 4, case .classes(let labels, let classes) = targets, labels.count == count
    else {
      stop("withShiftedImages: expected images with a class each, got inputs \(inputs.shape)")
    }
    let (height, width, channels) = (inputs.shape[1], inputs.shape[2], inputs.shape[3])
    let shifts = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    let moved = Tensor(shape: [shifts.count * count] + inputs.shape.dropFirst()) { to in
      to.initialize(repeating: 0)
      inputs.withUnsafeBuffer { from in
        for (block, (down, right)) in shifts.enumerated() {
          for image in 0..<count {
            for y in max(0, -down)..<height - max(0, down) {
              for x in max(0, -right)..<width - max(0, right) {
                let source = ((image * height + y) * width + x) * channels
                let target = (((block * count + image) * height + y + down) * width + x + right) * channels
                for c in 0..<channels { to[target + c] = from[source + c] }
              }
            }
          }
        }
      }
    }
    return Dataset(
      inputs: moved,
      targets: .classes(Array(repeatElement(labels, count: shifts.count).joined()), count: classes))
  }

  /// The fraction of rows that have the class of the training row nearest to them, the first of equals:
  /// what a network has to be held against.
  ///
  /// *Source*: Fix & Hodges 1951; Euclidean distance.
  /// *Cost*: 2 · rows · training rows · numbers a row.
  public func nearestNeighbourAccuracy(from train: Dataset) -> Double {
    let (own, known) = (labels, train.labels)
    require(
      own.count == count && known.count == train.count && train.count > 0
        && inputs.shape.dropFirst() == train.inputs.shape.dropFirst(),
      "nearestNeighbourAccuracy: expected classes and rows of one shape, got \(inputs.shape) and "
        + "\(train.inputs.shape)"
    )
    let width = inputs.shape.dropFirst().reduce(1, *)
    var right = 0
    inputs.withUnsafeBuffer { x in
      train.inputs.withUnsafeBuffer { y in
        for row in 0..<count {
          var (best, least) = (0, Float.infinity)
          for other in 0..<train.count {
            var distance: Float = 0
            for i in 0..<width {
              let difference = x[row * width + i] - y[other * width + i]
              distance += difference * difference
            }
            if distance < least { (best, least) = (other, distance) }
          }
          if own[row] == known[best] { right += 1 }
        }
      }
    }
    return Double(right) / Double(Swift.max(count, 1))
  }
}

extension Sequential {
  /// What the gates of the model's first `ForgettingGateNetwork` do with x; `nil` where it has none.
  ///
  /// *Shapes*: x [rows, …] → f of the gate layer and the forget gate inside the memory, each
  /// [rows, time, hidden].
  public func forgettingGates(_ x: Tensor) -> (layer: Tensor, memory: Tensor)? {
    var value = Variable(x)
    for layer in layers {
      if let network = layer as? ForgettingGateNetwork {
        guard let forget = network.memoryGates(value.tensor)["forget"] else { return nil }
        return (network.keepGates(value.tensor), forget)
      }
      value = layer(value)
    }
    return nil
  }
}
