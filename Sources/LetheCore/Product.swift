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

/// out[m, n] = bias[n] + Σ_k a[m, k] b[k, n]; k ascending, one chain of fused multiply-adds a sum.
///
/// *Shapes*: a [rows, depth], b [depth, columns], bias [columns], out [rows, columns] with `columns` floats between rows.
/// *Cost*: 2 · rows · depth · columns; b is packed once.
package func multiply(
  _ a: MatrixView, _ b: MatrixView, rows: Int, depth: Int, columns: Int, bias: UnsafePointer<Float>? = nil,
  into out: UnsafeMutablePointer<Float>
) {
  if rows == 0 || columns == 0 { return }
  let panel = 4
  let panels = (columns + 16 * panel - 1) / (16 * panel)
  let work = rows * depth * columns
  let threads = work < 1 << 18 ? 1 : Parallel.threads
  // A row-major b of whole blocks can be read where it lies; packing pays when many rows pass over wide rows.
  let direct = b.column == 1 && columns % 16 == 0 && (rows < 8 || columns <= 512)
  var right = lethe_panels()
  right.columns = Int64(columns)
  right.panel = Int64(panel)
  var packed: Storage?
  if direct {
    right.w = b.start
    right.w_panel = panel * 16
    right.w_k = b.row
  } else {
    let storage = Storage(count: depth * ((columns + 15) / 16 * 16))
    let to = storage.pointer
    Parallel.run(panels, threads: threads) { p in
      kernels.pack(
        to, b.start, b.row, b.column, Int64(depth), Int64(columns), Int64(panel), Int64(p), Int64(p + 1))
    }
    right.w = UnsafePointer(to)
    right.w_panel = panel * 16 * depth
    packed = storage
  }
  var product = lethe_product()
  product.left.a = a.start
  product.left.a_row = a.row
  product.left.a_k = a.column
  product.left.k_width = Int64(depth)
  product.left.k_blocks = 1
  product.left.k_last = Int64(depth)
  product.right = right
  product.initial = bias
  product.initial_group = 16
  product.out = out
  product.out_row = columns
  product.out_group = 16
  product.group = 1
  product.dense = true
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
