import LetheTestSupport
import Testing

@Suite struct BenchTests {
  /// Of width 8: 4 heads with a key of 1 and a value of 2; two operations a weight, five a number of S, eight steps,
  /// three times that in training.
  @Test(arguments: [("train", 3.0), ("infer", 1.0), ("stream", 1.0)])
  func operationsOfAMatrixMemoryAreCounted(mode: String, times: Double) throws {
    let words =
      "bench --cell mlstm --input 3 --hidden 8 --repeats 3 --json --mode \(mode)"
      + (mode == "stream" ? "" : " --batch 2 --time 4")
    let line = try #require(
      try LetheProgram.run(words.split(separator: " ").map(String.init)).objects().first)
    let weights = 4 * 3 + 4 * 3 + 8 * 3 + 8 * 3 + 8 * 8
    let steps = mode == "stream" ? 1.0 : 8.0
    let operations = times * steps * Double(2 * weights + 5 * 4 * 1 * 2)
    let seconds = try #require(line["median_seconds"] as? Double)
    let gflops = try #require(line["gflops"] as? Double)
    #expect(abs(gflops * 1e9 * seconds / operations - 1) < 1e-6)
  }

  @Test(arguments: ["layer_norm", "fgn", "deltanet_negative", "peephole"])
  func layersOfAnyKindAreTimed(cell: String) throws {
    for mode in ["adam", "latency"] {
      let words = "bench --cell \(cell) --input 3 --hidden 8 --repeats 3 --json --mode \(mode)"
      let result = try LetheProgram.run(words.split(separator: " ").map(String.init))
      #expect(result.status == 0, "\(result.errors)")
      #expect(try result.objects().first?["cell"] as? String == cell)
    }
  }
}
