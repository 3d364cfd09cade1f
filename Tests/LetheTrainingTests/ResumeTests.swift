import Lethe
import LetheTestSupport
import Testing

/// Training that stops and goes on gives the bits of training that never stopped.
@Suite struct ResumeTests {
  static let data = Digits.load()
  static let train = data[0..<60]
  static let validation = data[60..<100]

  private static func options(
    _ optimizer: Optimizer, _ schedule: Schedule, patience: Int = 2
  ) -> FitOptions {
    var options = FitOptions(loss: .categoricalCrossEntropy)
    options.epochs = 4
    options.batchSize = 16
    options.optimizer = optimizer
    options.schedule = schedule
    options.earlyStopping = EarlyStopping(patience: patience)
    options.seed = 9
    return options
  }

  /// Rates high enough that plateaus, early stopping and a best epoch that is not the last all occur.
  static let cases: [FitOptions] = [
    options(.sgd(rate: 0.05, momentum: 0.9), .plateau(factor: 0.5, patience: 1)),
    options(.adam(rate: 0.03), .cosine(to: 0.1, warmup: 3)),
    options(.rmsprop(rate: 0.02, momentum: 0.5), .step(every: 1, factor: 0.7), patience: 1),
    options(.adamW(rate: 3), .plateau(factor: 0.5, patience: 1)),
  ]

  private func straight(_ options: FitOptions) throws -> (model: Sequential, history: History) {
    var model = digitReader
    let history = try model.fit(Self.train, validation: Self.validation, options: options)
    return (model, history)
  }

  @Test(arguments: cases)
  func interruptionsLeaveNoTrace(_ options: FitOptions) throws {
    let (expected, history) = try straight(options)
    // Four batches an epoch: first, middle and last of an epoch, and two stops in one run.
    for stops in [[1], [3], [4], [6], [8], [2, 3], [1, 2, 9], [15]] {
      let file = TemporaryFile()
      var options = options
      options.checkpoint = file.path
      options.resumes = true
      var steps = 0
      var runs = 0
      while true {
        var model = digitReader
        let found = try model.fit(
          Self.train, validation: Self.validation, options: options,
          progress: TrainingProgress { if case .batchEnded = $0 { steps += 1 } },
          shouldStop: { runs < stops.count && steps >= stops[runs] })
        runs += 1
        if found.wasInterrupted { continue }
        #expect(found.withoutSeconds == history.withoutSeconds, "stops \(stops)")
        #expect(model.bits == expected.bits, "stops \(stops)")
        break
      }
      #expect(runs == stops.filter { $0 <= steps }.count + 1)
    }
  }

  @Test func theCasesCoverWhatTheyShould() throws {
    let histories = try Self.cases.map { try straight($0).history }
    #expect(histories.contains { $0.stoppedEarly })
    #expect(histories.contains { !$0.stoppedEarly })
    #expect(histories.contains { ($0.restoredEpoch ?? 0) < $0.epochs.count })
    #expect(histories[3].epochs.last?.rate ?? 3 < 3)
  }

  @Test func stopsInValidationLeaveNoTrace() throws {
    let (expected, history) = try straight(Self.cases[0])
    let file = TemporaryFile()
    var options = Self.cases[0]
    options.checkpoint = file.path
    options.resumes = true
    var asked = 0
    var model = digitReader
    // Asked after each of 4 batches, then in the validation.
    let first = try model.fit(
      Self.train, validation: Self.validation, options: options,
      shouldStop: {
        asked += 1
        return asked == 5
      })
    #expect(first.wasInterrupted && first.epochs.isEmpty)
    model = digitReader
    let second = try model.fit(Self.train, validation: Self.validation, options: options)
    #expect(second.withoutSeconds == history.withoutSeconds)
    #expect(model.bits == expected.bits)
  }

