import Lethe
import Testing

@Suite struct FitTests {
  @Test func xorIsLearned() throws {
    var model = Sequential(input: [2], seed: 1) {
      Dense(8, activation: .tanh)
      Dense(2, activation: .softmax)
    }
    let history = try model.fit(
      xor, epochs: 200, batchSize: 4, optimizer: .adam(rate: 0.05), loss: .categoricalCrossEntropy)
    #expect(history.epochs.map(\.epoch) == Array(1...200))
    #expect((history.epochs.last?.loss ?? 1) < 0.01)
    #expect(history.epochs.last?.accuracy == 1)
    #expect(history.epochs.last?.valLoss == nil)
    #expect(try model.evaluate(xor, loss: .categoricalCrossEntropy).accuracy == 1)
    #expect(model.predictions(for: xor).argmax == [0, 1, 1, 0])
  }

  @Test func yesOrNoIsLearned() throws {
    var model = Sequential(input: [2], seed: 1) {
      Dense(8, activation: .tanh)
      Dense(1, activation: .sigmoid)
    }
    try model.fit(xor, epochs: 200, batchSize: 4, optimizer: .adam(rate: 0.05), loss: .binaryCrossEntropy)
    #expect(try model.evaluate(xor, loss: .binaryCrossEntropy).accuracy == 1)
    let yes = model.predictions(for: xor).scalars.map { $0 > 0.5 }
    #expect(yes == [false, true, true, false])
  }

  @Test func numbersAreLearned() throws {
    let x = RandomKey(seed: 3).uniform(shape: [50, 1], in: -1..<1)
    let line = Dataset(inputs: x, targets: .values(Tensor(x.scalars.map { 2 * $0 - 1 }, shape: [50, 1])))
    var model = Sequential(input: [1], seed: 1) { Dense(1) }
    let history = try model.fit(
      line, validation: line, epochs: 60, batchSize: 8, optimizer: .sgd(rate: 0.1, momentum: 0.9),
      loss: .meanSquaredError)
    #expect((history.epochs.last?.valLoss ?? 1) < 1e-6)
    #expect(history.epochs.last?.accuracy == nil)
    #expect(history.epochs.last?.valAccuracy == nil)
    #expect(abs(model.parameters[0].value[0, 0] - 2) < 1e-3)
  }

  @Test func sequencesOfAllLengthsAreLearned() throws {
    // Which half of the range the first number is from, after steps of noise.
    let x = RandomKey(seed: 5).uniform(shape: [64, 6, 1], in: -1..<1)
    let labels = (0..<64).map { Int32(x[$0, 0, 0] > 0 ? 1 : 0) }
    let data = Dataset(
      inputs: x, targets: .classes(labels, count: 2), lengths: (0..<64).map { 1 + $0 % 6 })
    var model = Sequential(input: [.any, 1], seed: 1) {
      LSTM(8)
      Dense(2)
    }
    let history = try model.fit(
      data, epochs: 60, batchSize: 16, optimizer: .adam(rate: 0.02), loss: .categoricalCrossEntropy)
    #expect((history.epochs.last?.accuracy ?? 0) > 0.95)
  }

  @Test func lossAndAccuracyAreMeansOverRows() throws {
    // A rate this small leaves the parameters as they are, so the epoch's figures are those of one model.
    let data = Digits.load()[0..<50]
    var model = Sequential(input: [8, 8, 1], seed: 1) {
      Flatten()
      Dense(10)
    }
    let history = try model.fit(
      data, validation: data, epochs: 1, batchSize: 16, optimizer: .sgd(rate: 1e-30),
      loss: .categoricalCrossEntropy)
    let whole = try model.evaluate(data, loss: .categoricalCrossEntropy, batchSize: 50)
    let record = try #require(history.epochs.first)
    #expect(abs(record.loss - whole.loss) < 1e-6)
    #expect(record.accuracy == whole.accuracy)
    #expect(abs((record.valLoss ?? 0) - whole.loss) < 1e-6)
    #expect(record.valAccuracy == whole.accuracy)
  }

