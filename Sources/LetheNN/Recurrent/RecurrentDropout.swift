import LetheCore

/// The chances with which a recurrent layer zeroes numbers in training; what stays is scaled up to the same
/// mean.
public struct RecurrentDropout: Sendable, Codable, Equatable {
  /// Of the inputs, fresh at every step.
  public var input: Float
  /// Of the outputs of every layer but the last, fresh at every step: PyTorch's `dropout`.
  public var between: Float
  /// Of the outputs of the last layer.
  public var output: Float
  /// Of the hidden state that the gates see, one mask for each sequence (Gal & Ghahramani 2016); for cells whose
  /// gates do.
  public var recurrent: Float
  /// Of the recurrent weights, for cells that have any, one mask for each batch: DropConnect (Wan et al. 2013;
  /// Merity, Keskar & Socher 2018).
  public var weights: Float

  /// No dropout but what is given; each in 0..<1.
  public init(
    input: Float = 0, between: Float = 0, output: Float = 0, recurrent: Float = 0, weights: Float = 0
  ) {
    self.input = input
    self.between = between
    self.output = output
    self.recurrent = recurrent
    self.weights = weights
  }

  enum CodingKeys: String, CodingKey { case input, between, output, recurrent, weights }

  /// Files from before there was `weights` have none.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      input: try values.decode(Float.self, forKey: .input),
      between: try values.decode(Float.self, forKey: .between),
      output: try values.decode(Float.self, forKey: .output),
      recurrent: try values.decode(Float.self, forKey: .recurrent),
      weights: try values.decodeIfPresent(Float.self, forKey: .weights) ?? 0)
  }

  /// `weights` is written only where it acts.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(input, forKey: .input)
    try values.encode(between, forKey: .between)
    try values.encode(output, forKey: .output)
    try values.encode(recurrent, forKey: .recurrent)
    if encoder.writesEveryField || weights != 0 { try values.encode(weights, forKey: .weights) }
  }

  func check(_ place: String) throws(LetheError) {
    for rate in [input, between, output, recurrent, weights] where !(rate >= 0 && rate < 1) {
      throw LetheError(place, "a dropout rate is out of range", expected: "0..<1", found: "\(rate)")
    }
  }
}

extension Variable {
  /// The same row so many times: [width] → [count, width].
  func repeated(_ count: Int) -> Variable {
    let row = tensor.scalars
    let result = Tensor(Array(repeating: row, count: count).flatMap { $0 }, shape: [count, row.count])
    return .operation("repeated", [self], result) { [Tensor($0.columnSums(row.count))] }
  }

  /// Zeroes scalars with the given chance and scales the rest, in training only.
  package func dropped(_ rate: Float) -> Variable {
    guard isTraining, rate > 0, let tape else { return self }
    let mask = tape.nextKey().dropoutMask(shape: shape, keep: 1 - rate)
    return .operation("dropout", [self], tensor * mask, timing: timing) { [$0 * mask] }
  }
}
