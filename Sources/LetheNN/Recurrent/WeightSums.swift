import CLetheKernels
import LetheCore

/// The gradients of a pass's weights, biases and vectors, summed chunk by chunk: dW = dGᵀ x, dU = dGᵀ s, db = Σ dG.
///
/// They are summed as the gates lie, [block][k][gates][16], and turned into the rows of a file once at the end.
struct WeightSums {
  private let projections: [Storage]
  private let stages: [[Storage]]
  private let slots: Storage  // Σ over rows of every slot, [block][slots][16]
  private let vectors: Storage  // Σ over rows of the batch, [vector][block][16]
  private let products: [Product]
  private let pass: RecurrentPass
  private let gates: Storage?

  /// The product of one group's weights, as if a chunk began in row 0.
  private struct Product {
    var product: lethe_product
    /// The rows of the result.
    let k: Int
    /// Floats from one row of the left operand to the next where it lies with all rows, not with a chunk's.
    let leftRow: Int
    let blocks: Int
  }

  /// - Parameter x: where the inputs of a chunk's rows lie, [block][row][16], blocks `chunkBlock` floats apart.
  init(_ pass: RecurrentPass, _ work: RecurrentPass.Work, x: Storage, chunkBlock: Int) {
    self.pass = pass
    gates = work.gates
    let block = pass.blocks * 16, description = pass.description, seen = description.seen(pass.inputs)
    projections = description.projections.map { Storage(count: block * seen * $0.rows.count) }
    stages = description.stages.map { stage in
      let (_, units, k) = description.weight(of: stage, units: pass.units)
      return stage.groups.map { Storage(count: (units + 15) / 16 * 16 * k * $0.rows.count) }
    }
    slots = Storage(count: block * pass.slots)
    slots.pointer.update(repeating: 0, count: slots.count)
    vectors = Storage(count: block * description.allVectors)
    vectors.pointer.update(repeating: 0, count: vectors.count)
    if pass.rows == 0 {
      for sum in projections + stages.joined() { sum.pointer.update(repeating: 0, count: sum.count) }
    }
    guard let gates else {
      products = []
      return
    }

    func product(
      _ left: UnsafePointer<Float>, _ leftBlock: Int, row: Int = 16, isChunk: Bool = false,
      _ group: CellDescription.Group, k: Int, blocks: Int, _ sum: Storage
    ) -> Product {
      // One gate of four blocks, or all gates of one.
      let count = group.rows.count, panel = count == 1 ? 4 : count
      var product = lethe_product()
      product.left.a = left
      product.left.a_row = 1
      product.left.a_k = row
      product.left.k_blocks = 1
      product.left.row_width = 16
      product.left.row_block = leftBlock
      product.right.w = UnsafePointer(gates.pointer + group.first * 16)
      product.right.columns = Int64(blocks * count * 16)
      product.right.panel = Int64(panel)
      product.right.w_panel = pass.gatesBlock * (panel / count)
      product.right.w_vec = count == 1 ? pass.gatesBlock : 0
      product.right.w_k = pass.slots * 16
      product.out = sum.pointer
      product.out_row = count * 16
      product.out_group = k * count * 16
      product.group = Int64(count)
      return Product(product: product, k: k, leftRow: isChunk ? 0 : row, blocks: blocks)
    }
    var products: [Product] = []
    for (stage, sums) in zip(description.stages, stages) {
      let (_, gate, k) = description.weight(of: stage, units: pass.units), blocks = (gate + 15) / 16
      for (group, sum) in zip(stage.groups, sums) {
        switch stage.source {
        case .nothing: break
        case .state(let number):
          let own = number == 0 ? work.hidden : work.cell ?? work.hidden
          let plane = max(number - 1, 0) * pass.blocks * pass.stateBlock
          products.append(
            product(own.pointer + plane, pass.stateBlock, group, k: k, blocks: blocks, sum))
        case .slot(let slot):
          products.append(
            product(
              gates.pointer + slot * 16, pass.gatesBlock, row: pass.slots * 16, group, k: k, blocks: blocks,
              sum))
        }
      }
    }
    for (group, sum) in zip(description.projections, projections) {
      products.append(
        product(x.pointer, chunkBlock, isChunk: true, group, k: seen, blocks: pass.blocks, sum))
    }
    self.products = products
  }

