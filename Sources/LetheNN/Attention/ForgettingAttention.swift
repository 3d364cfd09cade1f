import LetheCore

/// Causal softmax attention with a forget gate: what was seen counts less the more has been forgotten since.
///
///     f_t = σ(w · x_t + b)      s_ij = q_i · k_j / √d + Σ_{l = j+1..i} log f_l      o_i = Σ_{j ≤ i} softmax_j(s_ij) v_j
///     y_i = W_o [o_i of head 1, o_i of head 2, …]
///
/// q = W_q x, k = W_k x, v = W_v x, each head with its own d numbers and its own forget gate. With f = 1 it is ordinary causal
/// attention, without any encoding of positions.
///
/// *Shapes*: x [batch, time, features] → [batch, time, hidden], or [batch, hidden] with `outputs: .last`. Parameters:
/// `weight_q`, `weight_k`, `weight_v` [heads · d, features], `weight_forget` [heads, features], `bias_forget` [heads],
/// `weight_out` [hidden, heads · d].
/// *State*: an `AttentionCache`, which `run` takes and gives; it grows by an entry a step, see `pruning`. Nothing is kept
/// between calls. A reset means that nothing before it is seen; outputs past the lengths are zero. Whole sequences, chunks
/// and steps have the same bits.
/// *Gradient*: into inputs and weights, from outputs; the cache is a constant. The weights of the softmax are made again, not
/// kept.
/// *Cost*: 2 · batch · time · features · (rows of all weights) for the projections, 4 · batch · heads · d for each pair of a
/// step and one that it sees; backward 10. Memory grows with time, not with its square.
/// *Source*: Lin, Nikishin, He & Courville 2025, arXiv 2503.02130, without the output gate, norms and shifts of its "Pro" block;
/// pruning after Lin, Obando-Ceron, He & Courville 2025, arXiv 2504.06949.
public struct ForgettingAttention: Layer {
  public static let kind = "forgetting_attention"
  public static let recordingLimit: String? =
    "it keeps every step and weighs them anew; there is no cell to read"
  /// The width of the output.
  public var hiddenSize: Int
  /// How many heads lie side by side.
  public var heads: Int
  /// d: the length of a head's queries, keys and values.
  public var headSize: Int
  /// Every step's output or the last.
  public var outputs: RecurrentOutputs
  /// ε: entries that decay alone keeps below this weight are dropped for good; `nil`: none are.
  ///
  /// At step i, entry j is dropped once Σ_{l = j+1..i} log f_l < ln ε − 2 Q K / √d, where Q and K are the lengths of the
  /// longest query and key so far since the last reset. Its weight is then below ε, now and for every later query not longer
  /// than Q. n dropped entries move a head's o by at most 2 n ε max |v|. Gates below 1 so bound the cache: to about
  /// (2 Q K / √d − ln ε) / −log f entries.
  public var pruning: Float?
  /// Where `bias_forget` starts; σ⁻¹ of how much is kept a step.
  public var forgetBias: Float
  /// Whether it walks from the last step to the first, so that a step sees those after it; outputs stay in time order.
  public var isReversed: Bool

  var weightQ = Parameter()
  var weightK = Parameter()
  var weightV = Parameter()
  var weightForget = Parameter()
  var biasForget = Parameter()
  var weightOut = Parameter()
  // The width of the input, once built.
  private(set) var features = 0

  /// A layer that learns its input width when it is built, inside `Sequential`.
  public init(
    _ hiddenSize: Int, heads: Int = 1, headSize: Int, outputs: RecurrentOutputs = .last,
    pruning: Float? = nil, forgetBias: Float = 0, reversed: Bool = false
  ) {
    self.hiddenSize = hiddenSize
    self.heads = heads
    self.headSize = headSize
    self.outputs = outputs
    self.pruning = pruning
    self.forgetBias = forgetBias
    isReversed = reversed
  }

