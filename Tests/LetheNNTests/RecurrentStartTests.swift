import Lethe
import LetheTestSupport
import Testing

/// Layers that start as other libraries' do, and options of a layer that could not act.
@Suite struct RecurrentStartTests {
  private func named(_ module: some Module) -> [String: Tensor] {
    Dictionary(uniqueKeysWithValues: module.parameters.map { ($0.name, $0.value) })
  }

  /// Everything even in ±1 / √H, whatever its shape.
  @Test func pytorchIsUniform() {
    func check(_ layer: some Module) {
      let bound: Float = 1 / Float(64).squareRoot()
      for (name, value) in layer.parameters {
        let scalars = value.scalars
        #expect(scalars.allSatisfy { abs($0) <= bound }, "\(name)")
        let variance = scalars.map { $0 * $0 }.reduce(0, +) / Float(scalars.count)
        #expect(abs(variance / (bound * bound / 3) - 1) < 0.3, "\(name)")
        #expect((scalars.max() ?? 0) > 0.85 * bound && (scalars.min() ?? 0) < -0.85 * bound, "\(name)")
      }
    }
    check(LSTM(inputSize: 5, hiddenSize: 64, layers: 2, bidirectional: true, start: .pytorch))
    check(GRU(inputSize: 5, hiddenSize: 64, start: .pytorch))
    check(RNN(inputSize: 5, hiddenSize: 64, start: .pytorch))
    check(Recurrent(ProjectedLSTMCell(64, outputSize: 20), inputSize: 5, start: .pytorch))
  }

  /// The recurrent matrix has orthonormal columns over all gates at once, which ours, gate by gate, has not.
  @Test(arguments: [RecurrentStart.keras, .lethe]) func kerasIsOrthogonalAsAWhole(start: RecurrentStart)
    throws
  {
    let layer = LSTM(inputSize: 5, hiddenSize: 8, start: start)
    let values = named(layer)
    let hidden = try #require(values["weight_hh_l0"]), input = try #require(values["weight_ih_l0"])
    for a in 0..<8 {
      for b in 0...a {
        let dot = (0..<32).reduce(Float(0)) { $0 + hidden[$1, a] * hidden[$1, b] }
        let own: Float = start == .keras ? 1 : 4
        #expect(abs(dot - (a == b ? own : 0)) < 1e-5)
      }
    }
    let bound = (6 / Float(5 + (start == .keras ? 32 : 8))).squareRoot()
    let most = input.scalars.map { abs($0) }.max() ?? 0
    #expect(most <= bound && most > 0.95 * bound)
    let bias = try #require(values["bias_ih_l0"]).scalars
    #expect(bias == (0..<32).map { (8..<16).contains($0) ? 1 : 0 })
    #expect(values["bias_hh_l0"]?.scalars.allSatisfy { $0 == 0 } == true)
  }

