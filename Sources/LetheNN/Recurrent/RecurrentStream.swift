import CLetheKernels
import LetheCore

/// A recurrent layer run one step at a time: weights packed once, state carried, nothing allocated, no lock.
///
///     var stream = lstm.stream()
///     while let x = microphone.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once. A copy is a fork: both go on from the same
/// state, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden], or the width of its head.
/// *Cost*: 2 · gates · hidden · (features + hidden) a layer; bound by reading the weights.
public struct RecurrentStream<Cell: RecurrentCell>: SequenceStream {
  private var engines: [StreamEngine]
  private var head: HeadStream?

  /// The width of an input.
  public var inputSize: Int { engines[0].inputs }
  /// The width of an output.
  public var outputSize: Int { head?.dense.outputSize ?? engines[engines.count - 1].hidden }

  fileprivate init(_ layer: Recurrent<Cell>) {
    require(
      !layer.weights.isEmpty, "stream: the layer is not built; give inputSize, or build it in Sequential")
    require(
      !layer.isBidirectional && !layer.isReversed, "stream: the backward direction needs the whole sequence")
    engines = layer.weights.enumerated().map { index, weights in
      let units = layer.cell.hiddenSize
      return StreamEngine(
        PackedRecurrent(
          layer.description, parts: weights.parts.map(\.value),
          inputs: index == 0 ? layer.features : layer.cell.outputSize,
          units: units), parts: weights.parts.map(\.value), cache: weights.cache,
        initial: weights.initial.map { $0.value.reshaped([1, $0.value.count]) })
    }
    if layer.headSize != nil { head = HeadStream(layer.head) }
  }

  /// One step; the output stays valid until the next.
  ///
  /// - Precondition: x has `inputSize` numbers.
  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    var signal = x
    for index in engines.indices {
      if !isKnownUniquelyReferenced(&engines[index]) { engines[index] = engines[index].fork() }
      signal = engines[index].step(signal)
    }
    return head?.step(signal, x) ?? signal
  }

  /// The state after the steps so far, or the one to go on from. *Shapes*: each part [1, hidden].
  public var state: RecurrentState {
    get {
      RecurrentState(
        hidden: engines.map { Variable($0.state[0]) },
        cell: engines.flatMap { $0.state.dropFirst().map { Variable($0) } })
    }
    set {
      newValue.requireNumbersAlone("stream")
      let others = engines[0].kinds - 1
      require(
        newValue.hidden.count == engines.count && newValue.cell.count == engines.count * others,
        "stream: expected a state of \(engines.count) layers, each with \(others) parts beside the hidden one"
      )
      for index in engines.indices {
        engines[index] = engines[index].fork()
        let parts = [newValue.hidden[index]] + newValue.cell[index * others..<(index + 1) * others]
        engines[index].set(parts.map(\.tensor))
      }
    }
  }

  /// h of the top layer as it is now, valid until the next step.
  var output: UnsafeBufferPointer<Float> { engines[engines.count - 1].output }

  /// Copies what the last step left in a slot of the top layer.
  ///
  /// - Precondition: `recordsGates` was on.
  func copy(slot: Int, into target: UnsafeMutablePointer<Float>) {
    engines[engines.count - 1].copy(slot: slot, into: target)
  }

  /// Whether gates are kept for `recordings`; off costs nothing.
  public var recordsGates: Bool {
    get { engines[0].recordsGates }
    set {
      for index in engines.indices {
        engines[index] = engines[index].fork()
        engines[index].recordsGates = newValue
      }
    }
  }

  /// What each layer did at the last step: gates by name, and states before and after. Made anew at each call.
  ///
  /// *Shapes*: [1, 1, hidden] each.
  /// - Precondition: `recordsGates` was on at the last step, and the state was not set since.
  public var recordings: [LayerRecording] {
    require(
      engines[0].recordsGates && engines[0].hasStepped,
      "stream: recordings are of a step; set recordsGates, then step")
    return engines.enumerated().map { $1.recording(layer: $0) }
  }

  /// Goes back to the state it began with: zeros, or what the layer has learned.
  public mutating func reset() {
    for index in engines.indices {
      engines[index] = engines[index].fork()
      engines[index].set(engines[index].initial)
    }
  }
}

