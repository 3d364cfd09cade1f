import ArgumentParser
import Lethe

/// `lethe predict`: a model's answers, row by row.
struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Print a model's answer to each row of the test part of the data.",
    discussion: """
      Prints a line for each row: its number, counted from 0, the class the model finds likeliest, and the \
      probability it gives it, with tabs between them.

      EXAMPLES:
        lethe predict lethe-demo/model.lethe.safetensors digits
        lethe predict mnist-fgn.lethe.safetensors data/mnist --json
      """)

  @OptionGroup var input: ModelAndData
  @OptionGroup var shared: RunOptions

  func run() throws {
    let (model, test) = try input.load()
    let answers = try input.naming { try shared.withThreads { try Answers(of: model, to: test) } }
    var text = ""
    for (row, (answer, probability)) in zip(answers.classes, answers.probabilities).enumerated() {
      text +=
        shared.json
        ? JSONFields([
          ("index", .whole(row)), ("class", .whole(answer)), ("probability", .single(probability)),
        ]).text
        : "\(row)\t\(answer)\t\(DecimalText.fixed(Double(probability), 4))"
      text += "\n"
      // In parts, so that a reader who has had enough is noticed.
      if text.utf8.count > 1 << 14 {
        try Console.output(text)
        text = ""
      }
    }
    try Console.output(text)
  }
}
