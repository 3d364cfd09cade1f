import CLetheKernels
import LetheCore

/// Forgetting attention over a batch, as one operation on the tape.
///
/// A task is one head of one sequence; each has its own part of every result. A step's sums run from the oldest entry it
/// sees to itself, however the past was delivered.
struct ForgettingAttentionPass {
  let heads: Int
  let size: Int
  let batch: Int
  let time: Int
  let logPruning: Double?
  private let lengths: [Int]
  private let resets: [[Bool]]?

  init(heads: Int, size: Int, batch: Int, time: Int, timing: Timing?, logPruning: Double?) {
    timing?.check(batch: batch, time: time)
    (self.heads, self.size, self.batch, self.time) = (heads, size, batch, time)
    self.logPruning = logPruning
    lengths = timing?.lengths ?? Array(repeating: time, count: batch)
    resets = timing?.resets
  }

  private var scale: Float { 1 / Float(size).squareRoot() }

  /// What is read at every step, [batch, time, heads · d], and what is seen after the last.
  ///
  /// *Shapes*: q, k, v [batch, time, heads · d], gate [batch, time, heads] before its sigmoid.
  func run(q: Variable, k: Variable, v: Variable, gate: Variable, from past: AttentionCache) -> (
    output: Variable, cache: AttentionCache
  ) {
    let given = Given(q: q.tensor, k: k.tensor, v: v.tensor, gate: gate.tensor, past: past)
    let output = Tensor(zeros: [batch, time, heads * size])
    var next = past
    next.lanes.withUnsafeMutableBufferPointer { lanes in
      guard let lanes = lanes.baseAddress else { return }
      each(past) { task in lanes[task] = forward(given, task, output) }
    }
    let result = Variable.operation("forgettingAttention", [q, k, v, gate], output) { gradient in
      backward(given, gradient)
    }
    return (result, next)
  }

  private struct Given {
    let q: Tensor
    let k: Tensor
    let v: Tensor
    let gate: Tensor
    let past: AttentionCache
  }

  /// Shares the tasks among the threads.
  private func each(_ past: AttentionCache, _ body: (Int) -> Void) {
    let work = max(1, time * (past.largestCount + time) * size)
    Parallel.split(batch * heads, grain: max(1, 1 << 14 / work), perThread: 4) { range in
      for task in range { body(task) }
    }
  }

  /// Where a task's numbers of a step lie in a tensor [batch, time, heads · width].
  private func place(_ task: Int, _ t: Int, _ width: Int) -> Int {
    ((task / heads * time + t) * heads + task % heads) * width
  }

  private func isNew(_ task: Int, _ t: Int) -> Bool { resets?[task / heads][t] ?? false }

  /// All entries of a task, past ones first, and the first that each step sees.
  private func timeline(_ given: Given, _ task: Int) -> (lane: AttentionLane, firsts: [Int]) {
    var lane = given.past.lanes[task]
    let steps = lengths[task / heads]
    lane.reserve(steps)
    var firsts: [Int] = []
    firsts.reserveCapacity(steps)
    for t in 0..<steps {
      let at = place(task, t, size)
      let gate = Double(given.gate.pointer[place(task, t, 1)])
      lane.add(
        query: given.q.pointer + at, key: given.k.pointer + at, value: given.v.pointer + at,
        logForget: -(max(-gate, 0) + Elementary.log(1 + Elementary.exp(-abs(gate)))), isNew: isNew(task, t),
        logPruning: logPruning)
      firsts.append(lane.first)
    }
    return (lane, firsts)
  }

  /// The softmax of the entries `first...last` for the query of entry `last`.
  @inline(__always)
  private func weigh(
    _ query: UnsafePointer<Float>, _ keys: UnsafePointer<Float>, _ decays: UnsafePointer<Double>, first: Int,
    last: Int, into weights: UnsafeMutablePointer<Float>
  ) {
    for j in first...last {
      let score = scale * AttentionRow.dot(query, keys + j * size, size)
      weights[j - first] = score + Float(decays[last] - decays[j])
    }
    kernels.softmax(weights, weights, 1, Int64(last - first + 1))
  }

