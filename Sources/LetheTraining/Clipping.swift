import CLetheKernels
import LetheCore
import LetheNN

/// A bound on gradients, so that one hard batch cannot throw the parameters far off.
public enum Clipping: Sendable, Codable, Equatable {
  /// Gradients as they are.
  case none
  /// g ← g · min(1, limit / ‖all gradients‖₂): the direction stays.
  ///
  /// *Source*: Pascanu, Mikolov and Bengio, "On the difficulty of training recurrent neural networks", ICML
  /// 2013, algorithm 1. PyTorch adds 10⁻⁶ to the norm; we do not.
  case norm(Float)
  /// Each scalar of each gradient within −limit … limit.
  case value(Float)

  /// The same bound, if it is one.
  ///
  /// - Throws: a `LetheError` when the limit is not a number above 0.
  @discardableResult
  public func validated() throws(LetheError) -> Clipping {
    switch self {
    case .none: return self
    case .norm(let limit), .value(let limit):
      if limit > 0 && limit.isFinite { return self }
      throw LetheError(
        "clipping", "the limit is out of range", expected: "a number above 0", found: "\(limit)",
        advice: "use .none for no limit")
    }
  }
}

extension Gradients {
  /// ‖g‖₂ over the gradients of all parameters together; finite where all gradients are.
  ///
  /// *Cost*: one look at every gradient.
  public var norm: Double {
    var squares = 0.0
    for slot in 0..<slotCount {
      guard let gradient = self[slot: slot] else { continue }
      let sum = gradient.sumOfSquares
      // Squares of numbers above 10¹⁹ are too large for a float, not for a double.
      squares +=
        sum.isFinite
        ? sum : gradient.withUnsafeBuffer { $0.reduce(0) { $0 + Double($1) * Double($1) } }
    }
    return squares.squareRoot()
  }

  /// Applies the bound to the gradients of all parameters; those whose norm is not finite stay as they are.
  ///
  /// - Returns: their norm before.
  ///
  /// *Cost*: one look at every gradient, and one pass in place where the bound is passed.
  @discardableResult
  public mutating func clip(_ clipping: Clipping) -> Double {
    let norm = norm
    guard norm.isFinite else { return norm }
    switch clipping {
    case .none: break
    case .norm(let limit):
      if norm > Double(limit) {
        let scale = Float(Double(limit) / norm)
        changeInPlace { scalars in
          guard let start = scalars.baseAddress else { return }
          eachPart(scalars.count) { range in
            let part = start + range.lowerBound
            kernels.binary_scalar(LETHE_MUL, part, part, scale, Int64(range.count))
          }
        }
      }
    case .value(let limit):
      changeInPlace { scalars in
        for i in scalars.indices { scalars[i] = min(max(scalars[i], -limit), limit) }
      }
    }
    return norm
  }

  private mutating func changeInPlace(_ change: (UnsafeMutableBufferPointer<Float>) -> Void) {
    for slot in 0..<slotCount {
      guard var gradient = self[slot: slot] else { continue }
      // Taken out meanwhile, so that it has one owner and nothing is copied.
      self[slot: slot] = nil
      gradient.withUnsafeMutableBuffer(change)
      self[slot: slot] = gradient
    }
  }
}
