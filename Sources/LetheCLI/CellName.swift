import ArgumentParser
import Lethe

/// The name of a cell in the catalogue.
struct CellName: ExpressibleByArgument {
  let entry: CellCatalog.Entry

  init?(argument: String) {
    guard let entry = CellCatalog.entry(argument) else { return nil }
    self.entry = entry
  }

  static let usual = CellCatalog.all.filter { ["lstm", "gru"].contains($0.name) }

  static var list: String { CellCatalog.all.map(\.name).joined(separator: ", ") }
}
