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
    // One that steps where it lies, and one of which every step has a fork.
    var plain = try model.stream(), stream = plain
    #expect(stream.inputSize == width, sourceLocation: sourceLocation)
    var forks: [ModelStream] = []
    var outputs: [[UInt32]] = []
    for t in 0..<steps {
      forks.append(stream)
      let y = stream.step(row(t)).map(\.bitPattern)
      outputs.append(y)
      #expect(plain.step(row(t)).map(\.bitPattern) == y, "\(name), step \(t)", sourceLocation: sourceLocation)
      let past = Tensor(Array(x.scalars[0..<(t + 1) * width]), shape: [1, t + 1] + sizes)
      let whole = model.predict(past).scalars.suffix(stream.outputSize).map(\.bitPattern)
      #expect(y == whole, "\(name), step \(t)", sourceLocation: sourceLocation)
    }
    // A fork goes on from where it was taken, whatever others did since or do meanwhile.
    var astray = forks[3]
    _ = astray.step(row(0))
    #expect(
      forks[3].step(row(3)).map(\.bitPattern) == outputs[3], "\(name): fork", sourceLocation: sourceLocation)
    _ = astray.step(row(1))
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
    // Steps of more than one dimension are joined row by row.
    try check(
      "dense blocks",
      Sequential(input: [.any, 4, 3], seed: 6) {
        DenseConnection { Dense(2) }
        Residual { Dense(5, activation: .tanh) }
        TimeDistributed {
          DenseConnection { GRU(4, outputs: .all) }
          LSTM(3)
        }
      })
    try check(
      "dense blocks of frames",
      Sequential(input: [.any, 5, 4, 2], seed: 7) {
        DenseConnection { SteppedRecurrent(ConvLSTMCell(filters: 3, 3), outputs: .all) }
        TimeDistributed {
          DenseConnection { Conv2D(4, 3) }
          Flatten()
        }
        Dense(70, activation: .tanh)
        Dense(6)
      })
    try check(
      "rows of images",
      Sequential(input: [.any, 4, 2], seed: 8) {
        Rows()
        GRU(5)
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

  /// A layer of a user's own is part of a stream where it says so; else it is named.
  @Test func ownLayers() throws {
    struct Halved: Layer {
      static let kind = "halved"
      static let isPerStep = true
      mutating func build(input: [Int]) throws(LetheError) -> [Int] { input }
      func callAsFunction(_ x: Variable) -> Variable { x * 0.5 }
    }
    struct Unknown: Layer {
      static let kind = "unknown"
      mutating func build(input: [Int]) throws(LetheError) -> [Int] { input }
      func callAsFunction(_ x: Variable) -> Variable { x }
    }
    try check(
      "halved",
      Sequential(input: [.any, 5], seed: 1) {
        Halved()
        GRU(7)
        Unknown()
      })
    expectProblem(
      Sequential(input: [.any, 5]) { Unknown() }, "layer 0, unknown: cannot run one step at a time")
  }

  /// A model of dropout alone gives what it took, and keeps it.
  @Test func dropoutAlone() throws {
    var stream = try Sequential(input: [.any, 3]) { TimeDistributed { Dropout(0.4) } }.stream()
    let y = [1, 2, 3].withUnsafeBufferPointer { stream.step($0) }
    #expect(Array(y) == [1, 2, 3])
  }

  /// A layer of a user's own whose stream is of another width than what it builds.
  @Test func widthsOfStreamsAreChecked() throws {
    struct Narrowed: RecurrentLayer {
      static let kind = "narrowed"
      var memory = LSTM(9, outputs: .all)
      var isReversed = false
      var stateSizes: [Int] { memory.stateSizes }
      enum CodingKeys: CodingKey {}
      init() {}
      init(from decoder: any Decoder) throws { self.init() }
      func encode(to encoder: any Encoder) throws {}
      mutating func build(input: [Int]) throws(LetheError) -> [Int] {
        _ = try memory.build(input: input)
        return input.dropLast() + [4]
      }
      mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("memory", &memory) }
      func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState) {
        let (output, state) = memory.run(x, from: state)
        return (output.columns(0..<4), state)
      }
      func callAsFunction(_ x: Variable) -> Variable { run(x, from: nil).output }
      func stream() -> RecurrentStream<LSTMCell> { memory.stream() }
    }
    expectProblem(
      Sequential(input: [.any, 3]) { DenseConnection { Narrowed() } },
      "layer 0, layer 0, narrowed: has a stream of another width")
  }

  /// Learned initial states, and a model read from a file, whose input names a time.
  @Test func modelsFromFiles() throws {
    var layer = LSTM(6, layers: 2, outputs: .all)
    layer.learnsInitialState = true
    var model = try Sequential(
      input: [6, 5], layers: [layer, MatrixMemory(4, rule: .gatedLinearAttention, keySize: 2, valueSize: 3)])
    model.forEachParameter { name, parameter in
      parameter.value = numbers("w " + name, parameter.shape, scale: 0.5)
    }
    let read = try ModelFile(bytes: try ModelFile(model).encoded(), name: "test").model
    let x = numbers("x", [1, 6, 5])
    var stream = try read.stream()
    #expect(stream.states.count == 2 && stream.states[0].hidden.count == 2)
    for _ in 0..<2 {
      var y: [Float] = []
      for t in 0..<6 { y = stream.step(Array(x.scalars[t * 5..<t * 5 + 5])) }
      #expect(y == model.predict(x).scalars)
      stream.reset()
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
      Dropout(0.2)
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

  func expectProblem(_ model: Sequential, _ words: String, sourceLocation: SourceLocation = #_sourceLocation)
  {
    do throws(LetheError) {
      _ = try model.stream()
      Issue.record("made", sourceLocation: sourceLocation)
    } catch {
      #expect("\(error)".contains(words), "\(error)", sourceLocation: sourceLocation)
    }
  }

  @Test func layersThatNeedTheWholeSequenceAreNamed() throws {
    expectProblem(
      Sequential(input: [.any, 3]) {
        Dense(4)
        LSTM(5, bidirectional: true)
      }, "layer 1, lstm: cannot run one step at a time")
    expectProblem(
      Sequential(input: [.any, 3]) { GRU(5, reversed: true) }, "layer 0, gru: cannot run one step at a time")
    expectProblem(
      Sequential(input: [.any, 3]) {
        Residual { Bidirectional(GRU(3, outputs: .all), merge: .sum) }
      }, "layer 0, layer 0, bidirectional: cannot run one step at a time")
    expectProblem(Sequential(input: [4, 3]) { Flatten() }, "layer 0, flatten")
    expectProblem(Sequential(input: [8, 8, 1]) { Conv2D(2, 3) }, "layer 0, conv_2d")
  }

  @Test func modelsThatAreNotReadyOrTakeNoSequenceAreRefused() throws {
    expectProblem(Sequential { Dense(4) }, "is not ready")
    var empty = Sequential { Dense(4) }
    _ = try empty.build(input: [.any, 3])
    expectProblem(empty, "layer 0, dense: is not ready")
    var wide = Sequential(input: [.any, 3], seed: 1) { Dense(4) }
    wide.forEachParameter { name, parameter in
      if name == "0.weight" { parameter = Parameter(Tensor(zeros: [4, 9])) }
    }
    expectProblem(wide, "layer 0, dense: is not ready")
    expectProblem(Sequential(input: [4]) { Dense(4) }, "takes no sequence")
    expectProblem(Sequential(input: [4]) { DenseConnection { ActivationLayer(.tanh) } }, "takes no sequence")
    expectProblem(Sequential(input: [.any, 1 << 23]) { TimeWindow(1024) }, "too large for a stream")
  }
}
