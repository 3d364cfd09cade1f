import CLetheKernels
import LetheCore

/// The recurrence of a matrix memory over a batch, as one operation on the tape.
struct MatrixMemoryPass {
  let layer: MatrixMemory
  let batch: Int
  let time: Int
  private let lengths: [Int64]?
  private let resets: [UInt8]?

  init(_ layer: MatrixMemory, batch: Int, time: Int, timing: Timing?) {
    timing?.check(batch: batch, time: time)
    (self.layer, self.batch, self.time) = (layer, batch, time)
    lengths = timing?.lengths?.map { Int64($0) }
    let flags = timing?.resets?.flatMap { $0.map { $0 ? UInt8(1) : 0 } }
    resets = flags?.contains(1) == true ? flags : nil
  }

  private var tasks: Int { batch * layer.heads }

  /// What is read at every step, [batch, time, heads · value], and the final state.
  ///
  /// *Shapes*: q, k [batch, time, heads · key], v [batch, time, heads · value], gate as the rule has it, rate [heads],
  /// initial: one for each part of the state, or none for zeros.
  func run(
    q: Variable, k: Variable?, v: Variable, gate: Variable, rate: Variable?, initial: [Variable]
  ) -> (output: Variable, states: [Variable]) {
    let inputs = [q, v, gate] + [k, rate].compactMap { $0 } + initial
    let given = Given(
      q: q.tensor, k: k?.tensor, v: v.tensor, gate: gate.tensor, rate: rate?.tensor,
      initial: initial.map(\.tensor))
    let output = Tensor.uninitialized([batch, time, layer.heads * layer.valueSize])
    let states = layer.stateSizes.map { Tensor.uninitialized([batch, $0]) }
    var saved: Storage?
    call(given) { a in
      a.out = output.pointer
      a.s = states[0].pointer
      if states.count > 1 { (a.n, a.m) = (states[1].pointer, states[2].pointer) }
      if inputs.contains(where: \.isRecorded) {
        let kept = Storage(count: tasks * Int(withUnsafePointer(to: a) { kernels.memory_saved($0) }))
        a.saved = kept.pointer
        saved = kept
      }
      split(a, backward: false, kernels.memory_forward)
    }
    guard let tape = inputs.lazy.compactMap(\.tape).first else {
      return (Variable(output), states.map { Variable($0) })
    }
    let results = tape.record("matrixMemory", inputs: inputs, outputs: [output] + states) { gradients in
      guard let saved else { return [Tensor?](repeating: nil, count: inputs.count) }
      return backward(given, output, saved, gradients)
    }
    return (results[0], Array(results.dropFirst()))
  }

  private struct Given {
    let q: Tensor
    let k: Tensor?
    let v: Tensor
    let gate: Tensor
    let rate: Tensor?
    let initial: [Tensor]
  }

  /// The gradients of q, v, gate, k, rate and the initial state, in the order of `run`'s inputs.
  private func backward(_ given: Given, _ output: Tensor, _ saved: Storage, _ gradients: [Tensor?])
    -> [Tensor?]
  {
    let dq = Tensor.uninitialized(given.q.shape), dv = Tensor.uninitialized(given.v.shape)
    let dgate = Tensor.uninitialized(given.gate.shape)
    let dk = given.k.map { Tensor.uninitialized($0.shape) }
    let parts = given.rate.map { _ in Tensor.uninitialized([batch, layer.heads]) }
    let initial = given.initial.map { Tensor.uninitialized($0.shape) }
    withExtendedLifetime((output, saved, gradients)) {
      call(given) { a in
        (a.out, a.saved) = (output.pointer, saved.pointer)
        a.dout = gradients[0].map { UnsafePointer($0.pointer) }
        a.ds = gradients[1].map { UnsafePointer($0.pointer) }
        if gradients.count > 2 {
          a.dn = gradients[2].map { UnsafePointer($0.pointer) }
          a.dm = gradients[3].map { UnsafePointer($0.pointer) }
        }
        (a.dq, a.dv, a.dgate) = (dq.pointer, dv.pointer, dgate.pointer)
        (a.dk, a.drate) = (dk?.pointer, parts?.pointer)
        if let first = initial.first { a.ds0 = first.pointer }
        if initial.count > 1 { (a.dn0, a.dm0) = (initial[1].pointer, initial[2].pointer) }
        split(a, backward: true, kernels.memory_backward)
      }
    }
    // Rows of the batch are joined in order: the same bits for any number of threads.
    let drate = parts.map { Tensor($0.columnSums(layer.heads)) }
    let optional: [Tensor] = [dk, drate].compactMap { $0 }
    return [dq, dv, dgate] + optional + initial
  }

  /// Calls `body` with the arguments of both directions filled in.
  private func call(_ given: Given, _ body: (inout lethe_memory) -> Void) {
    func pointers<T, R>(_ array: [T]?, _ body: (UnsafePointer<T>?) -> R) -> R {
      guard let array else { return body(nil) }
      return array.withUnsafeBufferPointer { body($0.baseAddress) }
    }
    pointers(lengths) { lengths in
      pointers(resets) { resets in
        withExtendedLifetime(given) {
          var a = layer.kernelArguments(time: time)
          (a.lengths, a.resets) = (lengths, resets)
          a.q = UnsafePointer(given.q.pointer)
          a.k = given.k.map { UnsafePointer($0.pointer) }
          a.v = UnsafePointer(given.v.pointer)
          a.gate = UnsafePointer(given.gate.pointer)
          a.rate = given.rate.map { UnsafePointer($0.pointer) }
          if let first = given.initial.first { a.s0 = UnsafePointer(first.pointer) }
          if given.initial.count > 1 {
            a.n0 = UnsafePointer(given.initial[1].pointer)
            a.m0 = UnsafePointer(given.initial[2].pointer)
          }
          body(&a)
        }
      }
    }
  }

  /// Shares the heads of all rows among the threads, each with its own scratch memory.
  private func split(
    _ arguments: lethe_memory, backward: Bool,
    _ kernel: (UnsafePointer<lethe_memory>, Int64, Int64, UnsafeMutablePointer<Float>) -> Void
  ) {
    let work = max(1, time * layer.keySize * layer.valueSize)
    Parallel.split(tasks, grain: max(1, 1 << 14 / work)) { range in
      withUnsafePointer(to: arguments) { a in
        let scratch = Storage(count: Int(kernels.memory_scratch(a, backward)))
        withExtendedLifetime(scratch) {
          kernel(a, Int64(range.lowerBound), Int64(range.upperBound), scratch.pointer)
        }
      }
    }
  }
}

extension MatrixMemory {
  /// What kernels are told about the layer itself.
  func kernelArguments(time: Int) -> lethe_memory {
    var a = lethe_memory()
    a.rule = rule.kernel
    (a.time, a.heads) = (Int64(time), Int64(heads))
    (a.key, a.value) = (Int64(keySize), Int64(valueSize))
    a.option = rule.option
    return a
  }
}
