import Lethe
import LetheTestSupport
import Testing

/// Switches of the LSTM that the fixtures leave out, against the equations written once more in doubles.
@Suite struct LSTMRecipeTests {
  static let units = 6, inputs = 3
  let x = numbers("recipe.x", [2, 9, inputs])

  /// What an LSTM does with its sums, as a test says it.
  struct Equations {
    var i: (Double) -> Double = { 1 / (1 + Elementary.exp(-$0)) }
    var f: (Double) -> Double = { 1 / (1 + Elementary.exp(-$0)) }
    var o: (Double) -> Double = { 1 / (1 + Elementary.exp(-$0)) }
    /// From what c and h were, and would be, to what they are.
    var cell: (_ old: Double, _ new: Double) -> Double = { $1 }
    var hidden: (_ old: Double, _ new: Double) -> Double = { $1 }
  }

  private func layer(_ cell: LSTMCell) -> Recurrent<LSTMCell> {
    var layer = Recurrent(cell, inputSize: Self.inputs)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("recipe.\(name)", parameter.shape, scale: 1.5)
    }
    return layer
  }

  private func check(
    _ cell: LSTMCell, _ equations: Equations, sourceLocation: SourceLocation = #_sourceLocation
  )
    throws
  {
    let layer = layer(cell), outputs = layer(x), units = Self.units
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    let ofInput = try #require(named["weight_ih_l0"]), ofHidden = try #require(named["weight_hh_l0"])
    let bias = try #require(named["bias_ih_l0"])
    var worst = 0.0
    for row in 0..<2 {
      var h = [Double](repeating: 0, count: units), c = h
      for t in 0..<9 {
        func sum(_ gate: Int, _ unit: Int) -> Double {
          let at = gate * units + unit
          let own = (0..<Self.inputs).reduce(Double(bias[at])) {
            $0 + Double(ofInput[at, $1] * x[row, t, $1])
          }
          return (0..<units).reduce(own) { $0 + Double(ofHidden[at, $1]) * h[$1] }
        }
        let before = h
        let next = (0..<units).map { unit in
          let i = equations.i(sum(0, unit)), f = equations.f(sum(1, unit)), u = tanh(sum(2, unit))
          return equations.cell(c[unit], f * c[unit] + i * u)
        }
        h = (0..<units).map { equations.hidden(before[$0], equations.o(sum(3, $0)) * tanh(next[$0])) }
        c = next
        for unit in 0..<units { worst = max(worst, abs(h[unit] - Double(outputs[row, t, unit]))) }
      }
    }
    #expect(worst < 2e-6, "\(worst)", sourceLocation: sourceLocation)
  }

  private func tanh(_ x: Double) -> Double { 1 - 2 / (1 + Elementary.exp(2 * x)) }
  private func hard(_ x: Double, _ slope: Double, _ offset: Double) -> Double {
    min(max(slope * x + offset, 0), 1)
  }

  /// Each gate has its own activation and temperature, and those that have none follow the cell.
  @Test func gatesHaveFormsOfTheirOwn() throws {
    let sigmoid = Equations().f
    try check(
      LSTMCell(
        Self.units, recipe: LSTMRecipe(gates: .init(forget: .init(.hardSigmoid(), temperature: 0.5)))),
      Equations(f: { hard($0 / 0.5, 1 / 6, 0.5) }))
    try check(
      LSTMCell(
        Self.units, gateActivation: .hardSigmoid(slope: 0.25),
        recipe: LSTMRecipe(
          temperature: 2,
          gates: .init(input: .init(temperature: 0.25), output: .init(.hardSigmoid(slope: 0.2))))),
      Equations(
        i: { sigmoid($0 / 0.25) }, f: { hard($0 / 2, 0.25, 0.5) }, o: { hard($0, 0.2, 0.5) }))
  }

  @Test func outputsAreClipped() throws {
    try check(
      LSTMCell(Self.units, recipe: LSTMRecipe(clip: .hidden(0.3))),
      Equations(hidden: { min(max($1, -0.3), 0.3) }))
  }

  /// In evaluation the mean of old and new.
  @Test func zoneoutIsItsMean() throws {
    try check(
      LSTMCell(Self.units, recipe: LSTMRecipe(zoneout: .init(hidden: 0.2, cell: 0.35))),
      Equations(cell: { 0.35 * $0 + 0.65 * $1 }, hidden: { 0.2 * $0 + 0.8 * $1 }))
  }

  /// Of a cell that shows itself, so many units stay as they were.
  @Test func cellsAreKeptAsOften() {
    let recipe = LSTMRecipe(outputGate: false, outputActivation: false, zoneout: .init(cell: 0.25))
    let layer = Recurrent(LSTMCell(64, recipe: recipe), inputSize: 3, key: RandomKey(seed: 2))
    let y = layer(Tape(key: RandomKey(seed: 4)).constant(numbers("x", [4, 40, 3]))).tensor
    var kept = 0
    for row in 0..<4 {
      for t in 1..<40 { for unit in 0..<64 where y[row, t, unit] == y[row, t - 1, unit] { kept += 1 } }
    }
    #expect(abs(Double(kept) / (4 * 39 * 64) - 0.25) < 0.02)
  }

  @Test func recipesAreSavedAndRead() throws {
    let recipe = LSTMRecipe(
      gates: .init(forget: .init(.hardSigmoid(slope: 0.2), temperature: 0.5)), clip: .hidden(0.5))
    let model = Sequential(input: [.any, 3], seed: 1) {
      Recurrent(LSTMCell(4, recipe: recipe), outputs: .all)
      LSTM(4, halfLives: 2...30)
    }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "recipes").model
    #expect((copy.layers[0] as? LSTM)?.cell.recipe == recipe)
    #expect((copy.layers[1] as? LSTM)?.cell.halfLives == 2...30)
    #expect(sameBits(copy(x), model(x)))
  }

  /// As the cells of their own, which fixtures check.
  @Test func normsAndProjectionsAreThoseOfTheirCells() throws {
    func same(_ recipe: LSTMRecipe, _ cell: some RecurrentCell) throws {
      let own = layer(LSTMCell(Self.units, recipe: recipe))
      var other = Recurrent(cell, inputSize: Self.inputs)
      var named = Dictionary(uniqueKeysWithValues: own.parameters.map { ($0.name, $0.value) })
      for (name, value) in other.parameters where named[name] == nil {
        #expect(name == "bias_hh_l0")
        named[name] = Tensor(zeros: value.shape)
      }
      try other.load(named, from: "recipe")
      #expect(own(x).shape == other(x).shape && difference(own(x), other(x)) < 1e-6)
    }
    try same(LSTMRecipe(norm: .layer), LayerNormLSTMCell(Self.units))
    try same(LSTMRecipe(projection: 4), ProjectedLSTMCell(Self.units, outputSize: 4))
  }

  // MARK: What could not act

  @Test func switchesThatCouldNotActAreRefused() {
    func refused(
      _ recipe: LSTMRecipe, _ gate: GateActivation = .sigmoid, bias: Float = 1, saying words: String
    ) {
      expectRefusal(
        Recurrent(LSTMCell(4, forgetBias: bias, gateActivation: gate, recipe: recipe)), [.any, 3],
        saying: words)
    }
    let none = LSTMRecipe(forgetGate: false, inputGate: false, outputGate: false)
    func with(_ recipe: LSTMRecipe, _ change: (inout LSTMRecipe) -> Void) -> LSTMRecipe {
      var recipe = recipe
      change(&recipe)
      return recipe
    }
    func ungated(_ change: (inout LSTMRecipe) -> Void) -> LSTMRecipe { with(none, change) }
    refused(LSTMRecipe(forgetGate: false), bias: 5, saying: "no forget gate")
    let own = LSTMRecipe.GateForm(.hardSigmoid())
    let owned = LSTMRecipe(gates: .init(input: own, forget: own, output: own))
    refused(with(owned) { $0.temperature = 2 }, saying: "no form of its own")
    refused(owned, .hardSigmoid(slope: 0.2), saying: "no form of its own")
    for recipe in [
      LSTMRecipe(inputGate: false, outputGate: false, hardForget: true),
      LSTMRecipe(outputGate: false, writing: .coupled, hardForget: true),
    ] {
      refused(with(recipe) { $0.temperature = 2 }, saying: "no form of its own")
      refused(recipe, .hardSigmoid(), saying: "no form of its own")
    }
    refused(LSTMRecipe(outputGate: false, writing: .budget), .hardSigmoid(), saying: "budget")
    refused(LSTMRecipe(writing: .budget, gates: .init(output: own)), .hardSigmoid(), saying: "budget")
    refused(LSTMRecipe(writing: .budget, gates: .init(input: .init())), saying: "the input gate")
    refused(LSTMRecipe(writing: .coupled, gates: .init(input: .init())), saying: "the input gate")
    refused(LSTMRecipe(gates: .init(forget: .init()), hardForget: true), saying: "the forget gate")
    refused(LSTMRecipe(outputGate: false, gates: .init(output: .init())), saying: "no output gate")
    refused(LSTMRecipe(gates: .init(output: .init(temperature: 0))), saying: "temperature")
    refused(LSTMRecipe(gates: .init(output: .init(.hardSigmoid(slope: 0)))), saying: "no rising line")
    refused(ungated { $0.peepholes = true }, saying: "no gate that could look")
    refused(ungated { $0.fullGateRecurrence = true }, saying: "no gate that could look")
    refused(ungated { $0.temperature = 2 }, saying: "harder or softer")
    refused(none, .hardSigmoid(), saying: "harder or softer")
    refused(LSTMRecipe(clip: .cell(.infinity)), saying: "finite")
    refused(LSTMRecipe(projection: 5), saying: "5 of 4")
    refused(LSTMRecipe(projection: 0), saying: "0 of 4")
    refused(LSTMRecipe(fullGateRecurrence: true, projection: 2), saying: "h alone")
    refused(LSTMRecipe(fullGateRecurrence: true, norm: .layer), saying: "h alone")
    refused(LSTMRecipe(projection: 2, clip: .hidden(1)), saying: "unit by unit")
    refused(LSTMRecipe(projection: 2, zoneout: .init(hidden: 0.1)), saying: "unit by unit")
    expectRefusal(GRU(4, gateActivation: .hardSigmoid(slope: -1)), [.any, 3], saying: "no rising line")
  }

  /// What acts on one gate alone is taken: a budget's output gate has the usual form, and the budget a temperature.
  @Test func whatActsOnOneGateIsTaken() throws {
    let hard = LSTMRecipe.GateForm(.hardSigmoid())
    let usual = LSTMCell(Self.units, gateActivation: .hardSigmoid(), recipe: LSTMRecipe(writing: .budget))
    let own = LSTMCell(
      Self.units, recipe: LSTMRecipe(writing: .budget, gates: .init(output: hard)))
    let soft = LSTMCell(Self.units, recipe: LSTMRecipe(writing: .budget))
    #expect(sameBits(layer(usual)(x), layer(own)(x)) && !sameBits(layer(usual)(x), layer(soft)(x)))
    let model = Sequential(input: [.any, Self.inputs], seed: 1) { Recurrent(usual, outputs: .all) }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "budget").model
    #expect(sameBits(copy(x), model(x)))
    let open = LSTMRecipe(outputGate: false, writing: .budget, temperature: 2)
    let closed = LSTMRecipe(outputGate: false, writing: .budget)
    #expect(
      !sameBits(layer(LSTMCell(Self.units, recipe: open))(x), layer(LSTMCell(Self.units, recipe: closed))(x)))
    let lag = LSTMCell(
      Self.units, longestLag: 9, gateActivation: .hardSigmoid(), recipe: LSTMRecipe(writing: .budget))
    #expect(layer(lag)(x).isFinite)
  }

  // MARK: Half-lives

  @Test func halfLivesAreSpread() throws {
    let layer = LSTM(inputSize: 3, hiddenSize: 400, halfLives: 2...200)
    let bias = try #require(layer.parameters.first { $0.name == "bias_ih_l0" }).value.scalars
    let lives = bias[400..<800].map { b in
      Elementary.log(0.5) / -Elementary.log(1 + Elementary.exp(-Double(b)))
    }
    #expect(lives.allSatisfy { $0 > 1.99 && $0 < 201 })
    // Even on a logarithmic scale: half of them below the middle, 20.
    #expect((160...240).contains(lives.count { $0 < 20 }))
    #expect((bias[0..<400] + bias[800...]).allSatisfy { $0 == 0 })
  }

  @Test func halfLivesNeedTheirForgetGate() {
    func refused(_ cell: LSTMCell, saying words: String) {
      expectRefusal(Recurrent(cell), [.any, 3], saying: words)
    }
    refused(LSTMCell(4, halfLives: 0...3), saying: "half-lives")
    refused(LSTMCell(4, longestLag: 9, halfLives: 1...9), saying: "a longest lag and half-lives both say how")
    refused(LSTMCell(4, forgetBias: 2, halfLives: 1...9), saying: "forget bias 2")
    refused(LSTMCell(4, halfLives: 1...9, gateActivation: .hardSigmoid()), saying: "hardSigmoid")
    refused(LSTMCell(4, halfLives: 1...9, recipe: LSTMRecipe(writing: .budget)), saying: "budget")
    let soft = LSTMRecipe(gates: .init(forget: .init(temperature: 2)))
    refused(LSTMCell(4, longestLag: 9, recipe: soft), saying: "temperature 2")
  }
}
