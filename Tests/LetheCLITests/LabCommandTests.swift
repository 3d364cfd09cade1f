import Foundation
import LetheTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite struct LabCommandTests {
  @Test func aRunIsKeptAndReportedOn() throws {
    let folder = try TemporaryFolder()
    let words = ["lab", "run", "halflife", "bounded", "--quick"]
    let run = try LetheProgram.run(words, in: folder.path)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.lines.contains("halflife: held") && run.lines.contains("2 laboratories: 2 held."))
    #expect(run.errors.isEmpty, "no terminal, no bar: \(run.errors)")
    let kept = ["bounded.html", "bounded.json", "halflife.html", "halflife.json"]
    #expect(try folder.names().contains("lethe-lab-quick"))
    let results = folder.file("lethe-lab-quick")
    #expect(try FileManager.default.contentsOfDirectory(atPath: results).sorted() == kept)

    let report = try LetheProgram.run(["lab", "report", "lethe-lab-quick"], in: folder.path)
    #expect(report.status == 0 && report.output.contains("2 held"), "\(report.errors)")
    let page = try folder.text("lethe-lab-quick/report.html")
    #expect(page.contains("halflife") && page.contains("bounded") && page.contains("<svg"))
    #expect(
      !page.contains("<script") && !page.contains("http://") && !page.contains("https://")
        && !page.contains(folder.path))

    let table = try LetheProgram.run(["lab", "report", "lethe-lab-quick", "--markdown"], in: folder.path)
    #expect(table.lines.count == 4 && table.lines[2].hasPrefix("| *halflife* | What is written"))
    #expect(table.lines[2].hasSuffix("| held (quick form) |"), "\(table.lines[2])")

    // The same again, on more threads: the same bytes.
    let first = try folder.bytes("lethe-lab-quick/bounded.json")
    let again = try LetheProgram.run(
      words + ["--threads", "2", "--out", "again", "--json"], in: folder.path)
    #expect(try folder.bytes("again/bounded.json") == first)
    let lines = try again.objects()
    #expect(lines.map { $0["lab"] as? String } == ["halflife", "bounded"])
    for line in lines {
      #expect(line["verdict"] as? String == "held" && line["quick"] as? Bool == true)
      let findings = try #require(line["findings"] as? [[String: Any]])
      #expect(!findings.isEmpty && findings.allSatisfy { $0["holds"] as? Bool == true })
    }
  }

  @Test func theListTellsEveryClaim() throws {
    let words = try LetheProgram.run(["lab", "list"])
    #expect(words.status == 0 && words.output.contains("vanish (identity)\n  Over T steps"))
    let lines = try LetheProgram.run(["lab", "list", "--json"]).objects()
    #expect(lines.count * 2 == words.lines.count)
    for line in lines { #expect((line["claim"] as? String)?.isEmpty == false && line["kind"] is String) }
  }

  @Test(arguments: [
    ("run", "name"), ("run nonsense", "Laboratories: all, vanish"), ("run halflife halflife", "named twice"),
    ("run halflife all", "There is no laboratory 'all'"), ("run halflife --seeds 0", "--seeds"),
    ("run halflife --seeds 1000", "1 to 100"), ("run halflife --data x", "make their data"),
    ("run halflife --threads 0", "--threads"), ("list more", "more"), ("report a b", "b"), ("walk", "walk"),
  ])
  func wrongUsage(words: String, hint: String) throws {
    let folder = try TemporaryFolder()
    let result = try LetheProgram.run(
      ["lab"] + words.split(separator: " ").map(String.init), in: folder.path)
    #expect(result.status == 64, "\(result.errors)")
    #expect(result.errors.hasPrefix("lethe: error: ") && result.errors.contains(hint), "\(result.errors)")
    #expect(result.output.isEmpty)
    #expect(try folder.names().isEmpty)
  }

  @Test func failuresOfTheWorldAreOneLine() throws {
    let folder = try TemporaryFolder()
    try folder.write(Array("{}".utf8), to: "halflife.json")
    for (words, hint) in [
      (["report"], "holds no results"), (["report", "."], "is no result of the laboratory 'halflife'"),
      (["run", "halflife", "--quick", "--out", "missing/folder"], "missing"),
      (["run", "halflife", "--quick", "--out", "halflife.json"], "is a file"),
    ] {
      let result = try LetheProgram.run(["lab"] + words, in: folder.path)
      #expect(result.status == 1)
      #expect(result.errorLines.count == 1 && result.errors.contains(hint), "\(result.errors)")
      #expect(result.output.isEmpty)
    }
    #expect(try folder.names() == ["halflife.json"])
  }

  /// What was done is kept and can be reported on.
  @Test func anInterruptionKeepsWhatIsDone() throws {
    let folder = try TemporaryFolder()
    let running = try LetheProgram.start(
      ["lab", "run", "halflife", "vanish", "--seeds", "100", "--out", "results"], in: folder.path)
    let kept = folder.file("results/halflife.html")
    for _ in 0..<3000 where !FileManager.default.fileExists(atPath: kept) { usleep(10_000) }
    kill(running.process.processIdentifier, SIGINT)
    let result = try running.outcome()
    #expect(result.status == 130)
    #expect(result.errors.contains("interrupted in 'vanish'; 1 of 2 are done"), "\(result.errors)")
    let report = try LetheProgram.run(["lab", "report", "results"], in: folder.path)
    #expect(report.status == 0 && report.output.contains("1 laboratory: 1 held."))
  }
}
