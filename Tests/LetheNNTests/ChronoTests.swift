import Lethe
import LetheTestSupport
import Testing

/// Chrono initialisation: b_f = log u with u in 1..<longest − 1, and b_i = −b_f, unit by unit.
@Suite struct ChronoTests {
  /// The biases of a layer's gates by name, in its own order of gates.
  private func biases(_ cell: LSTMCell) throws -> [String: [Float]] {
    let layer = Recurrent(cell, inputSize: 3)
    let bias = try #require(layer.parameters.first { $0.name == "bias_ih_l0" }).value.scalars
    let units = cell.hiddenSize
    return Dictionary(
      uniqueKeysWithValues: cell.description.gates.enumerated().map {
        ($1, Array(bias[$0 * units..<($0 + 1) * units]))
      })
  }

  static let recipes: [LSTMRecipe?] = [
    nil, LSTMRecipe(peepholes: true), LSTMRecipe(writing: .budget), LSTMRecipe(fullGateRecurrence: true),
  ]

  @Test(arguments: recipes) func theInputGateStartsOpposite(_ recipe: LSTMRecipe?) throws {
    let gates = try biases(LSTMCell(400, longestLag: 50, recipe: recipe))
    let forget = try #require(gates["forget"]), input = try #require(gates["input"])
    #expect(input == forget.map { -$0 })
    let most = Float(Elementary.log(49.0))
    #expect(forget.allSatisfy { (0..<most).contains($0) })
    // u is even in 1..<49: a quarter of it below 13.
    let low = forget.count { $0 < Float(Elementary.log(13.0)) }
    #expect((65...135).contains(low), "\(low)")
    #expect(gates["candidate"]?.allSatisfy { $0 == 0 } == true)
    #expect(gates["output"]?.allSatisfy { $0 == 0 } == true)
  }

  @Test func coupledGatesHaveOneBias() throws {
    let gates = try biases(LSTMCell(8, longestLag: 50, recipe: LSTMRecipe(writing: .coupled)))
    #expect(gates["forget"]?.allSatisfy { $0 >= 0 } == true && gates["input"] == nil)
  }

  @Test func withoutALagNothingChanges() throws {
    let gates = try biases(LSTMCell(4))
    #expect(gates["forget"] == [1, 1, 1, 1] && gates["input"] == [0, 0, 0, 0])
    let layer = LSTM(inputSize: 3, hiddenSize: 4, longestLag: 20)
    #expect(layer.cell.longestLag == 20)
  }

  @Test func itIsSavedAndRead() throws {
    let model = Sequential(input: [5, 3], seed: 1) {
      LSTM(4, longestLag: 30)
      Dense(1)
    }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "chrono").model
    #expect((copy.layers.first as? LSTM)?.cell.longestLag == 30)
  }

  @Test func contradictionsAreRefused() {
    expectRefusal(LSTM(4, longestLag: 2), [5, 3], saying: "lag 2")
    expectRefusal(LSTM(4, forgetBias: 5, longestLag: 50), [5, 3], saying: "forget bias 5")
    expectRefusal(
      Recurrent(LSTMCell(4, longestLag: 50, recipe: LSTMRecipe(forgetGate: false))), [5, 3],
      saying: "no forget gate")
    expectRefusal(Recurrent(JANETCell(4, longestLag: 2)), [5, 3], saying: "lag 2")
    expectRefusal(Recurrent(JANETCell(4, beta: .nan)), [5, 3], saying: "beta")
  }

  /// A bias of log u gives the half-lives wanted through σ(sum) alone; the same cells without a lag are accepted.
  @Test func otherFormsOfTheForgetGateAreRefused() throws {
    func cell(_ lag: Int?, _ gate: GateActivation = .sigmoid, _ recipe: LSTMRecipe? = nil) -> LSTM {
      Recurrent(LSTMCell(4, longestLag: lag, gateActivation: gate, recipe: recipe))
    }
    let others: [(GateActivation, LSTMRecipe?, String)] = [
      (.hardSigmoid(), nil, "hardSigmoid"),
      (.sigmoid, LSTMRecipe(temperature: 2), "temperature 2"),
      (.sigmoid, LSTMRecipe(hardForget: true), "hard forget gate"),
      (.sigmoid, LSTMRecipe(clip: .sums(3)), "clipped at 3"),
    ]
    for (gate, recipe, fault) in others {
      expectRefusal(cell(50, gate, recipe), [5, 3], saying: fault)
      var plain = cell(nil, gate, recipe)
      #expect(try plain.build(input: [5, 3]) == [4])
    }
    // A bound elsewhere leaves the gate as it is.
    var bounded = cell(50, .sigmoid, LSTMRecipe(clip: .cell(3)))
    #expect(try bounded.build(input: [5, 3]) == [4])
  }

  @Test func aBlockCanBeOppositeToAnother() {
    let key = RandomKey(seed: 4)
    let made = Initializer.stacked([.opposite(of: 2), .constant(3), .uniform(bound: 1)]).make(
      shape: [6], key: key
    ).scalars
    #expect(made[0] == -made[4] && made[1] == -made[5] && made[4] != made[5])
    #expect(made[2...3] == [3, 3])
  }

  @Test func anOppositeIsOfABlockThatIsNone() async {
    func message(_ result: ExitTest.Result?) -> String {
      String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    }
    let itself = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Initializer.stacked([.opposite(of: 0), .zeros]).make(shape: [4], key: RandomKey(seed: 4))
    }
    #expect(message(itself).contains("block 0 is of block 0, which is an opposite too"))
    let another = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      _ = Initializer.stacked([.opposite(of: 1), .opposite(of: 2), .unit]).make(
        shape: [3], key: RandomKey(seed: 4))
    }
    #expect(message(another).contains("block 0 is of block 1"))
  }
}
