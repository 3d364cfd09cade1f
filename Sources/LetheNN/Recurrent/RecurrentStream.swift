import CLetheKernels
import LetheCore

/// A recurrent layer run one step at a time: weights packed once, state carried, nothing allocated, no lock.
///
///     var stream = lstm.stream()
///     while let x = microphone.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once. A copy is a fork: both go on from the same
/// state, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden].
/// *Cost*: 2 · gates · hidden · (features + hidden) a layer; bound by reading the weights.
public struct RecurrentStream<Cell: RecurrentCell>: Sendable {
  private var engines: [StreamEngine]

  /// The width of an input.
  public var inputSize: Int { engines[0].inputs }
  /// The width of an output.
  public var outputSize: Int { engines[engines.count - 1].units }

  fileprivate init(_ layer: Recurrent<Cell>) {
    require(
      !layer.weights.isEmpty, "stream: the layer is not built; give inputSize, or build it in Sequential")
    require(!layer.isBidirectional, "stream: the backward direction needs the whole sequence")
    require(layer.headSize == nil, "stream: a head is not part of the stream; apply it to the outputs")
    engines = layer.weights.map { weights in
      StreamEngine(
        layer.cell.description, input: weights.input.value, hidden: weights.hidden.value,
        inputBias: weights.inputBias.value, hiddenBias: weights.hiddenBias.value)
    }
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
    return signal
  }

  /// One step, with arrays.
  ///
  /// - Precondition: x has `inputSize` numbers.
  public mutating func step(_ x: [Float]) -> [Float] { x.withUnsafeBufferPointer { Array(step($0)) } }

  /// The state after the steps so far, or the one to go on from. *Shapes*: each part [1, hidden].
  public var state: RecurrentState {
    get {
      RecurrentState(
        hidden: engines.map { Variable($0.hidden) }, cell: engines.compactMap { $0.cell.map { Variable($0) } }
      )
    }
    set {
      require(
        newValue.hidden.count == engines.count && newValue.cell.count == engines.count { $0.cell != nil },
        "stream: expected a state of \(engines.count) layers, with a cell part for each that has one")
      for index in engines.indices {
        engines[index] = engines[index].fork()
        engines[index].set(
          hidden: newValue.hidden[index].tensor,
          cell: newValue.cell.isEmpty ? nil : newValue.cell[index].tensor)
      }
    }
  }

  /// Goes back to the zero state.
  public mutating func reset() {
    for index in engines.indices {
      engines[index] = engines[index].fork()
      engines[index].set(hidden: nil, cell: nil)
    }
  }
}

extension Recurrent {
  /// This layer as a stream, from the zero state.
  ///
  /// - Precondition: it runs forward only and has no head.
  public func stream() -> RecurrentStream<Cell> { RecurrentStream(self) }
}

/// One layer of a stream. Unchecked because of its buffers: they are written only by `step` and `set`, which a stream
/// calls on an engine that it alone holds.
private final class StreamEngine: @unchecked Sendable {
  let inputs: Int
  let units: Int
  private let packed: PackedRecurrent
  private let input: Storage
  private let gates: Storage
  private var states: [Storage] = []  // h, next h, c, next c
  private let steps: UnsafeMutablePointer<Int64>
  private var arguments = lethe_recurrent()
  private var projection: lethe_product
  private let panels: Int64

  convenience init(
    _ description: CellDescription, input: Tensor, hidden: Tensor, inputBias: Tensor, hiddenBias: Tensor
  ) {
    self.init(
      PackedRecurrent(description, input: input, hidden: hidden, inputBias: inputBias, hiddenBias: hiddenBias)
    )
  }

  private init(_ packed: PackedRecurrent) {
    self.packed = packed
    (inputs, units) = (packed.inputs, packed.units)
    let blocks = packed.blocks, slots = packed.description.slots
    input = Storage(count: (inputs + 15) / 16 * 16)
    input.pointer.update(repeating: 0, count: input.count)
    gates = Storage(count: blocks * slots * 16)
    for _ in 0..<(packed.description.hasCellState ? 4 : 2) {
      let state = Storage(count: blocks * 16)
      state.pointer.update(repeating: 0, count: state.count)
      states.append(state)
    }
    steps = .allocate(capacity: 2)
    steps.initialize(to: 0)
    (steps + 1).initialize(to: 1)
    projection = packed.projection(
      of: input.pointer, block: 16, into: gates.pointer, gatesBlock: slots * 16)
    panels = projection.panelCount
    packed.fill(&arguments)
    arguments.steps = 1
    arguments.batch = 1
    arguments.first_row = UnsafePointer(steps)
    arguments.gates = gates.pointer
    arguments.gates_block = slots * 16
    arguments.state_block = 16
    pointAtStates()
  }

  deinit { steps.deallocate() }

  private func pointAtStates() {
    arguments.h_in = states[0].pointer
    arguments.h_prev = states[0].pointer
    arguments.h_out = states[1].pointer
    if states.count == 4 {
      arguments.c_in = states[2].pointer
      arguments.c_out = states[3].pointer
    }
  }

  func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    if let start = x.baseAddress { input.pointer.update(from: start, count: inputs) }
    kernels.product(&projection, 0, 1, 0, panels)
    kernels.forward(&arguments, 0, 1, 0, 1)
    states.swapAt(0, 1)
    if states.count == 4 { states.swapAt(2, 3) }
    pointAtStates()
    return UnsafeBufferPointer(start: states[0].pointer, count: units)
  }

  func fork() -> StreamEngine {
    let twin = StreamEngine(packed)
    for (to, from) in zip(twin.states, states) { to.pointer.update(from: from.pointer, count: from.count) }
    return twin
  }

  func set(hidden: Tensor?, cell: Tensor?) {
    for (place, value) in [(0, hidden), (2, cell)] where place < states.count {
      require(
        value == nil || value?.shape == [1, units], "stream: expected state parts of shape \([1, units])")
      if let value {
        states[place].pointer.update(from: value.pointer, count: units)
      } else {
        states[place].pointer.update(repeating: 0, count: units)
      }
    }
  }

  private func value(_ place: Int) -> Tensor {
    Tensor(shape: [1, units]) { to in
      to.baseAddress?.update(from: states[place].pointer, count: units)
    }
  }
  var hidden: Tensor { value(0) }
  var cell: Tensor? { states.count == 4 ? value(2) : nil }
}
