import CLetheKernels
import LetheCore

/// One layer in one direction: the whole of a recurrent computation between two pieces of ordinary algebra.
///
/// On the tape it is a single node. Time runs in chunks whose gates stay in cache. Forward: the product of a chunk's
/// inputs, then its steps in the fused loop. Backward, last chunk first: the fused loop in reverse, which turns gate
/// values into gate gradients where they lie, then the products for the input and for the weights. Threads share the
/// batch's rows and meet, backward, where a chunk ends; where units do not see each other they take bands of the batch and meet once (`Band`);
/// where one row is all there is they share its units, and meet every step.
struct RecurrentPass {
  let description: CellDescription
  var layout: SequenceLayout
  let inputs: Int
  let units: Int
  /// What multiplies the hidden state that the gates see, [batch, width of h]: recurrent dropout.
  let hiddenMask: Tensor?
  /// What the cell's noise is at each step, [batch, time, units] each; none: the mean.
  var noise: [Tensor] = []
  /// The threads that share it; results do not depend on them.
  var threads = 1

  /// The variables of one layer and direction.
  struct Weights {
    /// In the order of `CellDescription.parts`.
    var parts: [Variable]
    var cache: PackedCache
  }

  struct Result {
    var outputs: Variable?
    /// The final states, h first.
    var states: [Variable]
    /// The output gate's values [batch, time, units], when asked for.
    var outputGate: Variable?
    /// The values of gates and states by name, each [batch, time, units], as asked for.
    var values: [String: Tensor] = [:]
  }

  /// The width of h.
  var hidden: Int { description.width(ofState: 0, units: units) }
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

  // Everything a pass holds in memory; the backward pass finds here what the forward pass left.
  final class Work {
    let input: Tensor
    var gates: Storage?  // all gate values, for a backward pass
    var hidden: Storage  // h_in and h_out in one (no copies), or h_in
    var hiddenOut: Storage?
    var hiddenKept: Storage?  // h_prev, with a mask
    var cell: Storage?  // the other states, one behind the other
    var cellOut: Storage?
    var initialHidden: Storage?
    var initialCell: Storage?
    var mask: Storage?
    var numbers: Storage?  // what a row has one of: means
    var packed: PackedRecurrent?  // of a described cell
    init(input: Tensor, hidden: Storage) {
      self.input = input
      self.hidden = hidden
    }
  }

  /// - Parameter initial: all states, h first, or none: zeros.
  func run(
    _ x: Variable, weights: Weights, initial: [Variable], wantsOutputs: Bool, wantsOutputGate: Bool = false,
    keeping names: ((String) -> Bool)? = nil
  ) -> Result {
    let parts = [x] + weights.parts
    let recorded = (parts + initial).contains(where: \.isRecorded)
    let gates = names.map { names in description.recordedGates.filter { names($0.name) } } ?? []
    let keeps = recorded || wantsOutputGate || !gates.isEmpty
    let steps = wantsOutputs ? layout.scattered(columns: hidden) : nil
    let packed = packed(weights), given = initial.map(\.tensor)
    let bands = bandLayouts.map { Band(self, $0) { $0.prepared(x.tensor, given, packed, keeps: keeps) } }
    forward(bands, packed, keeps: keeps, outputs: steps)

    let states = description.states.count
    var outputs = (0..<states).map { number in
      let width = description.width(ofState: number, units: units)
      let tensor = Tensor.uninitialized([batch, width])
      for band in bands {
        let (block, pointer) = band.pass.statePointer(band.work, number)
        band.pass.layout.finalState(
          pointer, units: width, block: block, initial: given.isEmpty ? nil : given[number], into: tensor)
      }
      return tensor
    }
    /// What all bands hold of something, each of `columns` for every step.
    func collected(_ columns: [Int], _ copy: (RecurrentPass, Work, [Tensor]) -> Void) -> [Tensor] {
      let tensors = columns.map { layout.scattered(columns: $0) }
      for band in bands { copy(band.pass, band.work, tensors) }
      return tensors
    }
    if let steps { outputs.append(steps) }
    if wantsOutputGate { outputs += collected([units]) { $0.copy(slots: [3], $1, into: $2) } }
    // Read now: a backward pass turns gate values into gradients where they lie.
    var values: [String: Tensor] = [:]
    let kept = collected(gates.map { _ in units }) { $0.copy(slots: gates.map(\.slot), $1, into: $2) }
    for (gate, value) in zip(gates, kept) { values[gate.name] = value }
    for (number, state) in description.states.enumerated() where names?(state) ?? false {
      let width = description.width(ofState: number, units: units)
      let known = number == 0 ? steps : nil
      values[state] = known ?? collected([width]) { $0.copy(state: number, $1, into: $2[0]) }[0]
    }

    var variables: [Variable]
    if let tape = (parts + initial).lazy.compactMap(\.tape).first {
      let hasInitial = !initial.isEmpty, wantsInput = x.isRecorded
      variables = tape.record(description.name, inputs: parts + initial, outputs: outputs) { gradients in
        let own = OutputGradients(
          states: Array(gradients[..<states]), outputs: wantsOutputs ? gradients[states] : nil,
          outputGate: wantsOutputGate ? gradients.last ?? nil : nil)
        let g = backward(bands, own, weights: weights, wantsInput: wantsInput)
        return g.parts + (hasInitial ? g.initial : [])
      }
    } else {
      variables = outputs.map { Variable($0) }
    }
    var result = Result(outputs: nil, states: Array(variables[..<states]), outputGate: nil, values: values)
    variables.removeFirst(states)
    if wantsOutputs { result.outputs = variables.removeFirst().timed(x.timing) }
    if wantsOutputGate { result.outputGate = variables.removeFirst().timed(x.timing) }
    return result
  }

