import Lethe
import Testing

@Suite struct CellLawsTests {
  /// All laws of all cells, but that a cell trained straight through has no derivative.
  @Test(arguments: CellLaws.cells) func holds(_ cell: String) throws {
    let results = try #require(CellLaws.check(cell, steps: 20_000))
    let missing = CellCatalog.entry(cell)?.isStraightThrough ?? false ? ["gradients"] : []
    #expect(results.map(\.law) == CellLaws.laws.map(\.name).filter { !missing.contains($0) })
    for result in results {
      #expect(result.ok, "\(cell) \(result.law): \(result.maxDifference), allowed \(result.tolerance)")
    }
  }
}
