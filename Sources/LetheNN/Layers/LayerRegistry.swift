import LetheCore

/// The layers that model files can hold, by their `kind`.
public enum LayerRegistry {
  static let types: [any Layer.Type] = [
    ActivationLayer.self, Bidirectional.self, Conv2D.self, Dense.self, Dropout.self, Embedding.self,
    Flatten.self,
    ForgettingAttention.self, ForgettingGateNetwork.self, GRU.self, LayerNorm.self, LSTM.self,
    MatrixMemory.self, MaxPool2D.self, RNN.self, Rows.self, SteppedRecurrent<AttentiveLSTMCell>.self,
    Sequential.self, Residual.self, DenseConnection.self, TimeDistributed.self, TimeWindow.self,
    Recurrent<MGUCell>.self, Recurrent<JANETCell>.self, Recurrent<IndRNNCell>.self,
    Recurrent<LiGRUCell>.self, Recurrent<AUGRUCell>.self, Recurrent<DecayGRUCell>.self,
    Recurrent<TimeAwareLSTMCell>.self, Recurrent<EMACell>.self, Recurrent<LeakyCell>.self,
    Recurrent<SRUCell>.self,
    Recurrent<QRNNCell>.self, Recurrent<MinGRUCell>.self, Recurrent<MinLSTMCell>.self,
    Recurrent<RGLRUCell>.self,
    Recurrent<HGRNCell>.self, Recurrent<SLSTMCell>.self,
    Recurrent<LayerNormLSTMCell>.self, Recurrent<ProjectedLSTMCell>.self,
    SteppedRecurrent<ConvLSTMCell>.self,
    Recurrent<ForgettingGateCell>.self,
  ]

  /// The names of all kinds, sorted.
  public static var kinds: [String] { types.map { $0.kind }.sorted() }

  static func type(of kind: String) -> (any Layer.Type)? { types.first { $0.kind == kind } }
}

extension CodingUserInfoKey {
  /// Where a decoder of configurations finds layers beside Lethe's: an array of their types.
  package static let layers = CodingUserInfoKey(rawValue: "lethe.layers")
  /// Tells an encoder of configurations to leave out no field, not even those that files from before them lack.
  package static let everyField = CodingUserInfoKey(rawValue: "lethe.every_field")
}

/// A model's configuration: its input shape and, for each layer, its kind beside its own options. Parameters
/// are not part of it.
///
///     {"input":[28,28],"layers":[{"kind":"dense","units":10,…},…]}
extension Sequential {
  enum CodingKeys: String, CodingKey { case input, layers }

  /// Writes the configuration.
  ///
  /// - Throws: `LetheError` for a layer whose kind is another's.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(input, forKey: .input)
    try values.encode(layers.enumerated().map { LayerBox(layer: $1, index: $0) }, forKey: .layers)
  }

  /// Reads a configuration. The layers have to be built, and their parameters filled, before use.
  ///
  /// - Throws: `LetheError` for an unknown kind of layer, else what the decoder throws.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      try values.decode([LayerBox].self, forKey: .layers).map(\.layer),
      input: try values.decode([Int].self, forKey: .input))
  }
}

extension Encoder {
  /// Whether every field is to be written.
  var writesEveryField: Bool { CodingUserInfoKey.everyField.map { userInfo[$0] != nil } ?? false }
}

/// layers[2].units, say.
package func pathText(_ keys: [any CodingKey]) -> String {
  let text = keys.map { key in key.intValue.map { "[\($0)]" } ?? ".\(key.stringValue)" }.joined()
  return text.hasPrefix(".") ? String(text.dropFirst()) : text
}

/// A layer of any kind, beside its kind.
struct LayerBox: Codable {
  let layer: any Layer
  var index = 0

  enum CodingKeys: String, CodingKey { case kind }

  init(layer: any Layer, index: Int) {
    self.layer = layer
    self.index = index
  }

  func encode(to encoder: any Encoder) throws {
    let kind = type(of: layer).kind
    if let known = LayerRegistry.type(of: kind), known != type(of: layer) {
      throw LetheError(
        "layer \(index), \(type(of: layer))", "cannot be saved: its kind '\(kind)' is taken",
        expected: "a kind other than \(LayerRegistry.kinds.joined(separator: ", "))")
    }
    var values = encoder.container(keyedBy: CodingKeys.self)
    try values.encode(kind, forKey: .kind)
    try layer.encode(to: encoder)
  }

  init(from decoder: any Decoder) throws {
    let kind = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .kind)
    let path = pathText(decoder.codingPath)
    let own = CodingUserInfoKey.layers.flatMap { decoder.userInfo[$0] as? [any Layer.Type] } ?? []
    guard let type = LayerRegistry.type(of: kind) ?? own.first(where: { $0.kind == kind }) else {
      throw LetheError(
        "\(path).kind", "is an unknown kind of layer",
        expected: (LayerRegistry.kinds + own.map { $0.kind }).joined(separator: ", "), found: kind,
        advice: "give the types of your own layers to ModelFile(contentsOf:layers:)")
    }
    do {
      layer = try type.init(from: decoder)
    } catch  where !(error is DecodingError || error is LetheError) {
      // What a decoder says of a fraction where a whole number belongs does not say where.
      throw LetheError(path, "an option cannot be read: \(error)")
    }
  }
}