  @Test func moreEpochsGoOnWhereFewerEnded() throws {
    var options = Self.cases[2]
    options.earlyStopping = nil
    let (expected, history) = try straight(options)
    let file = TemporaryFile()
    options.checkpoint = file.path
    options.resumes = true
    options.epochs = 2
    var model = digitReader
    try model.fit(Self.train, validation: Self.validation, options: options)
    // Nothing is left to do, and the model is as it was at the end.
    var again = digitReader
    #expect(try again.fit(Self.train, validation: Self.validation, options: options).epochs.count == 2)
    #expect(again.bits == model.bits)
    options.epochs = 4
    #expect(
      try again.fit(Self.train, validation: Self.validation, options: options).withoutSeconds
        == history.withoutSeconds)
    #expect(again.bits == expected.bits)
  }

  @Test func interruptedModelsKeepTheirParameters() throws {
    let file = TemporaryFile()
    var options = Self.cases[0]
    options.checkpoint = file.path
    var model = digitReader
    let history = try model.fit(
      Self.train, validation: Self.validation, options: options, shouldStop: { true })
    #expect(history.wasInterrupted)
    let saved = try Safetensors(contentsOf: file.path)
    for (name, value) in model.parameters { #expect(saved["model.\(name)"]?.bits == value.bits) }
    #expect(model.bits != digitReader.bits)
  }

  @Test func withoutResumeTrainingStartsAnew() throws {
    let file = TemporaryFile()
    var options = Self.cases[0]
    options.checkpoint = file.path
    let (expected, _) = try straight(Self.cases[0])
    for _ in 0..<2 {
      var model = digitReader
      try model.fit(Self.train, validation: Self.validation, options: options)
      #expect(model.bits == expected.bits)
    }
  }
}

/// What `resume` refuses.
@Suite struct ResumeRefusalTests {
  private func checkpointed() throws -> (file: TemporaryFile, options: FitOptions) {
    let file = TemporaryFile()
    var options = FitOptions(loss: .categoricalCrossEntropy)
    options.epochs = 1
    options.schedule = .cosine()
    options.checkpoint = file.path
    var model = digitReader
    try model.fit(Digits.load()[0..<40], options: options)
    options.resumes = true
    return (file, options)
  }

  private func error(
    _ options: FitOptions, data: Dataset = Digits.load()[0..<40], model: Sequential = digitReader
  ) throws -> LetheError {
    var twin = model
    let error = try #require(throws: LetheError.self) { try twin.fit(data, options: options) }
    #expect(twin.bits == model.bits)
    return error
  }

  @Test(arguments: [
    ("batch size", "32", "16"), ("seed", "0", "7"), ("shuffles", "true", "false"),
    ("loss", "categoricalCrossEntropy", "probabilityCrossEntropy"), ("clipping", "norm(5.0)", "none"),
    ("schedule", "cosine(to: 0.0), epochs 1", "step(every: 1, factor: 0.5)"), ("warmup", "0", "3"),
  ])
  func otherOptionsAreNamed(_ name: String, _ expected: String, _ found: String) throws {
    let (file, saved) = try checkpointed()
    var options = saved
    switch name {
    case "batch size": options.batchSize = 16
    case "seed": options.seed = 7
    case "shuffles": options.shuffles = false
    case "loss": options.loss = .probabilityCrossEntropy
    case "clipping": options.clipping = .none
    case "warmup": options.schedule.warmup = 3
    default: options.schedule.course = .step(every: 1, factor: 0.5)
    }
    let error = try error(options)
    #expect(error.place == "\(file.path): \(name)")
    #expect(error.expected == expected)
    #expect(error.found == found)
  }

  @Test func anotherLengthIsNamedWhereRatesDependOnIt() throws {
    var (file, options) = try checkpointed()
    options.epochs = 2
    let error = try error(options)
    #expect(error.place == "\(file.path): schedule")
    #expect(error.found == "cosine(to: 0.0), epochs 2")
  }

