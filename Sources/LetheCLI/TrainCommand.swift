import ArgumentParser
import Lethe

/// `lethe train`: a model file from data.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train a network to read digits, and write it to a model file.",
    discussion: """
      'digits' are built in (1,797 images of 8 x 8 pixels); 'mnist' needs the four IDX files of MNIST in a \
      folder, compressed by gzip or not. A part of the training rows is held back to check each epoch; the \
      test rows are met once, at the end.

      The first Ctrl-C finishes the step, writes the checkpoint if there is one, and leaves with status 130; \
      --resume goes on from there and ends with the same bytes as a run that was never stopped.

      With --tensorboard each epoch's loss, and what the gates do on the first 16 rows that are held back, can be \
      watched: tensorboard --logdir FOLDER.

      EXAMPLES:
        lethe train digits
        lethe train digits --model gru --hidden 32 --epochs 20 --out gru.safetensors
        lethe train digits --model mlstm
        lethe train mnist --data data/mnist --checkpoint mnist.checkpoint
        lethe train mnist --data data/mnist --checkpoint mnist.checkpoint --resume
        lethe train digits --tensorboard runs
      """)

  @Argument(help: "The data: digits or mnist.")
  var source: Recipe.Source

  @Option(help: ArgumentHelp("The folder with MNIST's files.", valueName: "folder"))
  var data: String?

  @Option(
    help: ArgumentHelp(
      "What reads the rows: fgn, the Forgetting Gate Network, behind convolutions; or a cell on the pixels of each row.",
      valueName: "cell"))
  var model = Recipe.Memory.fgn

  @OptionGroup var split: SplitOption

  @Option(help: ArgumentHelp("Passes over the training rows. \(Self.defaults(\.epochs))", valueName: "n"))
  var epochs: Count?

  @Option(help: ArgumentHelp("Rows of a training step. \(Self.defaults(\.batchSize))", valueName: "n"))
  var batch: Count?

  @Option(
    help: ArgumentHelp("Width of the memory, up to 4096. \(Self.defaults(\.hiddenSize))", valueName: "n"))
  var hidden: Count?

  @Option(help: ArgumentHelp("Learning rate at the start. \(Self.defaults(\.rate))", valueName: "rate"))
  var lr: Rate?

  @Option(help: ArgumentHelp("Seed of all random numbers.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp(
      "The model file. (default: DATA-MODEL.lethe.safetensors, as digits-fgn.lethe.safetensors)",
      valueName: "file"))
  var out: String?

  @Option(
    help: ArgumentHelp(
      "A file that keeps the state of training, written after each epoch.", valueName: "file"))
  var checkpoint: String?

  @Flag(help: "Go on from the checkpoint.")
  var resume = false

  @OptionGroup var board: TensorBoardOption
  @OptionGroup var shared: RunOptions

  private var outPath: String { out ?? "\(source.rawValue)-\(model.rawValue).lethe.safetensors" }

  func validate() throws {
    if source == .mnist && data == nil {
      throw ValidationError("'mnist' needs --data <folder>, the folder with its four IDX files.")
    }
    if source == .digits && data != nil {
      throw ValidationError("--data is for mnist; the digits are built in.")
    }
    try split.check(isDigits: source == .digits)
    if resume && checkpoint == nil {
      throw ValidationError("--resume needs --checkpoint <file>, the file to go on from.")
    }
    if let hidden, hidden.value > 4096 {
      throw ValidationError("--hidden takes a number from 1 to 4096, not \(hidden.value).")
    }
    if checkpoint == outPath {
      throw ValidationError("--checkpoint and --out are the same file; give each its own.")
    }
  }

  func run() throws {
    try board.makeFolder()
    try OutputPath.check(outPath)
    if let checkpoint {
      try OutputPath.check(checkpoint)
      if !resume { try refuseToOverwriteOtherFiles(checkpoint) }
    }
    let recipe = recipe
    let split = split.split ?? .everyFifth
    let parts = try data.map { try Recipe.mnist(directory: $0) } ?? Recipe.digits(split)
    var network = try recipe.model()
    var options = recipe.options
    options.checkpoint = checkpoint
    options.resumes = resume
    if !shared.json { introduce(recipe, network, parts) }
    let result = try shared.withThreads {
      _ = try TrainingSession(
        &network, on: recipe.trainingData(parts.train), validation: parts.validation, options: options,
        json: shared.json, events: board.begin(probe: parts.validation), advice: advice)
      try ModelFile(network, metadata: recipe.notes(data: recipe.dataNote(split))).write(to: outPath)
      return try network.evaluate(parts.test, loss: Recipe.loss)
    }
    if shared.json {
      return try Console.json(
        JSONFields([
          ("test_accuracy", .number(result.accuracy)), ("test_loss", .number(result.loss)),
          ("test_count", .whole(parts.test.count)), ("out", .text(outPath)),
        ]))
    }
    try Console.line("test accuracy \(Wording.share(result.accuracy, of: parts.test.count))")
    try Console.line("test loss     \(Wording.loss(result.loss))")
    try Console.line("model file    \(outPath)")
  }

  private var recipe: Recipe {
    var recipe = Recipe(source, model)
    if let epochs { recipe.epochs = epochs.value }
    if let batch { recipe.batchSize = batch.value }
    if let hidden { recipe.hiddenSize = hidden.value }
    if let lr { recipe.rate = lr.value }
    recipe.seed = seed
    return recipe
  }

  /// A checkpoint may take the place of an older one, of nothing else.
  private func refuseToOverwriteOtherFiles(_ checkpoint: String) throws {
    guard FileBytes.exists(checkpoint) else { return }
    let notes = try? Safetensors(contentsOf: checkpoint).metadata
    if notes?["lethe.checkpoint"] == nil {
      throw LetheError(
        checkpoint, "is there already and no checkpoint",
        advice: "give --checkpoint another name, or remove it")
    }
  }

  private func introduce(_ recipe: Recipe, _ network: Sequential, _ parts: Recipe.Parts) {
    let counts = [parts.train, parts.validation, parts.test].map { DecimalText.grouped($0.count) }
    let parameters = DecimalText.grouped(network.parameterCount)
    Console.note(
      "\(source.rawValue): \(counts[0]) images to fit, \(counts[1]) to check each epoch, "
        + "\(counts[2]) for the test")
    Console.note(
      "\(model.rawValue): \(recipe.hiddenSize) units, \(parameters) parameters, seed \(seed)")
    guard let checkpoint else { return }
    switch (resume, FileBytes.exists(checkpoint)) {
    case (true, false): Console.note("there is no \(checkpoint) yet: training starts from the beginning")
    case (false, true):
      Console.note("training starts anew and will overwrite \(checkpoint); --resume goes on from it")
    default: return
    }
  }

  /// What to do after an interruption.
  private var advice: String {
    guard checkpoint != nil else { return "nothing was written, as there is no --checkpoint <file>" }
    let words = ["lethe"] + CommandLine.arguments.dropFirst() + (resume ? [] : ["--resume"])
    return "go on with: " + words.map(Wording.quoted).joined(separator: " ")
  }

  /// The defaults of the recipes, for the help.
  private static func defaults<Value: Equatable>(_ field: KeyPath<Recipe, Value>) -> String {
    let parts = Recipe.Source.allCases.map { source in
      func value(_ memory: Recipe.Memory) -> Value { Recipe(source, memory)[keyPath: field] }
      let usual = value(.lstm)
      let others = Recipe.Memory.allCases.filter { value($0) != usual }.map { "\($0.rawValue) \(value($0))" }
      return "\(usual) for \(source.rawValue)"
        + (others.isEmpty ? "" : ", there \(others.joined(separator: ", "))")
    }
    return "(default: \(parts.joined(separator: ", ")))"
  }
}
