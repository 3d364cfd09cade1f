import CLetheKernels
import LetheCore

extension RecurrentPass {
  /// Runs all steps. `outputs` [batch, time, width of h], where given, takes the hidden state of every step.
  func forward(_ bands: [Band], _ packed: PackedRecurrent, keeps: Bool, outputs: Tensor?) {
    share(bands)
    let tasks = bands.flatMap { band in band.pass.shares.map { (band, $0) } }
    Parallel.run(tasks.count) {
      let (band, share) = tasks[$0]
      band.pass.forward(share, isAlone: tasks.count == 1, band.work, packed, keeps: keeps, outputs: outputs)
    }
  }

  private func forward(
    _ share: Share, isAlone: Bool, _ work: Work, _ packed: PackedRecurrent, keeps: Bool, outputs: Tensor?
  ) {
    // Gates of 512 KB go through L2.
    let chunks = layout.chunks(rows: min(256, (1 << 17) / (blocks * slots * 16)))
    let most = chunks.map { layout.rows(of: $0).count }.max() ?? 0
    let (block, hidden) = statePointer(work, 0)
    withArguments(work) { own in
      packed.fill(&own)
      own.keep_gates = keeps
      share.fill(&own)
      let part = share.isOfUnits ? share.blocks : nil
      let input = Storage(count: (inputs + 15) / 16 * most * 16)
      let gates = keeps ? nil : Storage(count: blocks * most * slots * 16)
      for steps in chunks {
        let first = layout.rows(of: steps).lowerBound, runs = layout.runs(steps, share.rows)
        if let gates {
          own.gates = gates.pointer - first * slots * 16
          own.gates_block = most * slots * 16
        }
        let x0 = input.pointer - first * 16
        layout.gather(work.input, columns: inputs, runs, into: x0, block: most * 16)
        for product in packed.projections(
          of: x0, block: most * 16, into: own.gates, gatesBlock: own.gates_block)
        {
          if share.isOfUnits {
            // Panels of one block's gates, or of the one gate of four blocks.
            let panels = product.group == 1 ? share.panels : share.blocks
            for run in runs {
              var own = product.over(run)
              kernels.product(
                &own, 0, Int64(run.rows), Int64(panels.lowerBound), Int64(panels.upperBound))
            }
          } else {
            multiply(product, runs, width: inputs, isAlone: isAlone)
          }
        }
        fillNoise(runs, share.blocks, own, most: most, first: first)
        if let gates = own.gates {
          for rows in runs.flatMap(\.groups) {
            description.fillFixed(
              from: x0, block: most * 16, into: gates, gatesBlock: own.gates_block, inputs: inputs,
              units: units, rows: rows, blocks: share.blocks)
          }
        }
        let from = steps.lowerBound == 0 ? -1 : steps.lowerBound
        eachStep(from..<steps.upperBound, own, isAlone: isAlone, isReversed: false) {
          own, steps in
          kernels.forward(
            &own, Int64(steps.lowerBound), Int64(steps.upperBound), Int64(share.rows.lowerBound),
            Int64(share.rows.upperBound))
        }
        if let outputs {
          layout.scatter(hidden, block: block, runs, into: outputs, columns: self.hidden, blocks: part)
        }
      }
      withExtendedLifetime((input, gates)) {}
    }
    withExtendedLifetime(packed) {}
  }

  /// Writes the numbers of noise slots for the rows of some runs and some blocks.
  private func fillNoise(
    _ runs: [SequenceLayout.Run], _ part: Range<Int>, _ own: lethe_recurrent, most: Int, first: Int
  ) {
    guard let gates = own.gates, !description.noises.isEmpty else { return }
    let values = noise.isEmpty ? nil : Storage(count: blocks * most * 16)
    for (number, wanted) in description.noises.enumerated() {
      if let values {
        layout.gather(
          noise[number], columns: units, runs, into: values.pointer - first * 16, block: most * 16,
          blocks: part)
      }
      for row in runs.flatMap(\.groups).joined() {
        for block in part {
          let to = gates + block * own.gates_block + (row * slots + wanted.slot) * 16
          if let values {
            to.update(from: values.pointer + block * most * 16 + (row - first) * 16, count: 16)
          } else {
            to.update(repeating: wanted.rate, count: 16)
          }
        }
      }
    }
    withExtendedLifetime(values) {}
  }

  /// The weights as the kernels read them: kept while nothing is trained.
  func packed(_ weights: Weights) -> PackedRecurrent {
    let tensors = weights.parts.map(\.tensor)
    let pack = { PackedRecurrent(description, parts: tensors, inputs: inputs, units: units) }
    if weights.parts.contains(where: \.isRecorded) {
      weights.cache.drop()
      return pack()
    }
    return weights.cache.packed(tensors, description, inputs: inputs, units: units, pack)
  }

  /// The memory of a pass, with its initial states: all, h first, or none: zeros.
  func prepared(_ x: Tensor, _ initial: [Tensor], _ weights: PackedRecurrent, keeps: Bool) -> Work {
    let others = description.states.count - 1
    let hidden = initial.first, rest = (0..<others).map { initial.isEmpty ? nil : initial[1 + $0] }
    let work = Work(input: x, hidden: Storage(count: blocks * stateBlock))
    if keeps { work.gates = Storage(count: blocks * gatesBlock) }
    if description.numbers > 0 { work.numbers = Storage(count: rows * description.numbers * 16) }
    if description.program != nil && keeps { work.packed = weights }
    if others > 0 { work.cell = Storage(count: others * blocks * stateBlock) }
    if copies {
      work.hiddenOut = Storage(count: blocks * rows * 16)
      work.initialHidden = packed([hidden])
      if others > 0 {
        work.cellOut = Storage(count: others * blocks * rows * 16)
        work.initialCell = packed(rest)
      }
      if let hiddenMask {
        work.mask = packed([hiddenMask])
        work.hiddenKept = Storage(count: blocks * rows * 16)
      }
    } else {
      layout.packState(nil, units: units, into: work.hidden.pointer, block: stateBlock)
      if let hidden {
        layout.packState(hidden, units: self.hidden, into: work.hidden.pointer, block: stateBlock)
      }
      for (number, state) in rest.enumerated() {
        guard let cell = work.cell else { break }
        layout.packState(
          state, units: units, into: cell.pointer + number * blocks * stateBlock, block: stateBlock)
      }
    }
    return work
  }
}
