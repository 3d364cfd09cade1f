import Lethe
import LetheTestSupport
import Testing

@Suite("Certificates of a trained model")
struct CertificatesTests {
  /// Digits read row by row.
  static func trained() throws -> (model: Sequential, test: Tensor) {
    let (train, test) = Digits.split()
    func rows(_ data: Dataset) -> Dataset {
      Dataset(inputs: data.inputs.reshaped([data.count, 8, 8]), targets: data.targets)
    }
    var model = Sequential(input: [8, 8], seed: 1) {
      LSTM(12, outputs: .all)
      GRU(10)
      Dense(10, activation: .softmax)
    }
    try model.fit(
      rows(train), epochs: 5, batchSize: 32, optimizer: .adam(rate: 0.01), loss: .categoricalCrossEntropy)
    return (model, rows(test).inputs)
  }

  @Test("what is seen on data is within what is proved, and an adversary comes nearer")
  func digits() throws {
    let (model, test) = try Self.trained()
    let top = test.scalars.max() ?? 1
    let recording = model.record(test)
    let all = try model.certificates(inputRange: .every(0...top), observing: [recording])
    #expect(all.layers.map(\.name) == ["layer 0 LSTM", "layer 1 GRU"] && all.notCovered.isEmpty)
    for layer in all.layers {
      #expect(!layer.hasInputsOutside)
      for statement in layer.statements {
        #expect(statement.isKept, "\(layer.name) \(statement.what): \(statement.text)")
        if case .gate = statement.subject { #expect(statement.isProved && statement.observed != nil) }
      }
      #expect(layer[.longestHalfLife]?.observed != nil)
      #expect(layer[.state("hidden")]?.isProved == true)
      let state = layer.bounds.memory?.state ?? ""
      #expect(layer[.state(state)]?.isProved == true)
      #expect(layer[.contraction]?.text.hasPrefix("not proved") == true)
      var adversary = RecurrentAdversary(layer.bounds)
      adversary.search(steps: 24, climbs: 4, key: RandomKey(seed: 3))
      for (name, extremes) in adversary.found {
        guard let own = layer.bounds[name] else { continue }
        #expect(zip(own, extremes).allSatisfy { $0.contains($1) }, "\(layer.name) \(name)")
      }
      let seen = try #require(layer[.state(state)]?.observed).magnitude
      #expect(try #require(adversary.found[state]).joined.magnitude > seen)
    }
    #expect(all.layers[1][.state("hidden")]?.text.contains("between the extremes") == true)
    let text = all.table
    #expect(text.contains("gate forget") && text.contains("seen") && !text.contains("not covered"))
    #expect(text.contains("from the stated range of the model's input"))
    // A range that the data leave.
    let half = try model.certificates(inputRange: .every(0...top / 2), observing: [recording])
    #expect(half.layers[0].hasInputsOutside && half.table.contains("some recorded inputs lie outside"))
  }

  @Test("a layer behind what is not covered takes its own recorded range, and says so")
  func recorded() throws {
    let model = Sequential(input: [.any, 4], seed: 1) {
      LayerNorm()
      GRU(6)
    }
    let x = numbers("x", [30, 9, 4])
    let without = try model.certificates(inputRange: .every(-1...1))
    #expect(without.layers[0].source.hasPrefix("any input") && without.notCovered == ["0 layer_norm"])
    #expect(without.table.hasSuffix("not covered: 0 layer_norm"))
    let recording = model.record(x)
    let with = try model.certificates(inputRange: .every(-1...1), observing: [recording], margin: 0.1)
    #expect(with.layers[0].source.contains("in recorded data") && !with.layers[0].hasInputsOutside)
    let (a, b) = (without.layers[0].bounds, with.layers[0].bounds)
    #expect(b["update"]?.joined.width ?? 1 < a["update"]?.joined.width ?? 0)
    #expect(with.layers[0].statements.allSatisfy { $0.isKept })
    let own = recording.layers[0].input.scalars.map(Double.init)
    let range = b.input.joined
    #expect(range.low < own.min() ?? 0 && range.high > own.max() ?? 0)
  }

  @Test("a projected cell has certificates of its two widths, and so has what reads it")
  func projected() throws {
    let model = Sequential(input: [.any, 4], seed: 1) {
      Recurrent(ProjectedLSTMCell(8, outputSize: 3), layers: 2, outputs: .all)
      GRU(5)
    }
    let all = try model.certificates(
      inputRange: .every(-1...1), observing: [model.record(numbers("x", [30, 9, 4]))])
    #expect(all.notCovered.isEmpty && all.layers.map(\.bounds.input.count) == [4, 3, 3])
    for layer in all.layers {
      #expect(!layer.hasInputsOutside && layer[.longestHalfLife]?.isProved == true)
      for statement in layer.statements {
        #expect(statement.isKept, "\(layer.name) \(statement.what): \(statement.text)")
      }
    }
    for layer in all.layers.prefix(2) {
      #expect(layer.bounds["hidden"]?.count == 3 && layer.bounds["cell"]?.count == 8)
      #expect(layer[.state("hidden")]?.isProved == true && layer[.state("hidden")]?.observed != nil)
    }
  }

  @Test("words for what is not bounded, and for what comes to rest")
  func words() throws {
    let growing = Recurrent(
      LSTMCell(3, recipe: LSTMRecipe(forgetGate: false)), inputSize: 2, key: RandomKey(seed: 1))
    let all = try growing.certificates(inputRange: .features([-1...1, 0...1]))
    let cell = try #require(all.layers[0][.state("cell")])
    #expect(!cell.isProved && cell.text.hasPrefix("no bound: 3 of 3 units can keep all, and grow by at most"))
    #expect(all.layers[0][.longestHalfLife]?.isProved == false)
    let multiplying = Recurrent(IndRNNCell(3), inputSize: 2, key: RandomKey(seed: 1))
    var loud = multiplying
    loud.forEachParameter { name, parameter in
      if name.hasPrefix("recurrent") { parameter.value = Tensor([1.2, 0.5, 0.5]) }
    }
    let hidden = try loud.certificates(inputRange: .every(-1...1)).layers[0][.state("hidden")]
    #expect(hidden?.isProved == false && hidden?.text.contains("1 of 3 units have no bound") == true)
    let leaky = Recurrent(LeakyCell(3, halfLives: 2...4), inputSize: 2, key: RandomKey(seed: 1))
    let calm = try leaky.certificates(inputRange: .every(-1...1)).layers[0]
    #expect(calm[.contraction]?.isProved == true && calm[.settling] != nil && calm[.gain] != nil)
    let half = try #require(calm[.longestHalfLife])
    #expect(half.bound.high > 2 && half.bound.high < 4.001)
    #expect(half.text.contains("steps at most"))
    #expect(throws: LetheError.self) { try leaky.certificates(inputRange: .features([-1...1])) }
    #expect(throws: LetheError.self) { try LSTM(3).certificates(inputRange: .every(-1...1)) }
  }
}
