import CLetheKernels
import LetheCore

/// How a decoder looks at what an encoder has read.
public protocol DecoderAttention: Module {
  /// What the query finds in the memory, and how much it looks at each step.
  ///
  /// *Shapes*: query [batch, q], memory [batch, time, m] with its lengths → context [batch, m], weights [batch, time].
  /// - Precondition: the shapes fit.
  func callAsFunction(query: Variable, memory: Variable) -> (context: Variable, weights: Variable)
}

/// Additive attention of a decoder to what an encoder has read.
///
///     e_j = vᵀ tanh(W s + U h_j)      a = softmax(e)      c = Σ_j a_j h_j
///
/// *Shapes*: query s [batch, q], memory h [batch, time, m] → context c [batch, m], weights a [batch, time]. Parameters:
/// `weight_query` (W) [units, q], `weight_memory` (U) [units, m], `weight_score` (v) [1, units]; no biases.
/// Lengths come with the memory: steps past them weigh exactly 0, and an empty row's context is zero.
/// *State*: none.
/// *Gradient*: into query, memory and parameters, from context and weights.
/// *Cost*: 2 · batch · units · (q + time · m) and time · batch · (2 · units + 2 · m); U h is made anew for each query.
/// *Source*: Bahdanau, Cho & Bengio 2014, arXiv 1409.0473, appendix A.1.2.
public struct BahdanauAttention: DecoderAttention {
  var weightQuery: Parameter
  var weightMemory: Parameter
  var weightScore: Parameter

  /// An attention ready for use.
  ///
  /// - Throws: `LetheError` for sizes that are not above 0.
  public init(querySize: Int, memorySize: Int, units: Int, key: RandomKey = RandomKey(seed: 0))
    throws(LetheError)
  {
    guard querySize > 0, memorySize > 0, units > 0 else {
      throw LetheError(
        "BahdanauAttention", "sizes are out of range", expected: "query, memory and units above 0",
        found: "query \(querySize), memory \(memorySize), units \(units)")
    }
    weightQuery = Parameter(shape: [units, querySize], .glorotUniform)
    weightMemory = Parameter(shape: [units, memorySize], .glorotUniform)
    weightScore = Parameter(shape: [1, units], .glorotUniform)
    initialize(key: key)
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_query", &weightQuery)
    visitor.visit("weight_memory", &weightMemory)
    visitor.visit("weight_score", &weightScore)
  }

  public func callAsFunction(query: Variable, memory: Variable) -> (context: Variable, weights: Variable) {
    checkShapes(
      "BahdanauAttention", query, memory, querySize: weightQuery.shape[1], memorySize: weightMemory.shape[1])
    let place = query.tape == nil ? memory : query
    let wanted = linear(query, place.with(weightQuery), nil).repeatedInTime(memory.shape[1])
    let sums = linear(memory, place.with(weightMemory), nil) + wanted
    let scores = linear(sums.tanh(), place.with(weightScore), nil)
    return attending(scores.reshaped(Array(memory.shape.prefix(2))), memory)
  }
}

/// Multiplicative attention of a decoder to what an encoder has read (Luong's global attention).
///
///     dot e_j = sᵀ h_j      general e_j = sᵀ W h_j      concat e_j = vᵀ tanh(W [s, h_j])
///     a = softmax(e)        c = Σ_j a_j h_j
///
/// *Shapes*: query s [batch, q], memory h [batch, time, m] → context c [batch, m], weights a [batch, time]. Parameters:
/// none for dot; `weight` (W) [q, m] for general; `weight` [units, q + m] and `weight_score` (v) [1, units] for concat.
/// Lengths come with the memory: steps past them weigh exactly 0, and an empty row's context is zero.
/// *State*: none.
/// *Gradient*: into query, memory and parameters, from context and weights.
/// *Cost*: for each step of the memory 4 · m for dot, 2 · q · m more for general, 2 · units · (q + m) more for concat.
/// *Source*: Luong, Pham & Manning 2015, arXiv 1508.04025, sec. 3.1; local attention and the layer behind c are not here.
public struct LuongAttention: DecoderAttention {
  /// How query and memory are compared.
  public enum Score: String, Sendable, Codable {
    /// By their product; both have one width.
    case dot
    /// By their product through a matrix.
    case general
    /// By a layer of `units` over both.
    case concat
  }

  /// How query and memory are compared.
  public let score: Score
  private let querySize: Int
  private let memorySize: Int
  var weight = Parameter()
  var weightScore = Parameter()

