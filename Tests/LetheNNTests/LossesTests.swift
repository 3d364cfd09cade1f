import Lethe
import LetheTestSupport
import Testing

@Suite struct LossesTests {
  /// A loss and its gradient.
  private func run(
    _ x: Tensor, timing: Timing? = nil, _ loss: (Variable) -> Variable
  ) -> (loss: Float, gradient: Tensor) {
    let tape = Tape()
    let input = tape.watched(x, timing: timing)
    let value = loss(input)
    #expect(value.shape == [])
    return (value.tensor.scalar, tape.gradients(of: value)[input] ?? Tensor(0))
  }

  private func labels(_ tensor: Tensor) -> [Int32] { tensor.scalars.map { Int32($0) } }

  // MARK: PyTorch

  @Test func crossEntropyAgreesWithPyTorch() throws {
    let f = try Fixture("torch_layers")
    let found = run(f["cross_entropy.x"]) { crossEntropy($0, labels(f["cross_entropy.target"])) }
    #expect(difference(Tensor([found.loss]), f["cross_entropy.loss"]) < 1e-5)
    #expect(difference(found.gradient, f["cross_entropy.gx"]) < 1e-5)
  }

  @Test(arguments: ["bce_logits", "mse", "huber"])
  func othersAgreeWithPyTorch(_ name: String) throws {
    let f = try Fixture("torch_layers")
    let target = f["\(name).target"]
    let found = run(f["\(name).x"]) { x in
      switch name {
      case "mse": meanSquaredError(x, target)
      case "huber": huber(x, target)
      default: binaryCrossEntropy(x, target)
      }
    }
    #expect(difference(Tensor([found.loss]), f["\(name).loss"]) < 1e-5)
    #expect(difference(found.gradient, f["\(name).gx"]) < 1e-5)
  }

  // MARK: cross-entropy

  @Test func crossEntropyOfHugeLogits() {
    let x = Tensor([1e30, -1e30, 0, 300, 0, -300], shape: [2, 3])
    let found = run(x) { crossEntropy($0, [0, 1]) }
    #expect(found.loss == 150 && found.gradient.scalars == [0, 0, 0, 0.5, -0.5, 0])
  }

  @Test(arguments: [1, 2, 10, 33])
  func oneHotIsTheLabel(_ classes: Int) {
    let x = numbers("logits", [2, 7, classes], scale: 4)
    let labels = (0..<14).map { Int32($0 * 5 % classes) }
    var oneHot = Tensor(zeros: [2, 7, classes])
    oneHot.withUnsafeMutableBuffer { t in
      for (row, label) in labels.enumerated() { t[row * classes + Int(label)] = 1 }
    }
    let timing = Timing(lengths: [7, 3])
    for timing in [nil, timing] {
      let (a, b) = (
        run(x, timing: timing) { crossEntropy($0, labels) },
        run(x, timing: timing) { crossEntropy($0, oneHot) }
      )
      #expect(abs(a.loss - b.loss) < 2e-6)
      #expect(difference(a.gradient, b.gradient) < 2e-7)
    }
  }

  @Test func softTargets() {
    let x = numbers("logits", [3, 5], scale: 3)
    let targets = numbers("targets", [3, 5]).applyingAbs()
    expectGradients("soft targets", [x], step: 0.01) { crossEntropy($0[0], targets) }
    // The definition, in doubles.
    let (xs, ts) = (x.scalars.map(Double.init), targets.scalars.map(Double.init))
    var expected = 0.0
    for row in 0..<3 {
      let all = (0..<5).reduce(0) { $0 + Elementary.exp(xs[row * 5 + $1]) }
      for c in 0..<5 { expected -= ts[row * 5 + c] * (xs[row * 5 + c] - Elementary.log(all)) / 3 }
    }
    #expect(abs(Double(crossEntropy(Variable(x), targets).tensor.scalar) - expected) < 1e-6)
  }

