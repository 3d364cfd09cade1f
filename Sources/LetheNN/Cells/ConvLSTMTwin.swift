import LetheCore

/// The convolutional LSTM again, slow and obvious: one sequence, one step, one pixel at a time, in doubles.
///
/// It is the oracle of the cell's tests, and what finite differences are taken of.
package struct ConvLSTMTwin: SteppedTwin {
  let cell: ConvLSTMCell
  /// The kernels of the input, the biases, the kernels of H.
  package var parts: [Vector]

  package init(_ layer: SteppedRecurrent<ConvLSTMCell>) {
    cell = layer.cell
    parts = layer.parameters.map { $0.value.scalars.map(Double.init) }
  }

  /// Images are rows of numbers, [height, width, channels]; the state's parts are H and C.
  package func step(_ x: Vector, _ state: inout NaiveTwin.State) -> Vector {
    let (before, filters) = (state.h, cell.filters)
    for row in 0..<cell.image[0] {
      for column in 0..<cell.image[1] {
        for filter in 0..<filters {
          func sum(_ gate: Int) -> Double {
            let own = gate * filters + filter
            return parts[1][own] + seen(x, cell.image[2], by: parts[0], own, row, column)
              + seen(before, filters, by: parts[2], own, row, column)
          }
          let at = (row * cell.image[1] + column) * filters + filter
          let i = NaiveTwin.sigmoid(sum(0)), f = NaiveTwin.sigmoid(sum(1))
          let u = NaiveTwin.tanh(sum(2)), o = NaiveTwin.sigmoid(sum(3))
          state.parts[1][at] = f * state.parts[1][at] + i * u
          state.parts[0][at] = o * NaiveTwin.tanh(state.parts[1][at])
        }
      }
    }
    return state.h
  }

  /// What a filter sees of an image around a pixel: zeros outside, an odd row or column at the bottom and right.
  private func seen(
    _ image: Vector, _ channels: Int, by weight: Vector, _ filter: Int, _ row: Int, _ column: Int
  ) -> Double {
    let size = cell.kernel, before = (size - 1) / 2
    var sum = 0.0
    for p in 0..<size {
      for q in 0..<size {
        let (i, j) = (row + p - before, column + q - before)
        guard (0..<cell.image[0]).contains(i), (0..<cell.image[1]).contains(j) else { continue }
        for c in 0..<channels {
          sum +=
            weight[((filter * channels + c) * size + p) * size + q]
            * image[(i * cell.image[1] + j) * channels + c]
        }
      }
    }
    return sum
  }
}
