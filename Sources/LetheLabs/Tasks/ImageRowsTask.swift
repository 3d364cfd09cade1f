import LetheCore
import LetheData
import LetheNN
import LetheTraining

/// Name the digit in an image that is read row by row, or pixel by pixel.
///
/// *Shapes*: [count, rows, columns] or [count, pixels, 1], pixels from 0 to 1. A batch's rows are drawn from the training
/// images, each time anew.
public struct ImageRowsTask: SequenceTask {
  /// What a step shows.
  public enum Reading: String, Sendable, CaseIterable {
    /// A row.
    case rows
    /// A pixel, row after row.
    case pixels
    /// The mean of four pixels, 2 × 2, row after row: a quarter of the steps.
    case means
    /// The same in an order that has nothing to do with the image, the same for all images.
    case permutedMeans

    fileprivate var words: String {
      switch self {
      case .rows: ""
      case .pixels: ", one pixel a step"
      case .means: ", the means of 2 x 2 pixels, one a step"
      case .permutedMeans: ", the means of 2 x 2 pixels, one a step in a random order"
      }
    }
  }

  public let name: String
  public let drawName: String
  public let meaning: String
  public let inputSize: Int
  public let outputSize = 10
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 0.1
  public let goal: Double
  public let length: Int
  private let train: Dataset
  private let validation: Dataset
  private let test: Dataset

  /// The 1,797 built-in digits of 8 × 8 pixels; every fifth is for the test.
  public static func digits(_ reading: Reading = .rows) -> ImageRowsTask {
    ImageRowsTask(
      name(reading, "digits"), "name the built-in digit, 8 rows of 8 pixels\(reading.words)", goal: 0.95,
      Recipe.digits(.everyFifth), reading)
  }

  /// MNIST, from a folder with its four files; of the last 5,000 training images the first 1,000 are for validation.
  ///
  /// - Throws: as `MNIST.load`, or a `LetheError` when there are too few images.
  public static func mnist(directory: String, _ reading: Reading = .rows) throws -> ImageRowsTask {
    var parts = try Recipe.mnist(directory: directory)
    parts.validation = parts.validation[0..<min(1000, parts.validation.count)]
    return ImageRowsTask(
      name(reading, "mnist"), "name the digit of MNIST, 28 rows of 28 pixels\(reading.words)", goal: 0.97,
      parts, reading)
  }

  /// Its name on the command line.
  static func name(_ reading: Reading, _ images: String) -> String {
    switch reading {
    case .rows: images == "digits" ? images : "\(images)-rows"
    case .pixels: "\(images)-pixels"
    case .means: "\(images)-means"
    case .permutedMeans: "\(images)-means-permuted"
    }
  }

  private init(_ name: String, _ meaning: String, goal: Double, _ parts: Recipe.Parts, _ reading: Reading) {
    (self.name, self.meaning, self.goal) = (name, meaning, goal)
    drawName = reading == .permutedMeans ? name.replacing("-means-", with: "-") : name
    (train, validation, test) = (
      Self.sequences(parts.train, reading), Self.sequences(parts.validation, reading),
      Self.sequences(parts.test, reading)
    )
    (length, inputSize) = (train.inputs.shape[1], train.inputs.shape[2])
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count)
    return train[rows: (0..<count).map { _ in draws.below(train.count) }]
  }

  public func heldOut(_ part: HeldOut) -> Dataset { part == .test ? test : validation }

  /// The images as a reading shows them. *Shapes*: inputs [count, height, width, …] with even height and width.
  private static func sequences(_ data: Dataset, _ reading: Reading) -> Dataset {
    let (height, width) = (data.inputs.shape[1], data.inputs.shape[2])
    var data = data
    switch reading {
    case .rows: data.inputs = data.inputs.reshaped([data.count, height, width])
    case .pixels: data.inputs = data.inputs.reshaped([data.count, height * width, 1])
    case .means, .permutedMeans:
      let steps = height / 2 * (width / 2)
      let order =
        reading == .means
        ? Array(0..<steps) : RandomKey(seed: 0).child("permuted pixels").permutation(steps)
      let pixels = data.inputs
      data.inputs = Tensor(shape: [data.count, steps, 1]) { to in
        for image in 0..<data.count {
          for (step, place) in order.enumerated() {
            let corner = (image * height + place / (width / 2) * 2) * width + place % (width / 2) * 2
            let four = [corner, corner + 1, corner + width, corner + width + 1]
            to[image * steps + step] = four.reduce(0) { $0 + pixels.pointer[$1] } / 4
          }
        }
      }
    }
    return data
  }
}
