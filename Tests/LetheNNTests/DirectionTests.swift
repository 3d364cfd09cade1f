import Foundation
import Lethe
import LetheNN
import LetheTestSupport
import Testing

/// The direction of recurrent layers, alone and in `Bidirectional`.
@Suite struct DirectionTests {
  static let kinds = [
    "lstm", "peephole", "fgn", "fgn_recall", "mlstm", "gla", "hgrn2", "deltanet", "fox", "attentive",
  ]
  let lengths = [6, 0, 4, 1]
  let x = numbers("direction", [4, 6, 5])

  private static func made(_ kind: String, outputs: RecurrentOutputs = .all, reversed: Bool = false) throws
    -> any RecurrentLayer
  {
    var layer = try #require(CellCatalog.entry(kind)).layer(7, outputs)
    layer.isReversed = reversed
    _ = try layer.build(input: [.any, 5])
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("\(kind).\(name)", parameter.shape, scale: 0.6)
    }
    return layer
  }

  private func turned(_ x: Tensor) -> Tensor {
    var to = Tensor(zeros: x.shape)
    for (row, length) in lengths.enumerated() {
      for t in 0..<length { for i in 0..<x.shape[2] { to[row, length - 1 - t, i] = x[row, t, i] } }
    }
    return to
  }

  private func difference(_ a: [Tensor], _ b: [Tensor]) -> Float {
    a.count == b.count ? zip(a, b).map { LetheTestSupport.difference($0, $1) }.max() ?? 0 : .infinity
  }

  /// Gradients of ⟨y, a⟩ + ⟨final state, b⟩ with respect to inputs, initial state and parameters.
  private func gradients(
    _ layer: some RecurrentLayer, _ x: Tensor, _ timing: Timing, _ cotangent: Tensor, _ start: RecurrentState
  ) -> (watched: [Tensor], parameters: [Tensor]) {
    var watched: [Variable] = []
    let (_, all) = layer.gradients(isTraining: false) { layer, tape in
      let x = tape.watched(x, timing: timing)
      let state = RecurrentState(
        hidden: start.hidden.map { tape.watched($0.tensor) },
        cell: start.cell.map { tape.watched($0.tensor) },
        attention: start.attention)
      watched = [x] + state.hidden + state.cell
      let (y, final) = layer.run(x, from: state)
      return (final.hidden + final.cell).enumerated().reduce((y * Variable(cotangent)).sum()) {
        $0 + ($1.element * Variable(numbers("state \($1.offset)", $1.element.shape))).sum()
      }
    }
    let named = all.named(for: layer)
    return (watched.compactMap { all[$0] }, layer.parameters.compactMap { named[$0.name] })
  }

  /// Outputs, states and gradients, with lengths, resets and a state to begin with.
  @Test(arguments: kinds) func backwardIsForwardOverSequencesTurnedRound(_ kind: String) throws {
    let forward = try Self.made(kind), backward = try Self.made(kind, reversed: true)
    func flags(_ steps: [Int: [Int]]) -> [[Bool]] {
      (0..<4).map { row in (0..<6).map { steps[row]?.contains($0) ?? false } }
    }
    // Between steps 1 and 2 and between 4 and 5 of the first row, between 0 and 1 of the third.
    let ahead = Timing(lengths: lengths, resets: flags([0: [2, 5], 2: [1]]))
    let back = Timing(lengths: lengths, resets: flags([0: [4, 1], 2: [3]]))
    let start = forward.run(Variable(numbers("before", [4, 3, 5])), from: nil).state.detached
    let a = forward.run(Variable(x, timing: ahead), from: start)
    let b = backward.run(Variable(turned(x), timing: back), from: start)
    func parts(_ state: RecurrentState) -> [Tensor] {
      (state.hidden + state.cell).map(\.tensor) + (state.attention?.tensors ?? [])
    }
    #expect(sameBits(turned(b.output.tensor), a.output.tensor) && b.output.timing == back)
    let states = zip(parts(a.state), parts(b.state))
    #expect(parts(a.state).count == parts(b.state).count && states.allSatisfy { sameBits($0, $1) })
    #expect(LetheTestSupport.difference(a.output.tensor, Tensor(zeros: a.output.shape)) > 0.01)

    let cotangent = numbers("cotangent", a.output.shape)
    let ours = gradients(backward, turned(x), back, turned(cotangent), start)
    let want = gradients(forward, x, ahead, cotangent, start)
    #expect(sameBits(turned(ours.watched[0]), want.watched[0]))
    #expect(difference(Array(ours.watched.dropFirst()), Array(want.watched.dropFirst())) < 1e-5)
    #expect(!ours.parameters.isEmpty && difference(ours.parameters, want.parameters) < 1e-5)
  }

  /// A walk from the end ends with the first step.
  @Test(arguments: kinds) func theLastOutputIsTheWalksLast(_ kind: String) throws {
    let all = try Self.made(kind, reversed: true), last = try Self.made(kind, outputs: .last, reversed: true)
    let x = Variable(x, timing: Timing(lengths: lengths))
    let steps = all.run(x, from: nil).output.tensor, ends = last.run(x, from: nil).output.tensor
    #expect(ends.shape == [4, steps.shape[2]])
    for (row, length) in lengths.enumerated() {
      for unit in 0..<steps.shape[2] {
        #expect(ends[row, unit] == (length > 0 ? steps[row, 0, unit] : 0))
      }
    }
  }

  /// Files from before there was a direction say nothing of it.
  @Test(arguments: kinds) func theDirectionIsSaved(_ kind: String) throws {
    func text(_ layer: some Layer) throws -> String {
      String(decoding: try JSONEncoder().encode(layer), as: UTF8.self)
    }
    // Layers on the tape have always said it.
    let forward = try text(Self.made(kind))
    #expect(forward.contains("reversed") == (kind == "attentive"))
    for isReversed in [false, true] {
      let layer = try Self.made(kind, reversed: isReversed)
      let model = try Sequential(input: [.any, 5], layers: [layer], seed: 4)
      let copy = try ModelFile(
        bytes: ModelFile(model).encoded(), name: kind, layers: [type(of: layer)]
      ).model
      #expect((copy.layers[0] as? any RecurrentLayer)?.isReversed == isReversed)
      #expect(sameBits(copy(x), model(x)))
    }
  }

  @Test(arguments: kinds) func aStreamOnlyGoesForward(_ kind: String) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [kind] in
      _ = try DirectionTests.made(kind, reversed: true).stream()
    }
    let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(words.contains("backward") && words.contains("whole sequence"), "\(words)")
  }

  // MARK: stacks

  /// One direction alone is that half of both; with a head it ends with the first step, as its states do.
  @Test func oneDirectionIsHalfOfBoth() throws {
    var both = GRU(inputSize: 5, hiddenSize: 4, bidirectional: true)
    both.forEachParameter { $1.value = numbers($0, $1.shape) }
    let named = Dictionary(uniqueKeysWithValues: both.parameters.map { ($0.name, $0.value) })
    var back = GRU(inputSize: 5, hiddenSize: 4)
    back.isReversed = true
    back.forEachParameter { $1.value = named[$0 + "_reverse"] ?? $1.value }
    let timed = Variable(x, timing: Timing(lengths: lengths))
    #expect(sameBits(back(timed).tensor, both(timed).columns(4..<8).tensor))
    #expect(back.gateValues(timed)["update"]?.shape == [4, 6, 4])

    for outputs in [RecurrentOutputs.all, .last] {
      var head = LSTM(3, layers: 2, outputs: outputs, headSize: 2)
      head.isReversed = true
      #expect(try head.build(input: [.any, 5]).last == 2)
      head.forEachParameter { $1.value = numbers($0, $1.shape) }
      let y = head(timed).tensor
      var plain = head
      plain.outputs = .all
      let all = plain(timed).tensor
      #expect(sameBits(outputs == .all ? y : y.rows(0..<1), outputs == .all ? all : firstStep(all)))
    }
  }

  /// Every initialiser takes the direction.
  @Test func theDirectionIsAnOption() throws {
    func same<Cell: RecurrentCell>(_ layers: [Recurrent<Cell>]) throws {
      let results = try layers.map { layer in
        var layer = layer
        #expect(layer.isReversed)
        layer.outputs = .all
        _ = try layer.build(input: [.any, 5])
        layer.forEachParameter { $1.value = numbers($0, $1.shape) }
        let reversed = layer(x)
        layer.isReversed = false
        #expect(!sameBits(reversed, layer(x)))
        return reversed
      }
      #expect(results.allSatisfy { sameBits($0, results[0]) })
    }
    try same([
      Recurrent(LSTMCell(4), reversed: true), Recurrent(LSTMCell(4), inputSize: 5, reversed: true),
      LSTM(4, reversed: true), LSTM(inputSize: 5, hiddenSize: 4, reversed: true),
    ])
    try same([GRU(4, reversed: true), GRU(inputSize: 5, hiddenSize: 4, reversed: true)])
    try same([RNN(4, reversed: true), RNN(inputSize: 5, hiddenSize: 4, reversed: true)])
  }

  /// Until it is built, each direction of `Bidirectional` has the weights of the layer that was given.
  @Test func weightsOfBothAreDrawnWhenBuilt() throws {
    var both = Bidirectional(GRU(inputSize: 5, hiddenSize: 4))
    func halves(_ parameters: [(name: String, value: Tensor)]) -> (ahead: [Tensor], back: [Tensor]) {
      let ahead = parameters.filter { $0.name.hasPrefix("forward.weight") }
      return (
        ahead.map(\.value), parameters.filter { $0.name.hasPrefix("backward.weight") }.map(\.value)
      )
    }
    let before = halves(both.parameters)
    #expect(before.ahead.count == 2 && zip(before.ahead, before.back).allSatisfy { sameBits($0, $1) })
    _ = try both.build(input: [.any, 5])
    both.initialize(key: RandomKey(seed: 2))
    let after = halves(both.parameters)
    #expect(after.ahead.count == 2 && zip(after.ahead, after.back).allSatisfy { !sameBits($0, $1) })
  }

  @Test func bothAndOneContradictEachOther() async {
    var layer = LSTM(3, bidirectional: true)
    layer.isReversed = true
    expectRefusal(layer, [.any, 5], saying: "contradict")
    await #expect(processExitsWith: .failure) {
      var layer = LSTM(inputSize: 5, hiddenSize: 3, bidirectional: true)
      layer.isReversed = true
      _ = layer(Tensor(zeros: [1, 2, 5]))
    }
  }

  private func firstStep(_ y: Tensor) -> Tensor {
    Tensor((0..<y.shape[2]).map { y[0, 0, $0] }, shape: [1, y.shape[2]])
  }

  // MARK: both

  @Test(arguments: kinds, [DirectionMerge.concat, .sum, .mean, .product])
  func bothDirectionsAreMerged(_ kind: String, _ merge: DirectionMerge) throws {
    var both = Bidirectional(try Self.made(kind), merge: merge)
    let width = try both.build(input: [.any, 5])[1]
    #expect(width == (merge == .concat ? 14 : 7))
    both.forEachParameter { $1.value = numbers($0, $1.shape, scale: 0.5) }
    #expect(!both.forward.isReversed && both.backward.isReversed)
    let x = Variable(x, timing: Timing(lengths: lengths))
    let a = both.forward(x).tensor, b = both.backward(x).tensor, y = both(x).tensor
    #expect(LetheTestSupport.difference(a, b) > 0.01)
    let want =
      switch merge {
      case .concat: Variable.concatenated([Variable(a), Variable(b)]).tensor
      case .sum: a + b
      case .mean: (a + b) * 0.5
      case .product: a * b
      }
    #expect(sameBits(y, want))

    let names = both.parameters.map(\.name), half = names.count / 2
    #expect(names.prefix(half).allSatisfy { $0.hasPrefix("forward.") })
    #expect(names.dropFirst(half).map { $0.dropFirst(9) } == names.prefix(half).map { $0.dropFirst(8) })
    let model = try Sequential(input: [.any, 5], layers: [both], seed: 2)
    let copy = try ModelFile(
      bytes: ModelFile(model).encoded(), name: kind, layers: [type(of: both.forward)]
    ).model
    #expect(sameBits(copy(self.x), model(self.x)))
    #expect((copy.layers[0] as? Bidirectional)?.merge == merge)
  }

  @Test func bothAreWhatRecurrentDoes() throws {
    var own = LSTM(inputSize: 5, hiddenSize: 4, bidirectional: true)
    own.forEachParameter { $1.value = numbers($0, $1.shape) }
    let named = Dictionary(uniqueKeysWithValues: own.parameters.map { ($0.name, $0.value) })
    var both = Bidirectional(LSTM(4, outputs: .all))
    _ = try both.build(input: [.any, 5])
    both.forEachParameter { name, parameter in
      let isBackward = name.hasPrefix("backward."), plain = name.dropFirst(isBackward ? 9 : 8)
      parameter.value = named[plain + (isBackward ? "_reverse" : "")] ?? parameter.value
    }
    let timed = Variable(x, timing: Timing(lengths: lengths))
    #expect(sameBits(both(timed).tensor, own(timed).tensor))
    // Instruments see both walks at one place, and gradients of gates go through both.
    let model = try Sequential(input: [.any, 5], layers: [both], seed: 2)
    let recording = model.record(x)
    #expect(recording.layers.map(\.path) == ["0", "0"] && recording.unread.isEmpty)
    #expect(recording.layers.map(\.isReversed) == [false, true])
    #expect(sameBits(recording.output, model(x)))
    let ledgers = try model.predictionLedgers(x.rows(0..<1)) { $0.sum() }
    #expect(ledgers.map(\.layer.isReversed) == [false, true])
  }

  @Test func bothDirectionsTrain() {
    var model = Sequential(input: [6, 5], seed: 1) {
      Bidirectional(MatrixMemory(8, rule: .gatedDeltaNet(), keySize: 4, valueSize: 8))
      Dense(1)
    }
    let target = Tensor((0..<4).map { x[$0, 5, 0] * x[$0, 0, 1] }, shape: [4, 1])
    var optimizer = OptimizerState(.adam(rate: 0.02)), losses: [Float] = []
    for _ in 0..<80 {
      let (loss, gradients) = model.gradients { model, tape in
        meanSquaredError(model(tape.constant(x)), target)
      }
      optimizer.update(&model, gradients: gradients)
      losses.append(loss)
    }
    #expect((losses.last ?? 1) < 0.05 * (losses.first ?? 0), "\(losses)")
  }

  @Test func whatCannotBeBothIsRefused() throws {
    expectRefusal(Bidirectional(LSTM(4, bidirectional: true)), [.any, 5], saying: "contradict")
    expectRefusal(Bidirectional(LSTM(4)), [5], saying: "[time, features]")
    let memory = try Sequential(
      input: [.any, 5], layers: [Bidirectional(MatrixMemory(4, rule: .mLSTM, keySize: 2, valueSize: 2))])
    #expect(memory.record(x).unread.count == 1)
    let text = #"{"input":[-1,5],"layers":[{"kind":"bidirectional","merge":"sum","layer":"#
    let error = #expect(throws: LetheError.self) {
      let dense = text + #"{"kind":"dense","units":3,"activation":"relu","uses_bias":true}}]}"#
      _ = try JSONDecoder().decode(Sequential.self, from: Data(dense.utf8))
    }
    #expect("\(String(describing: error))".contains("a recurrent layer"))
  }
}
