import CLetheKernels
import LetheCore

/// A fully connected layer, for every step where the input is a sequence.
///
///     y = a(W x + b)
///
/// *Shapes*: x [..., inputs] → y [..., units]; `weight` [units, inputs], `bias` [units].
/// *Cost*: 2 · rows · inputs · units.
public struct Dense: Layer {
  public static let kind = "dense"
  /// The width of the output.
  public var units: Int
  /// What is applied to the sums.
  public var activation: Activation
  /// Whether there is a bias.
  public var usesBias: Bool
  /// W.
  public var weight = Parameter()
  /// b.
  public var bias = Parameter()

  /// A layer that learns its input width when it is built, inside `Sequential`.
  public init(_ units: Int, activation: Activation = .linear, usesBias: Bool = true) {
    self.units = units
    self.activation = activation
    self.usesBias = usesBias
  }

  /// A layer ready for use; `weight` starts Glorot-uniform, `bias` at zero.
  public init(
    inputSize: Int, units: Int, activation: Activation = .linear, usesBias: Bool = true,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(units, activation: activation, usesBias: usesBias)
    builtOrStop(input: [inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case units, activation
    case usesBias = "uses_bias"
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard let width = input.last, width > 0, units > 0 else {
      throw LetheError(
        "dense", "cannot be built", expected: "units and input features above 0",
        found: "\(units) units, input \(input)")
    }
    weight = Parameter(shape: [units, width], .glorotUniform)
    bias = usesBias ? Parameter(shape: [units], .zeros) : Parameter()
    return input.dropLast() + [units]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight", &weight)
    if usesBias { visitor.visit("bias", &bias) }
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    activation(linear(x, x.with(weight), usesBias ? x.with(bias) : nil))
  }
}

/// y = W x + b for each row. *Shapes*: x [..., inputs], weight [outputs, inputs], bias [outputs] → [...,
/// outputs].
///
/// - Precondition: the shapes fit.
public func linear(_ x: Variable, _ weight: Variable, _ bias: Variable?) -> Variable {
  require(
    weight.shape.count == 2 && x.shape.last == weight.shape[1],
    "linear: a weight of shape \(weight.shape) cannot take an input of shape \(x.shape)")
  let (outputs, inputs) = (weight.shape[0], weight.shape[1])
  let (input, w) = (x.tensor, weight.tensor)
  let rows = inputs == 0 ? 0 : input.count / inputs
  let result = Tensor.uninitialized(x.shape.dropLast() + [outputs])
  multiply(
    MatrixView(input.pointer, row: inputs), MatrixView(w.pointer, row: 1, column: inputs), rows: rows,
    depth: inputs, columns: outputs, bias: bias.map { UnsafePointer($0.tensor.pointer) }, into: result.pointer
  )
  let wantsInput = x.isRecorded
  return .operation("linear", [x, weight] + (bias.map { [$0] } ?? []), result, timing: x.timing) { gradient in
    let dy = MatrixView(gradient.pointer, row: outputs)
    var dx: Tensor?
    if wantsInput {
      let to = Tensor.uninitialized(input.shape)
      multiply(
        dy, MatrixView(w.pointer, row: inputs), rows: rows, depth: outputs, columns: inputs, into: to.pointer)
      dx = to
    }
    let dw = Tensor.uninitialized(w.shape)
    multiply(
      dy.transposed, MatrixView(input.pointer, row: inputs), rows: outputs, depth: rows, columns: inputs,
      into: dw.pointer)
    return [dx, dw] + (bias == nil ? [] : [Tensor(gradient.columnSums(outputs))])
  }
}
