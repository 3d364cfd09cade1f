import CLetheKernels
import LetheCore

extension RecurrentPass {
  struct InputGradients {
    var parts: [Tensor?]  // x, input weight, hidden weight, input bias, hidden bias
    var initialHidden: Tensor?
    var initialCell: Tensor?
  }

  func backward(
    _ work: Work, weights: Weights, hidden: Tensor?, cell: Tensor?, outputs: Tensor?, outputGate: Tensor?,
    wantsInput: Bool
  ) -> InputGradients {
    let dOutputs = outputs.map { layout.gathered($0, columns: units) }
    let dOutputGate = outputGate.map { layout.gathered($0, columns: units) }
    let dFinal = packed(hidden), carry = packed(cell), dInitial = Storage(count: blocks * batch * 16)
    let hiddenPanels = packTransposed(weights.hidden.tensor, hiddenMatrix)
    let candidatePanels = packCandidateTransposed(weights.hidden.tensor)

    withArguments(work, gateRows: rows) { arguments in
      arguments.w_hidden_t = UnsafePointer(hiddenPanels.pointer)
      arguments.w_candidate_t = candidatePanels.map { UnsafePointer($0.pointer) }
      arguments.dh_out = dOutputs.map { UnsafePointer($0.pointer) }
      arguments.dh_out_block = rows * 16
      arguments.d_output_gate = dOutputGate.map { UnsafePointer($0.pointer) }
      arguments.dh_final = UnsafePointer(dFinal.pointer)
      arguments.dcarry = carry.pointer
      arguments.dh0 = dInitial.pointer
      let current = arguments
      eachShare { share in
        var a = current
        kernels.backward(&a, Int64(share.lowerBound), Int64(share.upperBound))
      }
    }
    withExtendedLifetime((dOutputs, dOutputGate, dFinal, hiddenPanels, candidatePanels)) {}

    let dx = wantsInput ? inputGradient(work, weights.input.tensor) : nil
    let (dInput, dHidden, dInputBias, dHiddenBias) = weightGradients(work)
    return InputGradients(
      parts: [dx, dInput, dHidden, dInputBias, dHiddenBias],
      initialHidden: layout.unpackState(dInitial.pointer, units: units, block: batch * 16),
      initialCell: description.hasCellState
        ? layout.unpackState(carry.pointer, units: units, block: batch * 16) : nil)
  }

  /// dx = dG Wᵀ.
  private func inputGradient(_ work: Work, _ weight: Tensor) -> Tensor {
    let gates = description.inputOrder.count
    let panels = packTransposed(weight, inputMatrix)
    let columns = (inputs + 15) / 16
    let result = Storage(count: columns * rows * 16)
    var product = lethe_product()
    product.left.a = UnsafePointer(work.gates.pointer)
    product.left.a_row = slots * 16
    product.left.a_k = 1
    product.left.a_block = rows * slots * 16
    product.left.k_width = Int64(gates * 16)
    product.left.k_blocks = Int64(blocks)
    product.left.k_last = Int64(gates * 16)
    product.right.w = UnsafePointer(panels.pointer)
    product.right.columns = Int64(inputs)
    product.right.panel = 4
    product.right.w_panel = 64 * blocks * gates * 16
    product.out = result.pointer
    product.out_row = 16
    product.out_group = rows * 16
    product.group = 1
    let fixed = product
    Parallel.split(rows, grain: grain(inputs)) { range in
      var p = fixed
      kernels.product(&p, Int64(range.lowerBound), Int64(range.upperBound), 0, p.panelCount)
    }
    withExtendedLifetime(panels) {}
    return layout.scattered(result.pointer, block: rows * 16, columns: inputs)
  }

