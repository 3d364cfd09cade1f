import LetheNN

extension RecurrentBenchmark {
  /// Shapes (batch, time, input, hidden) from a lone short sequence to large batches, by which engines are compared, and
  /// behind them four at odds with every tile and vector.
  public static let shapes = [
    (1, 100, 32, 32), (32, 28, 28, 128), (100, 28, 28, 128), (32, 100, 64, 64), (32, 100, 128, 256),
    (64, 35, 200, 200), (20, 35, 650, 650), (64, 100, 512, 512), (128, 50, 1024, 1024), (16, 1000, 2, 128),
    (8, 784, 1, 128), (7, 333, 40, 160), (48, 60, 96, 384), (256, 20, 300, 300), (3, 50, 17, 33),
  ]

  /// Widths of streams, as many inputs as units.
  public static let widths = [16, 32, 64, 128, 256, 512, 1024]

  /// The benchmarks of all shapes, cell by cell and mode by mode; cells that are as wide as their input have as many inputs
  /// as units.
  public static func grid(cells: [CellCatalog.Entry], modes: [Mode], seconds: Double) -> [RecurrentBenchmark]
  {
    cells.flatMap { cell in
      modes.flatMap { mode in
        (mode.isStreaming ? widths.map { (1, 200, $0, $0) } : shapes).map { batch, time, input, hidden in
          RecurrentBenchmark(
            cell: cell, mode: mode, batch: batch, time: time,
            input: cell.isAsWideAsItsInput ? hidden : input, hidden: hidden, seconds: seconds)
        }
      }
    }
  }
}
