import CLetheKernels
import LetheCore

/// A matrix memory run one step at a time: weights packed once, state carried, nothing allocated, no lock.
///
///     var stream = memory.stream()
///     while let x = source.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once: a step is a sequence of length 1. A copy is a
/// fork: both go on from the same state, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden].
/// *Cost*: that of a step of the layer; bound by reading the weights.
public struct MatrixMemoryStream: SequenceStream {
  private var engine: MatrixMemoryEngine

  /// The width of an input.
  public var inputSize: Int { engine.layer.features }
  /// The width of an output.
  public var outputSize: Int { engine.layer.hiddenSize }

  init(_ layer: MatrixMemory) {
    require(layer.features > 0, "stream: the layer is not built; give inputSize, or build it in Sequential")
    require(!layer.isReversed, "stream: a layer that runs backward needs the whole sequence")
    engine = MatrixMemoryEngine(layer, PackedMatrixMemory(layer))
  }

  /// One step; the output stays valid until the next.
  ///
  /// - Precondition: x has `inputSize` numbers.
  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    if !isKnownUniquelyReferenced(&engine) { engine = engine.fork() }
    return engine.step(x)
  }

  /// The state after the steps so far, or the one to go on from. *Shapes*: as the layer's, with a batch of 1.
  public var state: RecurrentState {
    get {
      let parts = engine.state
      return RecurrentState(hidden: [Variable(parts[0])], cell: parts.dropFirst().map { Variable($0) })
    }
    set {
      newValue.requireNumbersAlone("stream")
      let given = (newValue.hidden + newValue.cell).map(\.tensor)
      let shapes = engine.layer.stateSizes.map { [1, $0] }
      require(
        newValue.hidden.count == 1 && given.map(\.shape) == shapes,
        "stream: expected a state of the shapes \(shapes), got \(given.map(\.shape))")
      engine = engine.fork(from: given)
    }
  }

  /// Goes back to the zero state.
  public mutating func reset() {
    engine = engine.fork(from: engine.layer.stateSizes.map { Tensor(zeros: [1, $0]) })
  }
}

/// The weights of a matrix memory as products take them.
private struct PackedMatrixMemory: Sendable {
  let q: PackedFactor
  let k: PackedFactor?
  let v: PackedFactor
  let gate: PackedFactor
  let out: PackedFactor
  let biasGate: Tensor
  let rate: Tensor?
  let norm: Tensor?
  let zeros: Tensor

  init(_ layer: MatrixMemory) {
    q = PackedFactor(transposed: layer.weightQ.value)
    k = layer.rule.hasKeys ? PackedFactor(transposed: layer.weightK.value) : nil
    v = PackedFactor(transposed: layer.weightV.value)
    gate = PackedFactor(transposed: layer.weightGate.value)
    out = PackedFactor(transposed: layer.weightOut.value)
    biasGate = layer.biasGate.value
    rate = layer.rule.hasRate ? layer.logRate.value : nil
    norm = layer.normalizesHeads ? layer.weightNorm.value : nil
    zeros = Tensor(zeros: [layer.valueSize])
  }
}

/// Unchecked because of its buffers: they are written only by `step`, which a stream calls on an engine that it alone
/// holds, and before an engine is handed out.
private final class MatrixMemoryEngine: @unchecked Sendable {
  let layer: MatrixMemory
  private let packed: PackedMatrixMemory
  /// What is projected, read, normalised and given out, one behind the other.
  private let rows: Storage
  private let scratch: Storage
  /// Twice the state's parts: a step reads one set and writes the other.
  private let states: [[Storage]]
  private var turn = 0

  init(_ layer: MatrixMemory, _ packed: PackedMatrixMemory) {
    (self.layer, self.packed) = (layer, packed)
    let (keys, values) = (layer.heads * layer.keySize, layer.heads * layer.valueSize)
    rows = Storage(count: 2 * keys + 3 * values + packed.gate.columns + layer.hiddenSize)
    var a = layer.kernelArguments(time: 1)
    scratch = Storage(count: Int(kernels.memory_scratch(&a, false)))
    states = (0..<2).map { _ in
      layer.stateSizes.map { size in
        let part = Storage(count: size)
        part.pointer.update(repeating: 0, count: size)
        return part
      }
    }
  }

  func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    guard let x = x.baseAddress else { stop("stream: expected inputs, got none") }
    let (keys, values) = (layer.heads * layer.keySize, layer.heads * layer.valueSize)
    let q = rows.pointer, k = q + keys, v = k + keys, read = v + values, normed = read + values
    let gate = normed + values, y = gate + packed.gate.columns
    packed.q.multiply(x, into: q)
    packed.k?.multiply(x, into: k)
    packed.v.multiply(x, into: v)
    packed.gate.multiply(x, bias: packed.biasGate.pointer, into: gate)
    let from = states[turn], to = states[1 - turn]
    var a = layer.kernelArguments(time: 1)
    (a.q, a.v, a.gate) = (UnsafePointer(q), UnsafePointer(v), UnsafePointer(gate))
    if packed.k != nil { a.k = UnsafePointer(k) }
    if let rate = packed.rate { a.rate = UnsafePointer(rate.pointer) }
    (a.s0, a.s, a.out) = (UnsafePointer(from[0].pointer), to[0].pointer, read)
    if from.count > 1 {
      (a.n0, a.m0) = (UnsafePointer(from[1].pointer), UnsafePointer(from[2].pointer))
      (a.n, a.m) = (to[1].pointer, to[2].pointer)
    }
    kernels.memory_forward(&a, 0, Int64(layer.heads), scratch.pointer)
    turn = 1 - turn
    var result = read
    if let norm = packed.norm {
      // Means and deviations go where the keys were.
      kernels.layer_norm(
        normed, q, k, read, norm.pointer, packed.zeros.pointer, 1e-5, Int64(layer.heads),
        Int64(layer.valueSize))
      result = normed
    }
    packed.out.multiply(result, into: y)
    return UnsafeBufferPointer(start: y, count: layer.hiddenSize)
  }

  /// The same engine with a state of its own: this one's, or the one given.
  func fork(from given: [Tensor]? = nil) -> MatrixMemoryEngine {
    let twin = MatrixMemoryEngine(layer, packed)
    for (number, part) in states[turn].enumerated() {
      let from = given.map { $0[number].pointer } ?? part.pointer
      twin.states[0][number].pointer.update(from: from, count: part.count)
    }
    return twin
  }

  var state: [Tensor] {
    states[turn].map { part in
      Tensor(shape: [1, part.count]) { $0.baseAddress?.update(from: part.pointer, count: part.count) }
    }
  }
}
