import Lethe
import LetheTestSupport
import Testing

/// The described cells against their equations as scripts/fixtures/from_equations.py has them, written from the papers
/// and not from these: outputs, final states, and the gradients of input, parameters and initial states.
@Suite struct CellFixtureTests {
  static let cells: [String: any RecurrentCell] = [
    "nfg": lstm(LSTMRecipe(forgetGate: false)),
    "nig": lstm(LSTMRecipe(inputGate: false)),
    "nog": lstm(LSTMRecipe(outputGate: false)),
    "niaf": lstm(LSTMRecipe(inputActivation: false)),
    "noaf": lstm(LSTMRecipe(outputActivation: false)),
    "coupled": lstm(LSTMRecipe(writing: .coupled)),
    "budget": lstm(LSTMRecipe(writing: .budget)),
    "budget_temperature": lstm(LSTMRecipe(writing: .budget, temperature: 0.7)),
    "peephole": lstm(LSTMRecipe(peepholes: true)),
    "hard": LSTMCell(
      units, gateActivation: .hardSigmoid(slope: 0.3, offset: 0.4), recipe: LSTMRecipe(peepholes: true)),
    "fgr": lstm(LSTMRecipe(fullGateRecurrence: true)),
    "fgr_peephole": lstm(LSTMRecipe(peepholes: true, fullGateRecurrence: true)),
    "hard_forget": lstm(LSTMRecipe(hardForget: true)),
    "temperature": lstm(LSTMRecipe(temperature: 0.7)),
    "clip_sums": lstm(LSTMRecipe(clip: .sums(0.75))),
    "clip_candidate": lstm(LSTMRecipe(clip: .candidate(0.5))),
    "clip_cell": lstm(LSTMRecipe(clip: .cell(0.5))),
    "time_lstm": TimeAwareLSTMCell(units),
    "layer_norm": LayerNormLSTMCell(units),
    "slstm": SLSTMCell(units),
    "slstm_exponential": SLSTMCell(units, forgetGate: .exponential),
    "slstm_fresh": SLSTMCell(units),
    "mgu": MGUCell(units),
    "janet": JANETCell(units),
    "ligru": LiGRUCell(units),
    "indrnn_relu": IndRNNCell(units),
    "indrnn_tanh": IndRNNCell(units, activation: .tanh),
    "augru": AUGRUCell(units),
    "gru_d": DecayGRUCell(units),
    "sru": SRUCell(units),
    "qrnn": QRNNCell(units),
    "mingru": MinGRUCell(units),
    "mingru_linear": MinGRUCell(units, isPositive: false),
    "minlstm": MinLSTMCell(units),
    "minlstm_linear": MinLSTMCell(units, isPositive: false),
    "rglru": RGLRUCell(units),
    "hgrn": HGRNCell(units, lowerBound: 0.2),
    "ema": EMACell(units),
    "leaky": LeakyCell(units),
  ]
  static let units = 7
  static func lstm(_ recipe: LSTMRecipe) -> LSTMCell { LSTMCell(units, recipe: recipe) }

  @Test(arguments: cells.keys.sorted()) func agrees(_ name: String) throws {
    let cell = try #require(Self.cells[name])
    try agrees(name, cell)
  }

  /// Every case has gradients of its input and initial states, but for the one with states nobody differentiates by.
  @Test func casesAreWhole() throws {
    for name in Self.cells.keys where name != "slstm_fresh" {
      let names = Set(try Fixture("cells_\(name)").names)
      let inputs = ["x", "h0", "c0", "s2_0", "s3_0", "s4_0"].filter { names.contains($0) }
      #expect(inputs.count >= 2 && inputs.allSatisfy { names.contains("g\($0)") }, "\(name)")
    }
  }

  private func agrees(_ name: String, _ cell: some RecurrentCell) throws {
    let fixture = try Fixture("cells_\(name)")
    var layer = Recurrent(cell, inputSize: fixture["x"].shape[2])
    let parameters = fixture.names.filter { $0.hasPrefix("p.") }.map { String($0.dropFirst(2)) }
    #expect(layer.parameters.map(\.name).sorted() == parameters.sorted())
    try layer.load(
      Dictionary(uniqueKeysWithValues: parameters.map { ($0, fixture["p.\($0)"]) }), from: name)

    // The states that the fixture has: "h", "c", and further ones as "s2_".
    let states = ["h", "c", "s2_", "s3_", "s4_"].filter { fixture.optional("\($0)0") != nil }
    var watched: [(name: String, value: Variable)] = []
    var outputs: [Tensor] = []
    let (_, gradients) = layer.gradients { layer, tape in
      let x = tape.watched(fixture["x"])
      let initial = states.map { tape.watched(fixture["\($0)0"]) }
      watched = [("x", x)] + zip(states, initial).map { ("\($0)0", $1) }
      let (y, final) = layer.run(
        x, from: RecurrentState(hidden: [initial[0]], cell: Array(initial.dropFirst())))
      outputs = [y.tensor] + (final.hidden + final.cell).map(\.tensor)
      var loss = (y * Variable(fixture["gy"])).sum()
      for (state, value) in zip(states, final.hidden + final.cell) {
        loss = loss + (value * Variable(fixture["g\(state)n"])).sum()
      }
      return loss
    }
    let expected = ["y"] + states.map { "\($0)n" }
    #expect(outputs.count == expected.count)
    for (ours, theirs) in zip(outputs, expected) {
      #expect(difference(ours, fixture[theirs]) < 1e-6, "\(theirs)")
    }
    // Norms over seven units are steep: PyTorch itself is off by 6e-5 on this case in floats.
    let allowed: Float = name == "layer_norm" ? 3e-5 : 2e-6
    let named = gradients.named(for: layer)
    for parameter in parameters {
      let gradient = try #require(named[parameter])
      #expect(difference(gradient, fixture["g.\(parameter)"]) < allowed, "\(parameter)")
    }
    for (input, value) in watched {
      guard let theirs = fixture.optional("g\(input)") else { continue }  // only slstm_fresh's states
      #expect(difference(try #require(gradients[value]), theirs) < allowed, "\(input)")
    }
  }
}
