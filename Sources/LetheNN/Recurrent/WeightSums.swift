import CLetheKernels
import LetheCore

/// The gradients of a pass's weights, biases and vectors, summed chunk by chunk: dW = dGᵀ x, dU = dGᵀ s, db = Σ dG.
///
/// They are summed as the gates lie, [block][k][gates][16], and turned into the rows of a file once at the end.
struct WeightSums {
  private let projections: [Storage]
  private let stages: [[Storage]]
  private let slots: Storage  // Σ over rows of every slot, [block][slots][16]
  private var isStarted = false

  init(_ pass: RecurrentPass) {
    let block = pass.blocks * 16, description = pass.description
    projections = description.projections.map {
      Storage(count: block * description.seen(pass.inputs) * $0.rows.count)
    }
    stages = description.stages.map { stage in
      let (_, units, k) = description.weight(of: stage, units: pass.units)
      return stage.groups.map { Storage(count: (units + 15) / 16 * 16 * k * $0.rows.count) }
    }
    slots = Storage(count: block * pass.slots)
    slots.pointer.update(repeating: 0, count: slots.count)
  }

  /// Adds the rows of a chunk, rows ascending. `x` holds its inputs [block][row][16]. `around` is called by each thread with
  /// its blocks and with what sums up their gradients, and fetches something meanwhile, for what else it does.
  mutating func add(
    _ rows: Range<Int>, x: Storage, chunkBlock: Int, _ work: RecurrentPass.Work, in pass: RecurrentPass,
    around: (Range<Int>, (lethe_fetch) -> Void) -> Void
  ) {
    guard let gates = work.gates, !rows.isEmpty else { return }
    let isFirst = !isStarted
    isStarted = true
    let (description, units, slots) = (pass.description, pass.units, pass.slots)
    let gatesBlock = pass.gatesBlock, at = rows.lowerBound
    let dG = gates.pointer + at * slots * 16
    func product(
      _ left: UnsafePointer<Float>, _ block: Int, row: Int = 16, _ group: CellDescription.Group, k: Int,
      blocks: Int? = nil, _ sum: Storage
    ) -> lethe_product {
      // One gate of four blocks, or all gates of one.
      let count = group.rows.count, panel = count == 1 ? 4 : count
      var product = lethe_product()
      product.left.a = left
      product.left.a_row = 1
      product.left.a_k = row
      product.left.k_width = Int64(rows.count)
      product.left.k_blocks = 1
      product.left.k_last = Int64(rows.count)
      product.left.row_width = 16
      product.left.row_block = block
      product.right.w = UnsafePointer(dG + group.first * 16)
      product.right.columns = Int64((blocks ?? pass.blocks) * count * 16)
      product.right.panel = Int64(panel)
      product.right.w_panel = gatesBlock * (panel / count)
      product.right.w_vec = count == 1 ? gatesBlock : 0
      product.right.w_k = slots * 16
      product.adds = !isFirst
      product.out = sum.pointer
      product.out_row = count * 16
      product.out_group = k * count * 16
      product.group = Int64(count)
      return product
    }
    var products: [(product: lethe_product, k: Int)] = []
    for (stage, sums) in zip(description.stages, stages) {
      let (_, gate, k) = description.weight(of: stage, units: units), blocks = (gate + 15) / 16
      for (group, sum) in zip(stage.groups, sums) {
        switch stage.source {
        case .nothing: break
        case .state(let number):
          let own = number == 0 ? work.hidden : work.cell ?? work.hidden
          let plane = max(number - 1, 0) * pass.blocks * pass.stateBlock
          products.append(
            (product(own.pointer + plane + at * 16, pass.stateBlock, group, k: k, blocks: blocks, sum), k))
        case .slot(let slot):
          products.append(
            (product(dG + slot * 16, gatesBlock, row: slots * 16, group, k: k, blocks: blocks, sum), k))
        }
      }
    }
    for (group, sum) in zip(description.projections, projections) {
      let seen = description.seen(pass.inputs)
      products.append((product(x.pointer, chunkBlock, group, k: seen, sum), seen))
    }
    let work = rows.count * (units + pass.inputs) * slots * 16
    let sums = self.slots.pointer
    func sum(_ part: Range<Int>, _ fetch: lethe_fetch) {
      for (index, (product, k)) in products.enumerated() {
        var p = product
        if index == 0 { p.fetch = fetch }
        let blocks = (Int(p.right.columns) + 15) / 16 / Int(p.group), panels = Int(p.panelCount)
        // The panels that begin in this part: panel n begins at block blocks · n / panels.
        func first(_ block: Int) -> Int { min(panels, (block * panels + blocks - 1) / max(blocks, 1)) }
        let own = first(part.lowerBound)..<first(part.upperBound)
        if !own.isEmpty { kernels.product(&p, 0, Int64(k), Int64(own.lowerBound), Int64(own.upperBound)) }
      }
      for j in part {
        kernels.column_sums(
          sums + j * slots * 16, dG + j * gatesBlock, Int64(rows.count), Int64(slots * 16), 0,
          Int64(slots * 16))
      }
    }
    Parallel.split(pass.blocks, grain: max(1, (1 << 18) / max(work, 1)), perThread: 2) { part in
      around(part) { sum(part, $0) }
    }
  }

