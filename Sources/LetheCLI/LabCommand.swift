import ArgumentParser
import Lethe

/// `lethe lab`: claims about gates, each one an experiment.
struct LabCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lab",
    abstract: "Try claims about gates, each one an experiment: list them, run them, report on them.",
    discussion: """
      A laboratory states its claim, makes or reads its data, trains, measures, and says whether the claim held. An identity \
      or a bound that does not hold is a defect; an empirical claim that does not is 'not confirmed', with its spread over \
      the seeds.

      EXAMPLES:
        lethe lab list
        lethe lab run halflife
        lethe lab run all --quick
        lethe lab report --markdown
      """,
    subcommands: [LabListCommand.self, LabRunCommand.self, LabReportCommand.self])

  /// Where results are kept unless it is said.
  static func folder(isQuick: Bool) -> String { isQuick ? "lethe-lab-quick" : "lethe-lab" }

  /// The page of a folder of results.
  static let page = "report.html"
}

/// `lethe lab list`.
struct LabListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list",
    abstract: "List the laboratories and what each claims.",
    discussion: """
      EXAMPLES:
        lethe lab list
        lethe lab list --json
      """)

  @Flag(help: "Print one JSON object a line.") var json = false

  func run() throws {
    for lab in LabCatalog.all {
      if json {
        try Console.json(
          JSONFields([
            ("lab", .text(lab.name)), ("claim", .text(lab.claim)), ("kind", .text(lab.kind.rawValue)),
            ("data", lab.dataFolder.map { .text($0) } ?? .null),
          ]))
      } else {
        let reads = lab.dataFolder.map { " Reads '\($0)' of --data." } ?? ""
        try Console.line("\(lab.name) (\(lab.kind.rawValue))\n  \(lab.claim)\(reads)")
      }
    }
  }
}

/// `lethe lab run`.
struct LabRunCommand: ParsableCommand {
  private static let names = LabCatalog.all.map(\.name).joined(separator: ", ")

  static let configuration = CommandConfiguration(
    commandName: "run",
    abstract: "Run laboratories, and keep what they found.",
    discussion: """
      Each result is kept as NAME.json with a page NAME.html in the folder, as soon as it is there; 'lethe lab report' makes \
      one page of all. With --quick every laboratory takes seconds: fewer cases, shorter training, 2 seeds. Exits with \
      1 if an identity or a bound fails; an empirical claim that is not confirmed is no failure.

      EXAMPLES:
        lethe lab run halflife
        lethe lab run vanish bounded --seeds 5 --out results
        lethe lab run all --quick
        lethe lab run all --json
      """)

  @Argument(help: ArgumentHelp("Laboratories, or all: \(Self.names).", valueName: "name"))
  var labs: [String]
  @Option(
    help: ArgumentHelp(
      "Training starts from the seeds 1, 2, … up to 100. (default: 3; 2 with --quick)", valueName: "n"))
  var seeds: Count?
  @Flag(help: "A form of each that takes seconds.") var quick = false
  @Option(
    help: ArgumentHelp("The folder of data sets, for laboratories that read some.", valueName: "folder"))
  var data: String?
  @Option(
    help: ArgumentHelp(
      "The folder for results. (default: \(LabCommand.folder(isQuick: false)), or \(LabCommand.folder(isQuick: true)))",
      valueName: "folder"))
  var out: String?
  @OptionGroup var shared: RunOptions

  func validate() throws {
    let chosen = try chosen()
    if let seeds, seeds.value > 100 {
      throw ValidationError("--seeds takes a number from 1 to 100, not \(seeds.value).")
    }
    if data != nil, !chosen.contains(where: { $0.dataFolder != nil }) {
      throw ValidationError("--data is for laboratories that read files; these make their data.")
    }
  }