  /// dW = dGᵀ x, dU = dGᵀ h', and the sums of dG: each a chain over the rows in order.
  private func weightGradients(_ work: Work) -> (Tensor, Tensor, Tensor, Tensor) {
    let gateCount = description.gates.count
    let dInput = Tensor.uninitialized([gateCount * units, inputs])
    let dHidden = Tensor.uninitialized([gateCount * units, units])
    let stateBlock = copies ? rows * 16 : (rows + batch) * 16
    let input = transposedRows(work.input.pointer, block: rows * 16)
    let hidden = transposedRows(work.hidden.pointer, block: stateBlock)
    gradient(of: inputMatrix, left: input, first: 0, work, into: dInput)
    gradient(of: hiddenMatrix, left: hidden, first: description.hiddenFirst, work, into: dHidden)
    if let candidate = description.candidate {
      // The candidate saw r ⊙ h', which the forward pass left in the last slot.
      var left = hidden
      left.a = UnsafePointer(work.gates.pointer + (slots - 1) * 16)
      left.a_k = slots * 16
      left.row_block = rows * slots * 16
      gradient(
        of: description.matrix([candidate], units: units, k: units), left: left, first: 0, work, into: dHidden
      )
    }

    var sums = [Float](repeating: 0, count: blocks * slots * 16)
    sums.withUnsafeMutableBufferPointer { to in
      guard let to = to.baseAddress else { return }
      Parallel.split(blocks, grain: max(1, (1 << 15) / max(rows, 1))) { range in
        for j in range {
          kernels.column_sums(
            to + j * slots * 16, work.gates.pointer + j * rows * slots * 16, Int64(rows), Int64(slots * 16),
            0,
            Int64(slots * 16))
        }
      }
    }
    func bias(_ slotOf: (Int) -> Int) -> Tensor {
      Tensor(shape: [gateCount * units]) { to in
        for gate in 0..<gateCount {
          let slot = slotOf(gate)
          for unit in 0..<units {
            to[gate * units + unit] = sums[(unit / 16 * slots + slot) * 16 + unit % 16]
          }
        }
      }
    }
    let inputSlot = { (gate: Int) in description.inputOrder.firstIndex(of: gate) ?? 0 }
    let dInputBias = bias(inputSlot)
    let dHiddenBias = description.keepsHiddenBias ? bias { description.hiddenFirst + $0 } : dInputBias
    return (dInput, dHidden, dInputBias, dHiddenBias)
  }

  /// One weight gradient, from packed panels back to the rows of a file.
  private func gradient(
    of matrix: lethe_gates, left: lethe_operand, first: Int, _ work: Work, into target: Tensor
  ) {
    let k = Int(matrix.k), count = Int(matrix.slots)
    let panels = Storage(count: blocks * k * count * 16)
    var product = lethe_product()
    product.left = left
    product.right.w = UnsafePointer(work.gates.pointer + first * 16)
    product.right.columns = Int64(blocks * count * 16)
    product.right.panel = Int64(count)
    product.right.w_panel = rows * slots * 16
    product.right.w_k = slots * 16
    product.out = panels.pointer
    product.out_row = count * 16
    product.out_group = k * count * 16
    product.group = Int64(count)
    let fixed = product
    Parallel.split(blocks, grain: max(1, (1 << 18) / max(rows * k * count * 16, 1)), perThread: 2) { range in
      var p = fixed
      kernels.product(&p, 0, Int64(k), Int64(range.lowerBound), Int64(range.upperBound))
    }
    var gates = matrix
    kernels.unpack_gates(target.pointer, panels.pointer, &gates)
  }

  private func transposedRows(_ start: UnsafePointer<Float>, block: Int) -> lethe_operand {
    var left = lethe_operand()
    left.a = start
    left.a_row = 1
    left.a_k = 16
    left.k_width = Int64(rows)
    left.k_blocks = 1
    left.k_last = Int64(rows)
    left.row_width = 16
    left.row_block = block
    return left
  }

  private func packTransposed(_ weight: Tensor, _ matrix: lethe_gates) -> Storage {
    let storage = Storage(count: (Int(matrix.k) + 15) / 16 * 16 * blocks * Int(matrix.slots) * 16)
    var gates = matrix
    kernels.pack_gates_transposed(storage.pointer, weight.pointer, &gates)
    return storage
  }

  private func packCandidateTransposed(_ weight: Tensor) -> Storage? {
    description.candidate.map { packTransposed(weight, description.matrix([$0], units: units, k: units)) }
  }
}
