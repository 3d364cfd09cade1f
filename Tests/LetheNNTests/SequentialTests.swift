import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct SequentialTests {
  private var reader: Sequential {
    Sequential(input: [28, 28], seed: 1) {
      LSTM(12, outputs: .all)
      LSTM(9)
      Dense(8, activation: .relu)
      Dense(10, activation: .softmax)
    }
  }

  private var picture: Sequential {
    Sequential(input: [9, 8, 1], seed: 2) {
      Conv2D(4, 3, activation: .relu)
      MaxPool2D(2)
      Dropout(0.25)
      Rows()
      GRU(6, bidirectional: true)
      LayerNorm()
      Dense(3)
      ActivationLayer(.softmax)
    }
  }

  @Test func namesAndShapes() {
    #expect(reader.outputs == [[28, 12], [9], [8], [10]])
    #expect(
      reader.parameters.map(\.name) == [
        "0.weight_ih_l0", "0.weight_hh_l0", "0.bias_ih_l0", "0.bias_hh_l0", "1.weight_ih_l0",
        "1.weight_hh_l0",
        "1.bias_ih_l0", "1.bias_hh_l0", "2.weight", "2.bias", "3.weight", "3.bias",
      ])
    #expect(picture.output == [3])
    #expect(picture.outputs == [[9, 8, 4], [4, 4, 4], [4, 4, 4], [4, 16], [12], [12], [3], [3]])
    #expect(picture(numbers("x", [2, 9, 8, 1])).shape == [2, 3])
    #expect(reader(numbers("x", [2, 28, 28])).shape == [2, 10])
  }

  @Test func isItsLayersInARow() {
    let model = picture
    let x = numbers("x", [3, 9, 8, 1])
    #expect(model(x) == model.layers.reduce(x) { $1($0) })
    #expect(model.layers.count == 8)
  }

  @Test func seedsDecideEverything() {
    let (a, b) = (reader, reader)
    #expect(zip(a.parameters, b.parameters).allSatisfy { sameBits($0.value, $1.value) })
    let other = Sequential(input: [4], seed: 1) { Dense(3) },
      another = Sequential(input: [4], seed: 2) { Dense(3) }
    #expect(other.parameters[0].value != another.parameters[0].value)
    // Two layers of the same shape do not start alike.
    let twins = Sequential(input: [4]) {
      Dense(4)
      Dense(4)
    }
    #expect(twins.parameters[0].value != twins.parameters[2].value)
  }

  @Test func gradientsReachEveryParameter() {
    let model = picture
    let x = numbers("x", [4, 9, 8, 1])
    let result = model.gradients { model, tape in crossEntropy(model.logits(tape.constant(x)), [0, 1, 2, 0]) }
    let named = result.gradients.named(for: model)
    #expect(named.count == model.parameters.count)
    for (name, gradient) in named { #expect(gradient.sumOfSquares > 0, "\(name)") }
    #expect(
      Parallel.$threads.withValue(1) {
        model.gradients { model, tape in crossEntropy(model.logits(tape.constant(x)), [0, 1, 2, 0]) }
          .gradients
          .named(for: model)
      } == named)
  }

  @Test func logitsLeaveTheLastActivationOut() {
    let x = numbers("x", [3, 9, 8, 1])
    #expect(Variable(picture.logits(Variable(x)).tensor).tensor.softmax == picture(x))
    #expect(picture.finalActivation == .softmax && reader.finalActivation == .softmax)
    let images = numbers("x", [3, 28, 28])
    #expect(reader.logits(Variable(images)).tensor.softmax == reader(images))
    let open = Sequential(input: [7]) {
      Dense(3)
      LayerNorm()
    }
    #expect(open.finalActivation == .linear)
    #expect(open.logits(Variable(numbers("x", [2, 7]))).tensor == open(numbers("x", [2, 7])))
    let nested = Sequential(input: [7]) { Sequential { Dense(3, activation: .sigmoid) } }
    #expect(nested.finalActivation == .sigmoid)
    #expect(nested.parameters.map(\.name) == ["0.0.weight", "0.0.bias"])
    #expect(nested.logits(Variable(numbers("x", [2, 7]))).tensor.shape == [2, 3])
  }

  @Test func predictionsDoNotDependOnTheBatch() {
    let x = numbers("x", [11, 9, 8, 1])
    let all = picture.predict(x)
    for size in [1, 4, 11] { #expect(sameBits(picture.predict(x, batchSize: size), all)) }
    #expect(picture.predict(Tensor(zeros: [0, 9, 8, 1])).shape == [0, 3])
    let model = Sequential(input: [.any, 3]) { LSTM(5) }
    let sequences = numbers("x", [7, 6, 3]), timing = Timing(lengths: [6, 1, 3, 5, 2, 6, 4])
    let whole = model.predict(sequences, timing: timing)
    #expect(sameBits(model.predict(sequences, timing: timing, batchSize: 3), whole))
    #expect(whole != model.predict(sequences))
  }

  @Test func dropoutIsOffOutsideTraining() {
    let x = numbers("x", [2, 9, 8, 1])
    let model = picture
    let training = model.gradients { model, tape in
      model(tape.constant(x)).sum() * 0
        + model(tape.constant(x))
        .columns(0..<1).sum()
    }
    let evaluation = model.gradients(isTraining: false) { model, tape in
      model(tape.constant(x)).columns(0..<1).sum()
    }
    #expect(training.loss != evaluation.loss)
    #expect(abs(evaluation.loss - Float(model(x).columns(0..<1).sum)) < 1e-5)
  }

  @Test func summaryIsATable() {
    let model = Sequential(input: [.any, 3]) {
      LSTM(200, outputs: .all)
      Dense(10)
    }
    #expect(
      model.summary() == """
        layer    output      parameters
        0 lstm   [any, 200]     164,000
        1 dense  [any, 10]        2,010
        total                   166,010
        """)
  }

  @Test func summarySaysWhichWayLayersWalk() {
    var backward = LSTM(4, outputs: .all)
    backward.isReversed = true
    let model = Sequential(input: [.any, 3]) {
      LSTM(4, outputs: .all)
      backward
      GRU(4, bidirectional: true, outputs: .all)
      ForgettingGateNetwork(4, outputs: .all, reversed: true)
      Bidirectional(MatrixMemory(4, rule: .mLSTM, keySize: 2, valueSize: 2))
      Dense(2)
    }
    let titles = model.summary().split(separator: "\n").dropFirst().map { $0.split(separator: "  ")[0] }
    #expect(
      titles == [
        "0 lstm", "1 lstm, backward", "2 gru, both directions", "3 fgn, backward",
        "4 bidirectional matrix_memory", "5 dense", "total",
      ])
    #expect(
      model.layers.map { $0.direction?.rawValue } == ["forward", "backward", "both", "backward", "both", nil])
  }

  @Test func statementsBuildLayers() {
    for deep in [true, false] {
      let model = Sequential(input: [4]) {
        for _ in 0..<3 { Dense(5) }
        if deep { Dense(6) }
        if deep { Dense(7) } else { Dense(8) }
        [Dense(2), Dense(3)]
      }
      #expect(model.outputs.map { $0[0] } == (deep ? [5, 5, 5, 6, 7, 2, 3] : [5, 5, 5, 8, 2, 3]))
    }
  }

  @Test func refusesLayersThatDoNotFit() {
    func message(_ input: [Int], _ layers: [any Layer]) -> String {
      do {
        _ = try Sequential(input: input, layers: layers)
        return "built"
      } catch {
        return "\(error)"
      }
    }
    #expect(
      message([28, 28], [Dense(4), Conv2D(8, 3)])
        == "layer 1, conv_2d: cannot take this input; expected [height, width, channels], found [28, 4]; a "
        + "grey image has the shape [height, width, 1]")
    #expect(message([4], []).contains("holds no layers"))
    #expect(message([], [Dense(4)]).contains("no possible shape"))
    #expect(message([3, .any], [Dense(4)]).contains("found [3, -1]"))
    #expect(message([1 << 40, 1 << 40], [Dense(4)]).contains("no possible shape"))
    #expect(
      message([7], [Sequential(layers: [Dense(3), Dropout(2)])]).hasPrefix(
        "layer 0, layer 1, dropout: the rate"))
  }

  @Test func stopsAtAnotherInputShape() async {
    await #expect(processExitsWith: .failure) {
      _ = Sequential(input: [4]) { Dense(3) }(Tensor(zeros: [2, 5]))
    }
    await #expect(processExitsWith: .failure) {
      _ = Sequential(input: [4]) { MaxPool2D(2) }
    }
  }

  @Test func lengthsReachTheLoss() {
    let lengths = [4, 2, 3]
    let symbols = Tensor([1, 5, 0, 3, 2, 2, -1, -1, 4, 1, 1, -1], shape: [3, 4])
    let labels: [Int32] = [0, 1, 2, 1, 2, 0, -1, -1, 1, 1, 0, -1]
    let model = Sequential(input: [.any], seed: 5) {
      Embedding(6, 3)
      LSTM(4, outputs: .all)
      LayerNorm()
      Dropout(0)
      Dense(3, activation: .softmax)
    }
    let ragged = model.gradients { model, tape in
      crossEntropy(model.logits(tape.constant(symbols, timing: Timing(lengths: lengths))), labels)
    }
    // The mean over real steps is that of the sequences, each weighed by its length.
    let alone = model.gradients { model, tape in
      var total: Variable?
      for (row, length) in lengths.enumerated() {
        let x = symbols.rows(row..<row + 1).reshaped([4]).rows(0..<length).reshaped([1, length])
        let part =
          crossEntropy(model.logits(tape.constant(x)), Array(labels[row * 4..<row * 4 + length]))
          * (Float(length) / 9)
        total = total.map { $0 + part } ?? part
      }
      return total ?? Variable(Tensor(0))
    }
    #expect(abs(ragged.loss - alone.loss) < 1e-6)
    let (a, b) = (ragged.gradients.named(for: model), alone.gradients.named(for: model))
    for (name, gradient) in a { #expect(difference(gradient, b[name] ?? Tensor(0)) < 1e-6, "\(name)") }
    // With `.last` there are no steps left to skip.
    let last = Sequential(input: [.any, 2]) {
      LSTM(4)
      Dense(3)
    }
    let found = last.gradients { model, tape in
      crossEntropy(
        model(tape.constant(numbers("x", [3, 4, 2]), timing: Timing(lengths: lengths))), [0, 1, 2])
    }
    #expect(found.loss > 0)
  }

  // MARK: configurations

  @Test func configurationsComeBack() throws {
    let all = Sequential(input: [12, 8, 3]) {
      Conv2D(4, size: [3, 2], stride: 2, padding: .valid, activation: .tanh, usesBias: false)
      MaxPool2D(2)
      Rows()
      LSTM(6, layers: 2, bidirectional: true, outputs: .all, forgetBias: 0.5)
      GRU(5, outputs: .all, gateActivation: .hardSigmoid(slope: 0.2))
      RNN(4, outputs: .all)
      ForgettingGateNetwork(3, outputs: .all)
      LayerNorm(epsilon: 0.25)
      Dropout(0.125)
      Flatten()
      Sequential {
        Dense(5, activation: .hardSigmoid, usesBias: false)
        ActivationLayer(.relu)
      }
      Dense(2)
    }
    // Those are saved and read back by the laws.
    let described = CellCatalog.all.compactMap { $0.cell.map { type(of: $0(3)).kind } }.filter {
      !["lstm", "gru", "rnn"].contains($0)
    }
    // And these by the laws, in RecurrentExtrasTests, DirectionTests and AttentionTests.
    let wrappers = [
      "residual", "dense_connection", "time_distributed", "time_window", "projected_lstm",
      "conv_lstm", "matrix_memory", "forgetting_attention",
      "attentive_lstm", "bidirectional",
    ]
    #expect(
      Set(all.layers.map { type(of: $0).kind })
        == Set(LayerRegistry.kinds).subtracting(["activation", "embedding"]).subtracting(described)
        .subtracting(wrappers))
    let text = try ModelFile.configuration(of: all)
    var copy = try JSONDecoder().decode(Sequential.self, from: Data(text.utf8))
    _ = try copy.build(input: copy.input)
    #expect(try ModelFile.configuration(of: copy) == text)
    try copy.load(Dictionary(uniqueKeysWithValues: all.parameters.map { ($0.name, $0.value) }), from: "copy")
    let x = numbers("x", [2, 12, 8, 3])
    #expect(sameBits(copy(x), all(x)))
    #expect(copy.summary() == all.summary())
  }

  @Test func configurationsAreReadable() throws {
    let model = Sequential(input: [.any]) {
      Embedding(11, 6)
      Unknown()
      Dense(3, activation: .softmax)
    }
    // A layer of one's own is written, and read where its type is given.
    let bytes = try ModelFile(model).encoded()
    let error = #expect(throws: LetheError.self) { try ModelFile(bytes: bytes, name: "file") }
    #expect(
      error?.description.contains("layers[1].kind: is an unknown kind of layer") ?? false,
      "\(String(describing: error))")
    let copy = try ModelFile(bytes: bytes, name: "file", layers: [Unknown.self]).model
    #expect(copy.summary() == model.summary())
    let saved = Sequential(input: [.any]) {
      Embedding(11, 6)
      Dense(3, activation: .softmax)
    }
    #expect(
      try ModelFile.configuration(of: saved)
        == #"{"input":[-1],"layers":[{"count":11,"kind":"embedding","width":6},"#
        + #"{"activation":"softmax","kind":"dense","units":3,"uses_bias":true}]}"#)
  }
}

/// A layer that is none of Lethe's.
private struct Unknown: Layer {
  static let kind = "mine"
  mutating func build(input: [Int]) throws(LetheError) -> [Int] { input }
  func callAsFunction(_ x: Variable) -> Variable { x }
}