  @Test func stepsBeyondTheLengthsDoNotCount() throws {
    // The output is the input, so what is right is known: steps 0 and 1 of row 0, step 0 of row 1.
    let logits = Tensor([9, 0, 0, 9, 9, 0, /**/ 9, 0, 9, 0, 9, 0], shape: [2, 3, 2])
    let data = Dataset(
      inputs: logits, targets: .classes([0, 1, 1, /**/ 0, 77, -5], count: 2), lengths: [3, 1])
    let found = try Scale().evaluate(data, loss: .categoricalCrossEntropy, batchSize: 1)
    #expect(found.accuracy == 0.75)
    #expect(abs(found.loss - (9 + 4 * 0.000123402) / 4) < 1e-5)

    let numbers = Dataset(
      inputs: logits,
      targets: .values(Tensor([9, 0, 0, 9, 9, 2, /**/ 9, 2, 0, 0, 0, 0], shape: [2, 3, 2])),
      lengths: [3, 1])
    // Row 0 has 4 over 6 numbers, 3 steps; row 1 has 4 over 2 numbers, 1 step.
    #expect(abs(try Scale().evaluate(numbers, loss: .meanSquaredError, batchSize: 1).loss - 1) < 1e-6)
  }

  @Test func ratesAreThoseOfTheSchedule() throws {
    var options = FitOptions(loss: .categoricalCrossEntropy)
    options.epochs = 3
    options.batchSize = 2
    options.optimizer = .sgd(rate: 0.5)
    options.schedule = .step(every: 1, factor: 0.5, warmup: 1)
    var model = Sequential(input: [2], seed: 1) { Dense(2) }
    var rates: [Float] = []
    let history = try model.fit(
      xor, options: options,
      progress: TrainingProgress { event in
        if case .batchEnded(let batch) = event { rates.append(batch.rate) }
      })
    #expect(rates == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125])
    #expect(history.epochs.map(\.rate) == [0.5, 0.25, 0.125])
  }

  @Test func plateausLowerTheRate() throws {
    var options = FitOptions(loss: .meanSquaredError)
    options.epochs = 6
    options.optimizer = .sgd(rate: 0.5)
    options.schedule = .plateau(factor: 0.5, patience: 2)
    // The best there is already: no epoch is better than the first.
    let still = Dataset(inputs: Tensor([1], shape: [1, 1]), targets: .values(Tensor([1], shape: [1, 1])))
    var model = Scale()
    let history = try model.fit(still, validation: still, options: options)
    #expect(history.epochs.map(\.rate) == [0.5, 0.5, 0.5, 0.25, 0.25, 0.125])
  }

  @Test func earlyStoppingRestoresTheBest() throws {
    let one = Tensor([1], shape: [1, 1])
    let train = Dataset(inputs: one, targets: .values(one))
    let validation = Dataset(inputs: one, targets: .values(one * 0.52))
    var options = FitOptions(loss: .meanSquaredError)
    options.epochs = 100
    options.optimizer = .sgd(rate: 0.05)
    options.earlyStopping = EarlyStopping(patience: 3)
    // The factor climbs from 0 to 1 and meets the validation's best on its way.
    var model = Scale(0)
    let history = try model.fit(train, validation: validation, options: options)
    let losses = history.epochs.compactMap(\.valLoss)
    let best = try #require(losses.indices.min { losses[$0] < losses[$1] })
    #expect(history.stoppedEarly)
    #expect(history.restoredEpoch == best + 1)
    #expect(losses.count == best + 4)
    #expect(try model.evaluate(validation, loss: .meanSquaredError).loss == losses[best])

    options.earlyStopping = EarlyStopping(patience: 3, restoresBest: false)
    model = Scale(0)
    let kept = try model.fit(train, validation: validation, options: options)
    #expect(kept.restoredEpoch == nil)
    #expect(kept.epochs.count == losses.count)
    #expect(try model.evaluate(validation, loss: .meanSquaredError).loss == losses.last)

    options.earlyStopping = EarlyStopping(patience: 3, minimumImprovement: 1)
    model = Scale(0)
    #expect(try model.fit(train, validation: validation, options: options).epochs.count == 4)
  }

  @Test func theSeedIsAllThatShufflingAndDropoutDependOn() throws {
    func trained(_ change: (inout FitOptions) -> Void) throws -> [[UInt32]] {
      var options = FitOptions(loss: .categoricalCrossEntropy)
      options.epochs = 2
      options.batchSize = 7
      change(&options)
      var model = digitReader
      try model.fit(Digits.load()[0..<40], options: options)
      return model.parameters.map(\.value.bits)
    }
    let first = try trained { _ in }
    #expect(try trained { _ in } == first)
    #expect(try trained { $0.seed = 1 } != first)
    #expect(try trained { $0.shuffles = false } != first)
    #expect(try trained { $0.clipping = .none } == trained { $0.clipping = .norm(1e9) })
    #expect(try trained { $0.clipping = .norm(0.01) } != first)
  }

