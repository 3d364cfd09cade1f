import Lethe
import LetheTestSupport
import Testing

@Suite struct OptimizerTests {
  /// The optimizers of scripts/fixtures/from_torch.py, under the same names.
  static let optimizers: [(name: String, optimizer: Optimizer)] = [
    ("sgd", .sgd(rate: 0.1)),
    ("sgd_momentum", .sgd(rate: 0.1, momentum: 0.9)),
    ("sgd_nesterov", .sgd(rate: 0.1, momentum: 0.9, nesterov: true)),
    ("rmsprop", .rmsprop(rate: 0.01, smoothing: 0.99)),
    ("adam", .adam(rate: 0.01)),
    ("adam_l2", .adam(rate: 0.01, weightDecay: 0.1)),
    ("adamw", .adamW(rate: 0.01, weightDecay: 0.1)),
  ]

  @Test(arguments: optimizers)
  func stepsAreThoseOfPyTorch(_ name: String, _ optimizer: Optimizer) throws {
    let file = try Fixture("torch_optim")
    var model = Free(weight: file["start"])
    var state = OptimizerState(optimizer)
    for step in 1...7 {
      state.update(&model, gradients: model.gradients(alongWeight: file["gradient\(step)"]))
      let expected = file["\(name).step\(step)"]
      for (i, (found, wanted)) in zip(model.weight.value.scalars, expected.scalars).enumerated() {
        #expect(abs(found - wanted) <= 2e-6 * (1 + abs(wanted)), "step \(step), scalar \(i)")
      }
    }
  }

  @Test func parametersWithoutGradientStayAsTheyAre() {
    var model = Free(weight: Tensor([1, 2]), bias: Tensor([3]))
    var state = OptimizerState(.adamW(rate: 0.1))
    state.update(&model, gradients: model.gradients(alongWeight: Tensor([1, -1])))
    #expect(model.bias.value == Tensor([3]))
    #expect(model.weight.value != Tensor([1, 2]))
    // The correction of Adam's means counts the parameter's own steps, so this is a first step of full size.
    let (_, gradients) = model.gradients { model, tape in tape.constant(Tensor([0])).with(model.bias).sum() }
    state.update(&model, gradients: gradients)
    #expect(abs(model.bias.value[0] - (3 - 0.1 * 0.01 * 3 - 0.1)) < 1e-5)
  }

  @Test(arguments: optimizers)
  func parametersChangeInPlace(_ name: String, _ optimizer: Optimizer) {
    var model = Free(weight: RandomKey(seed: 1).normal(shape: [300]))
    var state = OptimizerState(optimizer)
    let gradients = model.gradients(alongWeight: RandomKey(seed: 2).normal(shape: [300]))
    let before = model.weight.value.withUnsafeBuffer { $0.baseAddress }
    state.update(&model, gradients: gradients)
    state.update(&model, gradients: gradients)
    #expect(model.weight.value.withUnsafeBuffer { $0.baseAddress } == before)
  }

  @Test(arguments: optimizers)
  func threadsDoNotChangeBits(_ name: String, _ optimizer: Optimizer) {
    let start = Free(weight: RandomKey(seed: 1).normal(shape: [200_003]))
    let slope = RandomKey(seed: 2).normal(shape: [200_003])
    let results = [1, 2, 5].map { threads in
      Parallel.$threads.withValue(threads) {
        var model = start
        var state = OptimizerState(optimizer)
        for _ in 0..<3 { state.update(&model, gradients: model.gradients(alongWeight: slope)) }
        return model.weight.value.bits
      }
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test(arguments: [
    (Optimizer.sgd(rate: 0), "sgd: rate"), (.adam(rate: .nan), "adam: rate"),
    (.adam(beta1: 1), "adam: beta1"), (.adamW(beta2: -0.1), "adamW: beta2"),
    (.adamW(weightDecay: -1), "adamW: weightDecay"), (.rmsprop(smoothing: 1), "rmsprop: smoothing"),
    (.rmsprop(epsilon: 0), "rmsprop: epsilon"), (.sgd(momentum: 1), "sgd: momentum"),
    (.sgd(nesterov: true), "sgd: nesterov"),
  ])
  func numbersOutOfRangeAreNamed(_ optimizer: Optimizer, _ place: String) {
    #expect { try optimizer.validated() } throws: { ($0 as? LetheError)?.place == place }
  }

  @Test func goodNumbersPass() throws {
    for (_, optimizer) in Self.optimizers { try optimizer.validated() }
  }
}
