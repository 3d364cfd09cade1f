import Lethe
import LetheTestSupport
import Testing

/// Outputs, states and every gradient against PyTorch and Keras; see scripts/make_fixtures.py.
@Suite struct RecurrentFixtureTests {
  static let variants = ["single", "stacked", "ragged", "one"]

  @Test(arguments: variants) func lstm(_ variant: String) throws {
    let shape = try Shape(variant)
    try check(
      "torch_lstm_\(variant)",
      LSTM(
        inputSize: shape.inputs, hiddenSize: shape.units, layers: shape.layers,
        bidirectional: shape.bidirectional))
  }

  @Test(arguments: variants) func projected(_ variant: String) throws {
    let shape = try Shape(variant)
    try check(
      "torch_lstm_projected_\(variant)",
      Recurrent(
        ProjectedLSTMCell(shape.units, outputSize: shape.units / 2 + 1), inputSize: shape.inputs,
        layers: shape.layers, bidirectional: shape.bidirectional))
  }

  @Test(arguments: variants) func gru(_ variant: String) throws {
    let shape = try Shape(variant)
    try check(
      "torch_gru_\(variant)",
      GRU(
        inputSize: shape.inputs, hiddenSize: shape.units, layers: shape.layers,
        bidirectional: shape.bidirectional))
  }

  @Test(arguments: variants, [RNNCell.Nonlinearity.tanh, .relu])
  func rnn(_ variant: String, _ activation: RNNCell.Nonlinearity) throws {
    let shape = try Shape(variant)
    try check(
      "torch_rnn_\(activation.rawValue)_\(variant)",
      RNN(
        inputSize: shape.inputs, hiddenSize: shape.units, layers: shape.layers,
        bidirectional: shape.bidirectional,
        activation: activation))
  }

  @Test func kerasLSTM() throws {
    try checkKeras("keras_lstm", LSTM(inputSize: 7, hiddenSize: 18), order: [0, 1, 2, 3])
  }

  @Test func kerasLSTMHardSigmoid() throws {
    let layer = LSTM(inputSize: 7, hiddenSize: 18, gateActivation: .hardSigmoid())
    try checkKeras("keras_lstm_hard", layer, order: [0, 1, 2, 3])
  }

  // Keras packs z, r, h; a file of ours r, z, n.
  @Test func kerasGRUResetAfter() throws {
    try checkKeras("keras_gru_after", GRU(inputSize: 7, hiddenSize: 18), order: [1, 0, 2])
  }

  @Test func kerasGRUResetBefore() throws {
    try checkKeras("keras_gru_before", GRU(inputSize: 7, hiddenSize: 18, reset: .before), order: [1, 0, 2])
  }

  /// The sizes of a variant, from the fixture itself.
  struct Shape {
    var inputs: Int, units: Int, layers: Int, bidirectional: Bool

    init(_ variant: String) throws {
      let fixture = try Fixture("torch_lstm_\(variant)")
      inputs = fixture["x"].shape[2]
      units = fixture["p.weight_hh_l0"].shape[1]
      layers = fixture.optional("p.weight_hh_l1") == nil ? 1 : 2
      bidirectional = fixture.optional("p.weight_hh_l0_reverse") != nil
    }
  }

  /// A state [parts, batch, units] as one tensor a part.
  func parts(_ tensor: Tensor?) -> [Tensor]? {
    tensor.map { tensor in
      (0..<tensor.shape[0]).map { tensor.rows($0..<$0 + 1).reshaped(Array(tensor.shape.dropFirst())) }
    }
  }

