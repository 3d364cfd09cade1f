import LetheCore

/// The equations of a layer in doubles, whatever kind of layer it is.
package protocol LayerTwin: Sendable {
  typealias Vector = [Double]
  /// The parameters, in the layer's order.
  var parts: [Vector] { get set }
  /// The outputs and the final state of one sequence, from its first step to its last.
  func run(_ x: [Vector], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [Vector], state: NaiveTwin.State
  )
}

/// A layer that can be computed again in doubles.
package protocol TwinnedLayer: RecurrentLayer {
  /// What this layer computes forward in time.
  var twin: any LayerTwin { get }
}

extension Recurrent: TwinnedLayer {
  /// - Precondition: one layer, one direction, and no head.
  package var twin: any LayerTwin {
    require(layers == 1 && !isBidirectional && headSize == nil, "twin: of one layer in one direction alone")
    return NaiveTwin(
      description, units: cell.hiddenSize,
      parts: weights.flatMap(\.parts).map { $0.value.scalars.map(Double.init) })
  }
}

extension ForgettingGateNetwork: TwinnedLayer {
  package var twin: any LayerTwin { ForgettingGateTwin(self) }
}

extension MatrixMemory: TwinnedLayer {
  package var twin: any LayerTwin { MatrixMemoryTwin(self) }
}

extension ForgettingAttention: TwinnedLayer {
  package var twin: any LayerTwin { ForgettingAttentionTwin(self) }
}

extension SteppedRecurrent: TwinnedLayer where Cell: TwinnedCell {
  package var twin: any LayerTwin { Cell.twin(of: self) }
}

/// A stepped cell that can be computed again in doubles.
package protocol TwinnedCell: SteppedCell {
  /// What a layer of it computes forward in time.
  static func twin(of layer: SteppedRecurrent<Self>) -> any LayerTwin
}

extension AttentiveLSTMCell: TwinnedCell {
  package static func twin(of layer: SteppedRecurrent<Self>) -> any LayerTwin { AttentiveLSTMTwin(layer) }
}

extension ConvLSTMCell: TwinnedCell {
  package static func twin(of layer: SteppedRecurrent<Self>) -> any LayerTwin { ConvLSTMTwin(layer) }
}
