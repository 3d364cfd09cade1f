import Lethe
import Testing

/// What `fit` refuses before training, and whom it blames when training breaks down.
@Suite struct RefusalTests {
  private func error(
    _ data: Dataset, validation: Dataset? = nil, loss: Loss = .categoricalCrossEntropy,
    model: some Model = Sequential(input: [2], seed: 1) { Dense(2) },
    _ change: (inout FitOptions) -> Void = { _ in }
  ) throws -> LetheError {
    var options = FitOptions(loss: loss)
    change(&options)
    var twin = model
    let error = try #require(throws: LetheError.self) {
      try twin.fit(data, validation: validation, options: options)
    }
    #expect(zip(twin.parameters, model.parameters).allSatisfy { $0.value.bits == $1.value.bits })
    return error
  }

  @Test func emptyDataAreNamed() throws {
    #expect(try error(xor[0..<0]).place == "training data")
    #expect(try error(xor, validation: xor[0..<0]).place == "validation data")
  }

  @Test func inputsThatDoNotFitAreNamed() throws {
    let wide = Dataset(inputs: Tensor(zeros: [4, 3]), targets: xor.targets)
    let found = try error(wide)
    #expect(found.place == "training data: inputs")
    #expect(found.expected == "rows of shape [2]")
    #expect(found.found == "rows of shape [3]")
  }

  @Test func targetsThatDoNotFitAreNamed() throws {
    let many = Dataset(inputs: xor.inputs, targets: .classes([0, 1, 2, 0], count: 3))
    #expect(try error(many).found == "3")
    #expect(try error(xor, loss: .meanSquaredError).place == "training data: targets")
    let wide = Dataset(inputs: xor.inputs, targets: .values(Tensor(zeros: [4, 3])))
    #expect(try error(wide, loss: .meanSquaredError).found == "rows of shape [3]")
    #expect(try error(xor, model: Sequential(input: [2]) { Dense(2, activation: .relu) }).found == "relu")
    let sequences = Dataset(inputs: Tensor(zeros: [4, 5, 2]), targets: xor.targets)
    let found = try error(
      sequences,
      model: Sequential(input: [.any, 2]) {
        LSTM(3, outputs: .all)
        Dense(2)
      })
    #expect(found.place == "training data: labels")
    #expect(found.expected?.hasPrefix("5 a row") == true)
    let flat = try error(xor, model: Sequential(input: [.any, 2]) { LSTM(2) })
    #expect(flat.expected == "rows of shape [any, 2]")
  }

  @Test func optionsThatDoNothingAreNamed() throws {
    #expect(try error(xor) { $0.epochs = 0 }.place == "epochs")
    #expect(try error(xor) { $0.batchSize = 0 }.place == "batch size")
    #expect(try error(xor) { $0.resumes = true }.place == "resume")
    #expect(try error(xor) { $0.earlyStopping = EarlyStopping() }.place == "early stopping")
    #expect(try error(xor) { $0.schedule = .plateau() }.place == "schedule: plateau")
    #expect(try error(xor) { $0.clipping = .norm(-1) }.place == "clipping")
    #expect(try error(xor) { $0.optimizer = .sgd(nesterov: true) }.place == "sgd: nesterov")
    #expect(
      try error(xor, validation: xor) { $0.earlyStopping = EarlyStopping(patience: 0) }.place
        == "early stopping: patience")
  }

  @Test func checkpointsThatCannotBeWrittenShowBeforeTraining() throws {
    let path = TemporaryFile().path + "/no/such/folder"
    #expect(try error(xor) { $0.checkpoint = path }.place == path)
  }

  @Test func modelsWithoutParametersAreNamed() throws {
    #expect(
      try error(xor, model: Sequential(input: [2]) { Flatten() }).problem == "has no parameters to train")
    var empty = Scale()
    empty.factor = Parameter(shape: [1], .zeros)
    #expect(try error(xor, model: empty).place == "model: parameter 'factor'")
  }

  @Test func inputsThatAreNotFiniteAreNamedByRowAndPosition() throws {
    var bad = xor
    bad.inputs[2, 1] = .nan
    let found = try error(bad)
    #expect(found.place == "training data: inputs, row 2")
    #expect(found.problem.contains("[2, 1]"))
    #expect(found.found == "nan")
    #expect(try error(xor, validation: bad).place == "validation data: inputs, row 2")
  }

  @Test func theFirstOperationThatBreaksIsNamed() throws {
    var model = Sequential(input: [2], seed: 1) {
      Dense(2)
      Dense(2)
    }
    model.forEachParameter { name, parameter in
      if name == "1.weight" { parameter.value = Tensor(repeating: 3e38, shape: [2, 2]) }
      if name == "0.weight" { parameter.value = Tensor(repeating: 2, shape: [2, 2]) }
    }
    let found = try error(xor, model: model)
    #expect(found.place == "epoch 1, step 1")
    #expect(found.problem.contains("1 dense › linear"))
  }

  @Test func parametersThatAreNotFiniteAreNamed() throws {
    #expect(try error(numbers, loss: .meanSquaredError, model: Scale(.nan)).problem.contains("'factor'"))
  }

  @Test func gradientsThatAreNotFiniteAreNamed() throws {
    // The output is 1 and the loss finite; the gradient, 2e2 · 1e37, is not.
    let steep = Dataset(
      inputs: Tensor([1e37], shape: [1, 1]), targets: .values(Tensor([-100], shape: [1, 1])))
    let found = try error(steep, loss: .meanSquaredError, model: Scale(1e-37))
    #expect(found.problem == "the gradient of 'factor' is not finite")
  }

  @Test func laterStepsAreNamedToo() throws {
    // Plain descent far too fast: it grows by a factor each step until it is no number.
    var options = FitOptions(loss: .meanSquaredError)
    options.epochs = 1000
    options.batchSize = 1
    options.optimizer = .sgd(rate: 1000)
    options.clipping = .none
    var model = Scale(0)
    let found = try #require(throws: LetheError.self) { try model.fit(numbers, options: options) }
    #expect(found.place.hasPrefix("epoch "))
    #expect(found.place != "epoch 1, step 1")
    #expect(model.factor.value.isFinite)
  }

  private let numbers = Dataset(
    inputs: Tensor([1, 2], shape: [2, 1]), targets: .values(Tensor([1, 2], shape: [2, 1])))
}