  @Test func impossibleClassesDoNotSpreadNaN() {
    let x = Tensor([0, -.infinity, 1, 0], shape: [2, 2])
    let found = run(x) { crossEntropy($0, Tensor([1, 0, 0, 1], shape: [2, 2])) }
    #expect(found.loss.isFinite && found.gradient.isFinite)
  }

  @Test func probabilitiesGiveTheSameLoss() {
    let x = numbers("logits", [2, 4, 6], scale: 3)
    let labels = (0..<8).map { Int32($0 * 5 % 6) }
    for timing in [nil, Timing(lengths: [1, 4])] {
      let a = run(x, timing: timing) { crossEntropy($0, labels) }
      let b = run(x, timing: timing) { probabilityCrossEntropy(softmax($0), labels) }
      #expect(abs(a.loss - b.loss) < 2e-6)
      #expect(difference(a.gradient, b.gradient) < 1e-6)
    }
  }

  @Test func probabilityOfZeroStaysFinite() {
    let found = run(Tensor([0, 1], shape: [1, 2])) { probabilityCrossEntropy($0, [0]) }
    #expect(abs(found.loss - 87.3365) < 1e-3 && found.gradient.isFinite)
  }

  // MARK: numbers

  @Test func gradients() {
    let (x, t) = (numbers("x", [3, 4], scale: 3), numbers("t", [3, 4], scale: 3))
    expectGradients("mse", [x], step: 0.1) { meanSquaredError($0[0], t) }
    expectGradients("huber", [x], step: 0.001) { huber($0[0], t, delta: 0.7) }
    expectGradients("bce", [x], step: 0.01) { binaryCrossEntropy($0[0], t.applyingAbs()) }
    expectGradients("labels", [x], step: 0.01) { crossEntropy($0[0], [0, 3, 1]) }
    expectGradients("probabilities", [x.applyingAbs()], step: 0.001, tolerance: 1e-2) {
      probabilityCrossEntropy($0[0] + 1, [0, 3, 1])
    }
  }

  @Test func huberMeetsItsTwoHalves() {
    let found = run(Tensor([0, 2, -2, 5, -5])) { huber($0, Tensor(zeros: [5]), delta: 2) }
    #expect(found.loss == (0 + 2 + 2 + 8 + 8) / 5)
    #expect(difference(found.gradient, Tensor([0, 0.4, -0.4, 0.4, -0.4])) < 1e-7)
  }

  @Test func binaryCrossEntropyOfSureLogits() {
    let found = run(Tensor([500, -500, 500, -500, -20])) {
      binaryCrossEntropy($0, Tensor([1, 0, 0, 1, 0]))
    }
    #expect(found.loss == 200)
    #expect(found.gradient.isFinite)
    // log(1 + e⁻²⁰) is e⁻²⁰, where 1 + e⁻²⁰ rounds to 1.
    #expect(abs(run(Tensor([-20])) { binaryCrossEntropy($0, Tensor([0])) }.loss / 2.0611537e-9 - 1) < 1e-5)
  }

  @Test func aLastDimensionOfOneMayBeMissing() {
    let (x, t) = (numbers("x", [4, 1]), numbers("t", [4, 1]))
    let expected = meanSquaredError(Variable(x), t).tensor
    #expect(meanSquaredError(Variable(x), t.reshaped([4])).tensor == expected)
    #expect(meanSquaredError(Variable(x.reshaped([4])), t).tensor == expected)
  }

  // MARK: lengths

