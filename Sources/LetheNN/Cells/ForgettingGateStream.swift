import CLetheKernels
import LetheCore

/// A Forgetting Gate Network run one step at a time: weights packed once, state carried, nothing allocated, no lock.
///
///     var stream = network.stream()
///     while let x = source.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once. A copy is a fork: both go on from the same
/// state, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden]. *State*: (c, m).
/// *Cost*: the LSTM's step and 2 · hidden · features (and · hidden² with recall); bound by reading the weights.
public struct ForgettingGateStream: SequenceStream {
  private var memory: RecurrentStream<LSTMCell>
  private var readOut: ReadOut

  /// The width of an input.
  public var inputSize: Int { memory.inputSize }
  /// The width of an output.
  public var outputSize: Int { memory.outputSize }

  init(_ network: ForgettingGateNetwork) {
    memory = network.memory.stream()
    readOut = ReadOut(network)
    memory.recordsGates = readOut.isTwice
  }

  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    guard let start = x.baseAddress, x.count == inputSize else {
      stop("stream: expected \(inputSize) inputs, got \(x.count)")
    }
    if !isKnownUniquelyReferenced(&readOut) { readOut = ReadOut(readOut) }
    readOut.begin(start, before: memory.output)
    memory.step(x)
    return readOut.end(memory)
  }

  /// The state after the steps so far, or the one to go on from. *Shapes*: m and c, each [1, hidden].
  public var state: RecurrentState {
    get { memory.state }
    set { memory.state = newValue }
  }

  /// Goes back to the zero state.
  public mutating func reset() { memory.reset() }

  /// Whether gates are kept for `recordings`; off costs nothing.
  public var recordsGates = false {
    didSet { memory.recordsGates = recordsGates || readOut.isTwice }
  }

  /// What the memory unit did at the last step, and f as `ForgettingGateNetwork.readOutGate`, as in a recording of the whole
  /// sequence. Made anew at each call.
  ///
  /// *Shapes*: [1, 1, hidden] each.
  /// - Precondition: `recordsGates` was on at the last step, and the state was not set since.
  public var recordings: [LayerRecording] {
    require(recordsGates, "stream: recordings are of a step; set recordsGates, then step")
    return memory.recordings.map { recording in
      var recording = recording
      recording.others.append(ForgettingGateNetwork.readOutGate)
      recording.values[ForgettingGateNetwork.readOutGate] = readOut.keep
      return recording
    }
  }
}

/// The gate layer and what it does with the memory. Unchecked because of its buffer, which only a stream that alone holds it
/// writes.
private final class ReadOut: @unchecked Sendable {
  let isTwice: Bool
  private let gate: PackedFactor
  private let bias: Tensor
  private let recall: PackedFactor?
  /// f, z, o and y, one behind the other.
  private let rows: Storage
  private var units: Int { gate.columns }

  init(_ network: ForgettingGateNetwork) {
    isTwice = network.outputGate == .twice
    gate = PackedFactor(transposed: network.gate.weight.value)
    bias = network.gate.bias.value
    recall =
      network.recall == .previousMemory ? PackedFactor(transposed: network.recallMap.weight.value) : nil
    rows = Storage(count: 4 * gate.columns)
  }

  /// The same with a buffer of its own.
  init(_ other: ReadOut) {
    (isTwice, gate, bias, recall) = (other.isTwice, other.gate, other.bias, other.recall)
    rows = other.rows.copy()
  }

  /// f and z of a step, from x_t and m_{t−1}.
  func begin(_ x: UnsafePointer<Float>, before m: UnsafeBufferPointer<Float>) {
    let f = rows.pointer
    gate.multiply(x, bias: bias.pointer, into: f)
    kernels.unary(LETHE_SIGMOID, f, f, 0, 0, Int64(units))
    if let recall, let m = m.baseAddress { recall.multiply(m, into: f + units) }
  }

  /// y, the step done: in the order of the whole sequence's operations.
  func end(_ memory: RecurrentStream<LSTMCell>) -> UnsafeBufferPointer<Float> {
    let f = rows.pointer, z = f + units, o = z + units, y = o + units
    let m = memory.output
    if isTwice { memory.copy(slot: 3, into: o) }
    for unit in 0..<units {
      let kept = f[unit] * (isTwice ? m[unit] * o[unit] : m[unit])
      y[unit] = recall == nil ? kept : kept + (1 - f[unit]) * z[unit]
    }
    return UnsafeBufferPointer(start: y, count: units)
  }

  /// f. *Shapes*: [1, 1, hidden].
  var keep: Tensor {
    Tensor(shape: [1, 1, units]) { $0.baseAddress?.update(from: rows.pointer, count: units) }
  }
}
