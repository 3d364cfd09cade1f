import ArgumentParser
import Lethe

extension Recipe.Source: ExpressibleByArgument {}
extension Recipe.Memory: ExpressibleByArgument {}
extension Recipe.Split: ExpressibleByArgument {}

/// A whole number from 1 to a thousand million.
struct Count: ExpressibleByArgument {
  let value: Int

  var defaultValueDescription: String { "\(value)" }

  init(_ value: Int) { self.value = value }

  init?(argument: String) {
    guard let value = Int(argument), (1...1_000_000_000).contains(value) else { return nil }
    self.value = value
  }
}

/// A learning rate: a finite number above 0.
struct Rate: ExpressibleByArgument {
  let value: Float

  init?(argument: String) {
    guard let value = Float(argument), value > 0, value.isFinite else { return nil }
    self.value = value
  }
}

/// `--split`, which only the digits have.
struct SplitOption: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Of the digits, which rows are the test: every-fifth, or last-rows, the harder.", valueName: "rows"))
  var split: Recipe.Split?

  /// Refuses a split of anything but the digits.
  func check(isDigits: Bool) throws {
    if split != nil && !isDigits { throw ValidationError("--split is for the digits alone.") }
  }
}

/// A model file and the data whose test part it is to answer.
struct ModelAndData: ParsableArguments {
  @Argument(help: ArgumentHelp("A model file, as 'lethe train' writes it.", valueName: "model"))
  var modelPath: String

  @Argument(help: ArgumentHelp("'digits', or a folder with MNIST's four IDX files.", valueName: "data"))
  var dataName: String

  @OptionGroup var split: SplitOption

  /// Runs `body`, which meets the rows, and names them in its errors as the user did.
  func naming<R>(_ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch var error as LetheError {
      if error.place.hasPrefix("data") {
        error.place = "\(dataName)\(error.place.dropFirst(4)) for \(modelPath)"
      }
      throw error
    }
  }

  private var isDigits: Bool { dataName == Recipe.Source.digits.rawValue }

  func validate() throws { try split.check(isDigits: isDigits) }

  /// Reads the model and the test part; the split is that of the model's training, unless another is named.
  ///
  /// - Throws: `LetheError` when either cannot be read.
  func load() throws -> (model: Sequential, test: Dataset) {
    let file = try ModelFile(contentsOf: modelPath)
    let trained = Recipe.split(notes: file.metadata)
    let chosen = split.split ?? trained ?? .everyFifth
    if isDigits, let trained, trained != chosen {
      Console.note(
        "lethe: the model was trained with --split \(trained.rawValue), on some of these test rows")
    }
    return (file.model, try Recipe.testData(dataName, split: chosen))
  }
}
