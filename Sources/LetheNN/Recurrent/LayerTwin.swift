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

extension LayerTwin {
  /// W x, for a matrix row by row.
  func times(_ weight: Vector, _ x: Vector) -> Vector {
    (0..<weight.count / x.count).map { row in
      x.indices.reduce(0.0) { $0 + weight[row * x.count + $1] * x[$1] }
    }
  }
}

/// One whose parameters go by their names.
package protocol NamedTwin: LayerTwin {
  /// The names of the parameters, in the layer's order.
  var names: [String] { get }
}

extension NamedTwin {
  func part(_ name: String) -> Vector { names.firstIndex(of: name).map { parts[$0] } ?? [] }
  func product(_ name: String, _ x: Vector) -> Vector { times(part(name), x) }
}

/// One that goes from step to step: a state of zeros at each reset.
package protocol SteppedTwin: LayerTwin {
  /// The output of a step, which leaves the state as it is after it.
  func step(_ x: Vector, _ state: inout NaiveTwin.State) -> Vector
}

extension SteppedTwin {
  package func run(_ x: [Vector], from initial: NaiveTwin.State, resets: [Bool]? = nil) -> (
    outputs: [Vector], state: NaiveTwin.State
  ) {
    var state = initial
    let outputs = x.indices.map { t in
      if resets?[t] == true { state = .init(state.parts.map { $0.map { _ in 0 } }) }
      return step(x[t], &state)
    }
    return (outputs, state)
  }
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
