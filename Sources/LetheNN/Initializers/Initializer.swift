import LetheCore

/// How a parameter starts.
///
/// The fans of a weight [outputs, inputs] are `in` = inputs and `out` = outputs; those of a convolution
/// weight [outputs, inputs, height, width] are each multiplied by height · width; those of a vector are its
/// length. Equal keys give equal bits on every machine.
public indirect enum Initializer: Sendable, Equatable {
  /// 0 everywhere.
  case zeros
  /// One number everywhere.
  case constant(Float)
  /// Uniform in [−bound, bound); variance bound² / 3.
  case uniform(bound: Float)
  /// Normal with mean 0; variance deviation².
  case normal(deviation: Float)
  /// Uniform in ±√(6 / (in + out)); variance 2 / (in + out). *Source*: Glorot & Bengio 2010, eq. 16.
  case glorotUniform
  /// Normal; variance 2 / (in + out). *Source*: Glorot & Bengio 2010, eq. 12. Keras cuts the normal off at 2
  /// deviations; this one, like PyTorch's, has its tails.
  case glorotNormal
  /// Uniform in ±√(6 / in); variance 2 / in. *Source*: He, Zhang, Ren & Sun 2015, sec. 2.2.
  case heUniform
  /// Normal; variance 2 / in. *Source*: He, Zhang, Ren & Sun 2015, eq. 10.
  case heNormal
  /// A matrix [rows, the rest] with orthonormal rows, or columns where those are fewer, each such matrix as
  /// likely as another (Haar); variance 1 / max(rows, rest). *Source*: Saxe, McClelland & Ganguli 2014;
  /// Mezzadri 2007.
  case orthogonal
  /// Uniform in ±1 / √fan; variance 1 / (3 fan). PyTorch's default: the fan is a recurrent layer's hidden
  /// size, a linear or convolution layer's `in`.
  case torchUniform(fan: Int)
  /// Uniform in 0..<1.
  case unit
  /// log u for u uniform in 1..<longest − 1: a forget bias b with half-lives spread up to the longest lag expected, since
  /// 1 / (1 − σ(log u)) = 1 + u. *Source*: Tallec & Ollivier 2018, arXiv 1804.11188, eq. 16; its input gate starts at −b, see
  /// `opposite`.
  case chrono(longest: Int)
  /// b with σ(b) = ½^(1 / half-life), half-lives uniform on a logarithmic scale: forget biases that spread memory.
  case halfLives(ClosedRange<Float>)
  /// v with exp(−softplus(v)) = √w, w uniform between the squares of the bounds: RG-LRU's ring.
  case softplusOfDecay(Range<Float>)
  /// 5 − 12 (j / (n − 1))^0.3 for unit j of n: from 5 down to −7. What sLSTM's forget bias starts from in the first block of
  /// a stack (NX-AI/xlstm, cell.py).
  case powerLawForget
  /// The first dimension cut into equal blocks, each with its own initialiser: the gates of a recurrent
  /// matrix.
  case stacked([Initializer])
  /// In `stacked` alone: minus what the block of that number starts with, number by number; that one is no opposite itself.
  case opposite(of: Int)

  /// What embeddings start with: normal with deviation 1, as in PyTorch.
  public static var embedding: Initializer { .normal(deviation: 1) }

  /// How a forget bias starts: from the longest lag expected or half-lives, where there are any, else at a number.
  static func forget(bias: Float, longestLag: Int?, halfLives: ClosedRange<Float>? = nil) -> Initializer {
    longestLag.map { .chrono(longest: $0) } ?? halfLives.map { .halfLives($0) } ?? .constant(bias)
  }

  /// Why it cannot be made in any shape; `nil` if it can.
  var fault: String? {
    switch self {
    case .constant(let value): value.isFinite ? nil : "a constant of \(value)"
    case .uniform(let bound): bound >= 0 && bound.isFinite ? nil : "a bound of \(bound)"
    case .normal(let deviation): deviation >= 0 && deviation.isFinite ? nil : "a deviation of \(deviation)"
    case .chrono(let longest): longest > 2 ? nil : "a longest lag of \(longest)"
    case .halfLives(let range):
      range.lowerBound > 0 && range.upperBound.isFinite ? nil : "half-lives of \(range)"
    case .stacked(let blocks):
      blocks.lazy.compactMap { block in
        guard case .opposite(let other) = block else { return block.fault }
        guard blocks.indices.contains(other) else {
          return "the opposite of block \(other) of \(blocks.count)"
        }
        if case .opposite = blocks[other] { return "the opposite of an opposite" }
        return nil
      }.first
    case .opposite: "an opposite outside a stack"
    default: nil
    }
  }

  /// Throws for a longest lag that chrono initialisation cannot start from.
  static func check(longestLag: Int?, _ place: String) throws(LetheError) {
    guard let longestLag, longestLag < 3 else { return }
    throw LetheError(place, "the longest lag is too short", expected: "above 2", found: "lag \(longestLag)")
  }

  /// A tensor so filled.
  ///
  /// - Precondition: bounds, deviations and fans are not negative; `stacked` divides the first dimension.
  ///
  /// *Cost*: `orthogonal` of [n, m], n ≤ m: 4 n² m flop in Double; 1024 by 1024 takes about a second.
  public func make(shape: [Int], key: RandomKey) -> Tensor {
    let fans = Self.fans(of: shape)
    switch self {
    case .zeros: return Tensor(zeros: shape)
    case .constant(let value): return Tensor(repeating: value, shape: shape)
    case .uniform(let bound): return Self.uniform(shape, bound, key)
    case .normal(let deviation):
      require(deviation >= 0, "Initializer.normal: expected a deviation of 0 or more, got \(deviation)")
      return key.normal(shape: shape, deviation: deviation)
    case .glorotUniform: return Self.uniform(shape, Self.root(6, fans.in + fans.out), key)
    case .glorotNormal: return key.normal(shape: shape, deviation: Self.root(2, fans.in + fans.out))
    case .heUniform: return Self.uniform(shape, Self.root(6, fans.in), key)
    case .heNormal: return key.normal(shape: shape, deviation: Self.root(2, fans.in))
    case .orthogonal: return orthogonalTensor(shape: shape, key: key)
    case .torchUniform(let fan): return Self.uniform(shape, Self.root(1, fan), key)
    case .unit: return key.uniform(shape: shape, in: 0..<1)
    case .chrono(let longest):
      require(longest > 2, "Initializer.chrono: expected a longest lag above 2, got \(longest)")
      return Self.mapped(key.uniform(shape: shape, in: 1..<Float(longest - 1))) { Elementary.log($0) }
    case .halfLives(let range):
      let low = Elementary.log(Double(range.lowerBound)), high = Elementary.log(Double(range.upperBound))
      return Self.mapped(key.uniform(shape: shape, in: 0..<1)) { u in
        let logKeep = Elementary.log(0.5) / Elementary.exp(low + (high - low) * u)
        return logKeep - Elementary.log(-Self.expMinusOne(logKeep))
      }
    case .softplusOfDecay(let range):
      let low = Double(range.lowerBound * range.lowerBound),
        high = Double(range.upperBound * range.upperBound)
      return Self.mapped(key.uniform(shape: shape, in: 0..<1)) { u in
        Elementary.log(Self.expMinusOne(-0.5 * Elementary.log(low + (high - low) * u)))
      }
    case .powerLawForget:
      let count = shape.reduce(1, *), last = Double(Swift.max(count - 1, 1))
      let values = (0..<count).map { j in
        j == 0 ? 5 : Float(5 - 12 * Elementary.exp(0.3 * Elementary.log(Double(j) / last)))
      }
      return Tensor(values, shape: shape)
    case .stacked(let blocks): return Self.stack(blocks, shape, key)
    case .opposite: stop("Initializer.opposite: it is of another block of a stack, and there is none")
    }
  }

  private static func mapped(_ tensor: Tensor, _ body: (Double) -> Double) -> Tensor {
    Tensor(tensor.scalars.map { Float(body(Double($0))) }, shape: tensor.shape)
  }

  // eˣ − 1, also for x near 0.
  private static func expMinusOne(_ x: Double) -> Double {
    abs(x) < 1e-5 ? x + x * x / 2 : Elementary.exp(x) - 1
  }

  private static func uniform(_ shape: [Int], _ bound: Float, _ key: RandomKey) -> Tensor {
    require(
      bound >= 0 && bound.isFinite, "Initializer: expected a finite bound of 0 or more, got \(bound)")
    return key.uniform(shape: shape, in: -bound..<bound)
  }

  private static func root(_ numerator: Double, _ fan: Int) -> Float {
    require(fan >= 0, "Initializer: expected a fan of 0 or more, got \(fan)")
    return fan == 0 ? 0 : Float((numerator / Double(fan)).squareRoot())
  }

  private static func fans(of shape: [Int]) -> (in: Int, out: Int) {
    guard let outputs = shape.first, shape.count > 1 else {
      return (shape.first ?? 1, shape.first ?? 1)
    }
    let field = shape.dropFirst(2).reduce(1, *)
    return (shape[1] * field, outputs * field)
  }

  private static func stack(_ blocks: [Initializer], _ shape: [Int], _ key: RandomKey) -> Tensor {
    guard let rows = shape.first, !blocks.isEmpty, rows.isMultiple(of: blocks.count) else {
      stop("Initializer.stacked: \(blocks.count) blocks do not divide the shape \(shape)")
    }
    let part = [rows / blocks.count] + shape.dropFirst()
    let parts = blocks.enumerated().map { index, block in
      guard case .opposite(let other) = block else { return block.make(shape: part, key: key.child(index)) }
      require(
        blocks.indices.contains(other), "Initializer.opposite: there is no block \(other) of \(blocks.count)")
      if case .opposite = blocks[other] {
        stop("Initializer.opposite: block \(index) is of block \(other), which is an opposite too")
      }
      return blocks[other].make(shape: part, key: key.child(other)) * -1
    }
    return Tensor(parts.flatMap(\.scalars), shape: shape)
  }
}
