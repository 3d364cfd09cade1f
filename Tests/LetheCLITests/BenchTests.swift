import Foundation
import LetheTestSupport
import Testing

@Suite struct BenchTests {
  /// Two operations a weight, all real steps, three times that in training. mLSTM of width 8 has 4 heads with a key of 1 and
  /// a value of 2, and five operations a number of S; fox four heads of 2, and nothing for the steps that it weighs.
  @Test(
    arguments: [
      ("mlstm", 2 * (4 * 3 + 4 * 3 + 8 * 3 + 8 * 3 + 8 * 8) + 5 * 4 * 1 * 2),
      ("fox", 2 * (8 * 3 + 8 * 3 + 8 * 3 + 4 * 3 + 8 * 8)),
    ],
    [("train", 3.0), ("train --ragged", 3.0), ("infer", 1.0), ("stream", 1.0)])
  func operationsAreCounted(_ cell: (name: String, each: Int), _ mode: (words: String, times: Double)) throws
  {
    let words =
      "bench --cell \(cell.name) --input 3 --hidden 8 --repeats 3 --json --mode \(mode.words)"
      + (mode.words == "stream" ? "" : " --batch 2 --time 9")
    let line = try #require(
      try LetheProgram.run(words.split(separator: " ").map(String.init)).objects().first)
    let steps = try #require(line["real_steps"] as? Int)
    switch mode.words {
    case "stream": #expect(steps == 1)
    case "train --ragged": #expect((2..<18).contains(steps))
    default: #expect(steps == 18)
    }
    let operations = mode.times * Double(steps * cell.each)
    let seconds = try #require(line["median_seconds"] as? Double)
    let gflops = try #require(line["gflops"] as? Double)
    #expect(abs(gflops * 1e9 * seconds / operations - 1) < 1e-6)
  }

  /// One row a cell and mode; in record mode only those that have something to record.
  @Test func allCellsAreTimed() throws {
    func cells(_ words: String) throws -> [String] {
      let result = try LetheProgram.run(
        "bench cells --batch 2 --time 3 --input 5 --hidden 8 --repeats 1 \(words)".split(separator: " ").map(
          String.init))
      #expect(result.status == 0, "\(result.errors)")
      return try result.objects().compactMap { $0["cell"] as? String }
    }
    let all = try cells("--json")
    #expect(
      all.count == 2 * Set(all).count && Set(all).isSuperset(of: ["lstm", "sru", "mlstm", "fgn_recall"]))
    #expect(try cells("--json --mode record").count < Set(all).count)
    #expect(try LetheProgram.run(["bench", "cells", "--cell", "lstm"]).status == 64)
  }

  @Test func aConvolutionalLSTMIsTimed() throws {
    let result = try LetheProgram.run(["bench", "convlstm", "--repeats", "1", "--json"])
    let line = try #require(try result.objects().first)
    #expect(line["model"] as? String == "convlstm" && line["epoch_seconds"] is NSNull)
    #expect(try #require(line["median_seconds"] as? Double) > 0)
    let text = try LetheProgram.run(["bench", "convlstm", "--repeats", "1"])
    #expect(text.output.contains("a training step") && !text.output.contains("epoch"))
  }

  @Test func aModelIsTimedAsAStream() throws {
    let result = try LetheProgram.run(["bench", "forecaster", "--repeats", "3", "--json"])
    let line = try #require(try result.objects().first)
    #expect(line["model"] as? String == "forecaster" && line["repeats"] as? Int == 3)
    #expect(try #require(line["median_seconds"] as? Double) > 0)
    let text = try LetheProgram.run(["bench", "forecaster", "--repeats", "1"])
    #expect(text.output.contains("µs a step,") && !text.output.contains("epoch"))
  }

  @Test(arguments: ["mlstm", "fox", "attentive"])
  func recordingNothingIsRefused(cell: String) throws {
    let words = "bench --cell \(cell) --input 3 --hidden 8 --repeats 3 --json --mode record"
    let result = try LetheProgram.run(words.split(separator: " ").map(String.init))
    #expect(result.status == 1 && result.output.isEmpty)
    #expect(
      result.errorLines.count == 1 && result.errors.contains("nothing to record in '\(cell)'"),
      "\(result.errors)")
  }

  @Test(arguments: ["lstm", "fgn", "peephole"])
  func gatesWithNamesAreRecorded(cell: String) throws {
    let words = "bench --cell \(cell) --input 3 --hidden 8 --repeats 3 --json --mode record"
    let result = try LetheProgram.run(words.split(separator: " ").map(String.init))
    #expect(result.status == 0, "\(result.errors)")
    #expect(try result.objects().first?["mode"] as? String == "record")
  }

  /// As many inputs as units, unless they are asked for.
  @Test func cellsAsWideAsTheirInputAreTimed() throws {
    let result = try LetheProgram.run(["bench", "--cell", "sru", "--hidden", "8", "--repeats", "1", "--json"])
    #expect(try result.objects().first?["input"] as? Int == 8, "\(result.errors)")
    let wrong = try LetheProgram.run(
      ["bench", "--cell", "sru", "--hidden", "8", "--input", "5", "--repeats", "1"])
    #expect(wrong.status == 1 && wrong.errors.contains("as many features as units, 8"))
  }

  @Test(arguments: ["layer_norm", "fgn", "fgn_recall", "deltanet_negative", "peephole"])
  func layersOfAnyKindAreTimed(cell: String) throws {
    for mode in ["adam", "stream", "latency"] {
      let words = "bench --cell \(cell) --input 3 --hidden 8 --repeats 3 --json --mode \(mode)"
      let result = try LetheProgram.run(words.split(separator: " ").map(String.init))
      #expect(result.status == 0, "\(result.errors)")
      #expect(try result.objects().first?["cell"] as? String == cell)
    }
  }
}
