import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct RecurrentExtrasTests {
  let x = numbers("x", [3, 6, 5])

  private func filled<Cell: RecurrentCell>(_ layer: Recurrent<Cell>) -> Recurrent<Cell> {
    var layer = layer
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("extras.\(name)", parameter.shape, scale: 0.5)
    }
    return layer
  }

  private func built<Cell: RecurrentCell>(_ layer: Recurrent<Cell>) throws -> Recurrent<Cell> {
    var layer = layer
    _ = try layer.build(input: [.any, 5])
    return filled(layer)
  }

  // MARK: Directions

  @Test func directionsAreMerged() throws {
    var layer = Recurrent(LSTMCell(7), bidirectional: true, outputs: .all)
    let both = try built(layer)(x)
    let (a, b) = (both.columns(0..<7), both.columns(7..<14))
    let expected: [(DirectionMerge, Tensor)] = [(.sum, a + b), (.mean, (a + b) * 0.5), (.product, a * b)]
    for (merge, want) in expected {
      layer.merge = merge
      #expect(try layer.build(input: [6, 5]) == [6, 7])
      #expect(difference(try built(layer)(x), want) < 1e-6, "\(merge)")
    }
  }

  @Test func mergedLayersStack() throws {
    var layer = Recurrent(GRUCell(7), layers: 2, bidirectional: true, outputs: .last)
    layer.merge = .mean
    #expect(try layer.build(input: [6, 5]) == [7])
    #expect(layer.parameters.first { $0.name == "weight_ih_l1" }?.value.shape == [0])
    #expect(try built(layer)(x).shape == [3, 7])
  }

  // MARK: Learned initial state

  @Test func theInitialStateIsLearned() throws {
    var layer = Recurrent(LSTMCell(7), outputs: .all)
    layer.learnsInitialState = true
    let own = try built(layer)
    let named = Dictionary(uniqueKeysWithValues: own.parameters.map { ($0.name, $0.value) })
    let h = try #require(named["initial_hidden_l0"]), c = try #require(named["initial_cell_l0"])
    func rows(_ t: Tensor) -> Variable {
      Variable(Tensor((0..<3).flatMap { _ in t.scalars }, shape: [3, 7]))
    }
    let given = own.run(Variable(x), from: RecurrentState(hidden: [rows(h)], cell: [rows(c)]))
    #expect(sameBits(own(x), given.output.tensor))

    // Its gradient is that of the given state, summed over the batch.
    let (_, all) = own.gradients { layer, tape in
      let y = layer(tape.constant(x))
      return (y * y).sum()
    }
    let tape = Tape()
    let (h0, c0) = (tape.watched(rows(h).tensor), tape.watched(rows(c).tensor))
    let y = own.run(tape.constant(x), from: RecurrentState(hidden: [h0], cell: [c0])).output
    let direct = tape.gradients(of: (y * y).sum())
    for (name, state) in [("initial_hidden_l0", h0), ("initial_cell_l0", c0)] {
      let sums = try #require(direct[state]).scalars
      let want = Tensor((0..<7).map { unit in (0..<3).reduce(0) { $0 + sums[$1 * 7 + unit] } })
      #expect(difference(try #require(all.named(for: own)[name]), want) < 1e-5)
    }

    var stream = own.stream()
    let first = stream.step((0..<5).map { x[0, 0, $0] })
    #expect(zip(first, (0..<7).map { own(x)[0, 0, $0] }).allSatisfy { $0.bitPattern == $1.bitPattern })
    stream.reset()
    #expect(stream.step((0..<5).map { x[0, 0, $0] }) == first)

    let copy = try ModelFile(
      bytes: ModelFile(Sequential(input: [6, 5]) { own }).encoded(), name: "initial"
    ).model
    #expect(copy.parameters.contains { $0.name == "0.initial_cell_l0" })
  }

  // MARK: Zoneout and DropConnect

  @Test func zoneoutKeepsUnitsAsOften() throws {
    let cell = LSTMCell(64, recipe: LSTMRecipe(zoneout: .init(hidden: 0.25)))
    let layer = filled(Recurrent(cell, inputSize: 5))
    let x = numbers("x", [8, 40, 5])
    let tape = Tape(key: RandomKey(seed: 4))
    let y = layer(tape.constant(x)).tensor
    var kept = 0
    for row in 0..<8 {
      for t in 1..<40 { for unit in 0..<64 where y[row, t, unit] == y[row, t - 1, unit] { kept += 1 } }
    }
    #expect(abs(Double(kept) / (8 * 39 * 64) - 0.25) < 0.02)
    // A chance that is no power of two keeps as exactly.
    let odd = filled(Recurrent(LSTMCell(64, recipe: LSTMRecipe(zoneout: .init(hidden: 0.3))), inputSize: 5))
    let z = odd(Tape(key: RandomKey(seed: 4)).constant(x)).tensor
    let same = (1..<40).reduce(0) { sum, t in sum + (0..<64).count { z[0, t, $0] == z[0, t - 1, $0] } }
    #expect(abs(Double(same) / (39 * 64) - 0.3) < 0.04)
    // Inputs that are taken as they are are no gates.
    #expect(
      Set(Recurrent(AUGRUCell(3), inputSize: 5).gateValues(Variable(self.x)).keys) == [
        "reset", "update", "candidate", "recurrent",
      ])
    // The same key draws the same, another draws others; evaluation draws nothing.
    #expect(sameBits(layer(Tape(key: RandomKey(seed: 4)).constant(x)).tensor, y))
    #expect(!sameBits(layer(Tape(key: RandomKey(seed: 5)).constant(x)).tensor, y))
    #expect(sameBits(layer(x), layer(x)))
  }

  @Test(arguments: [0, 1]) func randomMasksHaveTheirGradients(_ kind: Int) throws {
    let recipe = kind == 0 ? LSTMRecipe(zoneout: .init(hidden: 0.3, cell: 0.4)) : nil
    var layer = filled(Recurrent(LSTMCell(7, recipe: recipe), inputSize: 5))
    if kind == 1 { layer.dropout.weights = 0.5 }
    let timing = Timing(lengths: [6, 2, 4])
    func loss(_ layer: Recurrent<LSTMCell>) -> (Float, Gradients) {
      layer.gradients(key: RandomKey(seed: 9)) { layer, tape in
        let y = layer(tape.constant(x, timing: timing))
        return (y * y).sum()
      }
    }
    let gradients = loss(layer).1.named(for: layer)
    var checked = 0
    for name in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0"] {
      let ours = try #require(gradients[name]).scalars
      for index in stride(from: 0, to: ours.count, by: 11) {
        func shifted(_ amount: Float) -> Float {
          var copy = layer
          copy.forEachParameter { n, p in
            if n == name { p.value.withUnsafeMutableBuffer { $0[index] += amount } }
          }
          return loss(copy).0
        }
        let slope = (shifted(0.01) - shifted(-0.01)) / 0.02
        #expect(abs(ours[index] - slope) < 3e-3 * (1 + abs(slope)), "\(name)[\(index)]")
        checked += 1
      }
    }
    #expect(checked > 20)
    if kind == 1 {
      let zeros = try #require(gradients["weight_hh_l0"]).scalars.count { $0 == 0 }
      #expect((60...136).contains(zeros), "\(zeros) of 196 weights dropped")
    }
  }

  // MARK: Wrappers

  @Test func residualAdds() {
    let model = Sequential(input: [6, 5], seed: 2) { Residual { GRU(5, outputs: .all) } }
    let inner = Sequential(input: [6, 5], seed: 2) { GRU(5, outputs: .all) }
    var copy = inner
    let values = model.parameters.map(\.value)
    var index = 0
    copy.forEachParameter { _, p in
      p.value = values[index]
      index += 1
    }
    #expect(difference(model(x), x + copy(x)) == 0)
    #expect(throws: LetheError.self) { try Sequential(input: [6, 5], layers: [Residual { Dense(4) }]) }
  }

  @Test func denseConnectionsConcatenate() throws {
    let model = Sequential(input: [6, 5]) { DenseConnection { Dense(3, activation: .tanh) } }
    #expect(model.output == [6, 8])
    #expect(sameBits(model(x).columns(0..<5), x))
    let recurrent = DenseConnection { LSTM(4) }
    #expect(throws: LetheError.self) { try Sequential(input: [6, 5], layers: [recurrent]) }
  }

  @Test func stepsAreTakenAlone() {
    let model = Sequential(input: [.any, 5]) { TimeDistributed { Dense(3, activation: .relu) } }
    let plain = Sequential(input: [5], seed: 0) { Dense(3, activation: .relu) }
    var copy = plain
    let values = model.parameters.map(\.value)
    var index = 0
    copy.forEachParameter { _, p in
      p.value = values[index]
      index += 1
    }
    #expect(sameBits(model(x), copy(x.reshaped([18, 5])).reshaped([3, 6, 3])))
  }

  @Test func aWindowLooksBack() {
    let model = Sequential(input: [.any, 5]) { TimeWindow(3) }
    let y = model(x)
    #expect(y.shape == [3, 6, 15])
    for t in 0..<6 {
      for back in 0..<3 {
        for feature in 0..<5 {
          #expect(y[1, t, back * 5 + feature] == (t >= back ? x[1, t - back, feature] : 0))
        }
      }
    }
  }

  @Test func wrappersAreSaved() throws {
    let model = Sequential(input: [6, 5], seed: 4) {
      TimeWindow(2)
      DenseConnection { Recurrent(QRNNCell(4), outputs: .all) }
      Residual { Dense(14) }
      TimeDistributed { Dense(2) }
    }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "wrappers").model
    #expect(sameBits(copy(x), model(x)))
  }

  // MARK: Wrong options

  @Test func contradictionsAreRefused() {
    let recipes = [
      LSTMRecipe(inputGate: false, writing: .coupled), LSTMRecipe(forgetGate: false, hardForget: true),
      LSTMRecipe(temperature: 0), LSTMRecipe(clip: .cell(-1)), LSTMRecipe(zoneout: .init(hidden: 1)),
    ]
    for recipe in recipes {
      #expect(throws: LetheError.self) { try built(Recurrent(LSTMCell(7, recipe: recipe))) }
    }
    // As wide as their input, or one column more.
    #expect(throws: LetheError.self) { try built(Recurrent(SRUCell(7))) }
    #expect(throws: LetheError.self) { try built(Recurrent(AUGRUCell(4), layers: 2)) }
    #expect(throws: LetheError.self) { try built(Recurrent(HGRNCell(4, lowerBound: 1))) }
    #expect(throws: LetheError.self) { try built(Recurrent(JANETCell(4, longestLag: 2))) }
    let windows = (0..<4).map { _ in TimeWindow(1024) }
    #expect(throws: LetheError.self) { try Sequential(input: [.any, 1 << 23], layers: windows) }
  }

  @Test func initialisersMeanWhatTheySay() {
    let key = RandomKey(seed: 1)
    // σ(b) = 1 − 1 / (1 + u): the mean time to forget is 1 + u, up to the longest lag.
    let chrono = Initializer.chrono(longest: 100).make(shape: [2000], key: key).scalars
    let times = chrono.map { 1 + exp($0) }
    #expect(times.allSatisfy { $0 >= 2 && $0 <= 100 } && abs(times.reduce(0, +) / 2000 - 51) < 2)
    let lives = Initializer.halfLives(2...200).make(shape: [500], key: key).scalars.map { b in
      log(0.5) / log(1 / (1 + exp(-Double(b))))
    }
    #expect(
      lives.allSatisfy { $0 > 1.99 && $0 < 201 } && lives.contains { $0 < 4 } && lives.contains { $0 > 100 })
    let ring = Initializer.softplusOfDecay(0.9..<0.999).make(shape: [500], key: key).scalars.map { v in
      1 / (1 + exp(Double(v)))
    }
    #expect(ring.allSatisfy { $0 > 0.8999 && $0 < 0.9991 })
    let power = Initializer.powerLawForget.make(shape: [9], key: key).scalars
    #expect(
      power.first == 5 && abs((power.last ?? 0) + 7) < 1e-5
        && zip(power, power.dropFirst()).allSatisfy { $0 > $1 })
  }
}