  /// A layer ready for use.
  ///
  /// - Precondition: sizes and options are sensible.
  public init(
    inputSize: Int, hiddenSize: Int, heads: Int = 1, headSize: Int, outputs: RecurrentOutputs = .all,
    pruning: Float? = nil, forgetBias: Float = 0, reversed: Bool = false, key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(
      hiddenSize, heads: heads, headSize: headSize, outputs: outputs, pruning: pruning,
      forgetBias: forgetBias, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case heads, outputs, pruning
    case hiddenSize = "hidden_size"
    case headSize = "head_size"
    case forgetBias = "forget_bias"
    case isReversed = "reversed"
  }

  /// Files from before there was a direction have none.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode(Int.self, forKey: .hiddenSize), heads: try values.decode(Int.self, forKey: .heads),
      headSize: try values.decode(Int.self, forKey: .headSize),
      outputs: try values.decode(RecurrentOutputs.self, forKey: .outputs),
      pruning: try values.decodeIfPresent(Float.self, forKey: .pruning),
      forgetBias: try values.decode(Float.self, forKey: .forgetBias),
      reversed: try values.decodeIfPresent(Bool.self, forKey: .isReversed) ?? false)
  }

  /// The direction is written only where it is backward.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(hiddenSize, forKey: .hiddenSize)
    try values.encode(heads, forKey: .heads)
    try values.encode(headSize, forKey: .headSize)
    try values.encode(outputs, forKey: .outputs)
    try values.encodeIfPresent(pruning, forKey: .pruning)
    try values.encode(forgetBias, forKey: .forgetBias)
    if encoder.writesEveryField || isReversed { try values.encode(isReversed, forKey: .isReversed) }
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count == 2, let features = input.last, features > 0 else {
      throw LetheError(
        Self.kind, "cannot take this input", expected: "[time, features]", found: "\(input)",
        advice: "use Rows() to read an image row by row")
    }
    guard [hiddenSize, heads, headSize].allSatisfy({ $0 > 0 && $0 < 1 << 16 }), features < 1 << 24,
      heads * headSize < 1 << 20
    else {
      throw LetheError(
        Self.kind, "sizes are out of range",
        expected: "hidden size, heads and head size above 0 and sensible",
        found: "hidden \(hiddenSize), heads \(heads), head size \(headSize)")
    }
    if let pruning, !(pruning > 0 && pruning < 1) {
      throw LetheError(
        Self.kind, "pruning is out of range", expected: "a weight between 0 and 1, or none",
        found: "\(pruning)")
    }
    guard forgetBias.isFinite else {
      throw LetheError(Self.kind, "the forget bias is not finite", found: "\(forgetBias)")
    }
    self.features = features
    let width = heads * headSize
    weightQ = Parameter(shape: [width, features], .glorotUniform)
    weightK = Parameter(shape: [width, features], .glorotUniform)
    weightV = Parameter(shape: [width, features], .glorotUniform)
    weightForget = Parameter(shape: [heads, features], .glorotUniform)
    biasForget = Parameter(shape: [heads], .constant(forgetBias))
    weightOut = Parameter(shape: [hiddenSize, width], .glorotUniform)
    return outputs == .all ? [input[0], hiddenSize] : [hiddenSize]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight_q", &weightQ)
    visitor.visit("weight_k", &weightK)
    visitor.visit("weight_v", &weightV)
    visitor.visit("weight_forget", &weightForget)
    visitor.visit("bias_forget", &biasForget)
    visitor.visit("weight_out", &weightOut)
  }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The outputs as `outputs` asks for, and the cache to go on from; `nil` for one: nothing was seen.
  ///
  /// - Precondition: x is [batch, time, features] and the cache is of this batch and this layer's sizes.
  public func run(_ x: Variable, cache: AttentionCache? = nil) -> (
    output: Variable, cache: AttentionCache
  ) {
    require(features > 0, "\(Self.kind): not built; give inputSize, or put it into Sequential")
    require(
      x.shape.count == 3 && x.shape[2] == features,
      "\(Self.kind): expected an input of shape [batch, time, \(features)], got \(x.shape)")
    let batch = x.shape[0]
    let past = cache ?? AttentionCache(batch: batch, heads: heads, headSize: headSize)
    require(
      past.batch == batch && past.heads == heads && past.headSize == headSize,
      "\(Self.kind): expected a cache of \(batch) rows, \(heads) heads and head size \(headSize), got one of "
        + "\(past.batch), \(past.heads) and \(past.headSize)")
    let (output, next) = x.walked(backward: isReversed, outputs: outputs) { forward($0, from: past) }
    return (output, next)
  }

  private func forward(_ x: Variable, from past: AttentionCache) -> (
    output: Variable, state: AttentionCache
  ) {
    let pass = ForgettingAttentionPass(
      heads: heads, size: headSize, batch: x.shape[0], time: x.shape[1], timing: x.timing,
      logPruning: pruning.map { Elementary.log(Double($0)) })
    let (read, next) = pass.run(
      q: linear(x, x.with(weightQ), nil), k: linear(x, x.with(weightK), nil),
      v: linear(x, x.with(weightV), nil), gate: linear(x, x.with(weightForget), x.with(biasForget)),
      from: past)
    var y = read.timed(x.timing)
    if outputs == .last { y = y.lastStep() }
    // Zeros past the lengths stay so, for there is no bias.
    return (linear(y, x.with(weightOut), nil), next)
  }

  /// The cache to begin with.
  fileprivate var nothingSeen: AttentionCache { AttentionCache(batch: 1, heads: heads, headSize: headSize) }

  /// This layer as a stream that has seen nothing.
  ///
  /// - Precondition: it is built, and runs forward.
  public func stream() -> AttentionStream { AttentionStream(self) }
}

