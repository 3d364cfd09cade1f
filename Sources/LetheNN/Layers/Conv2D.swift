import CLetheKernels
import LetheCore

/// A convolution over images (a correlation, as everywhere in this field), and a function of each sum.
///
///     y[i, j, o] = a(b[o] + Σ_{p, q, c} W[o, c, p, q] x[s · i + p − top, s · j + q − left, c])
///
/// x is zero outside the image. `.same` pads so that the output is as large as the input divided by the
/// stride s, rounded up, an odd row or column at the bottom and right, as Keras; PyTorch's `padding: k / 2`
/// is the same for stride 1 and odd sizes k. `.valid` pads nothing.
/// *Shapes*: x [batch, height, width, channels] → [batch, height′, width′, filters]; `weight`
/// [filters, channels, kernel height, kernel width] as in PyTorch, `bias` [filters].
/// *Cost*: 2 · batch · height′ · width′ · filters · channels · kernel height · kernel width forward, as much
/// again for the weight gradient and, times s², for the input's.
///
/// Outputs and input gradients have the same bits whatever other images are in the batch, and everything has
/// for any number of threads.
public struct Conv2D: Layer {
  /// What stands around the image.
  public enum Padding: String, Codable, Sendable {
    /// As many zeros as keep the size, at stride 1.
    case same
    /// Nothing.
    case valid
  }

  public static let kind = "conv_2d"
  /// The number of output channels.
  public var filters: Int
  /// The height and width of the kernel.
  public var size: [Int]
  /// s: how far the kernel moves from one output to the next.
  public var stride: Int
  /// What stands around the image.
  public var padding: Padding
  /// a.
  public var activation: Activation
  /// Whether there is a bias.
  public var usesBias: Bool
  /// W; starts Glorot-uniform.
  public var weight = Parameter()
  /// b; starts at 0.
  public var bias = Parameter()

  /// A layer with square kernels of the given size.
  public init(
    _ filters: Int, _ size: Int, stride: Int = 1, padding: Padding = .same, activation: Activation = .linear,
    usesBias: Bool = true
  ) {
    self.init(
      filters, size: [size, size], stride: stride, padding: padding, activation: activation,
      usesBias: usesBias)
  }

  /// A layer with kernels of the given height and width.
  public init(
    _ filters: Int, size: [Int], stride: Int = 1, padding: Padding = .same, activation: Activation = .linear,
    usesBias: Bool = true
  ) {
    self.filters = filters
    self.size = size
    self.stride = stride
    self.padding = padding
    self.activation = activation
    self.usesBias = usesBias
  }

  enum CodingKeys: String, CodingKey {
    case filters, size, stride, padding, activation
    case usesBias = "uses_bias"
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let limit = 1 << 20
    guard (1...limit).contains(filters), (1...limit).contains(stride), size.count == 2,
      size.allSatisfy({ (1...limit).contains($0) })
    else {
      throw LetheError(
        Self.kind, "sizes are out of range",
        expected: "filters, stride and the two sizes of the kernel in 1...\(limit)",
        found: "filters \(filters), stride \(stride), size \(size)")
    }
    guard input.count == 3, input.allSatisfy({ (1...limit).contains($0) }) else {
      throw LetheError(
        Self.kind, "cannot take this input", expected: "[height, width, channels]", found: "\(input)",
        advice: "a grey image has the shape [height, width, 1]")
    }
    guard padding == .same || (input[0] >= size[0] && input[1] >= size[1]) else {
      throw LetheError(
        Self.kind, "the kernel is larger than the image", expected: "\(size[0]) by \(size[1]) or more",
        found: "\(input[0]) by \(input[1])", advice: "pad with .same")
    }
    weight = Parameter(shape: [filters, input[2]] + size, .glorotUniform)
    bias = usesBias ? Parameter(shape: [filters], .zeros) : Parameter()
    let shape = Convolution(
      images: 0, height: input[0], width: input[1], weight: weight.shape, stride: stride, padding: padding)
    return [shape.outHeight, shape.outWidth, filters]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight", &weight)
    if usesBias { visitor.visit("bias", &bias) }
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    conv2D(
      x, x.with(weight), usesBias ? x.with(bias) : nil, stride: stride, padding: padding,
      activation: activation)
  }
}

/// The convolution of a batch of images, and a function of each sum; see `Conv2D`.
///
/// - Precondition: x is [batch, height, width, channels], weight [filters, channels, height, width], bias
///   [filters].
public func conv2D(
  _ x: Variable, _ weight: Variable, _ bias: Variable?, stride: Int = 1, padding: Conv2D.Padding = .same,
  activation: Activation = .linear
) -> Variable {
  require(
    x.shape.count == 4 && weight.shape.count == 4 && x.shape[3] == weight.shape[1]
      && (bias?.shape ?? [weight.shape[0]]) == [weight.shape[0]] && stride > 0,
    "conv2D: a weight of shape \(weight.shape) [filters, channels, height, width] with a bias of shape "
      + "\(bias?.shape ?? []) and stride \(stride) cannot take an input of shape \(x.shape) "
      + "[batch, height, width, channels]"
  )
  guard let function = activation.pointwise else {
    return activation(conv2D(x, weight, bias, stride: stride, padding: padding))
  }
  let shape = Convolution(
    images: x.shape[0], height: x.shape[1], width: x.shape[2], weight: weight.shape, stride: stride,
    padding: padding)
  require(
    shape.outHeight > 0 && shape.outWidth > 0,
    "conv2D: a kernel of \(weight.shape.suffix(2)) is larger than the image of shape \(x.shape)")
  let padded = shape.padded(x.tensor)
  let w = weight.tensor
  let y = shape.forward(padded, weight: w, bias: bias?.tensor, function)
  let wantsInput = x.isRecorded
  return .operation("conv2D", [x, weight] + (bias.map { [$0] } ?? []), y) { gradient in
    let result = shape.backward(gradient, y: y, padded: padded, weight: w, function, wantsInput: wantsInput)
    return [result.input, result.weight] + (bias == nil ? [] : [result.bias])
  }
}

/// A function of single numbers as the kernels know it.
struct Pointwise {
  let function: lethe_unary
  var slope: Float = 0
  var offset: Float = 0
}

extension Activation {
  /// `nil` where it is a function of whole rows.
  var pointwise: Pointwise? {
    switch self {
    case .linear: Pointwise(function: LETHE_IDENTITY)
    case .relu: Pointwise(function: LETHE_RELU)
    case .tanh: Pointwise(function: LETHE_TANH)
    case .sigmoid: Pointwise(function: LETHE_SIGMOID)
    case .hardSigmoid: Pointwise(function: LETHE_HARD_SIGMOID, slope: 1 / 6, offset: 0.5)
    case .softmax: nil
    }
  }
}