  @Test func eachEpochShufflesAndDropsAnew() throws {
    // A rate this small leaves the parameters alone: batches differ by their rows and their masks only.
    func losses(shuffles: Bool, dropout: Float, seed: UInt64 = 0) throws -> [[Double]] {
      var options = FitOptions(loss: .categoricalCrossEntropy)
      options.epochs = 2
      options.batchSize = 10
      options.optimizer = .sgd(rate: 1e-30)
      options.shuffles = shuffles
      options.seed = seed
      var model = Sequential(input: [8, 8, 1], seed: 1) {
        Flatten()
        Dropout(dropout)
        Dense(10)
      }
      var losses = [[Double]](repeating: [], count: 2)
      try model.fit(
        Digits.load()[0..<30], options: options,
        progress: TrainingProgress { event in
          if case .batchEnded(let batch) = event { losses[batch.epoch - 1].append(batch.batchLoss) }
        })
      return losses
    }
    let plain = try losses(shuffles: false, dropout: 0)
    #expect(plain[0] == plain[1])
    for (shuffles, dropout) in [(true, Float(0)), (false, 0.5)] {
      let first = try losses(shuffles: shuffles, dropout: dropout)
      let second = try losses(shuffles: shuffles, dropout: dropout, seed: 1)
      #expect(Set(plain[0] + first[0] + first[1] + second[0] + second[1]).count == 15)
    }
  }

  @Test func threadsDoNotChangeBits() throws {
    let results = try [1, 2, 5].map { threads in
      try Parallel.$threads.withValue(threads) {
        var model = digitReader
        let data = Digits.load()
        let history = try model.fit(
          data[0..<200], validation: data[200..<300], epochs: 2, batchSize: 64,
          loss: .categoricalCrossEntropy)
        return (model.parameters.map(\.value.bits), history.withoutSeconds)
      }
    }
    for other in results.dropFirst() {
      #expect(results[0].0 == other.0)
      #expect(results[0].1 == other.1)
    }
  }

  @Test func parametersStayWhereTheyAre() throws {
    var model = digitReader
    func places() -> [UnsafePointer<Float>?] {
      model.parameters.map { $0.value.withUnsafeBuffer { $0.baseAddress } }
    }
    // The first step makes the copy that parts this model from the one it was copied from.
    try model.fit(Digits.load()[0..<64], epochs: 1, loss: .categoricalCrossEntropy)
    let before = places()
    try model.fit(Digits.load()[0..<64], epochs: 2, loss: .categoricalCrossEntropy)
    #expect(places() == before)
  }

  @Test func eventsTellTheCourse() throws {
    var model = Sequential(input: [2], seed: 1) { Dense(2) }
    var events: [String] = []
    let history = try model.fit(
      xor, epochs: 2, batchSize: 3, loss: .categoricalCrossEntropy,
      progress: TrainingProgress { event in
        switch event {
        case .epochBegan(let epoch, let epochs, let rows, let done):
          events.append("began \(epoch)/\(epochs) \(done)/\(rows)")
        case .batchEnded(let batch):
          events.append(
            "batch \(batch.batch)/\(batch.batches) step \(batch.step) \(batch.rowsDone)/\(batch.rows)")
          #expect(batch.gradientNorm > 0)
          if batch.batch == 1 { #expect(batch.batchLoss == batch.loss) }
        case .epochEnded(let record, let epochs): events.append("ended \(record.epoch)/\(epochs)")
        case .ended(let history): events.append("all \(history.epochs.count)")
        }
      })
    #expect(
      events == [
        "began 1/2 0/4", "batch 1/2 step 1 3/4", "batch 2/2 step 2 4/4", "ended 1/2",
        "began 2/2 0/4", "batch 1/2 step 3 3/4", "batch 2/2 step 4 4/4", "ended 2/2", "all 2",
      ])
    #expect(history.epochs.allSatisfy { $0.seconds > 0 })
  }
}
