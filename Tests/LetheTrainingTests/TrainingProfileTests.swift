import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct TrainingProfileTests {
  /// Numbers for parameters by their names; the others 0.
  private func filled<M: Module>(_ model: M, _ value: (String, Int) -> Float?) -> M {
    var model = model
    model.forEachParameter { name, parameter in
      parameter.value = Tensor(
        (0..<parameter.value.count).map { value(name, $0) ?? 0 }, shape: parameter.shape)
    }
    return model
  }

  private func rows(_ count: Int, _ time: Int, _ features: Int, lengths: [Int]? = nil) -> Dataset {
    Dataset(
      inputs: numbers("x", [count, time, features]),
      targets: .classes((0..<Int32(count)).map { $0 % 3 }, count: 3), lengths: lengths)
  }

  @Test func gatesThatAreConstantHaveTheirHalfLife() throws {
    // Blocks of five: input, forget, candidate, output. The units' forget gates are open by 1, 2 … 5.
    let model = filled(
      Sequential(input: [.any, 2], seed: 1) {
        LSTM(5)
        Dense(3)
      }
    ) { name, i in
      guard name == "0.bias_ih_l0" else { return nil }
      return [-10, Float(i % 5 + 1), 0, 10][i / 5]
    }
    let profile = TrainingProfile(
      of: model, on: rows(3, 6, 2, lengths: [6, 2, 4]), loss: .categoricalCrossEntropy)
    try #require(profile.layers.count == 1)
    let layer = profile.layers[0]
    #expect(layer.label == "0.layer0.forward")
    let gates = (1...5).map { 1 / (1 + Foundation.exp(-Double($0))) }
    for (found, f) in zip(layer.halfLives, gates) {
      let expected = Foundation.log(0.5) / Foundation.log(f)
      #expect(abs(found - expected) < 1e-3 * expected)
    }
    let keep = try #require(layer.keep)
    #expect(abs(keep.mean - gates.reduce(0, +) / 5) < 1e-6)
    #expect(abs(keep.median - gates[2]) < 1e-6)
    #expect(abs(keep.p05 - gates[0]) < 1e-6 && abs(keep.p95 - gates[4]) < 1e-6)
    // σ(3) = 0.953, so three units of five are open.
    #expect(layer.saturation.map(\.gate) == ["input", "forget", "output"])
    #expect(layer.saturation.map(\.shut) == [1, 0, 0])
    #expect(layer.saturation.map(\.open) == [0, 0.6, 1])
  }

  @Test func cellsWithoutMemoryKeepNothing() throws {
    let model = Sequential(input: [.any, 2], seed: 1) {
      RNN(4)
      Dense(3)
    }
    let layer = try #require(
      TrainingProfile(of: model, on: rows(2, 3, 2), loss: .categoricalCrossEntropy).layers.first)
    #expect(layer.keep?.p95 == 0 && layer.halfLives == [0, 0, 0, 0] && layer.saturation.isEmpty)
    let none = Sequential(input: [3, 2], seed: 1) {
      Flatten()
      Dense(3)
    }
    #expect(TrainingProfile(of: none, on: rows(2, 3, 2), loss: .categoricalCrossEntropy).layers.isEmpty)
  }

  @Test func spreadsAreQuantiles() {
    let spread = TrainingProfile.Spread(of: (0...100).reversed().map(Double.init))
    #expect([spread.p05, spread.p25, spread.median, spread.p75, spread.p95] == [5, 25, 50, 75, 95])
    #expect(spread.mean == 50)
    #expect(TrainingProfile.Spread(of: [1, .infinity, 2]).median == 2)
  }

  /// h_t = tanh(r h_{t−1}) stays at 0, where the slope of tanh is 1: r^lag is what comes through, in both directions.
  @Test(arguments: [nil, [6, 3, 1]] as [[Int]?])
  func gradientsFallByTheRecurrentFactor(lengths: [Int]?) throws {
    let model = filled(
      Sequential(input: [.any, 2], seed: 1) {
        RNN(4, bidirectional: true)
        Dense(3, activation: .softmax)
      }
    ) { name, i in
      if name.contains("weight_hh") { return i % 5 == 0 ? 0.5 : 0 }
      return name == "1.weight" ? Float(i % 7) / 4 - 0.5 : nil
    }
    let data = rows(3, 6, 2, lengths: lengths)
    let profile = TrainingProfile(of: model, on: data, loss: .categoricalCrossEntropy)
    #expect(profile.layers.map(\.label) == ["0.layer0.forward", "0.layer0.backward"])
    for layer in profile.layers {
      try #require(layer.gradientByLag.count == 6)
      #expect(layer.gradientByLag[0] > 0.01)
    }
    let first = profile.layers[0].gradientByLag
    if lengths == nil {
      for layer in profile.layers {
        for lag in 0..<6 {
          let expected = layer.gradientByLag[0] * Foundation.pow(0.5, Double(lag))
          #expect(abs(layer.gradientByLag[lag] - expected) < 1e-6)
        }
      }
      // The mean of the rows' own.
      let alone = (0..<3).map {
        TrainingProfile(of: model, on: data[$0..<$0 + 1], loss: .categoricalCrossEntropy).layers[0]
          .gradientByLag[0]
      }
      #expect(abs(first[0] - alone.reduce(0, +) / 3) < 1e-6)
    } else {
      // Lags that only the longest row has: the first row's alone.
      let longest = TrainingProfile(of: model, on: data[0..<1], loss: .categoricalCrossEntropy).layers[0]
      for lag in 3..<6 { #expect(abs(first[lag] - longest.gradientByLag[lag]) < 1e-7) }
    }
  }

  /// The last activation is in the recorded model; the loss is on what stands before it.
  @Test func allLossesSeeTheSameWithAndWithoutTheLastActivation() throws {
    let x = numbers("x", [4, 5, 2])
    func profile(_ loss: Loss, _ units: Int, _ activation: Activation, _ targets: Targets) throws -> [Double]
    {
      let model = Sequential(input: [.any, 2], seed: 3) {
        LSTM(6)
        Dense(units, activation: activation)
      }
      let data = Dataset(inputs: x, targets: targets)
      _ = try model.evaluate(data, loss: loss)
      return try #require(TrainingProfile(of: model, on: data, loss: loss).layers.first).gradientByLag
    }
    func close(_ a: [Double], _ b: [Double]) -> Bool {
      a.count == 5 && b.count == 5 && a[0] > 1e-4 && zip(a, b).allSatisfy { abs($0 - $1) < 1e-6 }
    }
    let classes = Targets.classes([0, 2, 1, 2], count: 3), yes = Targets.classes([0, 1, 1, 0], count: 2)
    let shares = Targets.values(Tensor([0.5, 0.5, 0, 0, 1, 0, 0.25, 0.25, 0.5, 1, 0, 0], shape: [4, 3]))
    let real = Targets.values(Tensor([0, 1, 1, 0], shape: [4]))
    for targets in [classes, shares] {
      let linear = try profile(.categoricalCrossEntropy, 3, .linear, targets)
      #expect(close(linear, try profile(.categoricalCrossEntropy, 3, .softmax, targets)))
      #expect(close(linear, try profile(.probabilityCrossEntropy, 3, .softmax, targets)))
    }
    let logits = try profile(.binaryCrossEntropy, 1, .linear, yes)
    #expect(close(logits, try profile(.binaryCrossEntropy, 1, .sigmoid, yes)))
    #expect(close(logits, try profile(.binaryCrossEntropy, 1, .sigmoid, real)))
    let squares = try profile(.meanSquaredError, 1, .linear, real)
    #expect(close(squares, squares) && !close(squares, logits))
  }

  @Test func answersAtEveryStepAreCutWithTheirRow() throws {
    let model = Sequential(input: [.any, 2], seed: 3) {
      GRU(4, outputs: .all)
      Dense(3, activation: .softmax)
    }
    var data = rows(2, 5, 2, lengths: [5, 3])
    data.targets = .classes([0, 1, 2, 0, 1, 2, 1, 0, 0, 0], count: 3)
    _ = try model.evaluate(data, loss: .categoricalCrossEntropy)
    let layer = try #require(
      TrainingProfile(of: model, on: data, loss: .categoricalCrossEntropy).layers.first)
    #expect(layer.gradientByLag.count == 5 && layer.gradientByLag.allSatisfy { $0 > 0 })
    #expect(layer.saturation.map(\.gate) == ["reset", "update"])
  }

  @Test func afterEpochLooksOnAndChangesNothing() throws {
    var options = FitOptions(loss: .categoricalCrossEntropy)
    options.epochs = 3
    let data = Digits.load()[0..<64]
    var plain = digitReader, watched = digitReader
    let history = try plain.fit(data, validation: data, options: options)
    var seen: [EpochRecord] = [], bits: [[[UInt32]]] = [], profiles: [TrainingProfile] = []
    try watched.fit(data, validation: data, options: options) {
      false
    } afterEpoch: { model, record in
      seen.append(record)
      bits.append(model.bits)
      profiles.append(TrainingProfile(of: model, on: data[0..<8], loss: options.loss))
    }
    #expect(seen.map(\.epoch) == [1, 2, 3] && seen.map(\.loss) == history.epochs.map(\.loss))
    #expect(bits.last == plain.bits && watched.bits == plain.bits && bits[0] != bits[1])
    #expect(profiles[0] != profiles[2] && profiles[0].layers.map(\.label) == ["1.layer0.forward"])
    let again = Parallel.$threads.withValue(1) {
      TrainingProfile(of: watched, on: data[0..<8], loss: options.loss)
    }
    #expect(again == profiles[2])
  }

  @Test func anEpochIsWrittenUnderItsTags() throws {
    let folder = try TemporaryFolder()
    let file = try EventFile(folder: folder.path)
    let data = Digits.load()[0..<8]
    let profile = TrainingProfile(of: digitReader, on: data, loss: .categoricalCrossEntropy)
    let record = EpochRecord(epoch: 7, loss: 0.5, valLoss: 0.75, valAccuracy: 0.25, seconds: 1, rate: 0.125)
    try file.append(record, profile)
    try file.append(EpochRecord(epoch: 8, loss: 0.25, seconds: 1, rate: 0.125))
    let events = try EventRecord.all(in: FileBytes.read(file.path, limit: 1 << 20))
    #expect(events.map(\.step) == [0, 7, 8])
    let scalars = events[1].scalars
    let layer = profile.layers[0], label = "1.layer0.forward"
    #expect(scalars["loss/train"] == 0.5 && scalars["loss/validation"] == 0.75)
    #expect(scalars["accuracy/train"] == nil && scalars["accuracy/validation"] == 0.25)
    #expect(scalars["learning rate"] == 0.125)
    let keep = try #require(layer.keep)
    for (name, value) in [
      ("mean", keep.mean), ("p05", keep.p05), ("p25", keep.p25), ("median", keep.median), ("p75", keep.p75),
      ("p95", keep.p95),
    ] { #expect(scalars["keep/\(label)/\(name)"] == Float(value)) }
    #expect(scalars["half-life/\(label)/median"] == Float(TrainingProfile.Spread(of: layer.halfLives).median))
    for gate in layer.saturation {
      #expect(scalars["saturation/\(label)/\(gate.gate) shut"] == Float(gate.shut))
      #expect(scalars["saturation/\(label)/\(gate.gate) open"] == Float(gate.open))
    }
    let lags = scalars.keys.filter { $0.hasPrefix("gradient/") }.sorted()
    #expect(lags == [0, 1, 2, 4, 7].map { "gradient/\(label)/lag \($0)" })
    #expect(scalars["gradient/\(label)/lag 4"] == Float(layer.gradientByLag[4]))
    #expect(events[1].histograms["gradient by lag/\(label)"]?.counts == layer.gradientByLag)
    #expect(events[1].histograms["half-life of units/\(label)"]?.counts.reduce(0, +) == 6)
    #expect(events[2].scalars.keys.sorted() == ["learning rate", "loss/train"])
  }
}
