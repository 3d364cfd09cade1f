import Lethe
import LetheTestSupport
import Testing

extension RecurrentBoundsTests {
  @Test("a box goes through a whole model")
  func models() throws {
    let model = Sequential(input: [.any, 3], seed: 4) {
      Dense(4, activation: .relu)
      TimeWindow(2)
      LSTM(5, layers: 2, bidirectional: true, outputs: .all, headSize: 4)
      Dropout(0.2)
      Residual { GRU(4, outputs: .all) }
      DenseConnection { Recurrent(MGUCell(3), outputs: .all) }
      Recurrent(ProjectedLSTMCell(5, outputSize: 3), layers: 2, bidirectional: true, outputs: .all)
      ForgettingGateNetwork(4, outputs: .all, recall: .previousMemory, outputGate: .twice)
      Bidirectional(ForgettingGateNetwork(2, outputs: .all), merge: .sum)
      LSTM(3)
    }
    var walk = BoxWalk()
    let given = ExampleBox(shape: [.any, 3], every: Interval(-1, 1))
    let through = walk.through(model, given)
    let out = try #require(through)
    #expect(walk.notCovered.isEmpty && out.features.count == 3)
    #expect(walk.layers.allSatisfy { $0.source == .derived })
    let x = numbers("x", [40, 12, 3])
    let timing = Timing(lengths: (0..<40).map { 1 + $0 % 12 })
    for recording in [model.record(x), model.record(x, timing: timing)] {
      #expect(recording.layers.count == walk.layers.count)
      for (seen, own) in zip(recording.layers, walk.layers) {
        #expect(seen.path == own.path && seen.layer == own.layer && seen.isReversed == own.isReversed)
        for (index, value) in seen.input.scalars.enumerated() {
          let bound = own.input[index % own.input.count]
          #expect(bound.contains(Double(value)) || value == 0, "\(own.name) input \(value) not in \(bound)")
        }
        for named in own.gates + own.states {
          let tensor = try #require(seen[named.name])
          let kept = tensor.scalars.enumerated().allSatisfy { index, value in
            named.units[index % named.units.count].contains(Double(value)) || value == 0
          }
          #expect(kept, "\(own.name) \(named.name)")
        }
      }
      let kept = recording.output.scalars.enumerated().allSatisfy {
        out.features[$0 % 3].contains(Double($1))
      }
      #expect(kept)
    }

    let tokens = Sequential(input: [.any], seed: 2) {
      Embedding(9, 4)
      GRU(3)
    }
    var second = BoxWalk()
    _ = second.through(tokens, nil)
    let input = try #require(second.layers.first).input
    let x2 = tokens.record(Tensor((0..<9).map(Float.init), shape: [1, 9])).layers[0].input
    for (index, value) in x2.scalars.enumerated() { #expect(input[index % 4].contains(Double(value))) }

    var third = BoxWalk()
    let normed = Sequential(input: [.any, 3], seed: 2) {
      LayerNorm()
      LSTM(3, outputs: .all)
      MatrixMemory(4, rule: .mLSTM, heads: 2, keySize: 2, valueSize: 2)
    }
    _ = third.through(normed, ExampleBox(shape: [.any, 3], every: Interval(-1, 1)))
    #expect(third.notCovered.count == 2 && third.layers.count == 1)
    #expect(third.layers[0].source == .anything && third.layers[0]["hidden"]?.joined == Interval(-1, 1))

    // Both directions are one part of the model.
    var fourth = BoxWalk()
    let both = Sequential(input: [.any, 3], seed: 2) {
      Bidirectional(
        MatrixMemory(4, rule: .mLSTM, heads: 2, keySize: 2, valueSize: 2, outputs: .all))
      LayerNorm()
    }
    _ = fourth.through(both, ExampleBox(shape: [.any, 3], every: Interval(-1, 1)))
    #expect(fourth.notCovered == ["0 matrix_memory", "1 layer_norm"])
  }

  /// h = W_p tanh(W x): what is projected sees the input alone.
  struct ReadCell: RecurrentCell {
    static let kind = "read"
    var hiddenSize: Int
    var outputSize: Int
    var description: CellDescription {
      CellDescription("read") { cell in
        cell.project(tanh(cell.gate("candidate", sees: [.input])), to: outputSize)
      }
    }
  }

  @Test("of a projection of units that do not meet, every bound is reached")
  func projection() throws {
    var layer = Recurrent(ReadCell(hiddenSize: 4, outputSize: 3), inputSize: 4, key: RandomKey(seed: 1))
    let projection = [0.5, -1, 0.25, 2, 0, 0, -3, 0, 1, 1, 1, 1] as [Float]
    layer.forEachParameter { name, parameter in
      switch name {
      case "weight_ih_l0":
        parameter.value = Tensor((0..<16).map { $0 % 5 == 0 ? Float($0 + 1) / 8 : 0 }, shape: [4, 4])
      case "weight_hr_l0": parameter.value = Tensor(projection, shape: [3, 4])
      default: parameter.value = Tensor(zeros: parameter.shape)
      }
    }
    let own = try bounds(layer, Array(repeating: Interval(-1, 0.5), count: 4))
    let hidden = try #require(own["hidden"])
    #expect(hidden.count == 3 && own["candidate"]?.count == 4)
    var adversary = RecurrentAdversary(own)
    adversary.search(steps: 60, climbs: 0, key: RandomKey(seed: 1))
    check(own, adversary, "projection")
    for (bound, seen) in zip(hidden, try #require(adversary.found["hidden"])) {
      #expect(seen.width > 0.9999 * bound.width, "\(seen) of \(bound)")
    }
    // A step forgets the state, and moves h by Σ |W_p| |W| at most.
    #expect(own.stepGain == 0 && own.contraction.rate < 1e-300)
    let steepest = (0..<3).map { row in
      (0..<4).reduce(0.0) { $0 + Double(projection[row * 4 + $1].magnitude * Float($1 * 5 + 1) / 8) }
    }
    let gain = try #require(own.contraction.gain)
    #expect(abs(gain / (steepest.max() ?? 0) - 1) < 1e-6, "\(gain) \(steepest)")
  }

  @Test("a learned start and a start of one's own count")
  func starts() throws {
    var layer = LSTM(4, outputs: .all)
    layer.learnsInitialState = true
    layer.builtOrStop(input: [.any, 2], key: RandomKey(seed: 1))
    layer.forEachParameter { name, parameter in
      if name.hasPrefix("initial") { parameter.value = Tensor([5, -6, 0.5, 0]) }
    }
    let own = try bounds(layer, [Interval(-1, 1), Interval(-1, 1)])
    #expect(own["cell"]?[0].high ?? 0 >= 5 && own["cell"]?[1].low ?? 0 <= -6)
    var adversary = RecurrentAdversary(own)
    adversary.search(steps: 10, climbs: 1, key: RandomKey(seed: 1))
    check(own, adversary, "learned start")
    let far = try bounds(layer, [Interval(-1, 1), Interval(-1, 1)], startingWithin: 40)
    #expect(far["cell"]?.allSatisfy { $0.low <= -40 && $0.high >= 40 } ?? false)
    // h and c of other widths.
    var projected = Recurrent(ProjectedLSTMCell(4, outputSize: 2), outputs: .all)
    projected.learnsInitialState = true
    projected.builtOrStop(input: [.any, 2], key: RandomKey(seed: 1))
    projected.forEachParameter { name, parameter in
      if name == "initial_hidden_l0" { parameter.value = Tensor([7, -8]) }
      if name == "initial_cell_l0" { parameter.value = Tensor([5, -6, 0.5, 9]) }
    }
    let both = try bounds(projected, [Interval(-1, 1), Interval(-1, 1)])
    #expect(both["hidden"]?.map { $0.magnitude.rounded(.down) } == [7, 8])
    #expect(both["cell"]?[3].high ?? 0 >= 9)
    var second = RecurrentAdversary(both)
    second.search(steps: 10, climbs: 1, key: RandomKey(seed: 1))
    check(both, second, "learned start of a projected LSTM")
  }
}