extension Recurrent {
  /// This layer as a stream, from zeros or the initial state it has learned.
  ///
  /// - Precondition: it is built, and runs forward only.
  public func stream() -> RecurrentStream<Cell> { RecurrentStream(self) }
}

/// What stands on the top layer, in one row.
private struct HeadStream {
  private(set) var dense: DensePart
  /// [h_t, x_t].
  private var joined: Tensor

  init(_ head: Dense) {
    dense = DensePart(head)
    joined = Tensor(zeros: [dense.inputSize])
  }

  mutating func step(
    _ h: UnsafeBufferPointer<Float>, _ x: UnsafeBufferPointer<Float>
  ) -> UnsafeBufferPointer<Float> {
    joined.withUnsafeMutableBuffer { to in
      _ = to.update(fromContentsOf: h)
      _ = to[h.count...].update(fromContentsOf: x)
    }
    return dense.step(UnsafeBufferPointer(start: joined.pointer, count: joined.count))
  }
}

/// One layer of a stream. Unchecked because of its buffers: they are written only by `step` and `set`, which a stream
/// calls on an engine that it alone holds.
private final class StreamEngine: @unchecked Sendable {
  var inputs: Int { packed.inputs }
  private var units: Int { packed.units }
  /// The width of h.
  let hidden: Int
  private let packed: PackedRecurrent
  private let parts: [Tensor]
  private let cache: PackedCache
  private let input: Storage
  private let gates: Storage
  /// What a row has one of.
  private let numbers: Storage
  /// Two of each kind of state, h first: a step reads one and writes the other. [even or odd][kind][block][16]
  private let states: [Storage]
  let kinds: Int
  /// The state to start from; none: zeros.
  let initial: [Tensor]
  private let firstRow: UnsafeMutablePointer<Int64>
  /// The kernel's arguments for even and for odd steps, outside the object: to read a variable of an object
  /// costs as much as a tenth of a small step.
  private let arguments: UnsafeMutablePointer<lethe_recurrent>
  private let projections: UnsafeMutablePointer<lethe_product>
  private let panels: UnsafeMutablePointer<Int64>
  private let projectionCount: Int
  private let hasFixedInputs: Bool
  /// 1 after an odd number of steps: which arguments are next, and which state is the newest; and beside it 1 once a step
  /// has been made from where the state was set.
  private let turn: UnsafeMutablePointer<Int>

  init(_ packed: PackedRecurrent, parts: [Tensor], cache: PackedCache, initial: [Tensor]) {
    self.packed = packed
    (self.parts, self.cache) = (parts, cache)
    self.initial = initial
    hidden = packed.description.width(ofState: 0, units: packed.units)
    let blocks = packed.blocks, slots = packed.description.slots
    func zeros(_ count: Int) -> Storage {
      let storage = Storage(count: count)
      storage.pointer.update(repeating: 0, count: count)
      return storage
    }
    input = zeros((packed.inputs + 15) / 16 * 16)
    gates = zeros(blocks * slots * 16)
    numbers = zeros(packed.description.numbers * 16)
    kinds = packed.description.states.count
    states = [zeros(kinds * blocks * 16), zeros(kinds * blocks * 16)]
    for noise in packed.description.noises {
      for block in 0..<blocks {
        (gates.pointer + (block * slots + noise.slot) * 16).update(repeating: noise.rate, count: 16)
      }
    }
    firstRow = .allocate(capacity: 2)
    (firstRow[0], firstRow[1]) = (0, 1)
    turn = .allocate(capacity: 2)
    turn.initialize(repeating: 0, count: 2)
    let products = packed.projections(
      of: input.pointer, block: 16, into: gates.pointer, gatesBlock: slots * 16)
    projectionCount = products.count
    hasFixedInputs = !packed.description.fixedInputs.isEmpty
    projections = .allocate(capacity: products.count)
    projections.initialize(from: products, count: products.count)
    panels = .allocate(capacity: products.count)
    panels.initialize(from: products.map(\.panelCount), count: products.count)
    arguments = .allocate(capacity: 2)
    for odd in 0...1 {
      var a = lethe_recurrent()
      packed.fill(&a)
      a.steps = 1
      a.batch = 1
      a.first_row = UnsafePointer(firstRow)
      a.gates = gates.pointer
      a.gates_block = slots * 16
      a.numbers = numbers.pointer
      a.state_block = 16
      a.h_in = states[odd].pointer
      a.h_prev = states[odd].pointer
      a.h_out = states[1 - odd].pointer
      a.state_plane = blocks * 16
      if kinds > 1 {
        a.c_in = states[odd].pointer + blocks * 16
        a.c_out = states[1 - odd].pointer + blocks * 16
      }
      (arguments + odd).initialize(to: a)
    }
    set(initial)
  }

