import CLetheKernels
import LetheCore

extension RecurrentPass {
  struct InputGradients {
    var parts: [Tensor?]  // x, then the parameters
    var initial: [Tensor?]
  }

  func backward(
    _ work: Work, weights: Weights, states: [Tensor?], outputs: Tensor?, outputGate: Tensor?, wantsInput: Bool
  ) -> InputGradients {
    // Weight gradients sum a chunk's rows in order, last chunk first: chunks may depend on shapes and lengths only. 256
    // rows of gates stay in L2; where the sums themselves are larger than that, they should pass through memory seldom.
    let chunks = layout.chunks(rows: inputs + units < 512 ? 256 : 1024)
    let most = chunks.map { layout.rows(of: $0).count }.max() ?? 0
    let (inputBlocks, chunkBlock) = ((inputs + 15) / 16, most * 16)
    func rowsOfChunk(_ isWanted: Bool, _ blocks: Int) -> Storage? {
      isWanted ? Storage(count: blocks * chunkBlock) : nil
    }
    let x = Storage(count: inputBlocks * chunkBlock)
    let dOutputs = rowsOfChunk(outputs != nil, blocks), dGate = rowsOfChunk(outputGate != nil, blocks)
    let dxRows = rowsOfChunk(wantsInput, inputBlocks)
    let dx = wantsInput ? layout.scattered(columns: inputs) : nil
    let dNumbers = description.numbers > 0 ? Storage(count: batch * description.numbers * 16) : nil
    let dFinal = packed([states[0]]), dInitial = Storage(count: blocks * batch * 16)
    // The carry of h is a described cell's own; a built-in one has room for one carry only.
    let isDescribed = description.program != nil
    let carry = packed(isDescribed ? [nil] + states[1...] : [states.count > 1 ? states[1] : nil])
    let stagePanels = description.stages.map { stage in
      let (part, units, k) = description.weight(of: stage, units: units)
      return stage.groups.compactMap { group in
        part.map { packTransposed(weights.parts[$0].tensor, description.matrix(group, units: units, k: k)) }
      }
    }
    let inputPanels = wantsInput ? transposedInput(weights) : []
    let dVectors =
      description.allVectors == 0 ? nil : Storage(count: description.allVectors * blocks * batch * 16)
    dVectors?.pointer.update(repeating: 0, count: dVectors?.count ?? 0)
    var sums = WeightSums(self)
    let shares = shares

    /// The gradient of the inputs of some rows of a chunk whose first row is `first`.
    func passOn(
      _ runs: [SequenceLayout.Run], from gates: UnsafeMutablePointer<Float>, _ first: Int, isAlone: Bool
    ) {
      guard let dx, let dxRows else { return }
      let at = dxRows.pointer - first * 16, groups = runs.flatMap(\.groups)
      if !description.fixedInputs.isEmpty {
        for rows in groups {
          for block in 0..<inputBlocks {
            (at + block * chunkBlock + rows.lowerBound * 16).update(repeating: 0, count: rows.count * 16)
          }
        }
      }
      for (number, panels) in inputPanels.enumerated() {
        let product = inputGradient(number, panels, into: at, block: chunkBlock, gates: gates)
        multiply(product, runs, width: inputs, isAlone: isAlone)
      }
      for rows in groups {
        description.addFixed(
          gates, gatesBlock: gatesBlock, to: at, block: chunkBlock, inputs: inputs, units: units, rows: rows)
      }
      layout.scatter(at, block: chunkBlock, runs, into: dx, columns: inputs)
    }

    withArguments(work, program: stagePanels) { arguments in
      if !isDescribed {
        arguments.w_hidden_t = UnsafePointer(stagePanels[0][0].pointer)
        arguments.w_candidate_t = stagePanels.count > 1 ? UnsafePointer(stagePanels[1][0].pointer) : nil
      }
      arguments.dh_out_block = chunkBlock
      arguments.dh_final = UnsafePointer(dFinal.pointer)
      arguments.dcarry = carry.pointer
      arguments.d_numbers = dNumbers?.pointer
      arguments.d_vectors = dVectors?.pointer
      arguments.dh0 = dInitial.pointer
      let whole = arguments
      for steps in chunks.isEmpty ? [0..<0] : chunks.reversed() {
        let rows = layout.rows(of: steps), first = rows.lowerBound
        Parallel.run(shares.count) { index in
          let share = shares[index], runs = layout.runs(steps, share.rows)
          let part = share.isOfUnits ? share.blocks : nil
          var own = whole
          share.fill(&own)
          for (gradient, target, width, argument) in [
            (outputs, dOutputs, hidden, \lethe_recurrent.dh_out),
            (outputGate, dGate, units, \lethe_recurrent.d_output_gate),
          ] {
            guard let gradient, let target else { continue }
            layout.gather(
              gradient, columns: width, runs, into: target.pointer - first * 16, block: chunkBlock,
              blocks: part)
            own[keyPath: argument] = UnsafePointer(target.pointer - first * 16)
          }
          // Every share of units sees all inputs: each brings some rows.
          let seen = share.isOfUnits ? [rows.part(index, of: shares.count)] : runs
          layout.gather(work.input, columns: inputs, seen, into: x.pointer - first * 16, block: chunkBlock)
          let from = steps.lowerBound == 0 ? -1 : steps.lowerBound
          eachStep(from..<steps.upperBound, own, isAlone: shares.count == 1, isReversed: true) { own, steps in
            kernels.backward(
              &own, Int64(steps.lowerBound), Int64(steps.upperBound), Int64(share.rows.lowerBound),
              Int64(share.rows.upperBound))
          }
          if !share.isOfUnits { passOn(runs, from: own.gates, first, isAlone: shares.count == 1) }
        }
        // The other threads' gradients are fetched while those of the own units are summed up.
        sums.add(rows, x: x, chunkBlock: chunkBlock, work, in: self) { part, sum in
          guard shares.first?.isOfUnits == true, dx != nil else { return sum(lethe_fetch()) }
          let own = rows.count * part.lowerBound / blocks..<rows.count * part.upperBound / blocks
          sum(shares.count > 1 ? fetch(whole.gates, first + own.lowerBound, own.count) : lethe_fetch())
          let run = SequenceLayout.Run(first: first + own.lowerBound, width: own.count)
          passOn([run], from: whole.gates, first, isAlone: false)
        }
      }
    }
    withExtendedLifetime((dOutputs, dGate, dxRows, dFinal, dNumbers, stagePanels, inputPanels, x)) {}
    let plane = blocks * batch * 16
    let others = description.states.indices.dropFirst().map { number in
      layout.unpackState(
        carry.pointer + (isDescribed ? number : number - 1) * plane, units: units, block: batch * 16)
    }
    let first = layout.unpackState(dInitial.pointer, units: hidden, block: batch * 16)
    withExtendedLifetime((carry, dInitial)) {}
    return InputGradients(
      parts: [dx] + sums.gradients(in: self, vectors: dVectors, of: weights.parts.map(\.tensor)),
      initial: [first] + others)
  }

