import LetheCore

/// Zeroes each number with a given chance in training, and scales the rest up to the same mean.
///
///     y = m ⊙ x,  m = 0 with probability p, else 1 / (1 − p)
///
/// Outside training y = x. The mask depends on the tape's key, never on threads.
/// *Shapes*: any, kept.
/// *Source*: Srivastava, Hinton, Krizhevsky, Sutskever & Salakhutdinov 2014; scaled in training, as
/// everywhere today.
public struct Dropout: Layer {
  public static let kind = "dropout"
  public static let isPerStep = true
  /// p.
  public var rate: Float

  /// A layer that zeroes with chance `rate`, in 0..<1.
  public init(_ rate: Float) { self.rate = rate }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard rate >= 0 && rate < 1 else {
      throw LetheError(Self.kind, "the rate is out of range", expected: "0..<1", found: "\(rate)")
    }
    return input
  }

  public func callAsFunction(_ x: Variable) -> Variable { x.dropped(rate) }
}