  deinit {
    firstRow.deallocate()
    turn.deallocate()
    projections.deallocate()
    panels.deallocate()
    arguments.deallocate()
  }

  func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let own = arguments + turn.pointee
    turn[1] = 1
    if let start = x.baseAddress { input.pointer.update(from: start, count: inputs) }
    if hasFixedInputs {
      packed.description.fillFixed(
        from: input.pointer, block: 16, into: gates.pointer, gatesBlock: packed.description.slots * 16,
        inputs: inputs, units: units, rows: 0..<1, blocks: 0..<packed.blocks)
    }
    for number in 0..<projectionCount {
      kernels.product(projections + number, 0, 1, 0, panels[number])
    }
    kernels.forward(own, 0, 1, 0, 1)
    turn.pointee = 1 - turn.pointee
    return UnsafeBufferPointer(start: own.pointee.h_out, count: hidden)
  }

  func fork() -> StreamEngine {
    let twin = StreamEngine(packed, parts: parts, cache: cache, initial: initial)
    twin.recordsGates = recordsGates
    (twin.turn[0], twin.turn[1]) = (turn[0], turn[1])
    twin.gates.pointer.update(from: gates.pointer, count: gates.count)
    twin.input.pointer.update(from: input.pointer, count: input.count)
    for (to, from) in zip(twin.states, states) { to.pointer.update(from: from.pointer, count: from.count) }
    return twin
  }

  /// One tensor [1, units] for each kind of state; none: zeros.
  func set(_ values: [Tensor]) {
    let newest = states[turn.pointee], plane = newest.count / kinds
    turn[1] = 0
    newest.pointer.update(repeating: 0, count: newest.count)
    for (kind, value) in values.enumerated() {
      let width = width(kind)
      require(value.shape == [1, width], "stream: expected a state part of shape \([1, width])")
      (newest.pointer + kind * plane).update(from: value.pointer, count: width)
    }
  }

  private func width(_ kind: Int) -> Int { kind == 0 ? hidden : units }

  var state: [Tensor] { states(turn.pointee) }

  /// Each kind of state in one of the two buffers.
  private func states(_ which: Int) -> [Tensor] {
    let from = states[which], plane = from.count / kinds
    return (0..<kinds).map { kind in
      Tensor(shape: [1, width(kind)]) { to in
        to.baseAddress?.update(from: from.pointer + kind * plane, count: width(kind))
      }
    }
  }

  var output: UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: states[turn.pointee].pointer, count: hidden)
  }

  /// The units of a slot, side by side.
  func copy(slot: Int, into target: UnsafeMutablePointer<Float>) {
    let slots = packed.description.slots
    for first in stride(from: 0, to: units, by: 16) {
      (target + first).update(
        from: gates.pointer + (first * slots + slot * 16), count: min(16, units - first))
    }
  }

  var hasStepped: Bool { turn[1] == 1 }

  /// Whether a step leaves the values of its gates.
  var recordsGates: Bool {
    get { arguments.pointee.keep_gates }
    set {
      for odd in 0...1 { arguments[odd].keep_gates = newValue }
      turn[1] = 0
    }
  }

  func recording(layer: Int) -> LayerRecording {
    let description = packed.description
    var recording = LayerRecording(
      path: "", layer: layer, isReversed: false,
      input: Tensor(shape: [1, 1, inputs]) { $0.baseAddress?.update(from: input.pointer, count: inputs) },
      timing: nil, units: units, description: description, initial: states(1 - turn.pointee), parts: parts,
      cache: cache)
    for gate in description.recordedGates {
      recording.values[gate.name] = Tensor(shape: [1, 1, units]) { to in
        if let to = to.baseAddress { copy(slot: gate.slot, into: to) }
      }
    }
    for (name, value) in zip(description.states, state) {
      recording.values[name] = value.reshaped([1, 1, value.count])
    }
    return recording
  }
}
