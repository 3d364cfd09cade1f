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
  linear(x, [(weight, bias)])[0]
}

/// Several such maps of one input. What they send back to it is one sum, not a tensor for each.
func linear(_ x: Variable, _ maps: [(weight: Variable, bias: Variable?)]) -> [Variable] {
  let input = x.tensor, width = x.shape.last ?? 0, rows = x.shape.dropLast().reduce(1, *)
  let results = maps.map { weight, bias in
    require(
      weight.shape.count == 2 && x.shape.last == weight.shape[1],
      "linear: a weight of shape \(weight.shape) cannot take an input of shape \(x.shape)")
    let result = Tensor.uninitialized(x.shape.dropLast() + [weight.shape[0]])
    multiply(
      MatrixView(input.pointer, row: width), MatrixView(weight.tensor.pointer, row: 1, column: width),
      rows: rows, depth: width, columns: weight.shape[0],
      bias: bias.map { UnsafePointer($0.tensor.pointer) }, into: result.pointer)
    return result
  }
  let given = [x] + maps.flatMap { [$0.weight] + ($0.bias.map { [$0] } ?? []) }
  guard let tape = given.lazy.compactMap(\.tape).first else {
    return results.map { Variable($0, timing: x.timing) }
  }
  let wantsInput = x.isRecorded, weights = maps.map { ($0.weight.tensor, hasBias: $0.bias != nil) }
  return tape.record("linear", inputs: given, outputs: results) { gradients in
    var dx: Tensor?
    var others: [Tensor?] = []
    for ((w, hasBias), gradient) in zip(weights, gradients) {
      guard let gradient else {
        others += hasBias ? [nil, nil] : [nil]
        continue
      }
      let outputs = w.shape[0], dy = MatrixView(gradient.pointer, row: outputs)
      if wantsInput {
        let to = dx ?? Tensor.uninitialized(input.shape)
        multiply(
          dy, MatrixView(w.pointer, row: width), rows: rows, depth: outputs, columns: width,
          adding: dx != nil,
          into: to.pointer)
        dx = to
      }
      let dw = Tensor.uninitialized(w.shape)
      multiply(
        dy.transposed, MatrixView(input.pointer, row: width), rows: outputs, depth: rows, columns: width,
        into: dw.pointer)
      others += [dw] + (hasBias ? [Tensor(gradient.columnSums(outputs))] : [])
    }
    return [dx] + others
  }.map { $0.timed(x.timing) }
}
