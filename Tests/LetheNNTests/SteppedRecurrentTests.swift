import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct SteppedRecurrentTests {
  private func filled<M: Module>(_ module: M) -> M {
    var module = module
    module.forEachParameter { name, parameter in
      parameter.value = numbers("stepped.\(name)", parameter.shape, scale: 0.5)
    }
    return module
  }

  @Test func aModelSaysWhatRunsOnTheTape() {
    let model = Sequential(input: [.any, 3]) {
      SteppedRecurrent(AttentiveLSTMCell(4), outputs: .all)
      LSTM(4)
    }
    let lines = model.summary().split(separator: "\n")
    #expect(lines[1].hasPrefix("0 attentive_lstm, on the tape "))
    #expect(lines[2].hasPrefix("1 lstm ") && !lines[2].contains("tape"))
  }

  @Test func wrappersHandOnWhatRunsOnTheTape() {
    let stepped = SteppedRecurrent(ConvLSTMCell(filters: 3, 3), outputs: .all)
    for inner in [stepped, LSTM(3, outputs: .all)] as [any RecurrentLayer] {
      let wraps: [any Layer] = [
        Bidirectional(inner), Residual { [inner] }, DenseConnection { [inner] }, TimeDistributed { [inner] },
        Sequential { [inner] },
        Residual {
          Dense(3)
          TimeDistributed { Bidirectional(inner) }
        },
      ]
      for layer in wraps {
        #expect(layer.runsOnTape == (inner is SteppedRecurrent<ConvLSTMCell>), "\(layer.title)")
      }
    }
    let model = Sequential(input: [.any, 4, 4, 3]) {
      Residual { stepped }
      Bidirectional(stepped)
    }
    let lines = model.summary().split(separator: "\n")
    #expect(lines[1].hasPrefix("0 residual, on the tape "))
    #expect(lines[2].hasPrefix("1 bidirectional conv_lstm, on the tape "))
  }

  /// With kernels of one pixel every pixel is an LSTM of its own; wider ones see the neighbours.
  @Test func convolutionsOfOnePixelAreLSTMs() throws {
    let images = numbers("images", [2, 4, 3, 2, 5])
    var layer = SteppedRecurrent(ConvLSTMCell(filters: 6, 1), outputs: .all)
    #expect(try layer.build(input: [.any, 3, 2, 5]) == [.any, 3, 2, 6])
    layer = filled(layer)
    var plain = LSTM(inputSize: 5, hiddenSize: 6)
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    plain.forEachParameter { name, parameter in
      let from = [
        "weight_ih_l0": "conv_ih.weight", "weight_hh_l0": "conv_hh.weight", "bias_ih_l0": "conv_ih.bias",
      ]
      if let source = from[name], let value = named[source] {
        parameter.value = value.reshaped(parameter.shape)
      } else {
        parameter.value = Tensor(zeros: parameter.shape)
      }
    }
    let y = layer(images)
    #expect(y.shape == [2, 4, 3, 2, 6])
    for pixel in 0..<6 {
      let own = Tensor(
        (0..<2).flatMap { b in
          (0..<4).flatMap { t in (0..<5).map { images[b, t, pixel / 2, pixel % 2, $0] } }
        }, shape: [2, 4, 5])
      let want = plain(own)
      for (b, t) in [(0, 0), (0, 3), (1, 2)] {
        for unit in 0..<6 { #expect(abs(y[b, t, pixel / 2, pixel % 2, unit] - want[b, t, unit]) < 1e-5) }
      }
    }
    var wide = SteppedRecurrent(ConvLSTMCell(filters: 2, 3), outputs: .last)
    #expect(try wide.build(input: [4, 3, 2, 5]) == [3, 2, 2])
    let (loss, gradients) = filled(wide).gradients { layer, tape in
      let y = layer(tape.constant(images))
      return (y * y).sum()
    }
    #expect(loss > 0 && gradients.named(for: wide).count == 3)
    #expect(throws: LetheError.self) { try Sequential(input: [4, 5], layers: [wide]) }
  }

  /// A stream knows the numbers of an input, an image's too, and takes no others.
  @Test func aStreamChecksItsInputs() async throws {
    var images = SteppedRecurrent(ConvLSTMCell(filters: 2, 3))
    _ = try images.build(input: [.any, 3, 4, 2])
    var stream = filled(images).stream()
    #expect(stream.inputSize == 24 && stream.outputSize == 24)
    #expect(stream.step(Array(repeating: 1, count: 24)).count == 24)
    #expect(SteppedRecurrent(AttentiveLSTMCell(5), inputSize: 3).stream().inputSize == 3)
    for wrong in [2, 4] { await expectStop(inputs: wrong) }
    let unbuilt = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      var unfilled = SteppedRecurrent(AttentiveLSTMCell(5))
      _ = try unfilled.build(input: [.any, 3])
      _ = unfilled.stream()
    }
    let words = String(decoding: unbuilt?.standardErrorContent ?? [], as: UTF8.self)
    #expect(words.contains("not built"))
  }

  private func expectStop(inputs: Int) async {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { [inputs] in
      var stream = SteppedRecurrent(AttentiveLSTMCell(5), inputSize: 3).stream()
      _ = stream.step(Array(repeating: 0, count: inputs))
    }
    let words = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(words.contains("stream: expected 3 inputs, got \(inputs)"))
  }
}
