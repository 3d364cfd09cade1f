import CLetheKernels
import LetheCore

extension RecurrentPass {
  /// Gradients of what a pass gave: the final states, h first, the outputs and the output gate.
  struct OutputGradients {
    var states: [Tensor?]
    var outputs: Tensor?
    var outputGate: Tensor?
  }

  struct InputGradients {
    var parts: [Tensor?]  // x, then the parameters
    var initial: [Tensor?]
  }

  /// Weights as the backward kernels read them.
  struct TransposedWeights {
    var stages: [[Storage]]
    var inputs: [Storage]
  }

  func backward(
    _ bands: [Band], _ gradients: OutputGradients, weights: Weights, wantsInput: Bool
  ) -> InputGradients {
    let dx = wantsInput ? layout.scattered(columns: inputs) : nil
    let initial = description.states.indices.map {
      Tensor.uninitialized([batch, description.width(ofState: $0, units: units)])
    }
    let transposed = transposed(weights, wantsInput: wantsInput)
    let threads = share(bands), bands = bands.map { BandGradients($0, gradients, transposed, dx: dx) }
    if threads == 1 {
      Parallel.run(bands.count) { number in
        for chunk in 0..<bands[number].chunks {
          for share in bands[number].shares.indices { bands[number].walk(chunk, share, isAlone: false) }
          bands[number].addUp(chunk, 0)
        }
      }
    } else {
      let walks = bands.flatMap { band in band.shares.indices.map { (band, $0) } }
      let parts = bands.flatMap { band in (0..<band.parts).map { (band, $0) } }
      for chunk in 0..<(bands.map(\.chunks).max() ?? 0) {
        Parallel.run(walks.count) { walks[$0].0.walk(chunk, walks[$0].1, isAlone: walks.count == 1) }
        Parallel.run(parts.count) { parts[$0].0.addUp(chunk, parts[$0].1) }
      }
    }
    for band in bands { band.finish(into: initial) }
    for band in bands.dropFirst() { bands[0].sums.add(band.sums) }
    let own = bands[0].sums.gradients(of: weights.parts.map(\.tensor))
    return InputGradients(parts: [dx] + own, initial: initial)
  }

  private func transposed(_ weights: Weights, wantsInput: Bool) -> TransposedWeights {
    let stages = description.stages.map { stage in
      let (part, units, k) = description.weight(of: stage, units: units)
      return stage.groups.compactMap { group in
        part.map { packTransposed(weights.parts[$0].tensor, description.matrix(group, units: units, k: k)) }
      }
    }
    guard wantsInput, let part = description.inputPart else { return .init(stages: stages, inputs: []) }
    let panels = description.projections.map {
      packTransposed(
        weights.parts[part].tensor, description.matrix($0, units: units, k: description.seen(inputs)))
    }
    return .init(stages: stages, inputs: panels)
  }

  /// dx = dG W of one group of gates; groups after the first add to what is there.
  func inputGradient(
    _ number: Int, _ panels: Storage, block: Int, _ work: Work
  ) -> lethe_product {
    let group = description.projections[number], count = group.rows.count
    var product = lethe_product()
    product.left.a = work.gates.map { UnsafePointer($0.pointer + group.first * 16) }
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
