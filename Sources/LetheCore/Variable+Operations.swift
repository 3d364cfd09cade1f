import CLetheKernels

// Operations on variables, each with its pullback beside it.

extension Variable {
  /// Elementwise sum; `b` may be one number, or a tensor whose shape ends `a`'s (added to each row).
  public static func + (a: Variable, b: Variable) -> Variable { combine("+", LETHE_ADD, a, b) }
  /// Elementwise difference, shapes as for `+`.
  public static func - (a: Variable, b: Variable) -> Variable { combine("-", LETHE_SUB, a, b) }
  /// Elementwise product, shapes as for `+`.
  public static func * (a: Variable, b: Variable) -> Variable { combine("*", LETHE_MUL, a, b) }
  /// Elementwise quotient, shapes as for `+`.
  public static func / (a: Variable, b: Variable) -> Variable { combine("/", LETHE_DIV, a, b) }
  /// Every scalar times a number.
  public static func * (a: Float, b: Variable) -> Variable { b.scaled(a) }
  /// Every scalar times a number.
  public static func * (a: Variable, b: Float) -> Variable { a.scaled(b) }
  /// A number plus every scalar.
  public static func + (a: Float, b: Variable) -> Variable { b.shifted(a) }
  /// Every scalar plus a number.
  public static func + (a: Variable, b: Float) -> Variable { a.shifted(b) }
  /// A number minus every scalar.
  public static func - (a: Float, b: Variable) -> Variable { b.scaled(-1).shifted(a) }
  /// Every scalar minus a number.
  public static func - (a: Variable, b: Float) -> Variable { a.shifted(-b) }
  /// Every scalar with its sign changed.
  public static prefix func - (a: Variable) -> Variable { a.scaled(-1) }

  private func scaled(_ factor: Float) -> Variable {
    .operation("*", [self], tensor * factor, timing: timing) { [$0 * factor] }
  }

  private func shifted(_ term: Float) -> Variable {
    .operation("+", [self], tensor.combined(LETHE_ADD, term), timing: timing) { [$0] }
  }

  private static func combine(_ name: String, _ operation: lethe_binary, _ a: Variable, _ b: Variable)
    -> Variable
  {
    let x = a.tensor
    let y = b.tensor.broadcast(to: x.shape, in: name)
    let small = b.tensor.shape
    let result = x.combined(operation, y)
    return .operation(name, [a, b], result, timing: a.timing ?? b.timing) { gradient in
      let toA: Tensor
      let toB: Tensor
      switch operation {
      case LETHE_MUL: (toA, toB) = (gradient * y, gradient * x)
      case LETHE_DIV:
        toA = gradient.combined(LETHE_DIV, y)
        toB = (toA * result) * -1
      case LETHE_SUB: (toA, toB) = (gradient, gradient * -1)
      default: (toA, toB) = (gradient, gradient)
      }
      return [toA, toB.summed(to: small)]
    }
  }

  /// f(x) for each scalar.
  package func applying(_ name: String, _ f: lethe_unary, slope: Float = 0, offset: Float = 0) -> Variable {
    let x = tensor
    let y = x.applying(f, slope: slope, offset: offset)
    return .operation(name, [self], y, timing: timing) { gradient in
      let result = Tensor.uninitialized(gradient.shape)
      let (to, from) = (result.pointer, gradient.pointer)
      eachPart(gradient.count) { range in
        let i = range.lowerBound
        kernels.unary_backward(
          f, to + i, f == LETHE_LOG ? x.pointer + i : nil, y.pointer + i, from + i, slope, Int64(range.count))
      }
      return [result]
    }
  }

  /// eˣ. *Error*: 1 ulp.
  public func exp() -> Variable { applying("exp", LETHE_EXP) }
  /// ln x. *Error*: 1 ulp.
  public func log() -> Variable { applying("log", LETHE_LOG) }
  /// σ(x) = 1 / (1 + e⁻ˣ).
  public func sigmoid() -> Variable { applying("sigmoid", LETHE_SIGMOID) }
  /// tanh x.
  public func tanh() -> Variable { applying("tanh", LETHE_TANH) }
  /// max(x, 0).
  public func relu() -> Variable { applying("relu", LETHE_RELU) }
  /// clamp(slope · x + offset, 0, 1); the defaults are Keras 3's and PyTorch's x / 6 + ½.
  public func hardSigmoid(slope: Float = 1 / 6, offset: Float = 0.5) -> Variable {
    applying("hardSigmoid", LETHE_HARD_SIGMOID, slope: slope, offset: offset)
  }

  /// The sum of all scalars, of shape `[]`.
  public func sum() -> Variable {
    let shape = shape
    return .operation("sum", [self], Tensor(Float(tensor.sum))) {
      [Tensor(repeating: $0.scalar, shape: shape)]
    }
  }

  /// The mean of all scalars, of shape `[]`.
  public func mean() -> Variable { sum() * (1 / Float(max(tensor.count, 1))) }