  // MARK: Layouts

  /// Floats between two blocks of the states of all rows.
  var stateBlock: Int { (copies ? rows : rows + batch) * 16 }

  /// Where state `number` after row 0 lies, and the floats between two blocks of it.
  func statePointer(_ work: Work, _ number: Int) -> (block: Int, UnsafePointer<Float>) {
    let own = number == 0 ? work.hidden : work.cell ?? work.hidden
    let out = number == 0 ? work.hiddenOut : work.cellOut
    let first = out?.pointer ?? own.pointer + batch * 16
    return (stateBlock, UnsafePointer(first + max(number - 1, 0) * blocks * stateBlock))
  }

  /// Calls `body` with what the kernels must know, but for weights. `program` holds the transposed weights of a backward
  /// pass, stage by stage.
  func withArguments(_ work: Work, program: [[Storage]] = [], _ body: (inout lethe_recurrent) -> Void) {
    guard let packed = work.packed, !program.isEmpty else { return withPlainArguments(work, body) }
    packed.withProgram { copy in
      for (stage, groups) in program.enumerated() {
        for (number, storage) in groups.enumerated() {
          copy?.setGroup(stage, number) { $0.w_t = UnsafePointer(storage.pointer) }
        }
      }
      withPlainArguments(work) { arguments in
        arguments.program = copy.map { UnsafePointer($0) }
        body(&arguments)
      }
    }
  }

  private func withPlainArguments(_ work: Work, _ body: (inout lethe_recurrent) -> Void) {
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
        a.numbers = work.numbers?.pointer
        a.state_block = stateBlock
        a.state_plane = blocks * stateBlock
        a.carry_plane = blocks * batch * 16
        a.h0 = work.initialHidden.map { UnsafePointer($0.pointer) }
        a.c0 = work.initialCell.map { UnsafePointer($0.pointer) }
        body(&a)
      }
    }
    withExtendedLifetime(work) {}
  }

  /// Copies what lies in some slots to tensors [batch, time, units]; a few rows at a time, so that they pass through cache
  /// once.
  private func copy(slots wanted: [Int], _ work: Work, into results: [Tensor]) {
    guard let gates = work.gates, !wanted.isEmpty else { return }
    let most = max(1, min(rows, (1 << 13) / (blocks * 16)))
    Parallel.split(rows, grain: max(most, (1 << 16) / max(blocks * 16 * wanted.count, 1))) { part in
      let values = Storage(count: blocks * most * 16)
      for first in stride(from: part.lowerBound, to: part.upperBound, by: most) {
        let run = SequenceLayout.Run(first: first, width: min(most, part.upperBound - first))
        for (slot, result) in zip(wanted, results) {
          for block in 0..<blocks {
            let from = gates.pointer + block * gatesBlock + (first * slots + slot) * 16
            let to = values.pointer + block * most * 16
            for row in 0..<run.width { (to + row * 16).update(from: from + row * slots * 16, count: 16) }
          }
          layout.scatter(
            values.pointer - first * 16, block: most * 16, [run], into: result, columns: units)
        }
      }
      withExtendedLifetime(values) {}
    }
  }

  private func copy(state number: Int, _ work: Work, into result: Tensor) {
    let (block, pointer) = statePointer(work, number)
    layout.scatter(
      pointer, block: block, layout.runs(0..<layout.steps, 0..<batch), into: result,
      columns: description.width(ofState: number, units: units))
  }

  /// States [batch, width] (`nil`: zeros) as [state][block][batch][16], zero past their width.
  func packed(_ states: [Tensor?]) -> Storage {
    let storage = Storage(count: states.count * blocks * batch * 16)
    if hidden < units { storage.pointer.update(repeating: 0, count: storage.count) }
    for (number, state) in states.enumerated() {
      layout.packState(
        state, units: state?.shape[1] ?? units, into: storage.pointer + number * blocks * batch * 16,
        block: batch * 16)
    }
    return storage
  }
}
