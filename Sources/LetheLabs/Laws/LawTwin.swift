import LetheNN

/// The equations of a cell in doubles, whatever kind of cell it is.
protocol LawTwin: Sendable {
  /// The parameters, in the layer's order.
  var parts: [[Double]] { get set }
  /// The outputs and the final state of one sequence.
  func outcome(_ x: [[Double]], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [[Double]], state: NaiveTwin.State
  )
}

extension NaiveTwin: LawTwin {
  func outcome(_ x: [[Double]], from state: State, resets: [Bool]?) -> (outputs: [[Double]], state: State) {
    run(x, from: state, resets: resets)
  }
}

extension AttentiveLSTMTwin: LawTwin {
  func outcome(_ x: [[Double]], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [[Double]], state: NaiveTwin.State
  ) { run(x, from: state, resets: resets) }
}

/// From an empty cache alone, which is no number to hand on: its state has no parts.
extension ForgettingAttentionTwin: LawTwin {
  func outcome(_ x: [[Double]], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [[Double]], state: NaiveTwin.State
  ) { (run(x, resets: resets), state) }
}

extension MatrixMemoryTwin: LawTwin {
  func outcome(_ x: [[Double]], from state: NaiveTwin.State, resets: [Bool]?) -> (
    outputs: [[Double]], state: NaiveTwin.State
  ) { run(x, from: state, resets: resets) }
}
