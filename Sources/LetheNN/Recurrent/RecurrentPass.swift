import CLetheKernels
import LetheCore

/// One layer in one direction: the whole of a recurrent computation between two pieces of ordinary algebra.
///
/// On the tape it is a single node. Forward: one large product for all inputs, then the fused time loop. Backward: the
/// fused loop in reverse, which turns gate values into gate gradients where they lie, then one large product
/// each for the input, the weights and the recurrent weights.
struct RecurrentPass {
  let description: CellDescription
  let layout: SequenceLayout
  let inputs: Int
  let units: Int
  /// What multiplies the hidden state that the gates see, [batch, units]: recurrent dropout.
  let hiddenMask: Tensor?

  /// The variables of one layer and direction.
  struct Weights {
    var input: Variable  // [gates · units, inputs]
    var hidden: Variable  // [gates · units, units]
    var inputBias: Variable  // [gates · units]
    var hiddenBias: Variable  // [gates · units]
  }

  struct Result {
    var outputs: Variable?
    var hidden: Variable
    var cell: Variable?
    /// The output gate's values [batch, time, units], when asked for.
    var outputGate: Variable?
    /// The values of all gates by name, each [batch, time, units], when asked for.
    var gates: [String: Tensor] = [:]
  }

  private var blocks: Int { (units + 15) / 16 }
  private var slots: Int { description.slots }
  private var rows: Int { layout.rows }
  private var batch: Int { layout.batch }
  private var copies: Bool { !layout.isEven || layout.resets != nil || hiddenMask != nil }

  /// The gate order with which the input's product is laid out, and the hidden state's.
  private var inputMatrix: lethe_gates { description.matrix(description.inputOrder, units: units, k: inputs) }
  private var hiddenMatrix: lethe_gates {
    description.matrix(description.hiddenOrder, units: units, k: units)
  }

  // Everything a pass holds in memory; the backward pass finds here what the forward pass left.
  private final class Work {
    var input: Storage
    var gates: Storage
    var hidden: Storage  // h_in and h_out in one (no copies), or h_in
    var hiddenOut: Storage?
    var hiddenKept: Storage?  // h_prev, with a mask
    var cell: Storage?
    var cellOut: Storage?
    var initialHidden: Storage?
    var initialCell: Storage?
    var mask: Storage?
    init(input: Storage, gates: Storage, hidden: Storage) {
      self.input = input
      self.gates = gates
      self.hidden = hidden
    }
  }

  func run(
    _ x: Variable, weights: Weights, initialHidden: Variable?, initialCell: Variable?, wantsOutputs: Bool,
    wantsOutputGate: Bool = false, wantsGates: Bool = false
  ) -> Result {
    let parts = [x, weights.input, weights.hidden, weights.inputBias, weights.hiddenBias]
    let states = [initialHidden, initialCell].compactMap { $0 }
    let recorded = (parts + states).contains(where: \.isRecorded)
    let keeps = recorded || wantsOutputGate || wantsGates
    let work = forward(x.tensor, weights: weights, initialHidden?.tensor, initialCell?.tensor, keeps: keeps)
    let (state, hiddenOut, cellOut) = statePointers(work)

    var outputs: [Tensor] = []
    outputs.append(
      layout.finalState(hiddenOut, units: units, block: state, initial: initialHidden?.tensor))
    if let cellOut {
      outputs.append(layout.finalState(cellOut, units: units, block: state, initial: initialCell?.tensor))
    }
    if wantsOutputs { outputs.append(layout.scattered(hiddenOut, block: state, columns: units)) }
    if wantsOutputGate { outputs.append(values(ofSlot: 3, work)) }
    // Read now: a backward pass turns gate values into gradients where they lie.
    var gates: [String: Tensor] = [:]
    if wantsGates, slots > 1 {
      for (slot, gate) in description.inputOrder.enumerated() {
        gates[description.gates[gate]] = values(ofSlot: slot, work)
      }
    }

    let variables: [Variable]
    if let tape = (parts + states).lazy.compactMap(\.tape).first {
      let hasHidden = initialHidden != nil, hasCell = initialCell != nil
      let wantsInput = x.isRecorded
      let cells = cellOut == nil ? 0 : 1
      variables = tape.record(description.name, inputs: parts + states, outputs: outputs) { gradients in
        let g = backward(
          work, weights: weights, hidden: gradients[0], cell: cells == 1 ? gradients[1] : nil,
          outputs: wantsOutputs ? gradients[1 + cells] : nil,
          outputGate: wantsOutputGate ? gradients.last ?? nil : nil,
          wantsInput: wantsInput)
        return g.parts + (hasHidden ? [g.initialHidden] : []) + (hasCell ? [g.initialCell] : [])
      }
    } else {
      variables = outputs.map { Variable($0) }
    }
    var rest = variables[...]
    var result = Result(outputs: nil, hidden: rest.removeFirst(), cell: nil, outputGate: nil)
    result.gates = gates
    if cellOut != nil { result.cell = rest.removeFirst() }
    if wantsOutputs { result.outputs = rest.removeFirst().timed(x.timing) }
    if wantsOutputGate { result.outputGate = rest.removeFirst().timed(x.timing) }
    return result
  }

  // MARK: Forward