/// Forgetting attention run one step at a time.
///
///     var stream = attention.stream()
///     while let x = source.next() { use(stream.step(x)) }
///
/// The outputs have the same bits as those of the whole sequence at once: a step is a sequence of length 1. A copy is a
/// fork: both go on from the same cache, each with its own.
/// *Shapes*: one sequence; x [features] → [hidden].
/// *Cost*: that of a step of the layer; it grows with the cache, which only `pruning` bounds.
public struct AttentionStream: SequenceStream {
  private let layer: ForgettingAttention
  /// The last output, kept while it is looked at.
  private var output = Tensor(zeros: [0])
  /// What was seen so far, or what to go on from.
  ///
  /// - Precondition: it has a batch of 1 and the layer's sizes.
  public var cache: AttentionCache

  /// The width of an input.
  public var inputSize: Int { layer.features }
  /// The width of an output.
  public var outputSize: Int { layer.hiddenSize }
  /// How many steps the cache holds: those of the head that holds most.
  public var cacheSize: Int { cache.largestCount }

  init(_ layer: ForgettingAttention) {
    require(layer.features > 0, "stream: the layer is not built; give inputSize, or build it in Sequential")
    require(!layer.isReversed, "stream: a layer that runs backward needs the whole sequence")
    self.layer = layer
    cache = layer.nothingSeen
  }

  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    let result = layer.run(Variable(Tensor(Array(x), shape: [1, 1, inputSize])), cache: cache)
    cache = result.cache
    output = result.output.tensor
    return UnsafeBufferPointer(start: output.pointer, count: output.count)
  }

  /// The cache as a state; one without a cache has seen nothing.
  public var state: RecurrentState {
    get { RecurrentState(hidden: [], attention: cache) }
    set {
      newValue.requireCacheAlone("stream")
      cache = newValue.attention ?? layer.nothingSeen
    }
  }

  /// Forgets all that was seen.
  public mutating func reset() { cache = layer.nothingSeen }
}
