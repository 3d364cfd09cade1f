import CLetheKernels
import LetheCore

/// The backward pass of a band, chunk by chunk, last one first.
///
/// A chunk is walked through by the band's shares, which leaves gradients where gate values were; then its parts, some blocks
/// of units each, sum up the gradients of weights. All walks of a chunk may run at the same time, then all sums.
final class BandGradients {
  let band: Band
  let shares: [RecurrentPass.Share]
  /// The parts that blocks of units come in: two for each thread, or one where there is little to do.
  let parts: Int
  /// At least one, for initial states.
  var chunks: Int { steps.count }
  let sums: WeightSums

  private let steps: [Range<Int>]
  private let chunkBlock: Int
  private let gradients: RecurrentPass.OutputGradients
  private let transposed: RecurrentPass.TransposedWeights
  private let inputProducts: [lethe_product]
  private let dx: Tensor?
  // Of a chunk's rows: [block][row][16].
  private let x: Storage
  private let dOutputs, dGate, dxRows: Storage?
  // Of the batch's rows.
  private let dFinal, dInitial, carry: Storage
  private let dNumbers, dVectors: Storage?

  init(
    _ band: Band, _ gradients: RecurrentPass.OutputGradients, _ transposed: RecurrentPass.TransposedWeights,
    dx: Tensor?
  ) {
    let (pass, description, blocks) = (band.pass, band.pass.description, band.pass.blocks)
    (self.band, self.gradients, self.transposed, self.dx) = (band, gradients, transposed, dx)
    let chunks = pass.layout.chunks(rows: pass.backwardRows)
    steps = chunks.isEmpty ? [0..<0] : chunks.reversed()
    let most = chunks.map { pass.layout.rows(of: $0).count }.max() ?? 0
    let chunkBlock = most * 16, inputBlocks = (pass.inputs + 15) / 16
    self.chunkBlock = chunkBlock
    shares = pass.shares
    let work = most * (pass.units + pass.inputs) * pass.slots * 16
    parts = max(1, min(pass.threads > 1 ? 2 * pass.threads : 1, blocks / max(1, (1 << 18) / max(work, 1))))

    func rowsOfChunk(_ isWanted: Bool, _ blocks: Int) -> Storage? {
      isWanted ? Storage(count: blocks * chunkBlock) : nil
    }
    x = Storage(count: inputBlocks * chunkBlock)
    dOutputs = rowsOfChunk(gradients.outputs != nil, blocks)
    dGate = rowsOfChunk(gradients.outputGate != nil, blocks)
    dxRows = rowsOfChunk(dx != nil, inputBlocks)
    let rowsOfBatch = pass.batch * 16
    dNumbers = description.numbers > 0 ? Storage(count: description.numbers * rowsOfBatch) : nil
    dFinal = pass.packed([gradients.states[0]])
    dInitial = Storage(count: blocks * rowsOfBatch)
    // The carry of h is a described cell's own; a built-in one has room for one carry only.
    let states = gradients.states
    carry = pass.packed(
      description.program != nil ? [nil] + states[1...] : [states.count > 1 ? states[1] : nil])
    dVectors =
      description.allVectors == 0 ? nil : Storage(count: description.allVectors * blocks * rowsOfBatch)
    dVectors?.pointer.update(repeating: 0, count: dVectors?.count ?? 0)
    sums = WeightSums(pass, band.work, x: x, chunkBlock: chunkBlock)
    inputProducts = transposed.inputs.enumerated().map {
      pass.inputGradient($0, $1, block: chunkBlock, band.work)
    }
  }

  /// Takes a share through a chunk's steps, last one first; a share of rows then has the gradient of its inputs.
  func walk(_ chunk: Int, _ index: Int, isAlone: Bool) {
    guard chunk < chunks else { return }
    let layout = band.pass.layout, work = band.work
    let share = shares[index], steps = steps[chunk], runs = layout.runs(steps, share.rows)
    let rows = layout.rows(of: steps), first = rows.lowerBound
    band.pass.withArguments(work, program: transposed.stages) { own in
      fill(&own)
      share.fill(&own)
      for (gradient, target, width, argument) in [
        (gradients.outputs, dOutputs, band.pass.hidden, \lethe_recurrent.dh_out),
        (gradients.outputGate, dGate, band.pass.units, \lethe_recurrent.d_output_gate),
      ] {
        guard let gradient, let target else { continue }
        layout.gather(
          gradient, columns: width, runs, into: target.pointer - first * 16, block: chunkBlock,
          blocks: share.isOfUnits ? share.blocks : nil)
        own[keyPath: argument] = UnsafePointer(target.pointer - first * 16)
      }
      // Every share of units sees all inputs: each brings some rows.
      let seen = share.isOfUnits ? [rows.part(index, of: shares.count)] : runs
      layout.gather(
        work.input, columns: band.pass.inputs, seen, into: x.pointer - first * 16, block: chunkBlock)
      let from = steps.lowerBound == 0 ? -1 : steps.lowerBound
      band.pass.eachStep(from..<steps.upperBound, own, isAlone: isAlone, isReversed: true) { own, steps in
        kernels.backward(
          &own, Int64(steps.lowerBound), Int64(steps.upperBound), Int64(share.rows.lowerBound),
          Int64(share.rows.upperBound))
      }
    }
    if !share.isOfUnits { passOn(runs, first, isAlone: isAlone) }
  }

