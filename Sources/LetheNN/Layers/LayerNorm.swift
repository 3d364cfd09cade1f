import CLetheKernels
import LetheCore

/// Normalisation of each row to mean 0 and variance 1, then a learned scale and shift.
///
///     y = (x − μ) / √(σ² + ε) ⊙ weight + bias,  μ and σ² over the last dimension
///
/// *Shapes*: x [..., features] → the same; `weight` and `bias` [features], starting at 1 and 0.
/// *Cost*: two passes over x forward, two over x and dy backward.
/// *Source*: Ba, Kiros & Hinton 2016, eq. 3-4, with ε inside the root, as in PyTorch and Keras.
public struct LayerNorm: Layer {
  public static let kind = "layer_norm"
  public static let isPerStep = true
  /// ε; PyTorch's default is 1e-5, Keras' 1e-3.
  public var epsilon: Float
  /// The scale.
  public var weight = Parameter()
  /// The shift.
  public var bias = Parameter()

  /// A layer that learns its width when it is built, inside `Sequential`.
  public init(epsilon: Float = 1e-5) { self.epsilon = epsilon }

  /// A layer ready for use.
  public init(inputSize: Int, epsilon: Float = 1e-5) {
    self.init(epsilon: epsilon)
    builtOrStop(input: [inputSize], key: RandomKey(seed: 0))
  }

  enum CodingKeys: String, CodingKey { case epsilon }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard epsilon > 0, epsilon.isFinite else {
      throw LetheError(Self.kind, "epsilon is out of range", expected: "above 0", found: "\(epsilon)")
    }
    guard let width = input.last, width > 0 else {
      throw LetheError(Self.kind, "cannot take this input", expected: "[..., features]", found: "\(input)")
    }
    weight = Parameter(shape: [width], .constant(1))
    bias = Parameter(shape: [width], .zeros)
    return input
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    layerNorm(x, x.with(weight), x.with(bias), epsilon: epsilon)
  }
}

/// Each row normalised, scaled and shifted; see `LayerNorm`.
///
/// - Precondition: weight and bias are as long as x's last dimension.
public func layerNorm(_ x: Variable, _ weight: Variable, _ bias: Variable, epsilon: Float = 1e-5) -> Variable
{
  let width = x.shape.last ?? 0
  require(
    width > 0 && weight.shape == [width] && bias.shape == [width],
    "layerNorm: expected a weight and a bias of shape [\(width)] for the input \(x.shape), got "
      + "\(weight.shape) and \(bias.shape)")
  let (input, scale, shift) = (x.tensor, weight.tensor, bias.tensor)
  let rows = input.count / width
  let result = Tensor.uninitialized(x.shape)
  let mean = Storage(count: rows), inverse = Storage(count: rows)
  Parallel.split(rows, grain: max(1, 1 << 14 / width)) { range in
    let (row, at) = (range.lowerBound, range.lowerBound * width)
    kernels.layer_norm(
      result.pointer + at, mean.pointer + row, inverse.pointer + row, input.pointer + at, scale.pointer,
      shift.pointer, epsilon, Int64(range.count), Int64(width))
  }
  return .operation("layerNorm", [x, weight, bias], result, timing: x.timing) { gradient in
    let dx = Tensor.uninitialized(input.shape)
    // Fixed groups of rows, whose sums are joined in order: the same bits for any number of threads.
    let groups = max(1, min(16, rows / 64))
    let sums = Tensor(zeros: [groups, 2, width])
    Parallel.run(groups) { group in
      let row = rows * group / groups, end = rows * (group + 1) / groups, at = row * width
      let dw = sums.pointer + group * 2 * width
      kernels.layer_norm_backward(
        dx.pointer + at, dw, dw + width, input.pointer + at, mean.pointer + row, inverse.pointer + row,
        scale.pointer, gradient.pointer + at, Int64(end - row), Int64(width))
    }
    let totals = sums.columnSums(2 * width)
    return [dx, Tensor(Array(totals[..<width])), Tensor(Array(totals[width...]))]
  }
}