  func check<Cell: RecurrentCell>(_ name: String, _ built: Recurrent<Cell>) throws {
    let fixture = try Fixture(name)
    var layer = built
    var loaded: [String: Tensor] = [:]
    for (parameter, _) in layer.parameters { loaded[parameter] = fixture["p.\(parameter)"] }
    try layer.load(loaded, from: name)
    let lengths = fixture.optional("lengths").map { $0.scalars.map { Int($0) } }

    let hidden = parts(fixture.optional("h0")), cells = parts(fixture.optional("c0"))
    var watchedX: Variable?
    var watchedState: RecurrentState?
    var outputs: [Tensor] = []
    let (_, gradients) = layer.gradients { layer, tape in
      let x = tape.watched(fixture["x"], timing: lengths.map { Timing(lengths: $0) })
      let state = hidden.map { hidden in
        RecurrentState(hidden: hidden.map { tape.watched($0) }, cell: (cells ?? []).map { tape.watched($0) })
      }
      (watchedX, watchedState) = (x, state)
      let (y, final) = layer.run(x, from: state)
      outputs = [y.tensor] + (final.hidden + final.cell).map(\.tensor)
      var loss = (y * Variable(fixture["gy"])).sum()
      for (part, cotangent) in zip(final.hidden, parts(fixture["ghn"]) ?? []) {
        loss = loss + (part * Variable(cotangent)).sum()
      }
      for (part, cotangent) in zip(final.cell, parts(fixture.optional("gcn")) ?? []) {
        loss = loss + (part * Variable(cotangent)).sum()
      }
      return loss
    }
    let finals = (parts(fixture["hn"]) ?? []) + (parts(fixture.optional("cn")) ?? [])
    #expect(outputs.count == 1 + finals.count)
    for (ours, theirs) in zip(outputs, [fixture["y"]] + finals) { #expect(difference(ours, theirs) < 2e-6) }
    for (parameter, gradient) in gradients.named(for: layer) {
      #expect(difference(gradient, fixture["g.\(parameter)"]) < 5e-6, "\(name) \(parameter)")
    }
    let x = try #require(watchedX)
    #expect(difference(try #require(gradients[x]), fixture["gx"]) < 5e-6)
    if let state = watchedState {
      let expected = (parts(fixture["gh0"]) ?? []) + (parts(fixture.optional("gc0")) ?? [])
      for (part, theirs) in zip(state.hidden + state.cell, expected) {
        #expect(difference(try #require(gradients[part]), theirs) < 5e-6)
      }
    }
  }

  /// `order` says which Keras gate stands at each of our places.
  func checkKeras<Cell: RecurrentCell>(_ name: String, _ built: Recurrent<Cell>, order: [Int]) throws {
    let fixture = try Fixture(name)
    let units = 18
    // Keras's [k, gates · units] as ours [gates · units, k]; biases may have a row for each of the two.
    func matrix(_ tensor: Tensor) -> Tensor {
      let (k, width) = (tensor.shape[0], tensor.shape[1])
      var scalars: [Float] = []
      for gate in order {
        for unit in 0..<units {
          for i in 0..<k { scalars.append(tensor.scalars[i * width + gate * units + unit]) }
        }
      }
      return Tensor(scalars, shape: [width, k])
    }
    func biases(_ tensor: Tensor) -> [Tensor] {
      let flat = tensor.shape.count == 2 ? tensor : tensor.reshaped([1, tensor.count])
      return (0..<flat.shape[0]).map { row in
        Tensor(order.flatMap { gate in (0..<units).map { flat[row, gate * units + $0] } })
      }
    }
    let given = biases(fixture["bias"])
    var layer = built
    try layer.load(
      [
        "weight_ih_l0": matrix(fixture["kernel"]), "weight_hh_l0": matrix(fixture["recurrent_kernel"]),
        "bias_ih_l0": given[0], "bias_hh_l0": given.count > 1 ? given[1] : Tensor(zeros: given[0].shape),
      ], from: name)
    var watched: [Variable] = []
    var outputs: [Tensor] = []
    let hasCell = fixture.optional("c0") != nil
    let (_, gradients) = layer.gradients { layer, tape in
      let x = tape.watched(fixture["x"]), h = tape.watched(fixture["h0"])
      let c = hasCell ? [tape.watched(fixture["c0"])] : []
      watched = [x, h] + c
      let (y, final) = layer.run(x, from: RecurrentState(hidden: [h], cell: c))
      outputs = [y.tensor] + (final.hidden + final.cell).map(\.tensor)
      var loss = (y * Variable(fixture["gy"])).sum() + (final.hidden[0] * Variable(fixture["ghn"])).sum()
      if hasCell { loss = loss + (final.cell[0] * Variable(fixture["gcn"])).sum() }
      return loss
    }
    for (ours, theirs) in zip(outputs, ["y", "hn", "cn"]) {
      #expect(difference(ours, fixture[theirs]) < 2e-6)
    }
    for (value, theirs) in zip(watched, ["gx", "gh0", "gc0"]) {
      #expect(difference(try #require(gradients[value]), fixture[theirs]) < 1e-5, "\(theirs)")
    }
    let named = gradients.named(for: layer)
    #expect(difference(try #require(named["weight_ih_l0"]), matrix(fixture["g.kernel"])) < 1e-5)
    #expect(difference(try #require(named["weight_hh_l0"]), matrix(fixture["g.recurrent_kernel"])) < 1e-5)
    for (ours, theirs) in zip(["bias_ih_l0", "bias_hh_l0"], biases(fixture["g.bias"])) {
      #expect(difference(try #require(named[ours]), theirs) < 1e-5)
    }
  }
}
