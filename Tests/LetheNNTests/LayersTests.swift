import Lethe
import LetheTestSupport
import Testing

@Suite struct LayersTests {
  // MARK: products

  /// A product over no numbers is zero, or the bias, not what memory held.
  @Test func productsOverNothingAreZeros() {
    let x = Variable(Tensor(zeros: [4, 0]))
    for _ in 0..<20 {
      _ = Tensor(repeating: 7, shape: [12])
      #expect(x.times(Variable(Tensor(zeros: [0, 3]))).tensor.scalars == Array(repeating: 0, count: 12))
      let y = linear(x, Variable(Tensor(zeros: [3, 0])), Variable(Tensor([1, 2, 3])))
      #expect(y.tensor.scalars == [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3])
    }
  }

  // MARK: pooling

  @Test func poolAgreesWithPyTorch() throws {
    let f = try Fixture("torch_layers")
    let tape = Tape()
    let x = tape.watched(f["maxpool2d.x"])
    let y = maxPool2D(x, size: 2)
    #expect(y.tensor == f["maxpool2d.y"])
    #expect(tape.gradients(of: [(y, f["maxpool2d.gy"])])[x] == f["maxpool2d.gx"])
  }

  @Test(arguments: [([1, 2, 2, 1], 2), ([3, 7, 5, 17], 3), ([2, 4, 6, 33], 1), ([5, 9, 8, 4], 4)])
  func poolIsTheLargestOfEachWindow(_ shape: [Int], size: Int) {
    let x = numbers("pool", shape)
    let tape = Tape()
    let input = tape.watched(x)
    let y = maxPool2D(input, size: size)
    let dy = numbers("pool dy", y.shape)
    let dx = tape.gradients(of: [(y, dy)])[input] ?? Tensor(0)
    var expected = Tensor(zeros: shape)
    for n in 0..<y.shape[0] {
      for i in 0..<y.shape[1] {
        for j in 0..<y.shape[2] {
          for c in 0..<y.shape[3] {
            var best = (row: i * size, column: j * size)
            for p in 0..<size {
              for q in 0..<size where x[n, i * size + p, j * size + q, c] > x[n, best.row, best.column, c] {
                best = (i * size + p, j * size + q)
              }
            }
            #expect(y.tensor[n, i, j, c] == x[n, best.row, best.column, c])
            expected[n, best.row, best.column, c] = dy[n, i, j, c]
          }
        }
      }
    }
    #expect(dx == expected)
    expectSameBits { [maxPool2D(Variable(x), size: size).tensor] }
  }

  @Test func poolBuilds() throws {
    var pool = MaxPool2D(2)
    #expect(try pool.build(input: [7, 4, 3]) == [3, 2, 3])
    expectRefusal(MaxPool2D(2), [1, 4, 3], saying: "[1, 4, 3]")
    expectRefusal(MaxPool2D(17), [40, 40, 3], saying: "found 17")
    expectRefusal(MaxPool2D(0), [4, 4, 3], saying: "found 0")
    expectRefusal(MaxPool2D(2), [4, 4], saying: "[4, 4]")
  }

  // MARK: normalisation

  @Test func layerNormAgreesWithPyTorch() throws {
    let f = try Fixture("torch_layers")
    let tape = Tape()
    let inputs = ["x", "weight", "bias"].map { tape.watched(f["layernorm.\($0)"]) }
    let y = layerNorm(inputs[0], inputs[1], inputs[2])
    let gradients = tape.gradients(of: [(y, f["layernorm.gy"])])
    #expect(difference(y.tensor, f["layernorm.y"]) < 1e-5)
    for (input, gradient) in zip(inputs, ["gx", "g.weight", "g.bias"]) {
      #expect(difference(gradients[input] ?? Tensor(0), f["layernorm.\(gradient)"]) < 1e-5)
    }
  }

  @Test func layerNormGradients() {
    for width in [1, 5, 18] {
      expectGradients(
        "layer norm of \(width)",
        [numbers("x", [2, 3, width]), numbers("w", [width]), numbers("b", [width])], step: 0.01,
        tolerance: 5e-3
      ) { layerNorm($0[0], $0[1], $0[2], epsilon: 0.1) }
    }
  }