  /// Adds the rows of a chunk to the sums of some blocks, rows ascending, and fetches something meanwhile; `adds` where a chunk
  /// came before.
  func add(_ rows: Range<Int>, to blocks: Range<Int>, adds: Bool, _ fetch: lethe_fetch) {
    guard let gates, !rows.isEmpty else { return }
    let width = pass.slots * 16, dG = gates.pointer + rows.lowerBound * width
    for (index, own) in products.enumerated() {
      var p = own.product
      p.left.a += rows.lowerBound * own.leftRow
      p.left.k_width = Int64(rows.count)
      p.left.k_last = Int64(rows.count)
      p.right.w += rows.lowerBound * width
      p.adds = adds
      if index == 0 { p.fetch = fetch }
      // Panel n begins at block own.blocks · n / panels.
      let panels = Int(p.panelCount), all = own.blocks
      func first(_ block: Int) -> Int { min(panels, (block * panels + all - 1) / max(all, 1)) }
      let (start, end) = (first(blocks.lowerBound), first(blocks.upperBound))
      if start < end { kernels.product(&p, 0, Int64(own.k), Int64(start), Int64(end)) }
    }
    for j in blocks {
      kernels.column_sums(
        slots.pointer + j * width, dG + j * pass.gatesBlock, Int64(rows.count), Int64(width), 0, Int64(width))
    }
  }

  /// Adds up the gradients of vectors, row by row of the batch: [vector][block][batch][16].
  func add(vectors rows: Storage) {
    for block in 0..<vectors.count / 16 {
      kernels.column_sums(
        vectors.pointer + block * 16, rows.pointer + block * pass.batch * 16, Int64(pass.batch), 16, 0, 16)
    }
    withExtendedLifetime(rows) {}
  }

  /// Adds what another part of the batch has summed up.
  func add(_ other: WeightSums) {
    let all = { (sums: WeightSums) in sums.projections + sums.stages.joined() + [sums.slots, sums.vectors] }
    for (own, added) in zip(all(self), all(other)) {
      Parallel.split(own.count, grain: 1 << 14) { part in
        let at = own.pointer + part.lowerBound
        kernels.binary(LETHE_ADD, at, at, added.pointer + part.lowerBound, Int64(part.count))
      }
    }
  }

  /// The sums as parameters lie, in the order of `CellDescription.parts`; `weights` are the parameters.
  func gradients(of weights: [Tensor]) -> [Tensor] {
    let (description, units, slots) = (pass.description, pass.units, pass.slots)
    func unpack(_ sums: [(CellDescription.Group, Storage)], rows: Int, units: Int, k: Int) -> Tensor {
      let target = Tensor.uninitialized([rows * units, k])
      for (group, sum) in sums {
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
    func sum(ofVector number: Int) -> Tensor {
      Tensor(shape: [units]) {
        $0.baseAddress?.update(from: self.vectors.pointer + number * pass.blocks * 16, count: units)
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
    let derived = (vectors.count..<description.allVectors).map { sum(ofVector: $0).scalars }
    let given = derived.isEmpty ? [] : description.givenVectors(weights, units: units)
    let fromDerived = description.gradients(ofDerived: derived, given)
    for vector in vectors where vector.block == 0 {
      let blocks = vectors.indices.filter { vectors[$0].name == vector.name }
      let own = blocks.map { number in
        if let slot = description.vectorSlots[number] { return sums(of: [slot]) }
        let direct = sum(ofVector: number)
        return fromDerived[number].map { direct + Tensor($0, shape: [units]) } ?? direct
      }
      parts.append(Tensor(own.flatMap(\.scalars), shape: [blocks.count * units]))
    }
    return parts
  }
}
