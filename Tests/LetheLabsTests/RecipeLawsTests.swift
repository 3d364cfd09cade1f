import Lethe
import Testing

/// Cells with several switches at once, which the catalogue has one by one.
@Suite struct RecipeLawsTests {
  static let cells: [(name: String, cell: LSTMCell)] = [
    (
      "hard, peepholes, full gate recurrence",
      LSTMCell(
        0, gateActivation: .hardSigmoid(slope: 0.3, offset: 0.4),
        recipe: LSTMRecipe(peepholes: true, fullGateRecurrence: true))
    ),
    ("softer, cell in bounds", LSTMCell(0, recipe: LSTMRecipe(temperature: 0.7, clip: .cell(0.5)))),
    ("sums in bounds", LSTMCell(0, recipe: LSTMRecipe(peepholes: true, clip: .sums(0.6)))),
    ("candidate in bounds", LSTMCell(0, recipe: LSTMRecipe(clip: .candidate(0.4)))),
    ("h in bounds", LSTMCell(0, recipe: LSTMRecipe(clip: .hidden(0.1)))),
    (
      "forms of single gates",
      LSTMCell(
        0,
        recipe: LSTMRecipe(
          gates: .init(input: .init(temperature: 2), forget: .init(.hardSigmoid(), temperature: 0.5))))
    ),
    (
      "budget, hard output gate, zoneout",
      LSTMCell(
        0,
        recipe: LSTMRecipe(
          writing: .budget, gates: .init(output: .init(.hardSigmoid())),
          zoneout: .init(hidden: 0.1, cell: 0.2)))
    ),
    (
      "coupled, without activations",
      LSTMCell(0, recipe: LSTMRecipe(inputActivation: false, outputActivation: false, writing: .coupled))
    ),
    ("narrow, with peepholes", LSTMCell(0, recipe: LSTMRecipe(peepholes: true, projection: 7))),
    (
      "norms, peepholes, coupled, zoneout",
      LSTMCell(
        0,
        recipe: LSTMRecipe(
          writing: .coupled, peepholes: true, norm: .layer, zoneout: .init(hidden: 0.1, cell: 0.2)))
    ),
    (
      "norms of a budget, narrow, in bounds",
      LSTMCell(0, recipe: LSTMRecipe(writing: .budget, norm: .layer, projection: 5, clip: .cell(0.5)))
    ),
    (
      "norms without activations",
      LSTMCell(0, recipe: LSTMRecipe(inputActivation: false, outputActivation: false, norm: .layer))
    ),
    ("half-lives, peepholes", LSTMCell(0, halfLives: 2...50, recipe: LSTMRecipe(peepholes: true))),
  ]

  @Test(arguments: cells.indices) func lawsHold(index: Int) {
    let (name, cell) = Self.cells[index]
    let entry = CellCatalog.Entry(name: "recipe \(index)", summary: name) {
      var cell = cell
      cell.hiddenSize = $0
      return cell
    }
    let results = CellLaws.check(entry, steps: 2000)
    #expect(results.count == CellLaws.laws.count)
    for result in results { #expect(result.ok, "\(name), \(result.law): \(result.maxDifference)") }
  }
}
