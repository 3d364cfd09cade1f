import LetheCore

/// A recurrent layer in both directions, each with weights of its own, and what they give merged: y = [→y, ←y], say.
///
///     Bidirectional(ForgettingGateNetwork(64, outputs: .all))
///     Bidirectional(MatrixMemory(64, rule: .mLSTM, keySize: 16, valueSize: 32), merge: .sum)
///
/// `Recurrent` can do it by itself, layer by layer, with states in and out; this is for all other layers.
/// *Shapes*: x [batch, time, …] → [batch, time, …, 2 · width], without time if the layer gives the last output; merged in
/// another way as wide as the layer. Rows are walked within their own lengths.
/// *Parameters*: the layer's, under `forward.` and `backward.`.
/// *Cost*: twice the layer's. *Source*: Schuster & Paliwal 1997.
public struct Bidirectional: Layer {
  public static let kind = "bidirectional"
  /// The layer that walks from the first step to the last.
  public private(set) var forward: any RecurrentLayer
  /// The layer that walks from the last step to the first.
  public private(set) var backward: any RecurrentLayer
  /// How the outputs of the two become one.
  public var merge: DirectionMerge

  /// Such a layer in both directions, whichever it has; to be built inside `Sequential`, which draws weights for each of the
  /// two. Until then both are copies of the layer with the weights it has, also one that is built already.
  public init(_ layer: any RecurrentLayer, merge: DirectionMerge = .concat) {
    (forward, backward, self.merge) = (layer, layer, merge)
    forward.isReversed = false
    backward.isReversed = true
  }

  enum CodingKeys: String, CodingKey { case layer, merge }

  /// Reads the layer and how its directions are merged.
  ///
  /// - Throws: `LetheError` for a layer that is not recurrent, else what the decoder throws.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    let layer = try values.decode(LayerBox.self, forKey: .layer).layer
    guard let recurrent = layer as? any RecurrentLayer else {
      throw LetheError(
        pathText(values.codingPath + [CodingKeys.layer]), "has no direction", expected: "a recurrent layer",
        found: type(of: layer).kind)
    }
    self.init(recurrent, merge: try values.decode(DirectionMerge.self, forKey: .merge))
  }

  /// Writes the layer once, as it is forward.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(LayerBox(layer: forward, index: 0), forKey: .layer)
    try values.encode(merge, forKey: .merge)
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let output = try forward.build(input: input)
    _ = try backward.build(input: input)
    guard merge == .concat, let width = output.last else { return output }
    return output.dropLast() + [2 * width]
  }

  public var inside: [any Layer] { [forward, backward] }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("forward", &forward)
    visitor.visit("backward", &backward)
  }

  public func callAsFunction(_ x: Variable) -> Variable { merge([forward(x), backward(x)]) }

  /// Both directions stand at one place in the model; their recordings say which they are.
  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    if let limit = type(of: forward).recordingLimit { observer.leaveOut(type(of: forward).kind, limit) }
    return merge([forward.observed(x, by: observer), backward.observed(x, by: observer)])
  }
}
