import CLetheKernels
import LetheCore

/// The gradients of a pass's weights and biases, summed chunk by chunk: dW = dGᵀ x, dU = dGᵀ h', db = Σ dG.
///
/// They are summed as the gates lie, [block][k][gates][16], and turned into the rows of a file once at the end.
struct WeightSums {
  private let input: Storage
  private let hidden: Storage
  private let candidate: Storage?
  private let biases: Storage  // [block][slots][16]
  private var isStarted = false

  init(_ pass: RecurrentPass) {
    let block = pass.blocks * 16
    input = Storage(count: block * pass.inputs * pass.description.inputOrder.count)
    hidden = Storage(count: block * pass.units * pass.description.hiddenOrder.count)
    candidate = pass.description.candidate.map { _ in Storage(count: block * pass.units) }
    biases = Storage(count: block * pass.slots)
    biases.pointer.update(repeating: 0, count: biases.count)
  }

  /// Adds the rows of a chunk, rows ascending. `x` holds its inputs [block][row][16].
  mutating func add(
    _ rows: Range<Int>, x: Storage, chunkBlock: Int, _ work: RecurrentPass.Work, in pass: RecurrentPass
  ) {
    guard let gates = work.gates, !rows.isEmpty else { return }
    let isFirst = !isStarted
    isStarted = true
    let (description, units, slots) = (pass.description, pass.units, pass.slots)
    let gatesBlock = pass.gatesBlock, at = rows.lowerBound
    let stateBlock = (pass.copies ? pass.rows : pass.rows + pass.batch) * 16
    let dG = gates.pointer + at * slots * 16
    func product(
      _ left: UnsafePointer<Float>, _ block: Int, row: Int = 16, first: Int, count: Int, k: Int,
      _ sum: Storage
    ) -> lethe_product {
      var product = lethe_product()
      product.left.a = left
      product.left.a_row = 1
      product.left.a_k = row
      product.left.k_width = Int64(rows.count)
      product.left.k_blocks = 1
      product.left.k_last = Int64(rows.count)
      product.left.row_width = 16
      product.left.row_block = block
      product.right.w = UnsafePointer(dG + first * 16)
      product.right.columns = Int64(pass.blocks * count * 16)
      product.right.panel = Int64(count)
      product.right.w_panel = gatesBlock
      product.right.w_k = slots * 16
      product.initial = isFirst ? nil : UnsafePointer(sum.pointer)
      product.out = sum.pointer
      product.out_row = count * 16
      product.out_group = k * count * 16
      product.group = Int64(count)
      return product
    }
    let ofHidden = product(
      work.hidden.pointer + at * 16, stateBlock, first: description.hiddenFirst,
      count: description.hiddenOrder.count, k: units, hidden)
    let ofInput = product(
      x.pointer, chunkBlock, first: 0, count: description.inputOrder.count, k: pass.inputs, input)
    // The candidate saw r ⊙ h', which the forward pass left in the last slot.
    let ofCandidate = candidate.map {
      product(dG + (slots - 1) * 16, gatesBlock, row: slots * 16, first: 0, count: 1, k: units, $0)
    }
    let work = rows.count * (units + pass.inputs) * slots * 16
    Parallel.split(pass.blocks, grain: max(1, (1 << 18) / max(work, 1)), perThread: 2) { part in
      for (product, k) in [(ofHidden, units), (ofInput, pass.inputs)]
        + (ofCandidate.map { [($0, units)] } ?? [])
      {
        var p = product
        kernels.product(&p, 0, Int64(k), Int64(part.lowerBound), Int64(part.upperBound))
      }
      for j in part {
        kernels.column_sums(
          biases.pointer + j * slots * 16, dG + j * gatesBlock, Int64(rows.count), Int64(slots * 16), 0,
          Int64(slots * 16))
      }
    }
  }

  /// The sums as parameters lie: [gates · units, k] and [gates · units].
  func gradients(in pass: RecurrentPass) -> (
    input: Tensor, hidden: Tensor, inputBias: Tensor, hiddenBias: Tensor
  ) {
    let (description, units, slots) = (pass.description, pass.units, pass.slots)
    let count = description.gates.count * units
    let dInput = Tensor.uninitialized([count, pass.inputs]), dHidden = Tensor.uninitialized([count, units])
    func unpack(_ sum: Storage, _ matrix: lethe_gates, into target: Tensor) {
      if !isStarted { sum.pointer.update(repeating: 0, count: sum.count) }
      Parallel.split(pass.blocks, grain: packingGrain(Int(matrix.k * matrix.slots) * 16)) { part in
        var gates = matrix
        kernels.unpack_gates(
          target.pointer, sum.pointer, &gates, Int64(part.lowerBound), Int64(part.upperBound))
      }
    }
    unpack(input, pass.inputMatrix, into: dInput)
    unpack(hidden, pass.hiddenMatrix, into: dHidden)
    if let gate = description.candidate, let candidate {
      unpack(candidate, description.matrix([gate], units: units, k: units), into: dHidden)
    }
    func bias(_ slotOf: (Int) -> Int) -> Tensor {
      Tensor(shape: [count]) { to in
        for gate in description.gates.indices {
          let slot = slotOf(gate)
          for unit in 0..<units {
            to[gate * units + unit] = biases.pointer[(unit / 16 * slots + slot) * 16 + unit % 16]
          }
        }
      }
    }
    let ofInput = bias { gate in description.inputOrder.firstIndex(of: gate) ?? 0 }
    let ofHidden = description.keepsHiddenBias ? bias { description.hiddenFirst + $0 } : ofInput
    return (dInput, dHidden, ofInput, ofHidden)
  }
}