  /// The same scalars under another shape.
  public func reshaped(_ newShape: [Int]) -> Variable {
    let shape = shape
    let timing = newShape.prefix(2) == shape.prefix(2) ? timing : nil
    return .operation("reshaped", [self], tensor.reshaped(newShape), timing: timing) {
      [$0.reshaped(shape)]
    }
  }

  /// The columns of several values side by side, along the last dimension.
  ///
  /// - Precondition: all other dimensions are equal.
  public static func concatenated(_ parts: [Variable]) -> Variable {
    guard let first = parts.first else { stop("concatenated: no values given") }
    let widths = parts.map { $0.shape.last ?? 1 }
    let leading = Array(first.shape.dropLast())
    for part in parts {
      require(
        Array(part.shape.dropLast()) == leading,
        "concatenated: expected shapes that differ in the last dimension only, got \(parts.map(\.shape))")
    }
    let tensors = parts.map(\.tensor)
    let total = widths.reduce(0, +)
    let result = Tensor.uninitialized(leading + [total])
    var column = 0
    for (tensor, width) in zip(tensors, widths) {
      copyColumns(
        from: tensor.pointer, row: width, to: result.pointer + column, row: total, width: width,
        rows: leading.reduce(1, *))
      column += width
    }
    return .operation("concatenated", parts, result, timing: first.timing) { gradient in
      var column = 0
      return widths.map { width in
        defer { column += width }
        return gradient.columns(column..<column + width)
      }
    }
  }

  /// The columns `range` of the last dimension.
  public func columns(_ range: Range<Int>) -> Variable {
    let width = shape.last ?? 1
    require(
      range.lowerBound >= 0 && range.upperBound <= width, "columns: \(range) is outside the shape \(shape)")
    let shape = shape
    return .operation("columns", [self], tensor.columns(range), timing: timing) { gradient in
      let wide = Tensor(zeros: shape)
      copyColumns(
        from: gradient.pointer, row: range.count, to: wide.pointer + range.lowerBound, row: width,
        width: range.count, rows: gradient.count / max(range.count, 1))
      return [wide]
    }
  }

  /// x W, for a matrix of weights. *Shapes*: x [..., depth], weights [depth, columns] → [..., columns].
  public func times(_ weights: Variable) -> Variable {
    require(
      weights.shape.count == 2 && shape.last == weights.shape[0],
      "times: expected [..., \(shape.last ?? 0)] times [\(shape.last ?? 0), columns], got \(shape) times \(weights.shape)"
    )
    let (x, w) = (tensor, weights.tensor)
    let (depth, columns) = (w.shape[0], w.shape[1])
    let rows = shape.dropLast().reduce(1, *)
    let result = Tensor.uninitialized(shape.dropLast() + [columns])
    multiply(
      MatrixView(x.pointer, row: depth), MatrixView(w.pointer, row: columns), rows: rows, depth: depth,
      columns: columns, into: result.pointer)
    return .operation("times", [self, weights], result, timing: timing) { gradient in
      let dx = Tensor.uninitialized(x.shape)
      let dw = Tensor.uninitialized(w.shape)
      let dy = MatrixView(gradient.pointer, row: columns)
      multiply(
        dy, MatrixView(w.pointer, row: columns).transposed, rows: rows, depth: columns, columns: depth,
        into: dx.pointer)
      multiply(
        MatrixView(x.pointer, row: depth).transposed, dy, rows: depth, depth: rows, columns: columns,
        into: dw.pointer)
      return [dx, dw]
    }
  }
}

package func copyColumns(
  from source: UnsafePointer<Float>, row sourceRow: Int, to target: UnsafeMutablePointer<Float>,
  row targetRow: Int,
  width: Int, rows: Int
) {
  for r in 0..<rows { (target + r * targetRow).update(from: source + r * sourceRow, count: width) }
}

extension Tensor {
  package func columns(_ range: Range<Int>) -> Tensor {
    let width = shape.last ?? 1
    let result = Tensor.uninitialized(shape.dropLast() + [range.count])
    copyColumns(
      from: pointer + range.lowerBound, row: width, to: result.pointer, row: range.count, width: range.count,
      rows: width == 0 ? 0 : count / width)
    return result
  }

  fileprivate func broadcast(to target: [Int], in name: String) -> Tensor {
    if shape == target { return self }
    require(
      count == 1 || Array(target.suffix(shape.count)) == shape,
      "\(name): a value of shape \(shape) fits neither one number nor the rows of \(target)")
    let source = pointer, width = count
    return Tensor(shape: target) { to in
      guard let to = to.baseAddress, width > 0 else { return }
      let rows = target.reduce(1, *) / width
      copyColumns(from: source, row: 0, to: to, row: width, width: width, rows: rows)
    }
  }

  fileprivate func summed(to target: [Int]) -> Tensor {
    if shape == target { return self }
    let width = target.reduce(1, *)
    return Tensor(width == 1 ? [Float(sum)] : columnSums(width), shape: target)
  }
}
