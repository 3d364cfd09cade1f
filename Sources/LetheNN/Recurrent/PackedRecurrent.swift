import CLetheKernels
import LetheCore

/// The weights of one layer and direction as the forward kernels read them: packed once a training step, once a stream,
/// or once for all calls between which nothing is trained.
///
/// Unchecked because of the program's memory, which nobody writes after `init`.
final class PackedRecurrent: @unchecked Sendable {
  let description: CellDescription
  let inputs: Int
  let units: Int
  private let projections: [Storage]
  private let stages: [[Storage]]
  private let bias: Storage  // [block][slots that the input feeds][16]
  private let fills: [Storage?]
  private let vectors: Storage?
  private let program: UnsafeMutablePointer<lethe_program>?

  var blocks: Int { (units + 15) / 16 }

  /// - Precondition: the parts have the shapes that `CellDescription.parts` gives.
  init(_ description: CellDescription, parts: [Tensor], inputs: Int, units: Int) {
    require(
      units > 0 && description.hasShapes(parts, inputs: inputs, units: units),
      "\(description.name): expected filled parameters of shapes "
        + "\(description.parts(inputs: inputs, units: units, biases: []).map(\.shape)), got \(parts.map(\.shape))"
    )
    if let complaint = description.complaint(inputs: inputs, units: units) {
      stop("\(description.name): expected \(complaint.expected), got \(complaint.found)")
    }
    self.description = description
    (self.inputs, self.units) = (inputs, units)
    let blocks = (units + 15) / 16
    let input = description.inputPart.map { parts[$0].pointer }
    projections = description.projections.compactMap { group in
      input.map {
        Self.panels(
          $0, description.matrix(group, units: units, k: description.seen(inputs)),
          byBlock: group.rows.count > 1)
      }
    }
    stages = description.stages.map { stage in
      let (part, units, k) = description.weight(of: stage, units: units)
      return stage.groups.compactMap { group in
        part.map {
          Self.panels(
            parts[$0].pointer, description.matrix(group, units: units, k: k),
            byBlock: stage.groups.count > 1 || group.rows.count > 1)
        }
      }
    }

    let inputBias = description.inputBiasPart.map { parts[$0].pointer }
    let hiddenBias = description.hiddenBiasPart.map { parts[$0].pointer }
    func biases(of slots: Range<Int>) -> Storage {
      let result = Storage(count: blocks * slots.count * 16)
      result.pointer.update(repeating: 0, count: result.count)
      func add(_ bias: UnsafeMutablePointer<Float>?, _ row: Int?, at number: Int, of count: Int) {
        guard let bias, let row else { return }
        for unit in 0..<units {
          result.pointer[(unit / 16 * count + number) * 16 + unit % 16] += bias[row * units + unit]
        }
      }
      for (number, slot) in slots.enumerated() {
        add(inputBias, description.slotBiases[slot].input, at: number, of: slots.count)
        add(hiddenBias, description.slotBiases[slot].hidden, at: number, of: slots.count)
      }
      return result
    }
    bias = biases(of: 0..<description.fedSlots)
    fills = description.stages.map { stage in
      stage.fill.first.map { biases(of: $0..<$0 + stage.fill.count) }
    }
    vectors = description.allVectors == 0 ? nil : Storage(count: description.allVectors * blocks * 16)
    let given = description.givenVectors(parts, units: units)
    for (number, values) in (given + description.derivedValues(given)).enumerated() {
      // Padding is as the last unit: what it divides stays a number.
      for unit in 0..<blocks * 16 {
        vectors?.pointer[number * blocks * 16 + unit] = values[min(unit, units - 1)]
      }
    }

    withExtendedLifetime(parts) {}

    program = description.program.map { code in
      let memory = UnsafeMutablePointer<lethe_program>.allocate(capacity: 1)
      memory.initialize(to: code.make(description))
      return memory
    }
    if let program {
      program.pointee.vectors = vectors.map { UnsafePointer($0.pointer) }
      for (number, groups) in stages.enumerated() {
        for (index, storage) in groups.enumerated() {
          let own = description.stages[number].groups[index]
          program.setGroup(number, index) { group in
            group.first = Int32(own.first)
            group.count = Int32(own.rows.count)
            group.w = UnsafePointer(storage.pointer)
          }
        }
        if let fill = fills[number] { program.setFill(number, fill.pointer) }
      }
    }
  }

