import ArgumentParser
import Lethe

/// `lethe laws`: checks what must hold for every cell.
struct LawsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "laws",
    abstract:
      "Check that every form of a cell is the same cell: whole, chunks, steps, ragged, backward in time …",
    discussion: """
      Prints the largest |a - b| / (1 + |b|) that was found; 0 means equal bits. What each law says is printed by --list. \
      'isa' runs the program again for every instruction set of this machine. Exits with 1 if a law fails.

      EXAMPLES:
        lethe laws
        lethe laws lstm peephole minlstm
        lethe laws --json --steps 10000
      """)

  @Argument(
    help: ArgumentHelp(
      "Cells to check: \(CellLaws.cells.joined(separator: ", ")). (default: all)", valueName: "cell"))
  var cells: [String] = []
  @Option(help: ArgumentHelp("Steps of the long stream.", valueName: "n")) var steps = 1_000_000
  @Flag(help: "List the laws and what each says, and check nothing.") var list = false
  @Flag(help: .private) var digest = false
  @OptionGroup var options: RunOptions

  func validate() throws {
    for cell in cells where !CellLaws.cells.contains(cell) {
      throw ValidationError("There is no cell '\(cell)'. Cells: \(CellLaws.cells.joined(separator: ", ")).")
    }
    if !(1...100_000_000).contains(steps) {
      throw ValidationError("--steps takes a number from 1 to 100000000, not \(steps).")
    }
  }

  func run() throws {
    let cells = cells.isEmpty ? CellLaws.cells : cells
    if digest { return try printDigests(cells) }
    if list { return try printList() }
    var failed = 0, checked = 0
    let elsewhere = try digestsElsewhere(cells)
    for cell in cells {
      var results = options.withThreads { CellLaws.check(cell, steps: steps) } ?? []
      let differs = elsewhere.contains { $0[cell] != elsewhere.first?[cell] || $0[cell] == nil }
      results.append(
        CellLaws.Result(cell: cell, law: "isa", maxDifference: differs ? .infinity : 0, tolerance: 0))
      checked += results.count
      failed += results.count { !$0.ok }
      try show(cell, results)
    }
    if !options.json {
      try Console.line(
        "\(checked) laws of \(cells.count) cells: \(failed == 0 ? "all hold" : "\(failed) do not hold")")
    }
    if failed > 0 { throw ExitCode.failure }
  }

  private func show(_ cell: String, _ results: [CellLaws.Result]) throws {
    if options.json {
      for result in results {
        try Console.json(
          JSONFields([
            ("cell", .text(cell)), ("law", .text(result.law)),
            ("max_difference", .number(result.maxDifference)),
            ("tolerance", .number(result.tolerance)), ("ok", .flag(result.ok)),
          ]))
      }
      return
    }
    let exact = results.filter { $0.tolerance == 0 && $0.ok }.map(\.law)
    let rest = results.filter { $0.tolerance > 0 || !$0.ok }.map { result in
      "\(result.law) \(Self.text(result.maxDifference))"
        + (result.ok ? "" : " FAILS (allowed \(Self.text(result.tolerance)))")
    }
    let name = cell + String(repeating: " ", count: max(1, 15 - cell.count))
    try Console.line(name + rest.joined(separator: ", ") + "; same bits: " + exact.joined(separator: " "))
  }

  private static func text(_ x: Double) -> String {
    if x == 0 || !x.isFinite { return x == 0 ? "0" : "not finite, or another shape" }
    var (value, exponent) = (x, 0)
    while value < 1 { (value, exponent) = (value * 10, exponent - 1) }
    return "\((value * 10).rounded() / 10)e\(exponent)"
  }

  private func printList() throws {
    for (name, meaning) in CellLaws.laws + [
      ("isa", "outputs and gradients are the same on every instruction set")
    ] {
      if options.json {
        try Console.json(JSONFields([("law", .text(name)), ("meaning", .text(meaning))]))
      } else {
        try Console.line(name + String(repeating: " ", count: 10 - name.count) + " " + meaning)
      }
    }
  }

  // MARK: Other instruction sets

  private func printDigests(_ cells: [String]) throws {
    for cell in cells { try Console.line("\(cell) \(CellLaws.digest(cell) ?? 0)") }
  }

  /// cell → digest, for each instruction set of this machine, by this program run anew.
  private func digestsElsewhere(_ cells: [String]) throws -> [[String: String]] {
    try InstructionSet.available.map { set in
      let output = try Console.runAgain(
        ["laws", "--digest"] + cells, environment: ["LETHE_ISA": set.rawValue])
      var digests: [String: String] = [:]
      for line in output.split(separator: "\n") {
        let words = line.split(separator: " ").map(String.init)
        if words.count == 2 { digests[words[0]] = words[1] }
      }
      return digests
    }
  }
}
