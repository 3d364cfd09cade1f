import ArgumentParser
import Lethe

/// `lethe demo`: learn to read digits, and show what came of it.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo",
    abstract: "Learn to read handwritten digits in under a minute, from data that are built in.",
    discussion: """
      Trains a small Forgetting Gate Network behind two convolutions, which reads each image row by row, and \
      tests it on rows it never met. Writes two files: model.lethe.safetensors, and report.html with the \
      learning curve, the confusion matrix and pictures of the gates, which any browser shows.

      EXAMPLES:
        lethe demo
        lethe demo --seed 2 --out second --json
        lethe demo --split last-rows
        lethe demo --tensorboard runs
      """)

  @Option(help: ArgumentHelp("Passes over the training rows.", valueName: "n"))
  var epochs = Count(Recipe(.digits, .fgn).epochs)

  @Option(help: ArgumentHelp("Seed of all random numbers.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp("The folder for the two files; it is made if it is not there.", valueName: "folder"))
  var out = "lethe-demo"

  @OptionGroup var split: SplitOption
  @OptionGroup var board: TensorBoardOption
  @OptionGroup var shared: RunOptions

  private var modelPath: String { OutputPath.join(out, "model.lethe.safetensors") }
  private var reportPath: String { OutputPath.join(out, "report.html") }

  func run() throws {
    try OutputPath.makeFolder(out)
    try board.makeFolder()
    try OutputPath.check(modelPath)
    try OutputPath.check(reportPath)
    let split = split.split ?? .everyFifth
    let data = split.load()
    var recipe = Recipe(.digits, .fgn)
    recipe.epochs = epochs.value
    recipe.seed = seed
    var network = try recipe.model()
    if !shared.json { introduce(data, network) }
    try shared.withThreads {
      // What the memory keeps, epoch by epoch, on a few training rows.
      let probe = data.train.inputs.rows(0..<EpochEvents.rows)
      var halfLives: [[Double]] = []
      let session = try TrainingSession(
        &network, on: recipe.trainingData(data.train), validation: nil, options: recipe.options,
        json: shared.json, events: board.begin(probe: data.train), advice: "nothing was written"
      ) {
        guard let memory = $0.record(probe).layers.last else { return halfLives.append([]) }
        halfLives.append(
          MemoryTrace.halfLives(of: (0..<EpochEvents.rows).compactMap { memory.memory(row: $0) }))
      }
      let outcome = try DemoOutcome(
        network, data, recipe: recipe, split: split, epochs: session.epochs, halfLives: halfLives)
      try ModelFile(network, metadata: recipe.notes(data: recipe.dataNote(split))).write(to: modelPath)
      try FileBytes.writeAtomically([Array(outcome.report.html().utf8)], to: reportPath)
      try shared.json ? printFields(outcome) : printWords(outcome)
    }
  }

  private func introduce(_ data: (train: Dataset, test: Dataset), _ network: Sequential) {
    let counts = [data.train, data.test].map { DecimalText.grouped($0.count) }
    Console.note(
      "Handwritten digits of 8 x 8 pixels: \(counts[0]) to learn from, \(counts[1]) kept for the test.")
    Console.note(
      "Two convolutions and a Forgetting Gate Network that reads row by row: "
        + "\(DecimalText.grouped(network.parameterCount)) numbers to learn.")
  }

  private func printFields(_ outcome: DemoOutcome) throws {
    try Console.json(
      JSONFields([
        ("test_accuracy", .number(outcome.result.accuracy)), ("test_loss", .number(outcome.result.loss)),
        ("test_count", .whole(outcome.testCount)),
        ("nearest_neighbour_accuracy", .number(outcome.nearestNeighbour)), ("model", .text(modelPath)),
        ("report", .text(reportPath)),
      ]))
  }

  private func printWords(_ outcome: DemoOutcome) throws {
    let count = outcome.testCount
    try Console.line("test accuracy      \(Wording.share(outcome.result.accuracy, of: count))")
    try Console.line("nearest neighbour  \(Wording.share(outcome.nearestNeighbour, of: count))")
    try Console.line("model file         \(modelPath)")
    try Console.line("report             \(reportPath)  (open it in a browser)")
  }
}
