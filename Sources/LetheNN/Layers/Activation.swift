import CLetheKernels
import LetheCore

/// A function applied to each scalar, or for softmax to each row.
public enum Activation: String, Codable, Sendable, CaseIterable {
  /// x.
  case linear
  /// max(x, 0).
  case relu
  /// tanh x.
  case tanh
  /// 1 / (1 + e⁻ˣ).
  case sigmoid
  /// clamp(x / 6 + ½, 0, 1), as in Keras 3 and PyTorch.
  case hardSigmoid = "hard_sigmoid"
  /// eˣ / Σ eˣ over the last dimension.
  case softmax

  /// The function of each scalar of a value, or of each row.
  public func callAsFunction(_ x: Variable) -> Variable {
    switch self {
    case .linear: x
    case .relu: x.relu()
    case .tanh: x.tanh()
    case .sigmoid: x.sigmoid()
    case .hardSigmoid: x.hardSigmoid()
    case .softmax: LetheNN.softmax(x)
    }
  }

  /// The function of the numbers of one row, in place.
  func apply(toRow row: UnsafeMutablePointer<Float>, count: Int) {
    if let pointwise {
      pointwise.apply(row, count: count)
    } else {
      kernels.softmax(row, row, 1, Int64(count))
    }
  }
}

/// eˣ / Σ eˣ over the last dimension; of the same shape.
public func softmax(_ x: Variable) -> Variable {
  let y = x.tensor.softmax
  let width = x.shape.last ?? 1
  return .operation("softmax", [x], y, timing: x.timing) { gradient in
    // dx = y (dy − Σ y dy)
    let weighted = gradient * y
    let dx = Tensor.uninitialized(y.shape)
    for row in 0..<(width == 0 ? 0 : y.count / width) {
      let at = row * width
      let total = Float(kernels.sum(weighted.pointer + at, Int64(width)))
      kernels.binary_scalar(LETHE_SUB, dx.pointer + at, gradient.pointer + at, total, Int64(width))
    }
    return [dx * y]
  }
}