  /// The sums as parameters lie, in the order of `CellDescription.parts`.
  ///
  /// - Parameters:
  ///   - vectors: the gradients of vectors, row by row of the batch: [vector][block][batch][16].
  ///   - weights: the parameters.
  func gradients(in pass: RecurrentPass, vectors rows: Storage?, of weights: [Tensor]) -> [Tensor] {
    let (description, units, slots) = (pass.description, pass.units, pass.slots)
    func unpack(_ sums: [(CellDescription.Group, Storage)], rows: Int, units: Int, k: Int) -> Tensor {
      let target = Tensor.uninitialized([rows * units, k])
      for (group, sum) in sums {
        if !isStarted { sum.pointer.update(repeating: 0, count: sum.count) }
        let matrix = description.matrix(group, units: units, k: k)
        Parallel.split((units + 15) / 16, grain: packingGrain(k * group.rows.count * 16)) { part in
          var gates = matrix
          kernels.unpack_gates(
            target.pointer, sum.pointer, &gates, Int64(part.lowerBound), Int64(part.upperBound))
        }
      }
      return target
    }
    // blocks of units, each the sum of one slot
    func sums(of order: [Int]) -> Tensor {
      Tensor(shape: [order.count * units]) { to in
        for (row, slot) in order.enumerated() {
          for unit in 0..<units {
            to[row * units + unit] = self.slots.pointer[(unit / 16 * slots + slot) * 16 + unit % 16]
          }
        }
      }
    }
    // one vector, the rows of the batch added up in order
    func sum(ofRows number: Int) -> Tensor {
      let sums = Storage(count: pass.blocks * 16), own = pass.blocks * pass.batch * 16
      sums.pointer.update(repeating: 0, count: sums.count)
      guard let rows else { return Tensor(zeros: [units]) }
      for block in 0..<pass.blocks {
        kernels.column_sums(
          sums.pointer + block * 16, rows.pointer + number * own + block * pass.batch * 16, Int64(pass.batch),
          16,
          0, 16)
      }
      return withExtendedLifetime(sums) {
        Tensor(shape: [units]) { $0.baseAddress?.update(from: sums.pointer, count: units) }
      }
    }
    func slotOrder(_ block: KeyPath<CellDescription.SlotBias, Int?>) -> [Int] {
      (0..<description.biasRows).map { row in
        description.slotBiases.firstIndex { $0[keyPath: block] == row } ?? 0
      }
    }
    func groups(_ isWanted: (CellDescription.Stage) -> Bool) -> [(CellDescription.Group, Storage)] {
      zip(description.stages, stages).filter { isWanted($0.0) }.flatMap { Array(zip($0.groups, $1)) }
    }
    var parts: [Tensor] = []
    if description.inputRows > 0 {
      let sums = Array(zip(description.projections, projections))
      parts.append(unpack(sums, rows: description.inputRows, units: units, k: description.seen(pass.inputs)))
    }
    if description.hiddenRows > 0 {
      parts.append(
        unpack(groups { $0.width == nil }, rows: description.hiddenRows, units: units, k: pass.hidden))
    }
    if description.biasRows > 0 { parts.append(sums(of: slotOrder(\.input))) }
    if description.hasHiddenBias { parts.append(sums(of: slotOrder(\.hidden))) }
    if let width = description.projected {
      parts.append(unpack(groups { $0.width != nil }, rows: 1, units: width, k: units))
    }
    let vectors = description.vectors
    let derived = (vectors.count..<description.allVectors).map { sum(ofRows: $0).scalars }
    let given = derived.isEmpty ? [] : description.givenVectors(weights, units: units)
    let fromDerived = description.gradients(ofDerived: derived, given)
    for vector in vectors where vector.block == 0 {
      let blocks = vectors.indices.filter { vectors[$0].name == vector.name }
      let own = blocks.map { number in
        if let slot = description.vectorSlots[number] { return sums(of: [slot]) }
        let direct = sum(ofRows: number)
        return fromDerived[number].map { direct + Tensor($0, shape: [units]) } ?? direct
      }
      parts.append(Tensor(own.flatMap(\.scalars), shape: [blocks.count * units]))
    }
    return parts
  }
}
