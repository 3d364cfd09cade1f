import LetheCore

/// A whole model run one step at a time.
///
///     var stream = try model.stream()
///     while let frame = microphone.next() { use(stream.step(frame)) }
///
/// At each step it gives what the model gives at the end of the sequence so far: that of the last step where the model
/// answers every step, the answer itself where it answers once, with the same bits. A copy is a fork.
/// *Shapes*: one sequence; a step's input in one row → one output in one row.
/// *Cost*: that of the layers' steps. Recurrent layers with an engine and dense layers allocate nothing; other layers make
/// the tensors of one step.
public struct ModelStream: SequenceStream {
  private var parts: [any SequenceStream]
  public let inputSize: Int
  public let outputSize: Int

  fileprivate init(_ parts: [any SequenceStream], from input: StepShape, to output: StepShape) {
    self.parts = parts
    (inputSize, outputSize) = (input.count, output.count)
  }

  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    var signal = x
    for index in parts.indices { signal = parts[index].step(signal) }
    return signal
  }

  public var states: [RecurrentState] {
    get { parts.flatMap(\.states) }
    set {
      var rest = newValue[...]
      for index in parts.indices {
        let count = parts[index].states.count
        require(rest.count >= count, "stream: expected \(states.count) states, got \(newValue.count)")
        if count > 0 { parts[index].states = Array(rest.prefix(count)) }
        rest = rest.dropFirst(count)
      }
      require(rest.isEmpty, "stream: expected \(states.count) states, got \(newValue.count)")
    }
  }

  public mutating func reset() {
    for index in parts.indices { parts[index].reset() }
  }
}

extension Sequential {
  /// This model one step at a time, from the state it begins with.
  ///
  /// - Throws: `LetheError` that names the layer which needs the whole sequence, such as one that also runs backward.
  public func stream() throws(LetheError) -> ModelStream {
    guard !outputs.isEmpty else {
      throw LetheError(Self.kind, "is not built", expected: "a model with an input shape")
    }
    return try modelStream(of: StepShape(Array(input.dropFirst()), hasTime: true)).stream
  }

  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    let (stream, output) = try modelStream(of: input)
    return (stream, output)
  }

  private func modelStream(
    of input: StepShape
  ) throws(LetheError) -> (stream: ModelStream, output: StepShape) {
    var shape = input
    var parts: [any SequenceStream] = []
    for (index, layer) in layers.enumerated() {
      do {
        let (stream, output) = try layer.stream(of: shape)
        parts.append(stream)
        shape = output
      } catch {
        throw LetheError(
          "layer \(index), \(error.place)", error.problem, expected: error.expected, found: error.found,
          advice: error.advice)
      }
    }
    return (ModelStream(parts, from: input, to: shape), shape)
  }
}

extension Layer {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    guard Self.takesStepsAlone || !input.hasTime else {
      throw LetheError(
        Self.kind, "cannot run one step at a time: it needs the whole sequence",
        expected: "recurrent layers that run forward only, and layers that take each step alone")
    }
    return try oneByOne(input)
  }

  /// Each step, or example, by what the layer does with a sequence of one step.
  func oneByOne(_ input: StepShape) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    let output = try output(of: input)
    return (LayerStream(self, input, output), output)
  }

  /// What it makes of such input: steps, if it keeps a time of any length.
  func output(of input: StepShape) throws(LetheError) -> StepShape {
    var copy = self
    let shape = try copy.build(input: (input.hasTime ? [.any] : []) + input.sizes)
    let hasTime = input.hasTime && shape.first == .any
    return StepShape(hasTime ? Array(shape.dropFirst()) : shape, hasTime: hasTime)
  }
}

/// A layer that takes each step alone, or a whole example, by what it does with a sequence of one step.
struct LayerStream: StatelessStream {
  let inputSize: Int
  let outputSize: Int
  private let layer: any Layer
  private let shape: [Int]
  /// The last output, kept while it is looked at.
  private var output = Tensor(zeros: [0])

  init(_ layer: some Layer, _ input: StepShape, _ output: StepShape) {
    self.layer = layer
    (inputSize, outputSize) = (input.count, output.count)
    shape = (input.hasTime ? [1, 1] : [1]) + input.sizes
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    output = layer(Variable(Tensor(Array(x), shape: shape))).tensor
    return UnsafeBufferPointer(start: output.pointer, count: output.count)
  }
}