  /// Fills a task's part of the output; what is seen after its last step.
  private func forward(_ given: Given, _ task: Int, _ output: Tensor) -> AttentionLane {
    let (whole, firsts) = timeline(given, task)
    var lane = whole
    let past = lane.count - firsts.count
    let scratch = Storage(count: lane.count)
    withPointers(lane) { keys, values, decays in
      for (t, first) in firsts.enumerated() {
        let at = place(task, t, size)
        weigh(
          given.q.pointer + at, keys, decays, first: first, last: past + t, into: scratch.pointer)
        for j in first...past + t {
          AttentionRow.add(scratch.pointer[j - first], values + j * size, to: output.pointer + at, size)
        }
      }
    }
    withExtendedLifetime(scratch) {}
    lane.trim()
    return lane
  }

  /// The gradients of q, k, v and gate.
  private func backward(_ given: Given, _ gradient: Tensor) -> [Tensor?] {
    let shape = [batch, time, heads * size]
    let dq = Tensor(zeros: shape), dk = Tensor(zeros: shape), dv = Tensor(zeros: shape)
    let dgate = Tensor(zeros: [batch, time, heads])
    each(given.past) { task in
      let (lane, firsts) = timeline(given, task)
      let past = lane.count - firsts.count
      let weights = Storage(count: lane.count), slopes = Storage(count: lane.count)
      // The gradient of each entry's sum of log f.
      var decay = [Double](repeating: 0, count: lane.count)
      withPointers(lane) { keys, values, decays in
        for (t, first) in firsts.enumerated() {
          let at = place(task, t, size), last = past + t
          let query = given.q.pointer + at, dout = gradient.pointer + at
          weigh(query, keys, decays, first: first, last: last, into: weights.pointer)
          var mean = 0.0
          for j in first...last {
            let slope = AttentionRow.dot(dout, values + j * size, size)
            slopes.pointer[j - first] = slope
            mean += Double(weights.pointer[j - first]) * Double(slope)
          }
          for j in first...last {
            let weight = weights.pointer[j - first]
            let score = Float(Double(weight) * (Double(slopes.pointer[j - first]) - mean))
            decay[j] -= Double(score)
            decay[last] += Double(score)
            AttentionRow.add(scale * score, keys + j * size, to: dq.pointer + at, size)
            guard j >= past else { continue }
            let own = place(task, j - past, size)
            AttentionRow.add(scale * score, query, to: dk.pointer + own, size)
            AttentionRow.add(weight, dout, to: dv.pointer + own, size)
          }
        }
      }
      // log f_l is in the sums of all entries from l on, up to the next reset; that of a first entry fades nothing.
      var after = 0.0
      for t in firsts.indices.reversed() {
        after += decay[past + t]
        let at = place(task, t, 1)
        if isNew(task, t) || past + t == 0 {
          after = 0
        } else {
          dgate.pointer[at] = Float(after / (1 + Elementary.exp(Double(given.gate.pointer[at]))))
        }
      }
      withExtendedLifetime((weights, slopes)) {}
    }
    withExtendedLifetime((given, gradient)) {}
    return [dq, dk, dv, dgate]
  }

  private func withPointers(
    _ lane: AttentionLane,
    _ body: (UnsafePointer<Float>, UnsafePointer<Float>, UnsafePointer<Double>) -> Void
  ) {
    lane.keys.withUnsafeBufferPointer { keys in
      lane.values.withUnsafeBufferPointer { values in
        lane.decays.withUnsafeBufferPointer { decays in
          guard let keys = keys.baseAddress, let values = values.baseAddress, let decays = decays.baseAddress
          else { return }
          body(keys, values, decays)
        }
      }
    }
  }
}
