import ArgumentParser
import Lethe

/// `lethe look`: what a model remembers and forgets while it reads one row.
struct LookCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "look",
    abstract: "Look inside a model while it reads one row: gates, memory, gradients, bounds.",
    discussion: """
      Writes one page for a browser, which needs no network: the gates over time under the input; the ledger of the memory, \
      which says what of it was written at which step; what the answer rests on; how long each unit remembers; how far \
      gradients reach back; what can be proved of the gates; and where the memory is cleared, beside what chance would do.

      DATA is 'digits', a folder with MNIST's four IDX files, a .npy file of shape [time, features] or [rows, time, \
      features], or a text file for a model that was saved with its tokens. Rows are those of the test part, from 0.

      EXAMPLES:
        lethe look lethe-demo/model.lethe.safetensors digits
        lethe look digits.lethe.safetensors digits --row 17 --out row17.html
        lethe look lethe-demo/model.lethe.safetensors digits --text
        lethe look model.lethe.safetensors recording.npy --npz gates.npz
      """)

  @Argument(help: ArgumentHelp("A model file, as 'lethe train' writes it.", valueName: "model"))
  var modelPath: String
  @Argument(help: ArgumentHelp("What it reads: 'digits', a folder, or a file; see DATA.", valueName: "data"))
  var dataName: String
  @Option(help: ArgumentHelp("Which row, from 0.", valueName: "n")) var row = 0
  @Option(help: ArgumentHelp("The page. (default: lethe-look.html; with --text: none)", valueName: "file"))
  var out: String?
  @Flag(help: "Print what was seen, with lines drawn in characters, instead of a page.") var text = false
  @Option(
    help: ArgumentHelp(
      "Also write every gate and state at every step, for numpy.", valueName: "file"))
  var npz: String?
  @Option(
    help: ArgumentHelp("Of a text, so many tokens at most.", valueName: "n")) var tokens = Count(1000)
  @OptionGroup var split: SplitOption
  @OptionGroup var shared: RunOptions

  func validate() throws {
    if row < 0 { throw ValidationError("--row takes a number from 0, not \(row).") }
    if tokens.value > ModelRows.mostSteps {
      throw ValidationError("--tokens takes a number from 1 to \(ModelRows.mostSteps), not \(tokens.value).")
    }
    try split.check(isDigits: dataName == Recipe.Source.digits.rawValue)
  }

  func run() throws {
    let page = out ?? (text || shared.json ? nil : "lethe-look.html")
    for path in [page, npz].compactMap({ $0 }) { try OutputPath.check(path) }
    let file = try ModelFile(contentsOf: modelPath)
    let rows = try ModelRows(dataName, for: file, split: split.split, most: tokens.value)
    let count = rows.inputs.shape[0]
    guard row < count else {
      throw LetheError(
        "--row", "is beyond the data", expected: "0...\(count - 1)", found: "\(row)")
    }
    let x = rows.inputs.rows(row..<row + 1)
    let (report, gates) = try shared.withThreads {
      (try look(file.model, rows, x), npz.map { _ in NPZ(file.model.record(x)) })
    }
    if let page { try FileBytes.writeAtomically([Array(report.html().utf8)], to: page) }
    if let npz, let gates { try gates.write(to: npz) }
    if shared.json { return try Console.json(fields(report)) }
    if text {
      try Console.output(report.text(width: 80))
    } else {
      for line in report.summary { try Console.line(Console.printable(line)) }
    }
    if let page { try Console.line("page: \(Console.printable(page))  (open it in a browser)") }
    if let npz { try Console.line("gates: \(Console.printable(npz))") }
  }

  private func look(_ model: Sequential, _ rows: ModelRows, _ x: Tensor) throws -> LookReport {
    // Names of files, without the folders of this machine.
    func name(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }
    var headline = LookReport.Headline(model: name(modelPath), data: name(dataName), row: row)
    if row < rows.labels.count {
      let label = Int(rows.labels[row])
      headline.truth = label < rows.classes.count ? rows.classes[label] : "class \(label)"
    }
    headline.facts = [
      LookReport.Fact("parameters", "\(model.parameterCount)"),
      LookReport.Fact("layers", model.layers.map { type(of: $0).kind }.joined(separator: ", ")),
    ]
    // Half-lives over more rows than this one say more of the model.
    let steps = max(x.shape.count > 1 ? x.shape[1] : 1, 1)
    let others = min(rows.inputs.shape[0], max(64 * 64 / steps, 1), 64)
    var report = try LookReport(
      headline, of: model, reading: x, classes: rows.classes,
      others: others > 1 ? rows.inputs.rows(0..<others) : nil,
      basis: others > 1 ? "\(others) \(rows.meaning)" : "this row")
    switch rows.kind {
    case .image:
      let width = x.shape.count > 2 ? x.shape[2] : 1
      let pixels = x.scalars
      report.input = .image(
        pixels: stride(from: 0, to: pixels.count, by: width).map { Array(pixels[$0..<$0 + width]) })
    case .text(let tokens, let separator): report.input = .text(tokens: tokens, separator: separator)
    case .series:
      let (time, features) = (x.shape[1], x.shape.count > 2 ? x.shape[2] : 1)
      let values = x.scalars
      report.input = .series(
        channels: (0..<min(features, 16)).map { feature in
          LookReport.Channel(
            "feature \(feature)", values: (0..<time).map { values[$0 * features + feature] })
        })
      if features > 16 { report.notes.append("Of \(features) features the first 16 are drawn.") }
    }
    return report
  }

  private func fields(_ report: LookReport) -> JSONFields {
    let memories = report.memories.map { memory in
      JSONFields.Value.object(
        JSONFields([
          ("layer", .text(memory.layer)), ("half_lives", .list(memory.halfLives.map { .number($0) })),
          ("horizon", .number(memory.horizon)), ("never_close", .list(memory.neverClose.map { .whole($0) })),
          ("never_open", .list(memory.neverOpen.map { .whole($0) })),
          ("duplicates", .list(memory.duplicates.map { .list($0.map { .whole($0) }) })),
        ]))
    }
    let flows = report.gradients.map { flow in
      JSONFields.Value.object(
        JSONFields([
          ("layer", .text(flow.layer)), ("norms", .list(flow.norms.map { .number($0) })),
          ("gate_products", .list(flow.gateProducts.map { .number($0) })),
          ("reversed", .flag(flow.isReversed)),
        ]))
    }
    let certificates = report.certificates.map { certificate in
      JSONFields.Value.object(
        JSONFields([
          ("what", .text(certificate.what)), ("lower", .number(certificate.bound?.lowerBound)),
          ("upper", .number(certificate.bound?.upperBound)), ("proved", .flag(certificate.isProved)),
        ]))
    }
    return JSONFields([
      ("model", .text(modelPath)), ("data", .text(dataName)), ("row", .whole(row)),
      ("steps", .whole(report.steps)),
      ("answer", report.headline.answers.first.map { .text($0.name) } ?? .null),
      ("probability", .number(report.headline.answers.first?.probability)),
      ("truth", report.headline.truth.map { .text($0) } ?? .null),
      ("contributions", .list(report.attribution?.contributions.map { .number($0) } ?? [])),
      ("remainder", .number(report.attribution?.remainder)), ("logit", .number(report.attribution?.total)),
      ("memories", .list(memories)), ("gradient_flow", .list(flows)),
      (
        "boundaries",
        .list(
          report.boundaries?.events.map {
            .object(JSONFields([("step", .whole($0.step)), ("probability", .number($0.pValue))]))
          } ?? [])
      ),
      ("certificates", .list(certificates)), ("notes", .list(report.notes.map { .text($0) })),
    ])
  }
}