  /// The gates of some rows, where they find room in L2.
  private func fetch(_ gates: UnsafeMutablePointer<Float>?, _ first: Int, _ rows: Int) -> lethe_fetch {
    let floats = rows * slots * 16
    guard let gates, floats * blocks <= 1 << 17 else { return lethe_fetch() }
    return lethe_fetch(
      at: gates + first * slots * 16, apart: gatesBlock, floats: Int64(floats), blocks: Int64(blocks))
  }

  private func transposedInput(_ weights: Weights) -> [Storage] {
    guard let part = description.inputPart else { return [] }
    return description.projections.map {
      packTransposed(
        weights.parts[part].tensor, description.matrix($0, units: units, k: description.seen(inputs)))
    }
  }

  /// dx = dG W of one group of gates, row 0 at `target`; groups after the first add to it.
  private func inputGradient(
    _ number: Int, _ panels: Storage, into target: UnsafeMutablePointer<Float>, block: Int,
    gates: UnsafeMutablePointer<Float>
  ) -> lethe_product {
    let group = description.projections[number], count = group.rows.count
    var product = lethe_product()
    product.left.a = UnsafePointer(gates + group.first * 16)
    product.adds = number > 0
    product.left.a_row = slots * 16
    product.left.a_k = 1
    product.left.a_block = gatesBlock
    product.left.k_width = Int64(count * 16)
    product.left.k_blocks = Int64(blocks)
    product.left.k_last = Int64(count * 16)
    product.right.w = UnsafePointer(panels.pointer)
    product.right.columns = Int64(description.seen(inputs))
    product.right.panel = 4
    product.right.w_panel = 64 * blocks * count * 16
    product.out = target
    product.out_row = 16
    product.out_group = block
    product.group = 1
    return product
  }

  private func packTransposed(_ weight: Tensor, _ matrix: lethe_gates) -> Storage {
    let columns = (Int(matrix.k) + 15) / 16, rows = (Int(matrix.units) + 15) / 16 * Int(matrix.slots) * 16
    let storage = Storage(count: columns * 16 * rows)
    Parallel.split((columns + 3) / 4, grain: packingGrain(64 * rows)) { part in
      var gates = matrix
      kernels.pack_gates_transposed(
        storage.pointer, weight.pointer, &gates, Int64(part.lowerBound), Int64(part.upperBound))
    }
    return storage
  }
}
