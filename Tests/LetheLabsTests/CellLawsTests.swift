import Lethe
import Testing

@Suite struct CellLawsTests {
  @Test(arguments: CellLaws.cells) func holds(_ cell: String) throws {
    let results = try #require(CellLaws.check(cell, steps: 20_000))
    #expect(results.count >= 7)
    for result in results {
      #expect(result.ok, "\(cell) \(result.law): \(result.maxDifference), allowed \(result.tolerance)")
    }
  }
}
