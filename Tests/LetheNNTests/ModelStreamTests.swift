import Lethe
import LetheTestSupport
import Testing

@Suite struct ModelStreamTests {
  /// At each step what the model gives at the end of the sequence so far, bit by bit; forks, states and resets.
  func check(
    _ name: String, _ model: Sequential, steps: Int = 7, _ given: Tensor? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let sizes = Array(model.input.dropFirst()), width = sizes.reduce(1, *)
    let x = given ?? numbers("x \(name)", [1, steps] + sizes)
    func row(_ t: Int) -> [Float] { Array(x.scalars[t * width..<(t + 1) * width]) }
    var stream = try model.stream()
    #expect(stream.inputSize == width, sourceLocation: sourceLocation)
    var forks: [ModelStream] = [], outputs: [[UInt32]] = []
    for t in 0..<steps {
      forks.append(stream)
      let y = stream.step(row(t)).map(\.bitPattern)
      outputs.append(y)
      let so = Tensor(Array(x.scalars[0..<(t + 1) * width]), shape: [1, t + 1] + sizes)
      let whole = model.predict(so).scalars.suffix(stream.outputSize).map(\.bitPattern)
      #expect(y == whole, "\(name), step \(t)", sourceLocation: sourceLocation)
    }
    // A fork goes on from where it was taken, whatever the other did since.
    #expect(
      forks[3].step(row(3)).map(\.bitPattern) == outputs[3], "\(name): fork", sourceLocation: sourceLocation)
    // States handed to another stream go on exactly.
    var other = try model.stream()
    other.states = forks[3].states
    #expect(
      other.step(row(4)).map(\.bitPattern) == outputs[4], "\(name): states", sourceLocation: sourceLocation)
    other.reset()
    #expect(
      other.step(row(0)).map(\.bitPattern) == outputs[0], "\(name): reset", sourceLocation: sourceLocation)
  }

  @Test func modelsStreamWhatTheyPredict() throws {
    try check(
      "answer at the end",
      Sequential(input: [.any, 5], seed: 1) {
        LSTM(21)
        Dropout(0.3)
        Dense(7, activation: .softmax)
      })
    try check(
      "mixed stack, answer at each step",
      Sequential(input: [.any, 5], seed: 2) {
        Dense(9, activation: .tanh)
        GRU(18, outputs: .all)
        LayerNorm()
        Residual { ForgettingGateNetwork(18, outputs: .all, recall: .previousMemory) }
        DenseConnection {
          MatrixMemory(12, rule: .mLSTM, heads: 2, keySize: 3, valueSize: 5, outputs: .all)
        }
        TimeWindow(3)
        Recurrent(QRNNCell(17), outputs: .all)
        ForgettingAttention(10, heads: 2, headSize: 4, outputs: .all)
        ActivationLayer(.relu)
        Dense(3, activation: .sigmoid)
      })
    try check(
      "symbols",
      Sequential(input: [.any], seed: 3) {
        Embedding(11, 6)
        RNN(19, layers: 2)
        Dense(11, usesBias: false)
      }, Tensor([3, 10, 0, 7, 7, 2, 5], shape: [1, 7]))
    try check(
      "frames",
      Sequential(input: [.any, 6, 5, 2], seed: 4) {
        TimeDistributed {
          Conv2D(3, 3, activation: .relu)
          Flatten()
          Dense(8, activation: .hardSigmoid)
        }
        SteppedRecurrent(AttentiveLSTMCell(9, window: 3), outputs: .all)
        TimeDistributed { Dense(6) }
        Sequential {
          LSTM(11, headSize: 5)
          Dense(4)
        }
      })
    // Each step is a sequence of its own, read by layers that a stream of it could not have.
    try check(
      "sequences of sequences",
      Sequential(input: [.any, 4, 3], seed: 5) {
        TimeDistributed {
          TimeWindow(2)
          TimeDistributed { Dense(5) }
          LSTM(7, bidirectional: true)
        }
        GRU(9)
      })
  }

  @Test func everyCellOfTheCatalogue() throws {
    for entry in CellCatalog.all {
      let width = 8 + (entry.cell?(8).description.scalars ?? 0)
      try check(
        entry.name, try Sequential(input: [.any, width], layers: [entry.layer(8, .all), Dense(3)], seed: 5),
        RandomKey(seed: 2).uniform(shape: [1, 7, width], in: 0..<1))
    }
  }

  @Test func headsStream() throws {
    let layer = LSTM(inputSize: 5, hiddenSize: 19, layers: 2, outputs: .all, headSize: 7)
    let x = numbers("x", [1, 6, 5]), whole = layer(Variable(x)).tensor.scalars
    var stream = layer.stream()
    #expect(stream.outputSize == 7)
    for t in 0..<6 {
      let y = stream.step(Array(x.scalars[t * 5..<t * 5 + 5]))
      #expect(y.map(\.bitPattern) == whole[t * 7..<t * 7 + 7].map(\.bitPattern))
    }
  }

  @Test func stepsAllocateNothing() throws {
    let model = Sequential(input: [.any, 5], seed: 1) {
      TimeWindow(2)
      Residual { LSTM(10, outputs: .all) }
      DenseConnection { Dense(4, activation: .relu) }
      GRU(21, headSize: 6)
      Dense(7, activation: .softmax)
    }
    var stream = try model.stream()
    let x: [Float] = [1, 2, 3, 4, 5]
    x.withUnsafeBufferPointer { x in
      stream.step(x)
      let before = MemoryUse.takenHere
      for _ in 0..<1000 { stream.step(x) }
      #expect(MemoryUse.takenHere == before)
    }
  }

  @Test func layersThatNeedTheWholeSequenceAreNamed() throws {
    func problem(_ model: Sequential) -> String {
      do throws(LetheError) {
        _ = try model.stream()
        return ""
      } catch { return "\(error)" }
    }
    let backward = problem(
      Sequential(input: [.any, 3]) {
        Dense(4)
        LSTM(5, bidirectional: true)
      })
    #expect(backward.contains("layer 1, lstm: cannot run one step at a time"))
    let inside = problem(
      Sequential(input: [.any, 3]) {
        Residual { Bidirectional(GRU(3, outputs: .all), merge: .sum) }
      })
    #expect(inside.contains("layer 0, layer 0, bidirectional: cannot run one step at a time"))
    #expect(problem(Sequential(input: [4, 3]) { Flatten() }).contains("layer 0, flatten: cannot run"))
    #expect(
      problem(Sequential(input: [8, 8, 1]) { Conv2D(2, 3) }).contains("layer 0, conv_2d: cannot run"))
    #expect(problem(Sequential { Dense(4) }).contains("not built"))
    // An input that is no sequence.
    #expect(problem(Sequential(input: [4]) { Dense(4) }).contains("layer 0, dense"))
  }
}
