import Lethe
import LetheTestSupport
import Testing

struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  var images = 2, height = 7, width = 5, channels = 3, filters = 5
  var size = [3, 3], stride = 1
  var padding = Conv2D.Padding.same

  var x: Tensor { numbers("x", [images, height, width, channels]) }
  var weight: Tensor { numbers("weight", [filters, channels] + size, scale: 0.5) }
  var bias: Tensor { numbers("bias", [filters]) }

  var testDescription: String {
    "\(images) of \(height)x\(width)x\(channels), \(filters) filters \(size), stride \(stride), \(padding)"
  }

  static let all: [ConvolutionCase] = [
    .init(),
    .init(images: 1, height: 1, width: 1, channels: 1, filters: 1, size: [1, 1], padding: .valid),
    .init(images: 1, height: 1, width: 1, channels: 2, filters: 3),
    .init(height: 5, width: 8, channels: 4, filters: 16, padding: .valid),
    .init(images: 3, height: 6, width: 9, channels: 2, filters: 17, size: [2, 3]),
    .init(height: 6, width: 7, channels: 1, filters: 33, size: [5, 4]),
    .init(images: 19, height: 4, width: 5, channels: 2, filters: 3),
    .init(height: 7, width: 6, channels: 3, filters: 5, stride: 2, padding: .valid),
    .init(height: 9, width: 8, channels: 17, filters: 16, stride: 2),
    .init(images: 1, height: 8, width: 7, channels: 2, filters: 4, size: [2, 2], stride: 3),
    .init(
      images: 1, height: 10, width: 11, channels: 2, filters: 3, size: [1, 3], stride: 4, padding: .valid),
    .init(images: 2, height: 4, width: 3, channels: 70, filters: 66, size: [3, 1]),
    .init(images: 0, height: 4, width: 3, channels: 2, filters: 2),
  ]
}

@Suite struct LayersConvolutionTests {
  private func run(
    _ c: ConvolutionCase, x: Tensor? = nil, dy: Tensor? = nil, activation: Activation = .linear
  ) -> [Tensor] {
    let tape = Tape()
    let inputs = [x ?? c.x, c.weight, c.bias].map { tape.watched($0) }
    let y = conv2D(
      inputs[0], inputs[1], inputs[2], stride: c.stride, padding: c.padding, activation: activation)
    let gradients = tape.gradients(of: [(y, dy ?? numbers("dy", y.shape))])
    return [y.tensor] + inputs.map { gradients[$0] ?? Tensor(zeros: []) }
  }

  @Test(arguments: ConvolutionCase.all)
  func isItsNaiveTwin(_ c: ConvolutionCase) {
    let fast = run(c)
    let slow = naiveConv2D(
      c.x, c.weight, c.bias, dy: numbers("dy", fast[0].shape), stride: c.stride, padding: c.padding)
    #expect(difference(fast[0], slow.y) < 3e-6)
    #expect(difference(fast[1], slow.dx) < 3e-6)
    #expect(difference(fast[2], slow.dweight) < 3e-6)
    #expect(difference(fast[3], slow.dbias) < 3e-6)
  }

  @Test(arguments: [("conv2d_pad1_stride1", 1, Conv2D.Padding.same), ("conv2d_pad0_stride2", 2, .valid)])
  func agreesWithPyTorch(_ name: String, stride: Int, padding: Conv2D.Padding) throws {
    let f = try Fixture("torch_layers")
    let tape = Tape()
    let inputs = ["x", "weight", "bias"].map { tape.watched(f["\(name).\($0)"]) }
    let y = conv2D(inputs[0], inputs[1], inputs[2], stride: stride, padding: padding)
    let gradients = tape.gradients(of: [(y, f["\(name).gy"])])
    #expect(difference(y.tensor, f["\(name).y"]) < 1e-5)
    for (input, gradient) in zip(inputs, ["gx", "g.weight", "g.bias"]) {
      #expect(difference(gradients[input] ?? Tensor(0), f["\(name).\(gradient)"]) < 1e-5)
    }
  }

  @Test(arguments: ConvolutionCase.all)
  func threadsDoNotChangeBits(_ c: ConvolutionCase) { expectSameBits { run(c, activation: .tanh) } }

  // Enough work for every split to happen.
  @Test func threadsDoNotChangeBitsOfMoreWork() {
    let c = ConvolutionCase(images: 9, height: 14, width: 13, channels: 8, filters: 20)
    expectSameBits { run(c, activation: .relu) }
    expectSameBits { run(ConvolutionCase(images: 1, height: 40, width: 31, channels: 6, filters: 16)) }
  }

