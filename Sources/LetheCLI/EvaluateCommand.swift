import ArgumentParser
import Lethe

/// `lethe evaluate`: how good a model is on the test part of the data.
struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a model on the test part of the data.",
    discussion: """
      EXAMPLES:
        lethe evaluate lethe-demo/model.lethe.safetensors digits
        lethe evaluate mnist-fgn.lethe.safetensors data/mnist --json
      """)

  @OptionGroup var input: ModelAndData
  @OptionGroup var shared: RunOptions

  func run() throws {
    let (model, test) = try input.load()
    let result = try input.naming { try shared.withThreads { try model.evaluate(test, loss: Recipe.loss) } }
    if shared.json {
      return try Console.json(
        JSONFields([
          ("model", .text(input.modelPath)), ("data", .text(input.dataName)), ("count", .whole(test.count)),
          ("accuracy", .number(result.accuracy)), ("loss", .number(result.loss)),
        ]))
    }
    try Console.line("accuracy \(Wording.share(result.accuracy, of: test.count))")
    try Console.line("loss     \(Wording.loss(result.loss))")
  }
}
