import LetheCore

/// A model whose last step is an activation that can be left out.
///
/// Cross-entropy is right and quick on what stands before a final softmax or sigmoid (the logits). With this,
/// a model that ends in one predicts probabilities and still trains on logits: see `Loss.output(of:for:)`.
/// `Sequential` is one; a model of your own can be by saying these two things.
public protocol LogitsModel: Model {
  /// The activation at the end; `.linear`: none.
  var finalActivation: Activation { get }
  /// The output without the activation at the end.
  func logits(_ x: Variable) -> Variable
}

/// An activation as a layer of its own.
///
/// *Shapes*: any, kept; softmax works on rows of the last dimension.
public struct ActivationLayer: Layer, LogitsModel {
  public static let kind = "activation"
  public static let isPerStep = true
  /// The function.
  public var activation: Activation

  /// A layer that applies the given function.
  public init(_ activation: Activation) { self.activation = activation }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    if activation == .softmax && (input.last ?? 0) <= 0 {
      throw LetheError(Self.kind, "cannot take this input", expected: "[..., classes]", found: "\(input)")
    }
    return input
  }

  public var finalActivation: Activation { activation }
  public func logits(_ x: Variable) -> Variable { x }
  public func callAsFunction(_ x: Variable) -> Variable { activation(x) }
}

extension Dense: LogitsModel {
  public var finalActivation: Activation { activation }
  public func logits(_ x: Variable) -> Variable { linear(x, x.with(weight), usesBias ? x.with(bias) : nil) }
}