  func run() throws {
    let labs = try chosen()
    let folder = LabFolder(out ?? LabCommand.folder(isQuick: quick))
    try OutputPath.makeFolder(folder.path)
    for lab in labs {
      for ending in [".json", ".html"] { try OutputPath.check(folder.file(lab.name + ending)) }
      // Before hours of training, not after.
      for name in data == nil ? [] : lab.dataFolder?.components(separatedBy: ", ") ?? [] {
        let path = OutputPath.join(data ?? "", name)
        guard FileBytes.exists(path) else {
          throw LetheError(
            path, "there is no such folder, which '\(lab.name)' reads", expected: "a folder of data sets",
            advice: "leave --data out, or leave '\(lab.name)' out")
        }
      }
    }
    Interruption.catchSignals()
    let setup = LabSetup(isQuick: quick, seeds: seeds?.value, data: data, output: folder.path) {
      Interruption.isRequested
    }
    let status = LabProgress.automatic()
    var results: [LabResult] = []
    for (index, lab) in labs.enumerated() {
      let progress = shared.json ? .silent : status.start("\(index + 1)/\(labs.count) \(lab.name)")
      do {
        let result = try shared.withThreads { try lab.run(setup, progress: progress) }
        status.end()
        results.append(result)
        try keep(result, in: folder)
      } catch is LabInterruption {
        status.end()
        let done = results.isEmpty ? "nothing is done" : "\(results.count) of \(labs.count) are done and kept"
        Console.note("lethe: interrupted in '\(lab.name)'; \(done)")
        Console.leave(ExitCode(128 + Interruption.signal))
      } catch {
        status.end()
        throw error
      }
    }
    let report = LabReport(results)
    if !shared.json {
      try Console.line(report.summary)
      try Console.line(
        "kept in \(Console.printable(folder.path)); a page of all: lethe lab report \(Console.printable(Wording.quoted(folder.path)))"
      )
    }
    if report.hasFailures { throw ExitCode.failure }
  }

  private func keep(_ result: LabResult, in folder: LabFolder) throws {
    try folder.save(result)
    let page = Array(LabReport([result]).html().utf8)
    try FileBytes.writeAtomically([page], to: folder.file(result.name + ".html"))
    if shared.json {
      try Console.json(result.fields)
    } else {
      for line in result.lines { try Console.line(line) }
      try Console.line("")
    }
  }

  private func chosen() throws -> [any Lab] {
    if labs == ["all"] { return LabCatalog.all }
    var chosen: [any Lab] = []
    for name in labs {
      guard let lab = LabCatalog.lab(name) else {
        throw ValidationError(
          "There is no laboratory '\(Console.printable(name))'. Laboratories: all, \(Self.names).")
      }
      if chosen.contains(where: { $0.name == name }) {
        throw ValidationError("'\(name)' is named twice.")
      }
      chosen.append(lab)
    }
    return chosen
  }
}

/// `lethe lab report`.
struct LabReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Make one page of all results in a folder.",
    discussion: """
      EXAMPLES:
        lethe lab report
        lethe lab report results --out page.html
        lethe lab report --markdown
      """)

  @Argument(
    help: ArgumentHelp(
      "The folder that 'lethe lab run' wrote to. (default: \(LabCommand.folder(isQuick: false)))",
      valueName: "folder"))
  var folder: String?
  @Option(
    help: ArgumentHelp("The page. (default: \(LabCommand.page) in the folder)", valueName: "file"))
  var out: String?
  @Flag(help: "Print the table in Markdown, and write no page unless --out names one.") var markdown = false

  func run() throws {
    let folder = LabFolder(folder ?? LabCommand.folder(isQuick: false))
    let results = try folder.load()
    if results.isEmpty {
      throw LetheError(
        folder.path, "holds no results of laboratories", advice: "run 'lethe lab run all' first")
    }
    let report = LabReport(results)
    if markdown { for line in report.markdown { try Console.line(line) } }
    if markdown && out == nil { return }
    let page = out ?? folder.file(LabCommand.page)
    try FileBytes.writeAtomically([Array(report.html().utf8)], to: page)
    if !markdown {
      try Console.line(report.summary)
      try Console.line("report: \(Console.printable(page))  (open it in a browser)")
    }
  }
}

extension LabResult {
  /// The result as JSON, without its drawings.
  fileprivate var fields: JSONFields {
    JSONFields([
      ("lab", .text(name)), ("verdict", .text(verdict.rawValue)), ("reason", .text(reason)),
      ("kind", .text(kind.rawValue)), ("quick", .flag(isQuick)), ("seeds", .whole(seeds)),
      (
        "findings",
        .list(
          findings.map { finding in
            .object(
              JSONFields([
                ("what", .text(finding.what)), ("values", .list(finding.values.map { .number($0) })),
                ("expected", .text(finding.expected)), ("kind", .text(finding.kind.rawValue)),
                ("holds", finding.holds.map { .flag($0) } ?? .null),
              ]))
          })
      ), ("seen", .list(seen.map { .text($0) })),
    ])
  }
}