  deinit { program?.deallocate() }

  /// Panels of one block's gates, or of the one gate of at most four blocks.
  private static func panels(_ weight: UnsafePointer<Float>, _ matrix: lethe_gates, byBlock: Bool) -> Storage
  {
    let units = Int(matrix.units), k = Int(matrix.k), blocks = (units + 15) / 16
    let storage = Storage(count: blocks * k * Int(matrix.slots) * 16)
    if !byBlock {
      let row = Int(matrix.order.0)
      kernels.pack(
        storage.pointer, weight + row * units * k, 1, k, Int64(k), Int64(units), 4, 0, Int64((blocks + 3) / 4)
      )
    } else {
      Parallel.split(blocks, grain: packingGrain(k * Int(matrix.slots) * 16)) { part in
        var gates = matrix
        kernels.pack_gates(storage.pointer, weight, &gates, Int64(part.lowerBound), Int64(part.upperBound))
      }
    }
    return storage
  }

  /// Tells the forward kernels of the cell and its weights.
  func fill(_ arguments: inout lethe_recurrent) {
    description.fill(&arguments)
    arguments.units = Int64(units)
    arguments.program = program.map { UnsafePointer($0) }
    guard program == nil else { return }
    arguments.w_hidden = UnsafePointer(stages[0][0].pointer)
    arguments.w_candidate = stages.count > 1 ? UnsafePointer(stages[1][0].pointer) : nil
    arguments.b_hidden = fills[0].map { UnsafePointer($0.pointer) }
  }

  /// What the backward kernels read of a described cell: this program, with transposed weights set by `body`.
  func withProgram(_ body: (UnsafeMutablePointer<lethe_program>?) -> Void) {
    guard let program else { return body(nil) }
    var copy = program.pointee
    withUnsafeMutablePointer(to: &copy) { body($0) }
  }

  /// gates = W x + b for block-major inputs [block][row][16], blocks `block` floats apart; one product a group.
  func projections(
    of x: UnsafePointer<Float>, block: Int, into gates: UnsafeMutablePointer<Float>, gatesBlock: Int
  ) -> [lethe_product] {
    let inputs = description.seen(inputs), columns = (inputs + 15) / 16
    return zip(description.projections, projections).map { group, weights in
      let count = group.rows.count, panel = count == 1 ? 4 : count
      var product = lethe_product()
      product.left.a = x
      product.left.a_row = 16
      product.left.a_k = 1
      product.left.a_block = block
      product.left.k_width = 16
      product.left.k_blocks = Int64(columns)
      product.left.k_last = Int64(inputs - 16 * (columns - 1))
      product.right.w = UnsafePointer(weights.pointer)
      product.right.columns = Int64(blocks * 16 * count)
      product.right.panel = Int64(panel)
      product.right.w_panel = inputs * 16 * panel
      product.initial = UnsafePointer(bias.pointer + group.first * 16)
      product.initial_group = description.fedSlots * 16
      product.out = gates + group.first * 16
      product.out_row = description.slots * 16
      product.out_group = gatesBlock
      product.group = Int64(count)
      return product
    }
  }
}

/// The least blocks worth a thread's while, each of so many floats.
func packingGrain(_ floats: Int) -> Int { max(1, (1 << 14) / max(floats, 1)) }

extension lethe_product {
  /// The product of the rows of a run, where left and out are given for row 0.
  func over(_ run: SequenceLayout.Run) -> lethe_product {
    var product = self
    product.left.a += run.first * left.a_row
    product.out += run.first * out_row
    if run.count > 1 {
      product.left.row_width = Int64(run.width)
      product.left.row_block = run.apart * left.a_row
      product.out_row_block = run.apart * out_row
    }
    return product
  }

  /// The number of panels of the right operand.
  var panelCount: Int64 { ((right.columns + 15) / 16 + right.panel - 1) / right.panel }
}