  /// An attention ready for use.
  ///
  /// - Throws: `LetheError` for sizes that are not above 0, a dot of different sizes, or units where there are none.
  public init(
    _ score: Score, querySize: Int, memorySize: Int, units: Int? = nil, key: RandomKey = RandomKey(seed: 0)
  ) throws(LetheError) {
    guard querySize > 0, memorySize > 0, units ?? 1 > 0 else {
      throw LetheError(
        "LuongAttention", "sizes are out of range", expected: "query, memory and units above 0",
        found: "query \(querySize), memory \(memorySize), units \(units ?? 1)")
    }
    guard (score == .concat) == (units != nil) else {
      throw LetheError(
        "LuongAttention", "units and score contradict each other", expected: "units for concat only",
        found: "\(score) with \(units.map { "\($0)" } ?? "no") units")
    }
    guard score != .dot || querySize == memorySize else {
      throw LetheError(
        "LuongAttention", "a dot product needs equal sizes",
        found: "query \(querySize), memory \(memorySize)",
        advice: "use .general")
    }
    (self.score, self.querySize, self.memorySize) = (score, querySize, memorySize)
    if score == .general { weight = Parameter(shape: [querySize, memorySize], .glorotUniform) }
    if let units {
      weight = Parameter(shape: [units, querySize + memorySize], .glorotUniform)
      weightScore = Parameter(shape: [1, units], .glorotUniform)
    }
    initialize(key: key)
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    if score != .dot { visitor.visit("weight", &weight) }
    if score == .concat { visitor.visit("weight_score", &weightScore) }
  }

  public func callAsFunction(query: Variable, memory: Variable) -> (context: Variable, weights: Variable) {
    checkShapes("LuongAttention", query, memory, querySize: querySize, memorySize: memorySize)
    let place = query.tape == nil ? memory : query
    switch score {
    case .dot: return attending(dotScores(query, memory), memory)
    case .general: return attending(dotScores(query, linear(memory, place.with(weight), nil)), memory)
    case .concat:
      let both = Variable.concatenated([query.repeatedInTime(memory.shape[1]), memory])
      let scores = linear(linear(both, place.with(weight), nil).tanh(), place.with(weightScore), nil)
      return attending(scores.reshaped(Array(memory.shape.prefix(2))), memory)
    }
  }
}

private func checkShapes(
  _ name: String, _ query: Variable, _ memory: Variable, querySize: Int, memorySize: Int
) {
  require(
    query.shape.count == 2 && memory.shape.count == 3 && query.shape[0] == memory.shape[0]
      && query.shape[1] == querySize && memory.shape[2] == memorySize,
    "\(name): expected a query [batch, \(querySize)] and a memory [batch, time, \(memorySize)], got "
      + "\(query.shape) and \(memory.shape)")
  memory.timing?.check(batch: memory.shape[0], time: memory.shape[1])
}

extension Variable {
  /// The same row at every step: [batch, width] → [batch, time, width].
  func repeatedInTime(_ time: Int) -> Variable {
    time == 0
      ? Variable(Tensor(zeros: [shape[0], 0, shape[1]]))
      : .stacked(Array(repeating: self, count: time), batch: shape[0], width: shape[1])
  }
}

/// The product of the query with each step of the memory, times `scale`.
///
/// *Shapes*: query [batch, width], memory [batch, time, width] → [batch, time].
func dotScores(_ query: Variable, _ memory: Variable, scale: Float = 1) -> Variable {
  let (batch, time, width) = (memory.shape[0], memory.shape[1], memory.shape[2])
  let sum = Variable(Tensor(repeating: scale, shape: [1, width]))
  return linear(query.repeatedInTime(time) * memory, sum, nil).reshaped([batch, time])
}

/// The softmax of the scores over each row's length, and the mean of the memory by it.
///
/// *Shapes*: scores [batch, time], memory [batch, time, m] → [batch, m], [batch, time].
func attending(_ scores: Variable, _ memory: Variable) -> (context: Variable, weights: Variable) {
  let (batch, time, width) = (memory.shape[0], memory.shape[1], memory.shape[2])
  let lengths = memory.timing?.lengths ?? Array(repeating: time, count: batch)
  let (e, h) = (scores.tensor, memory.tensor)
  let weights = Tensor(zeros: [batch, time]), context = Tensor(zeros: [batch, width])
  let grain = max(1, 1 << 14 / max(1, time * width))
  Parallel.split(batch, grain: grain) { rows in
    for row in rows where lengths[row] > 0 {
      let a = weights.pointer + row * time
      kernels.softmax(a, e.pointer + row * time, 1, Int64(lengths[row]))
      for j in 0..<lengths[row] {
        AttentionRow.add(
          a[j], h.pointer + (row * time + j) * width, to: context.pointer + row * width, width)
      }
    }
  }
  guard let tape = scores.tape ?? memory.tape else { return (Variable(context), Variable(weights)) }
  let results = tape.record("attending", inputs: [scores, memory], outputs: [context, weights]) { gradients in
    let de = Tensor(zeros: [batch, time]), dh = Tensor(zeros: [batch, time, width])
    Parallel.split(batch, grain: grain) { rows in
      for row in rows {
        let a = weights.pointer + row * time, to = de.pointer + row * time
        var mean: Float = 0
        for j in 0..<lengths[row] {
          let place = (row * time + j) * width
          to[j] = gradients[1].map { $0.pointer[row * time + j] } ?? 0
          if let context = gradients[0] {
            let from = context.pointer + row * width
            to[j] += AttentionRow.dot(from, h.pointer + place, width)
            AttentionRow.add(a[j], from, to: dh.pointer + place, width)
          }
          mean += a[j] * to[j]
        }
        for j in 0..<lengths[row] { to[j] = a[j] * (to[j] - mean) }
      }
    }
    withExtendedLifetime((weights, h, gradients)) {}
    return [de, dh]
  }
  return (results[0], results[1])
}
