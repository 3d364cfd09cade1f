import LetheTestSupport
import Testing

@Suite struct HelpTests {
  private static let options: [(command: String, words: [String])] = [
    ("demo", ["--epochs", "--seed", "--out", "--split", "--tensorboard", "--threads", "--json"]),
    (
      "train",
      [
        "digits", "mnist", "--data", "--model", "fgn", "lstm", "gru", "rnn", "--epochs", "--batch",
        "--hidden",
        "--lr", "--seed", "--split", "--out", "--checkpoint", "--resume", "--tensorboard", "--threads",
        "--json",
      ]
    ),
    ("evaluate", ["<model>", "<data>", "digits", "--split", "--threads", "--json"]),
    ("predict", ["<model>", "<data>", "digits", "--split", "--threads", "--json"]),
    ("info", ["<model>", "--json"]),
    (
      "compare",
      [
        "--task", "recall", "adding", "parity", "order", "reber-continual", "anbncn", "copying",
        "copy-memory",
        "spikes", "even-pairs", "cycle", "modular", "mnist-means", "mnist-means-permuted",
        "digits-pixels", "digits-means", "digits-means-permuted",
        "mnist-rows", "--cells", "minlstm", "--layers",
        "--budget",
        "--steps", "--match", "width", "--hidden", "--seeds", "--length", "--lr", "--data", "--out",
        "--threads",
        "--json",
      ]
    ),
    ("look", ["<model>", "<data>", "--row", "--out", "--text", "--npz", "--tokens", "--split", "--json"]),
    ("lab", ["list", "run", "report"]), ("lab list", ["--json"]),
    (
      "lab run",
      ["<name>", "vanish", "all", "--seeds", "--quick", "--data", "--out", "--threads", "--json"]
    ), ("lab report", ["<folder>", "--out", "--markdown"]),
    ("laws", ["<cell>", "lstm", "peephole", "fgn", "--steps", "--list", "--threads", "--json"]),
    (
      "bench",
      [
        "--cell", "--mode", "--batch", "--time", "--input", "--hidden", "--threads", "--json", "train",
        "infer",
        "stream",
      ]
    ),
  ]

  @Test(arguments: options.map(\.command))
  func helpMentionsEveryOption(command: String) throws {
    let result = try LetheProgram.run(Self.words(command) + ["--help"])
    #expect(result.status == 0)
    #expect(result.errors.isEmpty)
    let words = try #require(Self.options.first { $0.command == command }).words
    for word in words { #expect(result.output.contains(word), "\(command) --help says nothing of \(word)") }
    #expect(result.output.contains("EXAMPLES"))
  }

  @Test func theProgramListsItsCommands() throws {
    let result = try LetheProgram.run(["--help"])
    #expect(result.status == 0)
    for (command, _) in Self.options where !command.contains(" ") {
      #expect(result.output.contains("\n  \(command) "))
    }
  }

  @Test func noCommandShowsTheHelp() throws {
    let result = try LetheProgram.run([])
    #expect(result.status == 0)
    #expect(result.output.contains("lethe demo"))
  }

  @Test func versionIsANumber() throws {
    let result = try LetheProgram.run(["--version"])
    #expect(result.status == 0)
    let parts = result.lines.first?.split(separator: ".") ?? []
    #expect(parts.count == 3 && parts.allSatisfy { Int($0) != nil }, "\(result.output)")
  }

  /// Each example gets a number of threads that cannot be: the complaint about that, and no other, shows that
  /// the rest was understood.
  @Test(arguments: [
    "", "demo", "train", "evaluate", "predict", "bench", "compare", "laws", "lab run", "look",
  ])
  func examplesAreUnderstood(command: String) throws {
    for example in try Self.examples(command) {
      let result = try LetheProgram.run(example + ["--threads", "0"])
      #expect(result.status == 64)
      #expect(
        result.errors.contains("--threads takes a number from 1 to 256, not 0"),
        "\(example): \(result.errors)")
    }
  }

  /// `info` takes no threads: its examples end at the file that is not there.
  @Test func examplesOfInfoAreUnderstood() throws {
    for example in try Self.examples("info") {
      let result = try LetheProgram.run(example)
      #expect(result.status == 1)
      #expect(
        result.errors.contains("cannot be opened: No such file or directory"), "\(example): \(result.errors)")
    }
  }

  private static func words(_ command: String) -> [String] {
    command.split(separator: " ").map(String.init)
  }

  private static func examples(_ command: String) throws -> [[String]] {
    let help = try LetheProgram.run(words(command) + ["--help"]).output
    let examples = try #require(help.components(after: "EXAMPLES:\n")).split(
      separator: "\n", omittingEmptySubsequences: false
    ).prefix { !$0.isEmpty }
    #expect(!examples.isEmpty)
    return examples.map { example in
      let words = example.split(separator: " ").map(String.init)
      #expect(words.first == "lethe", "\(example)")
      return Array(words.dropFirst())
    }
  }
}

extension String {
  /// What follows the first `mark`.
  fileprivate func components(after mark: String) -> Substring? {
    firstRange(of: mark).map { self[$0.upperBound...] }
  }
}
