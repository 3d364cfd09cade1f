import LetheCore

/// The LSTM with an attending forget gate again, slow and obvious: one sequence, one step, one number at a time, in doubles.
///
/// It is the oracle of the cell's tests, and what finite differences are taken of.
package struct AttentiveLSTMTwin: NamedTwin, SteppedTwin {
  let cell: AttentiveLSTMCell
  package let names: [String]
  /// The parameters, in the order of `visitParameters`.
  package var parts: [Vector]

  package init(_ layer: SteppedRecurrent<AttentiveLSTMCell>) {
    cell = layer.cell
    names = layer.parameters.map(\.name)
    parts = layer.parameters.map { $0.value.scalars.map(Double.init) }
  }

  /// The state's parts are h, c and the outputs before h.
  package func step(_ x: Vector, _ state: inout NaiveTwin.State) -> Vector {
    let width = cell.hiddenSize
    let ofInput = zip(product("weight_ih", x), part("bias")).map { $0 + $1 }
    let ofHidden = product("weight_hh", state.h)
    let seen = state.h + state.parts[2]
    let scores = (0..<cell.window).map { j in
      (0..<width).reduce(0.0) { sum, unit in
        sum + (ofInput[4 * width + unit] + ofHidden[3 * width + unit]) * seen[j * width + unit]
      } / Double(width).squareRoot() + part("lag")[j]
    }
    let shares = scores.map { Elementary.exp($0 - (scores.max() ?? 0)) }
    let total = shares.reduce(0, +)
    let found = (0..<width).map { unit in
      shares.indices.reduce(0.0) { $0 + shares[$1] / total * seen[$1 * width + unit] }
    }
    let ofPast = product("weight_past", found)
    var h: Vector = []
    for unit in 0..<width {
      let i = NaiveTwin.sigmoid(ofInput[unit] + ofHidden[unit])
      let f = NaiveTwin.sigmoid(ofInput[width + unit] + ofPast[unit])
      let u = NaiveTwin.tanh(ofInput[2 * width + unit] + ofHidden[width + unit])
      let o = NaiveTwin.sigmoid(ofInput[3 * width + unit] + ofHidden[2 * width + unit])
      state.parts[1][unit] = f * state.parts[1][unit] + i * u
      h.append(o * NaiveTwin.tanh(state.parts[1][unit]))
    }
    state.parts[0] = h
    state.parts[2] = Vector(seen.prefix((cell.window - 1) * width))
    return h
  }
}