  private func forward(
    _ x: Tensor, weights: Weights, _ initialHidden: Tensor?, _ initialCell: Tensor?, keeps: Bool
  ) -> Work {
    // What is not kept for a backward pass needs room for a few steps at a time only, which then stay in cache.
    let stepRows = max(batch, 1)
    let chunk =
      keeps ? max(layout.steps, 1) : max(1, min(layout.steps, (1 << 19) / (stepRows * blocks * slots * 16)))
    let gateRows = keeps ? rows : min(rows, chunk * stepRows)
    let stateRows = copies ? rows : rows + batch
    let work = Work(
      input: layout.gathered(x, columns: inputs), gates: Storage(count: blocks * gateRows * slots * 16),
      hidden: Storage(count: blocks * stateRows * 16))
    if description.hasCellState { work.cell = Storage(count: blocks * stateRows * 16) }
    if copies {
      work.hiddenOut = Storage(count: blocks * rows * 16)
      work.initialHidden = packed(initialHidden)
      if description.hasCellState {
        work.cellOut = Storage(count: blocks * rows * 16)
        work.initialCell = packed(initialCell)
      }
      if let hiddenMask {
        work.mask = packed(hiddenMask)
        work.hiddenKept = Storage(count: blocks * rows * 16)
      }
    } else {
      layout.packState(initialHidden, units: units, into: work.hidden.pointer, block: stateRows * 16)
      if let cell = work.cell {
        layout.packState(initialCell, units: units, into: cell.pointer, block: stateRows * 16)
      }
    }

    let packed = PackedRecurrent(
      description, input: weights.input.tensor, hidden: weights.hidden.tensor,
      inputBias: weights.inputBias.tensor,
      hiddenBias: weights.hiddenBias.tensor)
    withArguments(work, gateRows: gateRows) { arguments in
      packed.fill(&arguments)
      arguments.keep_gates = keeps
      let gates = work.gates.pointer
      for t0 in stride(from: 0, to: layout.steps, by: chunk) {
        let t1 = min(t0 + chunk, layout.steps)
        let first = Int(layout.firstRow[t0]), last = Int(layout.firstRow[t1])
        arguments.gates = gates - first * slots * 16
        let projection = packed.projection(
          of: work.input.pointer, rows: rows, into: arguments.gates, gatesBlock: gateRows * slots * 16)
        Parallel.split(last - first, grain: grain(inputs)) { range in
          var p = projection
          kernels.product(
            &p, Int64(first + range.lowerBound), Int64(first + range.upperBound), 0, p.panelCount)
        }
        let current = arguments
        eachShare { share in
          var a = current
          kernels.forward(&a, Int64(t0), Int64(t1), Int64(share.lowerBound), Int64(share.upperBound))
        }
      }
    }
    withExtendedLifetime(packed) {}
    return work
  }

  // MARK: Backward

  private struct InputGradients {
    var parts: [Tensor?]  // x, input weight, hidden weight, input bias, hidden bias
    var initialHidden: Tensor?
    var initialCell: Tensor?
  }

  private func backward(
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

  // MARK: Layouts

  private func grain(_ width: Int) -> Int { max(6, (1 << 18) / max(width * blocks * slots * 16, 1)) }

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

  private func eachShare(_ body: (Range<Int>) -> Void) {
    let work = rows * units * units * slots
    let shares = work < 1 << 20 ? [0..<batch] : layout.shares(max(1, min(Parallel.threads, batch)))
    Parallel.run(shares.count) { body(shares[$0]) }
  }

  private func statePointers(_ work: Work) -> (
    block: Int, hidden: UnsafePointer<Float>, cell: UnsafePointer<Float>?
  ) {
    if copies {
      let hidden = (work.hiddenOut ?? work.hidden).pointer
      return (rows * 16, UnsafePointer(hidden), work.cellOut.map { UnsafePointer($0.pointer) })
    }
    return (
      (rows + batch) * 16, UnsafePointer(work.hidden.pointer + batch * 16),
      work.cell.map { UnsafePointer($0.pointer + batch * 16) }
    )
  }

  private func withArguments(_ work: Work, gateRows: Int, _ body: (inout lethe_recurrent) -> Void) {
    layout.firstRow.withUnsafeBufferPointer { firstRow in
      (layout.resets ?? []).withUnsafeBufferPointer { resets in
        guard let firstRow = firstRow.baseAddress else { return }
        var a = lethe_recurrent()
        a.steps = Int64(layout.steps)
        a.units = Int64(units)
        a.batch = Int64(batch)
        a.first_row = firstRow
        a.resets = layout.resets == nil ? nil : resets.baseAddress
        a.h_mask = work.mask.map { UnsafePointer($0.pointer) }
        a.copies = copies
        description.fill(&a)
        a.gates = work.gates.pointer
        a.gates_block = gateRows * slots * 16
        a.h_in = work.hidden.pointer
        a.h_prev = (work.hiddenKept ?? work.hidden).pointer
        a.h_out = work.hiddenOut?.pointer ?? work.hidden.pointer + batch * 16
        a.c_in = work.cell?.pointer
        a.c_out = work.cellOut?.pointer ?? work.cell.map { $0.pointer + batch * 16 }
        a.state_block = (copies ? rows : rows + batch) * 16
        a.h0 = work.initialHidden.map { UnsafePointer($0.pointer) }
        a.c0 = work.initialCell.map { UnsafePointer($0.pointer) }
        body(&a)
      }
    }
    withExtendedLifetime(work) {}
  }

  private func values(ofSlot slot: Int, _ work: Work) -> Tensor {
    let values = Storage(count: blocks * rows * 16)
    for row in 0..<blocks * rows {
      (values.pointer + row * 16).update(from: work.gates.pointer + (row * slots + slot) * 16, count: 16)
    }
    return layout.scattered(values.pointer, block: rows * 16, columns: units)
  }

  // MARK: Packing

  private func packed(_ state: Tensor?) -> Storage {
    let storage = Storage(count: blocks * batch * 16)
    layout.packState(state, units: units, into: storage.pointer, block: batch * 16)
    return storage
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