  @Test func stepsPastTheLengthDoNotCount() {
    let lengths = [4, 0, 2]
    let timing = Timing(lengths: lengths)
    let classes = 5
    let real = lengths.enumerated().flatMap { row, length in (0..<length).map { row * 4 + $0 } }
    func pick(_ x: Tensor) -> Tensor {
      Tensor(
        real.flatMap { x.reshaped([12, classes]).rows($0..<$0 + 1).scalars }, shape: [real.count, classes])
    }
    // What stands past the lengths is no label, and no number.
    var x = numbers("x", [3, 4, classes], scale: 3), t = numbers("t", [3, 4, classes]).applyingAbs()
    let labels = (0..<12).map { real.contains($0) ? Int32($0 * 3 % classes) : -7 }
    for row in 0..<12 where !real.contains(row) {
      for c in 0..<classes {
        x[row / 4, row % 4, c] = .nan
        t[row / 4, row % 4, c] = .nan
      }
    }
    let realLabels = real.map { labels[$0] }
    let losses: [(String, (Variable) -> Variable, (Variable) -> Variable)] = [
      ("labels", { crossEntropy($0, labels) }, { crossEntropy($0, realLabels) }),
      ("targets", { crossEntropy($0, t) }, { crossEntropy($0, pick(t)) }),
      ("mse", { meanSquaredError($0, t) }, { meanSquaredError($0, pick(t)) }),
      ("huber", { huber($0, t) }, { huber($0, pick(t)) }),
      ("bce", { binaryCrossEntropy($0, t) }, { binaryCrossEntropy($0, pick(t)) }),
      (
        "probabilities", { probabilityCrossEntropy($0, labels) }, { probabilityCrossEntropy($0, realLabels) }
      ),
    ]
    for (name, ragged, dense) in losses {
      let (a, b) = (run(x, timing: timing, ragged), run(pick(x), dense))
      #expect(abs(a.loss - b.loss) < 2e-6 * (1 + abs(b.loss)), "\(name)")
      #expect(difference(pick(a.gradient), b.gradient) < 1e-6, "\(name)")
      for row in 0..<12 where !real.contains(row) {
        #expect(
          a.gradient.reshaped([12, classes]).rows(row..<row + 1) == Tensor(zeros: [1, classes]), "\(name)")
      }
    }
  }

  @Test func nothingToLearnFromIsNoLoss() {
    let found = run(numbers("x", [2, 3, 4]), timing: Timing(lengths: [0, 0])) {
      crossEntropy($0, [Int32](repeating: 0, count: 6))
    }
    #expect(found.loss == 0 && found.gradient == Tensor(zeros: [2, 3, 4]))
  }

  @Test func threadsDoNotChangeBits() {
    let x = numbers("x", [300, 7, 40]), t = numbers("t", [300, 7, 40])
    let labels = (0..<2100).map { Int32($0 % 40) }
    for timing in [nil, Timing(lengths: (0..<300).map { $0 % 8 })] {
      expectSameBits {
        [
          run(x, timing: timing) { crossEntropy($0, labels) }, run(x, timing: timing) { crossEntropy($0, t) },
          run(x, timing: timing) { meanSquaredError($0, t) },
          run(x, timing: timing) { binaryCrossEntropy($0, t) },
        ].flatMap { [Tensor($0.loss), $0.gradient] }
      }
    }
  }

  // MARK: by name

  @Test func lossesByName() throws {
    let x = numbers("x", [4, 3])
    let labels: [Int32] = [0, 2, 1, 1]
    let t = numbers("t", [4, 3]).applyingAbs()
    #expect(
      Loss.categoricalCrossEntropy(Variable(x), labels).tensor == crossEntropy(Variable(x), labels).tensor)
    #expect(Loss.categoricalCrossEntropy(Variable(x), t).tensor == crossEntropy(Variable(x), t).tensor)
    let p = Variable(x.softmax)
    #expect(Loss.probabilityCrossEntropy(p, labels).tensor == probabilityCrossEntropy(p, labels).tensor)
    #expect(Loss.probabilityCrossEntropy(p, t).tensor == probabilityCrossEntropy(p, t).tensor)
    #expect(Loss.binaryCrossEntropy(Variable(x), t).tensor == binaryCrossEntropy(Variable(x), t).tensor)
    let one = Variable(x.reshaped([12, 1])), yes = (0..<12).map { Int32($0 % 2) }
    #expect(
      Loss.binaryCrossEntropy(one, yes).tensor
        == binaryCrossEntropy(one, Tensor(yes.map { Float($0) }, shape: [12, 1])).tensor)
    #expect(Loss.meanSquaredError(Variable(x), t).tensor == meanSquaredError(Variable(x), t).tensor)
    #expect(Loss.huber(Variable(x), t).tensor == huber(Variable(x), t).tensor)
    #expect(Loss.allCases.map(\.rawValue).count == 5)
    #expect(Loss(rawValue: "mean_squared_error") == .meanSquaredError)
    #expect(
      Loss.allCases.filter(\.takesLabels) == [
        .categoricalCrossEntropy, .probabilityCrossEntropy, .binaryCrossEntropy,
      ])
  }

  @Test func logitsOfModelsThatEndInAnActivation() throws {
    let x = numbers("x", [5, 7])
    func output(_ loss: Loss, _ activation: Activation) -> (
      found: Tensor, probabilities: Tensor, plain: Tensor
    ) {
      let model = Sequential(input: [7], seed: 1) { Dense(4, activation: activation) }
      let plain = Sequential(input: [7], seed: 1) { Dense(4) }
      return (loss.output(of: model, for: Variable(x)).tensor, model(x), plain(x))
    }
    for (loss, activation) in [
      (Loss.categoricalCrossEntropy, Activation.softmax), (.binaryCrossEntropy, .sigmoid),
    ] {
      let result = output(loss, activation)
      #expect(result.found == result.plain && result.found != result.probabilities)
    }
    for (loss, activation) in [
      (Loss.probabilityCrossEntropy, Activation.softmax), (.meanSquaredError, .sigmoid),
      (.categoricalCrossEntropy, .relu),
    ] {
      let result = output(loss, activation)
      #expect(result.found == result.probabilities)
    }
  }

  @Test func refusesActivationsItIsWrongFor() throws {
    func model(_ activation: Activation) -> Sequential {
      Sequential(input: [3]) { Dense(2, activation: activation) }
    }
    let fitting: [Loss: [Activation]] = [
      .categoricalCrossEntropy: [.linear, .softmax], .probabilityCrossEntropy: [.softmax],
      .binaryCrossEntropy: [.linear, .sigmoid], .meanSquaredError: Activation.allCases,
      .huber: Activation.allCases,
    ]
    for loss in Loss.allCases {
      for activation in Activation.allCases {
        if fitting[loss]?.contains(activation) ?? false {
          try loss.check(model(activation))
        } else {
          #expect(throws: LetheError.self) { try loss.check(model(activation)) }
        }
      }
    }
    let error = #expect(throws: LetheError.self) { try Loss.categoricalCrossEntropy.check(model(.sigmoid)) }
    #expect(
      error?.description
        == "the loss categorical_cross_entropy: does not fit the model's last activation; expected softmax "
        + "or linear, found sigmoid; end in softmax, or for yes-or-no targets take binary_cross_entropy"
    )
  }

  // MARK: broken contracts

  @Test func stopsAtLabelsThatAreNone() async {
    await #expect(processExitsWith: .failure) {
      _ = crossEntropy(Variable(Tensor(zeros: [2, 3])), [0, 3])
    }
    await #expect(processExitsWith: .failure) {
      _ = probabilityCrossEntropy(Variable(Tensor(zeros: [2, 3])), [-1, 0])
    }
    await #expect(processExitsWith: .failure) {
      _ = Loss.meanSquaredError(Variable(Tensor(zeros: [2, 3])), [0, 0])
    }
    await #expect(processExitsWith: .failure) {
      _ = meanSquaredError(Variable(Tensor(zeros: [2, 1])), Tensor(zeros: [1, 2]))
    }
  }
}

extension Tensor {
  fileprivate func applyingAbs() -> Tensor { Tensor(scalars.map(abs), shape: shape) }
}
