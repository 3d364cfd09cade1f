import LetheCore
import LetheData
import LetheNN
import LetheTraining

/// Name the digit in an image that is read row by row, or pixel by pixel.
///
/// *Shapes*: [count, rows, columns] or [count, rows · columns, 1], pixels from 0 to 1. A batch's rows are drawn from the training images, each time anew.
public struct ImageRowsTask: SequenceTask {
  public let name: String
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
  public static func digits(byPixel: Bool = false) -> ImageRowsTask {
    ImageRowsTask(
      name: byPixel ? "digits-pixels" : "digits",
      meaning: "name the built-in digit, 8 rows of 8 pixels\(byPixel ? ", one pixel a step" : "")",
      goal: 0.95,
      Recipe.digits(.everyFifth), byPixel: byPixel)
  }

  /// MNIST, from a folder with its four files; of the last 5,000 training images the first 1,000 are for validation.
  ///
  /// - Throws: as `MNIST.load`, or a `LetheError` when there are too few images.
  public static func mnist(directory: String, byPixel: Bool = false) throws -> ImageRowsTask {
    var parts = try Recipe.mnist(directory: directory)
    parts.validation = parts.validation[0..<min(1000, parts.validation.count)]
    return ImageRowsTask(
      name: byPixel ? "mnist-pixels" : "mnist-rows",
      meaning: "name the digit of MNIST, 28 rows of 28 pixels\(byPixel ? ", one pixel a step" : "")",
      goal: 0.97, parts, byPixel: byPixel)
  }

  private init(name: String, meaning: String, goal: Double, _ parts: Recipe.Parts, byPixel: Bool) {
    (self.name, self.meaning, self.goal) = (name, meaning, goal)
    let (rows, columns) = (parts.train.inputs.shape[1], parts.train.inputs.shape[2])
    (length, inputSize) = byPixel ? (rows * columns, 1) : (rows, columns)
    func sequences(_ data: Dataset) -> Dataset {
      var data = data
      data.inputs = data.inputs.reshaped([data.count, byPixel ? rows * columns : rows, byPixel ? 1 : columns])
      return data
    }
    (train, validation, test) = (
      sequences(parts.train), sequences(parts.validation), sequences(parts.test)
    )
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count)
    return train[rows: (0..<count).map { _ in draws.below(train.count) }]
  }

  public func heldOut(_ part: HeldOut) -> Dataset { part == .test ? test : validation }
}
