import ArgumentParser
import Lethe

/// The name of a cell in the catalogue.
struct CellName: ExpressibleByArgument {
  let entry: CellCatalog.Entry

  init?(argument: String) {
    guard let entry = CellCatalog.entry(argument) else { return nil }
    self.entry = entry
  }

  private init(_ entry: CellCatalog.Entry) { self.entry = entry }

  static let lstm = CellName(CellCatalog.Entry(name: "lstm", summary: "") { LSTMCell($0) })
  static let gru = CellName(CellCatalog.Entry(name: "gru", summary: "") { GRUCell($0) })

  static var list: String { CellCatalog.all.map(\.name).joined(separator: ", ") }
}
