import LetheCore

/// A part of a model's stream. Parts are called with as many numbers as they take.
protocol StreamPart: Sendable {
  var outputSize: Int { get }
  /// One step; the output stays valid until the next.
  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float>
  /// What is remembered, a state for each layer that has one.
  var states: [RecurrentState] { get set }
  mutating func reset()
}

/// Most parts remember nothing.
extension StreamPart {
  var states: [RecurrentState] {
    get { [] }
    set {}
  }
  mutating func reset() {}
}

/// Parts one after the other.
struct StreamLine: StreamPart {
  let outputSize: Int
  private var parts: [any StreamPart]

  init(_ parts: [any StreamPart], output: [Int]) {
    self.parts = parts
    outputSize = output.steps.reduce(1, *)
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    var signal = x
    for index in parts.indices { signal = parts[index].step(signal) }
    return signal
  }

  /// - Precondition: as many states as there are.
  var states: [RecurrentState] {
    get { parts.flatMap(\.states) }
    set {
      var rest = newValue[...]
      for index in parts.indices {
        let count = parts[index].states.count
        if count > 0 { parts[index].states = Array(rest.prefix(count)) }
        rest = rest.dropFirst(count)
      }
    }
  }

  mutating func reset() {
    for index in parts.indices { parts[index].reset() }
  }
}

/// The stream of a recurrent layer.
struct StatePart<Stream: SequenceStream>: StreamPart {
  let outputSize: Int
  private var stream: Stream

  init(_ stream: Stream) {
    self.stream = stream
    outputSize = stream.outputSize
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let y = stream.step(x)
    require(y.count == outputSize, "stream: expected \(outputSize) outputs, got \(y.count)")
    return y
  }
  var states: [RecurrentState] {
    get { [stream.state] }
    set { stream.state = newValue[0] }
  }
  mutating func reset() { stream.reset() }
}

/// A layer that takes each step alone, or a whole example, by what it does with a sequence of one step.
struct LayerPart: StreamPart {
  let outputSize: Int
  private let layer: any Layer
  private let shape: [Int]
  /// The last output, kept while it is looked at.
  private var output = Tensor(zeros: [0])

  init(_ layer: some Layer, from input: [Int], to output: [Int]) {
    self.layer = layer
    outputSize = output.steps.reduce(1, *)
    shape = (input.first == .any ? [1, 1] : [1]) + input.steps
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    output = layer(Variable(Tensor(Array(x), shape: shape))).tensor
    require(
      output.count == outputSize,
      "stream: \(type(of: layer).kind) gave \(output.shape), not the \(outputSize) numbers that its build said"
    )
    return UnsafeBufferPointer(start: output.pointer, count: output.count)
  }
}