  @Test func layerNormKeepsBitsAndRows() {
    let x = numbers("x", [403, 37])
    expectSameBits {
      let tape = Tape()
      let inputs = [x, numbers("w", [37]), numbers("b", [37])].map { tape.watched($0) }
      let y = layerNorm(inputs[0], inputs[1], inputs[2])
      let gradients = tape.gradients(of: [(y, numbers("dy", y.shape))])
      return [y.tensor] + inputs.map { gradients[$0] ?? Tensor(0) }
    }
    let layer = LayerNorm(inputSize: 37)
    #expect(sameBits(layer(x).rows(200..<201), layer(x.rows(200..<201))))
    // Scale 1 and shift 0 to start with: mean 0, variance 1.
    let row = layer(x).rows(3..<4)
    #expect(abs(row.sum) < 1e-4 && abs(row.sumOfSquares / 37 - 1) < 1e-3)
    expectRefusal(LayerNorm(epsilon: 0), [4], saying: "found 0")
    expectRefusal(LayerNorm(epsilon: .nan), [4], saying: "epsilon")
  }

  // MARK: embedding

  @Test func embeddingAgreesWithPyTorch() throws {
    let f = try Fixture("torch_layers")
    let tape = Tape()
    let (x, weight) = (tape.watched(f["embedding.x"]), tape.watched(f["embedding.weight"]))
    let y = embedding(x, weight)
    let gradients = tape.gradients(of: [(y, f["embedding.gy"])])
    #expect(y.tensor == f["embedding.y"])
    #expect(difference(gradients[weight] ?? Tensor(0), f["embedding.g.weight"]) < 1e-6)
    #expect(gradients[x] == nil)
  }

  @Test func embeddingSkipsWhatIsPastTheLength() {
    // 99 is no symbol, but stands past the lengths.
    let x = Tensor([2, 1, 99, 0, 99, 99], shape: [2, 3])
    let table = numbers("table", [4, 5])
    let tape = Tape()
    let weight = tape.watched(table)
    let y = embedding(tape.constant(x, timing: Timing(lengths: [2, 1])), weight)
    #expect(y.timing?.lengths == [2, 1])
    #expect(y.tensor.reshaped([6, 5]).rows(2..<3) == Tensor(zeros: [1, 5]))
    #expect(y.tensor.reshaped([6, 5]).rows(3..<4) == table.rows(0..<1))
    let gradient = tape.gradients(of: [(y, Tensor(repeating: 1, shape: y.shape))])[weight]
    #expect(gradient == Tensor([1, 1, 1, 0].flatMap { [Float](repeating: $0, count: 5) }, shape: [4, 5]))
  }

  @Test func embeddingKeepsBits() {
    let x = Tensor((0..<600).map { Float(($0 * 7) % 11) }, shape: [20, 30])
    expectSameBits {
      let tape = Tape()
      let weight = tape.watched(numbers("table", [11, 200]))
      let y = embedding(tape.constant(x), weight)
      return [y.tensor, tape.gradients(of: [(y, numbers("dy", y.shape))])[weight] ?? Tensor(0)]
    }
  }

  @Test func embeddingBuilds() throws {
    var layer = Embedding(11, 6)
    #expect(try layer.build(input: [.any]) == [.any, 6])
    #expect(Embedding(count: 3, width: 2, key: RandomKey(seed: 1)).parameters.map(\.value.shape) == [[3, 2]])
    expectRefusal(Embedding(0, 6), [4], saying: "count 0")
    expectRefusal(Embedding(1 << 25, 6), [4], saying: "count 33554432")
    expectRefusal(Embedding(3, -1), [4], saying: "width -1")
  }

  // MARK: dropout

  @Test func dropoutScalesWhatItKeeps() {
    let x = Tensor(repeating: 1, shape: [100, 60])
    let layer = Dropout(0.3)
    #expect(layer(x) == x)
    let tape = Tape(key: RandomKey(seed: 3))
    let input = tape.watched(x)
    let y = layer(input)
    let kept = y.tensor.scalars.count { $0 != 0 }
    #expect(abs(Double(kept) / 6000 - 0.7) < 0.025)
    #expect(y.tensor.scalars.allSatisfy { $0 == 0 || abs($0 - 1 / 0.7) < 1e-6 })
    // With x and dy of ones, the gradient is the mask and so is y.
    #expect(tape.gradients(of: [(y, x)])[input] == y.tensor)
    let other = Tape(key: RandomKey(seed: 4)), same = Tape(key: RandomKey(seed: 3))
    #expect(layer(other.constant(x)).tensor != y.tensor)
    #expect(layer(same.constant(x)).tensor == y.tensor)
    #expect(layer(same.constant(x)).tensor != y.tensor)
    #expect(layer(Tape(isTraining: false).constant(x)).tensor == x)
  }

