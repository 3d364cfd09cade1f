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

@Suite struct CompareTests {
  private static let tiny = [
    "compare", "--task", "recall", "--length", "5", "--cells", "rnn,gru", "--hidden", "8", "--seeds", "2",
  ]

  @Test func everyLineIsACell() throws {
    let folder = try TemporaryFolder()
    let words = Self.tiny + ["--steps", "20", "--json"]
    let result = try LetheProgram.run(words + ["--threads", "1", "--out", "r.html"], in: folder.path)
    #expect(result.status == 0 && result.errors.isEmpty, "\(result.errors)")
    let lines = try result.objects()
    #expect(Set(lines.compactMap { $0["cell"] as? String }) == ["rnn", "gru"])
    #expect(lines.map { $0["rank"] as? Int } == [1, 2])
    for line in lines {
      #expect(line["task"] as? String == "recall" && line["metric"] as? String == "accuracy")
      #expect((line["values"] as? [Double])?.count == 2 && line["steps"] as? Int == 20)
      #expect(line["baseline"] as? Double == 0.125 && line["test_count"] as? Int == 1024)
      for key in ["median", "worst", "best", "seconds_per_step", "rate"] {
        #expect(line[key] is Double, "\(key)")
      }
      for key in ["units", "parameters", "state", "memory_bytes", "broken_runs"] {
        #expect(line[key] is Int, "\(key)")
      }
    }
    let page = try folder.text("r.html")
    #expect(page.contains("<svg") && page.contains("gru") && !page.contains(folder.path))

    // 32 sequences of up to 5 steps and 8 units: at least one number each for every gate, and not much more.
    let held = lines.compactMap { $0["memory_bytes"] as? Int }
    #expect(held.allSatisfy { (4 * 32 * 8..<4 * 32 * 5 * 8 * 100).contains($0) }, "\(held)")

    let again = try LetheProgram.run(words + ["--threads", "2"]).objects()
    #expect(again.compactMap { $0["memory_bytes"] as? Int }.sorted() == held.sorted())
    for (a, b) in zip(again, lines) { #expect(a["values"] as? [Double] == b["values"] as? [Double]) }
  }

  @Test func wordsAreATableAndASentence() throws {
    let result = try LetheProgram.run(Self.tiny + ["--budget", "20ms"])
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.lines.first?.hasPrefix("cell") == true && result.lines.first?.hasSuffix("memory") == true)
    #expect(result.output.contains("chance is 12.5%") && result.output.contains("1,024 test examples"))
    #expect(result.errors.contains("2 cells, 2 seeds, 20 ms each"))
    #expect(result.errorLines.count == 2 + 4)
    #expect(!result.errors.contains("\r"), "no terminal, no bar")
  }

  @Test(arguments: [
    ("--task riddle", "Tasks: recall, adding"), ("", "--task"),
    ("--task recall --cells lsmt", "Cells: rnn, lstm"),
    ("--task recall --cells lstm,lstm", "twice"), ("--task recall --cells ,", "no cell"),
    ("--task recall --budget 60", "60s, 2m or 500ms"), ("--task recall --budget 0s", "--budget"),
    ("--task recall --steps 5 --budget 5s", "one of them"), ("--task recall --steps 0", "--steps"),
    ("--task recall --seeds 0", "--seeds"), ("--task recall --hidden 5000", "1 to 4096"),
    ("--task recall --match height", "--match"), ("--task recall --length 1", "from 2 to 10000"),
    ("--task digits --length 8", "--length"), ("--task recall --lr 0.1,x", "--lr"),
    ("--task mnist-rows", "--data"), ("--task recall --data x", "needs no files"),
    ("--task recall --cells lstm,augru", "the cell 'augru'"),
    ("--task spikes --length 9", "from 10 to 10000"), ("--task cycle --length 300", "from 3 to 256"),
  ])
  func wrongUsage(words: String, hint: String) throws {
    let result = try LetheProgram.run(["compare"] + words.split(separator: " ").map(String.init))
    #expect(result.status == 64)
    #expect(result.errors.hasPrefix("lethe: error: ") && result.errors.contains(hint), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test(arguments: [
    ["--task", "mnist-rows", "--data", "missing"],
    ["--task", "recall", "--steps", "1", "--out", "missing/x"],
  ])
  func failuresOfTheWorldAreOneLine(words: [String]) throws {
    let result = try LetheProgram.run(["compare"] + words)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1 && result.errors.contains("missing"), "\(result.errors)")
    #expect(result.output.isEmpty)
  }

  @Test(arguments: ["mnist-rows", "mnist-means", "mnist-means-permuted"])
  func mnistIsReadStepByStep(task: String) throws {
    let folder = try TemporaryFolder()
    try TinyMNIST.write(to: folder)
    let words = "compare --task \(task) --data . --cells rnn --hidden 4 --steps 5 --seeds 1 --json"
    let result = try LetheProgram.run(words.split(separator: " ").map(String.init), in: folder.path)
    #expect(result.status == 0, "\(result.errors)")
    #expect(try result.objects().first?["test_count"] as? Int == TinyMNIST.tests)
  }

  @Test func anInterruptionShowsWhatIsDone() throws {
    let words = Self.tiny.map { $0 == "2" ? "1000" : $0 } + ["--steps", "20"]
    let running = try LetheProgram.start(words)
    try running.wait(for: "2/2000")
    kill(running.process.processIdentifier, SIGINT)
    let result = try running.outcome()
    #expect(result.status == 130)
    #expect(result.lines.first?.hasPrefix("cell") == true && result.lines.first?.hasSuffix("memory") == true)
    #expect(result.errors.contains("lethe: interrupted"))
  }
}
