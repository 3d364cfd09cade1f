import CLetheKernels
import LetheCore

/// The weights of one layer and direction as the forward kernels read them: packed once a training step, or once a
/// stream.
final class PackedRecurrent: Sendable {
  let description: CellDescription
  let inputs: Int
  let units: Int
  private let input: Storage
  private let hidden: Storage
  private let candidate: Storage?
  private let bias: Storage
  private let hiddenBias: Storage?

  var blocks: Int { (units + 15) / 16 }

  init(_ description: CellDescription, input: Tensor, hidden: Tensor, inputBias: Tensor, hiddenBias: Tensor) {
    let rows = inputBias.count
    require(
      input.shape.count == 2 && input.shape[0] == rows && rows % description.gates.count == 0
        && hidden.shape == [rows, rows / description.gates.count] && inputBias.shape == [rows]
        && hiddenBias.shape == [rows] && rows > 0,
      "\(description.name): expected parameters of shapes [gates · hidden, inputs], [gates · hidden, hidden] and twice "
        + "[gates · hidden], filled, with gates = \(description.gates.count); got \(input.shape), \(hidden.shape), "
        + "\(inputBias.shape) and \(hiddenBias.shape)")
    self.description = description
    (inputs, units) = (input.shape[1], hidden.shape[1])
    let (units, blocks) = (units, (units + 15) / 16)
    self.input = Self.panels(
      input.pointer, description.matrix(description.inputOrder, units: units, k: inputs))
    self.hidden = Self.panels(
      hidden.pointer, description.matrix(description.hiddenOrder, units: units, k: units))
    candidate = description.candidate.map {
      Self.panels(hidden.pointer + $0 * units * units, description.matrix([0], units: units, k: units))
    }

    let order = description.inputOrder
    let bias = Storage(count: blocks * order.count * 16)
    bias.pointer.update(repeating: 0, count: bias.count)
    let (a, b) = (inputBias.pointer, hiddenBias.pointer)
    for (slot, gate) in order.enumerated() {
      let isApart = description.keepsHiddenBias && gate == 2
      for unit in 0..<units {
        let row = gate * units + unit
        bias.pointer[(unit / 16 * order.count + slot) * 16 + unit % 16] = isApart ? a[row] : a[row] + b[row]
      }
    }
    self.bias = bias
    self.hiddenBias = description.keepsHiddenBias ? Storage(count: blocks * 16) : nil
    self.hiddenBias?.pointer.update(repeating: 0, count: blocks * 16)
    self.hiddenBias?.pointer.update(from: b + 2 * units, count: units)
  }

  private static func panels(_ weight: UnsafePointer<Float>, _ matrix: lethe_gates) -> Storage {
    let units = Int(matrix.units), k = Int(matrix.k), blocks = (units + 15) / 16
    let storage = Storage(count: blocks * k * Int(matrix.slots) * 16)
    if matrix.slots == 1 {
      // One gate: panels of at most four blocks of units instead of one block's gates.
      kernels.pack(storage.pointer, weight, 1, k, Int64(k), Int64(units), 4, 0, Int64((blocks + 3) / 4))
    } else {
      Parallel.split(blocks, grain: packingGrain(k * Int(matrix.slots) * 16)) { part in
        var gates = matrix
        kernels.pack_gates(storage.pointer, weight, &gates, Int64(part.lowerBound), Int64(part.upperBound))
      }
    }
    return storage
  }

  /// Tells the forward kernels of the cell and its weights.
  func fill(_ arguments: inout lethe_recurrent) {
    description.fill(&arguments)
    arguments.units = Int64(units)
    arguments.w_hidden = UnsafePointer(hidden.pointer)
    arguments.w_candidate = candidate.map { UnsafePointer($0.pointer) }
    arguments.b_hidden = hiddenBias.map { UnsafePointer($0.pointer) }
  }

  /// gates = W x + b for block-major inputs [block][row][16], blocks `block` floats apart.
  func projection(
    of x: UnsafePointer<Float>, block: Int, into gates: UnsafeMutablePointer<Float>, gatesBlock: Int
  ) -> lethe_product {
    let count = description.inputOrder.count, columns = (inputs + 15) / 16
    let panel = count == 1 ? 4 : count
    var product = lethe_product()
    product.left.a = x
    product.left.a_row = 16
    product.left.a_k = 1
    product.left.a_block = block
    product.left.k_width = 16
    product.left.k_blocks = Int64(columns)
    product.left.k_last = Int64(inputs - 16 * (columns - 1))
    product.right.w = UnsafePointer(input.pointer)
    product.right.columns = Int64(blocks * 16 * count)
    product.right.panel = Int64(panel)
    product.right.w_panel = inputs * 16 * panel
    product.initial = UnsafePointer(bias.pointer)
    product.initial_group = count * 16
    product.out = gates
    product.out_row = description.slots * 16
    product.out_group = gatesBlock
    product.group = Int64(count)
    return product
  }
}

/// The least blocks worth a thread's while, each of so many floats.
func packingGrain(_ floats: Int) -> Int { max(1, (1 << 17) / max(floats, 1)) }

extension lethe_product {
  /// The product of the rows of a run, where left and out are given for row 0.
  func over(_ run: SequenceLayout.Run) -> lethe_product {
    var product = self
    product.left.a += run.first * left.a_row
    product.out += run.first * out_row
    if run.count > 1 {
      product.left.row_width = Int64(run.width)
      product.left.row_block = run.apart * left.a_row
      product.out_row_block = run.apart * out_row
    }
    return product
  }

  /// The number of panels of the right operand.
  var panelCount: Int64 { ((right.columns + 15) / 16 + right.panel - 1) / right.panel }
}