  @Test func dropoutRefusesOtherRates() {
    for rate: Float in [1, -0.1, .nan] { expectRefusal(Dropout(rate), [4], saying: "found \(rate)") }
  }

  // The bits that AVX-512 gave; LETHE_ISA=avx2, portable and neon have to give the same.
  @Test func bitsAreTheSameOnEveryInstructionSet() {
    let tape = Tape(key: RandomKey(seed: 2))
    let x = tape.watched(numbers("x", [3, 6, 6, 19]))
    let (w, b) = (tape.watched(numbers("w", [19])), tape.watched(numbers("b", [19])))
    var y = maxPool2D(layerNorm(Dropout(0.4)(x), w, b), size: 2)
    for activation in Activation.allCases { y = activation(y * 2 + 0.25) }
    let logits = y.reshaped([27, 19])
    let labels = (0..<27).map { Int32($0 % 19) }
    let targets = numbers("t", [27, 19])
    let loss =
      crossEntropy(logits, labels) + crossEntropy(logits, targets) + binaryCrossEntropy(logits, targets)
      + huber(logits, targets, delta: 0.5) + meanSquaredError(logits, targets)
    let gradients = tape.gradients(of: loss)
    #expect(
      bitsHash([y.tensor, loss.tensor] + [x, w, b].map { gradients[$0] ?? Tensor(0) })
        == 12_996_619_218_900_947_894)
  }

  // MARK: shapes and activations

  @Test func reshaping() throws {
    let x = numbers("image", [2, 3, 4, 5])
    #expect(Flatten()(x) == x.reshaped([2, 60]))
    #expect(Rows()(x) == x.reshaped([2, 3, 20]))
    #expect(Rows()(x.reshaped([2, 12, 5])) == x.reshaped([2, 12, 5]))
    var (flatten, rows) = (Flatten(), Rows())
    #expect(try flatten.build(input: [3, 4, 5]) == [60])
    #expect(try rows.build(input: [3, 4, 5]) == [3, 20])
    #expect(try rows.build(input: [.any, 4]) == [.any, 4])
    expectRefusal(Flatten(), [.any, 4], saying: "[-1, 4]")
    expectRefusal(Flatten(), [1 << 40, 1 << 40], saying: "cannot take")
    expectRefusal(Rows(), [4], saying: "[4]")
    expectGradients("flatten", [numbers("x", [2, 3, 2])]) { Flatten()($0[0]) * Flatten()($0[0]) }
  }

  @Test func rowsKeepTheStepsOfAnImage() {
    let x = Variable(numbers("image", [2, 3, 4]), timing: Timing(lengths: [3, 1]))
    #expect(Rows()(x).timing?.lengths == [3, 1])
    #expect(Flatten()(x).timing == nil)
  }

  @Test(arguments: Activation.allCases)
  func activationLayer(_ activation: Activation) throws {
    var layer = ActivationLayer(activation)
    #expect(try layer.build(input: [4, 7]) == [4, 7])
    let x = numbers("x", [2, 4, 7], scale: 2)
    #expect(layer(x) == activation(Variable(x)).tensor)
    // Away from the kinks of relu and the hard sigmoid.
    expectGradients("\(activation)", [numbers("away", [2, 5]).mapAway()], step: 0.01) { layer($0[0]) }
    #expect(layer.finalActivation == activation)
  }

  @Test func linearAgreesWithPyTorch() throws {
    let f = try Fixture("torch_layers")
    let tape = Tape()
    let inputs = ["x", "weight", "bias"].map { tape.watched(f["linear.\($0)"]) }
    let y = linear(inputs[0], inputs[1], inputs[2])
    let gradients = tape.gradients(of: [(y, f["linear.gy"])])
    #expect(difference(y.tensor, f["linear.y"]) < 1e-5)
    for (input, gradient) in zip(inputs, ["gx", "g.weight", "g.bias"]) {
      #expect(difference(gradients[input] ?? Tensor(0), f["linear.\(gradient)"]) < 1e-5)
    }
  }
}

extension Tensor {
  /// The same numbers, each at least 0.05 from 0.
  fileprivate func mapAway() -> Tensor {
    Tensor(scalars.map { $0 < 0 ? $0 - 0.05 : $0 + 0.05 }, shape: shape)
  }
}
