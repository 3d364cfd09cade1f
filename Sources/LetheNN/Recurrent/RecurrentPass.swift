import CLetheKernels
import LetheCore

/// One layer in one direction: the whole of a recurrent computation between two pieces of ordinary algebra.
///
/// On the tape it is a single node. Time runs in chunks whose gates stay in cache. Forward: the product of a chunk's
/// inputs, then its steps in the fused loop. Backward, last chunk first: the fused loop in reverse, which turns gate
/// values into gate gradients where they lie, then the products for the input and for the weights. Threads share the
/// batch's rows; no two meet inside a chunk.
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
    var cache: PackedCache
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

  var blocks: Int { (units + 15) / 16 }
  var slots: Int { description.slots }
  var rows: Int { layout.rows }
  /// Floats between two blocks of gates: their rows, and space that keeps the same row of all blocks out of the same few
  /// sets of a cache (a set of L2 holds 16 of the lines that lie 64 KB apart).
  var gatesBlock: Int {
    let lines = rows * slots
    return (lines < 1024 ? lines : (lines - 33 + 127) / 128 * 128 + 33) * 16
  }
  var batch: Int { layout.batch }
  var copies: Bool { !layout.isEven || layout.resets != nil || hiddenMask != nil }

  /// The gate order with which the input's product is laid out, and the hidden state's.
  var inputMatrix: lethe_gates { description.matrix(description.inputOrder, units: units, k: inputs) }
  var hiddenMatrix: lethe_gates {
    description.matrix(description.hiddenOrder, units: units, k: units)
  }

  // Everything a pass holds in memory; the backward pass finds here what the forward pass left.
  final class Work {
    let input: Tensor
    var gates: Storage?  // all gate values, for a backward pass
    var hidden: Storage  // h_in and h_out in one (no copies), or h_in
    var hiddenOut: Storage?
    var hiddenKept: Storage?  // h_prev, with a mask
    var cell: Storage?
    var cellOut: Storage?
    var initialHidden: Storage?
    var initialCell: Storage?
    var mask: Storage?
    init(input: Tensor, hidden: Storage) {
      self.input = input
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
    let steps = wantsOutputs ? layout.scattered(columns: units) : nil
    let work = forward(
      x.tensor, weights: weights, initialHidden?.tensor, initialCell?.tensor, keeps: keeps, outputs: steps)
    let (state, hiddenOut, cellOut) = statePointers(work)

    var outputs: [Tensor] = []
    outputs.append(
      layout.finalState(hiddenOut, units: units, block: state, initial: initialHidden?.tensor))
    if let cellOut {
      outputs.append(layout.finalState(cellOut, units: units, block: state, initial: initialCell?.tensor))
    }
    if let steps { outputs.append(steps) }
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

  // MARK: Layouts

  /// Shares of the batch for the threads; one where there is little to do.
  var shares: [Range<Int>] {
    rows * units * units * slots < 1 << 20
      ? [0..<batch] : layout.shares(max(1, min(Parallel.threads, batch)))
  }

  /// The product of a share's rows. A batch that cannot be split leaves its long products to all threads.
  func multiply(_ product: lethe_product, _ runs: [SequenceLayout.Run], width: Int, isAlone: Bool) {
    for run in runs {
      let own = product.over(run)
      let grain = isAlone ? max(6, (1 << 18) / max(width * blocks * slots * 16, 1)) : run.rows
      Parallel.split(run.rows, grain: grain) { part in
        var p = own
        kernels.product(&p, Int64(part.lowerBound), Int64(part.upperBound), 0, p.panelCount)
      }
    }
  }

  /// Calls `body` for the steps at once or, where a batch that cannot be split leaves threads idle and a step is worth a
  /// hand-over between them, step by step with the units shared out.
  func eachStep(
    _ steps: Range<Int>, _ arguments: lethe_recurrent, isAlone: Bool, isReversed: Bool,
    _ body: (inout lethe_recurrent, Range<Int>) -> Void
  ) {
    let panels = (blocks + 3) / 4
    let parts = isAlone && description.candidate == nil ? min(Parallel.threads, panels) : 1
    if parts < 2 || batch * units * units * slots < 1 << 18 {
      var whole = arguments
      return body(&whole, steps)
    }
    for index in 0..<steps.count {
      let t = isReversed ? steps.upperBound - 1 - index : steps.lowerBound + index
      Parallel.run(parts) { part in
        var own = arguments
        own.panel0 = Int64(panels * part / parts)
        own.panel1 = Int64(panels * (part + 1) / parts)
        body(&own, t..<t + 1)
      }
    }
  }

  func statePointers(_ work: Work) -> (
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

  func withArguments(_ work: Work, _ body: (inout lethe_recurrent) -> Void) {
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
        a.gates = work.gates?.pointer
        a.gates_block = gatesBlock
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
    let result = layout.scattered(columns: units)
    guard let gates = work.gates else { return result }
    let values = Storage(count: blocks * rows * 16)
    for block in 0..<blocks {
      let (from, to) = (gates.pointer + block * gatesBlock, values.pointer + block * rows * 16)
      for row in 0..<rows { (to + row * 16).update(from: from + (row * slots + slot) * 16, count: 16) }
    }
    layout.scatter(
      values.pointer, block: rows * 16, layout.runs(0..<layout.steps, 0..<batch), into: result, columns: units
    )
    return result
  }

  /// A state [batch, units] (`nil`: zeros) as [block][batch][16].
  func packed(_ state: Tensor?) -> Storage {
    let storage = Storage(count: blocks * batch * 16)
    layout.packState(state, units: units, into: storage.pointer, block: batch * 16)
    return storage
  }
}