  /// Adds a chunk to the sums of a part; where shares are of units it also has the gradient of the inputs of as many rows, and
  /// the other threads' gate gradients are fetched while those of the own units are summed up.
  func addUp(_ chunk: Int, _ part: Int) {
    guard chunk < chunks else { return }
    let blocks = band.pass.blocks, own = blocks * part / parts..<blocks * (part + 1) / parts
    let rows = band.pass.layout.rows(of: steps[chunk]), first = rows.lowerBound
    guard dx != nil, shares.first?.isOfUnits == true else {
      return sums.add(rows, to: own, adds: chunk > 0, lethe_fetch())
    }
    let run = rows.part(part, of: parts)
    sums.add(rows, to: own, adds: chunk > 0, shares.count > 1 ? fetch(run) : lethe_fetch())
    passOn([run], first, isAlone: false)
  }

  /// Writes the gradients of initial states to their rows.
  func finish(into initial: [Tensor]) {
    let (pass, layout, block) = (band.pass, band.pass.layout, band.pass.batch * 16)
    layout.unpackState(dInitial.pointer, units: pass.hidden, block: block, into: initial[0])
    for number in initial.indices.dropFirst() {
      let plane = pass.description.program != nil ? number : number - 1
      layout.unpackState(
        carry.pointer + plane * pass.blocks * block, units: pass.units, block: block, into: initial[number])
    }
    if let dVectors { sums.add(vectors: dVectors) }
  }

  private func fill(_ own: inout lethe_recurrent) {
    if band.pass.description.program == nil {
      let stages = transposed.stages
      own.w_hidden_t = UnsafePointer(stages[0][0].pointer)
      own.w_candidate_t = stages.count > 1 ? UnsafePointer(stages[1][0].pointer) : nil
    }
    own.dh_out_block = chunkBlock
    own.dh_final = UnsafePointer(dFinal.pointer)
    own.dcarry = carry.pointer
    own.d_numbers = dNumbers?.pointer
    own.d_vectors = dVectors?.pointer
    own.dh0 = dInitial.pointer
  }

  /// The gradient of the inputs of some rows of a chunk whose first row is `first`.
  private func passOn(_ runs: [SequenceLayout.Run], _ first: Int, isAlone: Bool) {
    guard let dx, let dxRows, let gates = band.work.gates?.pointer else { return }
    let at = dxRows.pointer - first * 16, inputs = band.pass.inputs
    let fixed = band.pass.description.fixedInputs.isEmpty ? [] : runs.flatMap(\.groups)
    for rows in fixed {
      for block in 0..<(inputs + 15) / 16 {
        (at + block * chunkBlock + rows.lowerBound * 16).update(repeating: 0, count: rows.count * 16)
      }
    }
    for var product in inputProducts {
      product.out = at
      band.pass.multiply(product, runs, width: inputs, isAlone: isAlone)
    }
    for rows in fixed {
      band.pass.description.addFixed(
        gates, gatesBlock: band.pass.gatesBlock, to: at, block: chunkBlock, inputs: inputs,
        units: band.pass.units, rows: rows)
    }
    band.pass.layout.scatter(at, block: chunkBlock, runs, into: dx, columns: inputs)
  }

  /// The gates of some rows, where they find room in L2.
  private func fetch(_ run: SequenceLayout.Run) -> lethe_fetch {
    let width = band.pass.slots * 16, floats = run.rows * width, blocks = band.pass.blocks
    guard let gates = band.work.gates, floats * blocks <= 1 << 17 else { return lethe_fetch() }
    return lethe_fetch(
      at: gates.pointer + run.first * width, apart: band.pass.gatesBlock, floats: Int64(floats),
      blocks: Int64(blocks))
  }
}