  // The bits that AVX-512 gave; LETHE_ISA=avx2, portable and neon have to give the same.
  @Test func bitsAreTheSameOnEveryInstructionSet() {
    let hashes = ConvolutionCase.all.map { bitsHash(run($0, activation: .sigmoid)) }
    #expect(hashes.reduce(0) { $0 &* 31 &+ $1 } == 15_722_365_591_993_451_358)
  }

  @Test(arguments: ConvolutionCase.all.filter { $0.images > 1 })
  func batchMatesDoNotChangeBits(_ c: ConvolutionCase) {
    let all = run(c)
    let image = 1
    let dy = numbers("dy", all[0].shape).rows(image..<image + 1)
    let alone = run(c, x: c.x.rows(image..<image + 1), dy: dy)
    #expect(sameBits(alone[0], all[0].rows(image..<image + 1)))
    #expect(sameBits(alone[1], all[1].rows(image..<image + 1)))
  }

  @Test(arguments: Activation.allCases)
  func activationIsThatOfTheSum(_ activation: Activation) {
    let c = ConvolutionCase(images: 3, filters: 16)
    let fused = run(c, activation: activation)
    let tape = Tape()
    let inputs = [c.x, c.weight, c.bias].map { tape.watched($0) }
    let y = activation(conv2D(inputs[0], inputs[1], inputs[2]))
    let gradients = tape.gradients(of: [(y, numbers("dy", y.shape))])
    for (found, expected) in zip(fused, [y.tensor] + inputs.map { gradients[$0] ?? Tensor(0) }) {
      #expect(sameBits(found, expected))
    }
  }

  @Test func leavesOutWhatNobodyWants() {
    let c = ConvolutionCase()
    let tape = Tape()
    let (x, w) = (tape.constant(c.x), tape.watched(c.weight))
    let y = conv2D(x, w, nil)
    let gradients = tape.gradients(of: [(y, numbers("dy", y.shape))])
    let slow = naiveConv2D(
      c.x, c.weight, Tensor(zeros: [c.filters]), dy: numbers("dy", y.shape), stride: 1, padding: .same)
    #expect(difference(y.tensor, slow.y) < 3e-6)
    #expect(difference(gradients[w] ?? Tensor(0), slow.dweight) < 3e-6)
    #expect(gradients[x] == nil)
  }

  @Test func layerBuildsAndNamesItsParameters() throws {
    var layer = Conv2D(6, size: [3, 2], stride: 2, padding: .valid)
    #expect(try layer.build(input: [9, 8, 4]) == [4, 4, 6])
    layer.initialize(key: RandomKey(seed: 1))
    #expect(layer.parameters.map(\.name) == ["weight", "bias"])
    #expect(layer.parameters.map(\.value.shape) == [[6, 4, 3, 2], [6]])
    #expect(layer(numbers("image", [2, 9, 8, 4])).shape == [2, 4, 4, 6])
    var plain = Conv2D(6, 3, stride: 3, usesBias: false)
    #expect(try plain.build(input: [7, 6, 4]) == [3, 2, 6])
    plain.initialize(key: RandomKey(seed: 1))
    #expect(plain.parameters.map(\.name) == ["weight"])
    #expect(plain(numbers("image", [2, 7, 6, 4])).shape == [2, 3, 2, 6])
  }

  @Test func refusesWhatItCannotBuild() {
    expectRefusal(Conv2D(0, 3), [9, 8, 4], saying: "filters 0")
    expectRefusal(Conv2D(4, 3, stride: 0), [9, 8, 4], saying: "stride 0")
    expectRefusal(Conv2D(4, -3), [9, 8, 4], saying: "[-3, -3]")
    expectRefusal(Conv2D(4, size: [3]), [9, 8, 4], saying: "[3]")
    expectRefusal(Conv2D(4, .max), [9, 8, 4], saying: "sizes are out of range")
    expectRefusal(Conv2D(4, 3), [28, 28], saying: "[28, 28]; a grey image has the shape [height, width, 1]")
    expectRefusal(Conv2D(4, 3), [.any, 28, 1], saying: "[-1, 28, 1]")
    expectRefusal(Conv2D(4, 9, padding: .valid), [8, 9, 1], saying: "found 8 by 9; pad with .same")
  }
}
