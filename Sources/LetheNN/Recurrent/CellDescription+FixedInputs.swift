/// Inputs that a cell takes as they are, and their gradients. Rows are block-major: [block][row][16].
extension CellDescription {
  /// Whether it takes its input unit by unit, so that input, but for its scalars, and layer are of one width.
  package var takesItsInput: Bool { fixedInputs.contains { $0.input == .identity } }

  /// The columns of the input that weights see.
  func seen(_ inputs: Int) -> Int { inputs - scalars }

  /// Writes the slots of some rows and blocks from their inputs.
  func fillFixed(
    from x: UnsafePointer<Float>, block: Int, into gates: UnsafeMutablePointer<Float>, gatesBlock: Int,
    inputs: Int, units: Int, rows: Range<Int>, blocks: Range<Int>
  ) {
    for fixed in fixedInputs {
      for row in rows {
        for j in blocks {
          let to = gates + j * gatesBlock + (row * slots + fixed.slot) * 16, valid = min(16, units - 16 * j)
          switch fixed.input {
          case .identity:
            to.update(from: x + j * block + row * 16, count: valid)
            (to + valid).update(repeating: 0, count: 16 - valid)
          case .scalar(let index):
            let column = seen(inputs) + index
            to.update(repeating: x[column / 16 * block + row * 16 + column % 16], count: 16)
          }
        }
      }
    }
  }

  /// Adds the slots' gradients to those of the inputs; a scalar's is summed over units, ascending.
  func addFixed(
    _ gates: UnsafePointer<Float>, gatesBlock: Int, to dx: UnsafeMutablePointer<Float>, block: Int,
    inputs: Int, units: Int, rows: Range<Int>
  ) {
    for fixed in fixedInputs {
      for row in rows {
        let from = gates + (row * slots + fixed.slot) * 16
        switch fixed.input {
        case .identity:
          for unit in 0..<units {
            dx[unit / 16 * block + row * 16 + unit % 16] += from[unit / 16 * gatesBlock + unit % 16]
          }
        case .scalar(let index):
          let column = seen(inputs) + index
          var sum: Float = 0
          for unit in 0..<units { sum += from[unit / 16 * gatesBlock + unit % 16] }
          dx[column / 16 * block + row * 16 + column % 16] += sum
        }
      }
    }
  }
}
