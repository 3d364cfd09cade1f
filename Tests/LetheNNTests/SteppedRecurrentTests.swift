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
}