  @Test func theStartIsSaved() throws {
    let model = Sequential(input: [.any, 3], seed: 4) { GRU(5, start: .pytorch) }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "start").model
    #expect((copy.layers[0] as? GRU)?.start == .pytorch)
    let x = numbers("start.x", [2, 4, 3])
    #expect(sameBits(copy(x), model(x)))
  }

  @Test func contradictionsAreRefused() {
    expectRefusal(LSTM(4, forgetBias: 5, start: .pytorch), [.any, 3], saying: "forget")
    expectRefusal(LSTM(4, longestLag: 9, start: .pytorch), [.any, 3], saying: "input")
    expectRefusal(GRU(4, updateBias: 1, start: .pytorch), [.any, 3], saying: "update")
    expectRefusal(Recurrent(MGUCell(4), start: .pytorch), [.any, 3], saying: "no cell of PyTorch")
    expectRefusal(Recurrent(MGUCell(4), start: .keras), [.any, 3], saying: "no cell of Keras")
  }

  // MARK: Options that could not act

  @Test func dropoutNeedsSomethingToDrop() {
    func recurrent(_ cell: some RecurrentCell, _ dropout: RecurrentDropout, saying words: String?) {
      var layer = Recurrent(cell, dropout: dropout)
      guard let words else {
        #expect(throws: Never.self) { try layer.build(input: [.any, 4]) }
        return
      }
      expectRefusal(layer, [.any, 4], saying: words)
    }
    let (hidden, weights) = (RecurrentDropout(recurrent: 0.5), RecurrentDropout(weights: 0.5))
    for entry in CellCatalog.all {
      guard let cell = entry.cell?(4), cell.description.scalars == 0 else { continue }
      let looksBack = cell.description.looksBack
      recurrent(cell, hidden, saying: looksBack.atHidden ? nil : "no gate that sees the hidden state")
      recurrent(cell, weights, saying: looksBack.byWeights ? nil : "no recurrent weights")
    }
    recurrent(MinGRUCell(4), hidden, saying: "no gate")
    recurrent(IndRNNCell(4), weights, saying: "no recurrent weights")
    recurrent(ForgettingGateCell(4), hidden, saying: "no gate")
    recurrent(MGUCell(4), hidden, saying: nil)
  }

  @Test func oneDirectionCannotBeMerged() {
    var layer = GRU(4)
    layer.merge = .mean
    expectRefusal(layer, [.any, 3], saying: "has one")
  }

  @Test(arguments: [Float.nan, .infinity]) func startsAreNumbers(bias: Float) {
    let layers: [any Layer] = [
      LSTM(4, forgetBias: bias), GRU(4, updateBias: bias), Recurrent(SRUCell(4, highwayBias: bias)),
      Recurrent(QRNNCell(4, forgetBias: bias)), Recurrent(ForgettingGateCell(4, forgetBias: bias)),
      Recurrent(ProjectedLSTMCell(4, outputSize: 2, forgetBias: bias)),
      Recurrent(LayerNormLSTMCell(4, forgetBias: bias)),
    ]
    for layer in layers { expectRefusal(layer, [.any, 4], saying: "cannot start so") }
  }

  @Test func namesAreOnesOwn() {
    expectRefusal(Recurrent(TwoNamesCell(hiddenSize: 4, kind: .parameter)), [.any, 3], saying: "'weight_ih'")
    expectRefusal(Recurrent(TwoNamesCell(hiddenSize: 4, kind: .state)), [.any, 3], saying: "'keep'")
    expectRefusal(Recurrent(TwoNamesCell(hiddenSize: 4, kind: .opposite)), [.any, 3], saying: "opposite")
  }
}

/// Names that something else has.
private struct TwoNamesCell: RecurrentCell {
  enum Kind: String, Codable { case parameter, state, opposite }
  static let kind = "two_names"
  var hiddenSize: Int
  var kind: Kind

  var description: CellDescription {
    CellDescription("two names") { cell in
      let gate = cell.gate("keep", bias: kind == .opposite ? .opposite(of: 0) : .zeros)
      switch kind {
      case .parameter: return sigmoid(gate + cell.vector("weight_ih"))
      case .opposite: return sigmoid(gate)
      case .state:
        let keep = cell.state("keep")
        cell.update(keep, to: tanh(gate))
        return 0.5 * keep + tanh(gate)
      }
    }
  }
}

extension CellDescription {
  /// By names alone: whether gates see h, or what is made of gates and states, and whether there are recurrent weights.
  fileprivate var looksBack: (atHidden: Bool, byWeights: Bool) {
    let blind = ["SRU", "QRNN", "minGRU", "minLSTM", "RG-LRU", "HGRN", "EMA", "leaky integrator", "IndRNN"]
    let isFGN = name == "Forgetting Gate Network"
    return (
      !blind.contains(name) && !isFGN,
      !blind.contains(name) && !(isFGN && !gates.contains("recall") && states.count == 2)
    )
  }
}
