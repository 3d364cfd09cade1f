import CLetheKernels

/// One factor of a matrix product as it lies in memory: element (i, j) is `start[i * row + j * column]`.
package struct MatrixView {
  package let start: UnsafePointer<Float>
  package let row: Int
  package let column: Int

  package init(_ start: UnsafePointer<Float>, row: Int, column: Int = 1) {
    self.start = start
    self.row = row
    self.column = column
  }

  package var transposed: MatrixView { MatrixView(start, row: column, column: row) }
}

/// out[m, n] = bias[n] + Σ_k a[m, k] b[k, n]; k ascending, one chain of fused multiply-adds a sum. With `adding` the chain
/// starts from what `out` holds.
///
/// *Shapes*: a [rows, depth], b [depth, columns], bias [columns], out [rows, columns] with `columns` floats between rows.
/// *Cost*: 2 · rows · depth · columns; b is packed once.
package func multiply(
  _ a: MatrixView, _ b: MatrixView, rows: Int, depth: Int, columns: Int, bias: UnsafePointer<Float>? = nil,
  adding: Bool = false, into out: UnsafeMutablePointer<Float>
) {
  if rows == 0 || columns == 0 { return }
  let panels = PackedFactor.panelCount(columns)
  let work = rows * depth * columns
  let threads = work < 1 << 18 ? 1 : Parallel.threads
  // A row-major b of whole blocks can be read where it lies; packing pays when many rows pass over wide rows.
  let direct = b.column == 1 && columns % 16 == 0 && (rows < 8 || columns <= 512)
  let packed = direct ? nil : PackedFactor(b, depth: depth, columns: columns, threads: threads)
  let right = packed?.panels ?? PackedFactor.unpacked(b, columns: columns)
  var whole = lethe_product(a, right, depth: depth, initial: bias, into: out)
  whole.adds = adding
  let product = whole
  // Split what has more tiles, and never below one tile.
  if panels >= (rows + 5) / 6 {
    let parts = max(1, min(threads, panels))
    Parallel.run(parts, threads: threads) { i in
      var p = product
      kernels.product(&p, 0, Int64(rows), Int64(panels * i / parts), Int64(panels * (i + 1) / parts))
    }
  } else {
    let parts = max(1, min(threads * (threads > 1 && rows > 512 ? 2 : 1), rows / 6))
    Parallel.run(parts, threads: threads) { i in
      var p = product
      kernels.product(&p, Int64(rows * i / parts), Int64(rows * (i + 1) / parts), 0, Int64(panels))
    }
  }
  withExtendedLifetime(packed) {}
}

/// The right factor of a product, packed once for all rows of the left one.
package struct PackedFactor: Sendable {
  package let columns: Int
  private let depth: Int
  private let storage: Storage

  private static let panel = 4
  fileprivate static func panelCount(_ columns: Int) -> Int { (columns + 16 * panel - 1) / (16 * panel) }

  /// *Cost*: reads b once.
  package init(_ b: MatrixView, depth: Int, columns: Int, threads: Int = 1) {
    (self.depth, self.columns) = (depth, columns)
    storage = Storage(count: depth * ((columns + 15) / 16 * 16))
    let to = storage.pointer
    Parallel.run(Self.panelCount(columns), threads: threads) { p in
      kernels.pack(
        to, b.start, b.row, b.column, Int64(depth), Int64(columns), Int64(Self.panel), Int64(p), Int64(p + 1))
    }
  }

  /// Wᵀ, for x Wᵀ. *Shapes*: weight [columns, depth].
  package init(transposed weight: Tensor) {
    let (columns, depth) = (weight.shape[0], weight.shape[1])
    self = withExtendedLifetime(weight) {
      PackedFactor(MatrixView(weight.pointer, row: 1, column: depth), depth: depth, columns: columns)
    }
  }

  fileprivate var panels: lethe_panels {
    var right = lethe_panels()
    right.w = UnsafePointer(storage.pointer)
    right.columns = Int64(columns)
    right.panel = Int64(Self.panel)
    right.w_panel = Self.panel * 16 * depth
    return right
  }

  fileprivate static func unpacked(_ b: MatrixView, columns: Int) -> lethe_panels {
    var right = lethe_panels()
    right.w = b.start
    right.columns = Int64(columns)
    right.panel = Int64(panel)
    right.w_panel = panel * 16
    right.w_k = b.row
    return right
  }

  /// out[n] = bias[n] + Σ_k a[k] b[k, n], the bits of `multiply` above; on the calling thread, with nothing allocated.
  package func multiply(
    _ a: UnsafePointer<Float>, bias: UnsafePointer<Float>? = nil, into out: UnsafeMutablePointer<Float>
  ) {
    var product = lethe_product(MatrixView(a, row: depth), panels, depth: depth, initial: bias, into: out)
    kernels.product(&product, 0, 1, 0, Int64(Self.panelCount(columns)))
  }
}

extension lethe_product {
  /// Rows of `a` by packed panels, to rows side by side.
  fileprivate init(
    _ a: MatrixView, _ right: lethe_panels, depth: Int, initial: UnsafePointer<Float>?,
    into out: UnsafeMutablePointer<Float>
  ) {
    self.init()
    left.a = a.start
    left.a_row = a.row
    left.a_k = a.column
    left.k_width = Int64(depth)
    left.k_blocks = 1
    left.k_last = Int64(depth)
    self.right = right
    self.initial = initial
    initial_group = 16
    self.out = out
    out_row = Int(right.columns)
    out_group = 16
    group = 1
    dense = true
  }
}