  @Test func anotherOptimizerIsNamed() throws {
    var (file, options) = try checkpointed()
    options.optimizer = .adam(rate: 0.002)
    let error = try error(options)
    #expect(error.place == "\(file.path): optimizer")
    #expect(error.expected?.contains("rate: 0.001") == true)
    #expect(error.found?.contains("rate: 0.002") == true)
  }

  @Test func otherDataAreNamed() throws {
    let (file, options) = try checkpointed()
    #expect(try error(options, data: Digits.load()[0..<41]).place == "\(file.path): training data")
    #expect(try error(options, data: Digits.load()[1..<41]).place == "\(file.path): training data")
    var other = Digits.load()[0..<40]
    other.targets = .classes([Int32](repeating: 3, count: 40), count: 10)
    #expect(try error(options, data: other).place == "\(file.path): training data")
  }

  @Test func anotherModelIsNamed() throws {
    let (file, options) = try checkpointed()
    let wider = Sequential(input: [8, 8, 1], seed: 2) {
      Rows()
      LSTM(7)
      Dropout(0.3)
      Dense(10, activation: .softmax)
    }
    #expect(try error(options, model: wider).place.hasPrefix("\(file.path): parameter '1."))
  }

  @Test func otherFilesAreNoCheckpoints() throws {
    let (file, options) = try checkpointed()
    var plain = Safetensors()
    plain["x"] = Tensor([1])
    try plain.write(to: file.path)
    #expect(try error(options).problem == "is no checkpoint")
    plain.metadata["lethe.checkpoint"] = "{}"
    try plain.write(to: file.path)
    #expect(try error(options).place == "\(file.path): note 'lethe.checkpoint'")
  }

  @Test func placesThatDoNotExistAreRefused() throws {
    let (file, options) = try checkpointed()
    var whole = try Safetensors(contentsOf: file.path)
    let note = try #require(whole.metadata["lethe.checkpoint"])
    for (good, bad) in [("\"step\":2", "\"step\":3"), ("\"batch\":0", "\"batch\":9")] {
      #expect(note.contains(good))
      whole.metadata["lethe.checkpoint"] = note.replacing(good, with: bad)
      try whole.write(to: file.path)
      #expect(try error(options).problem == "the place where training stopped does not exist")
    }
  }

  @Test func missingTensorsAreNamed() throws {
    let (file, options) = try checkpointed()
    let whole = try Safetensors(contentsOf: file.path)
    for name in ["model.3.bias", "optimizer.v.3.bias"] {
      var part = whole
      part[name] = nil
      try part.write(to: file.path)
      #expect(try error(options).problem.contains(name.hasPrefix("model") ? "'3.bias'" : "'\(name)'"))
      part[name] = Tensor([1, 2])
      try part.write(to: file.path)
      #expect(try error(options).found == "[2]")
    }
  }
}

@Suite struct ResumeAgreementTests {
  /// Models of the same shapes that compute something else are not taken for each other.
  @Test func aModelOfTheSameShapesIsNamed() throws {
    let folder = try TemporaryFolder()
    let data = Dataset(inputs: numbers("x", [6, 4, 3]), targets: .classes([0, 1, 2, 0, 1, 2], count: 3))
    func model(_ reset: ResetPlacement) -> Sequential {
      Sequential(input: [4, 3], seed: 1) {
        GRU(5, reset: reset)
        Dense(3)
      }
    }
    var options = FitOptions(loss: .categoricalCrossEntropy)
    options.epochs = 1
    options.checkpoint = folder.path + "/checkpoint"
    var first = model(.after)
    try first.fit(data, options: options)
    options.resumes = true
    options.epochs = 2
    var other = model(.before)
    let error = try #require(throws: LetheError.self) { try other.fit(data, options: options) }
    #expect(error.place.hasSuffix(": model"))
    #expect(throws: Never.self) { try first.fit(data, options: options) }
    // Fewer epochs than are done are refused, not passed over.
    options.epochs = 1
    #expect(throws: LetheError.self) { try first.fit(data, options: options) }
  }
}
