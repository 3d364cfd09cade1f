import CLetheKernels
import LetheCore

extension RecurrentLayer {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    guard input.hasTime else { return try oneByOne(input) }
    guard !isReversed && !isBidirectional else {
      throw LetheError(
        Self.kind, "cannot run one step at a time: it reads sequences from their end too",
        expected: "a layer that runs forward only")
    }
    return (stream(), try output(of: input))
  }
}

extension Dense {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    guard input.sizes.count == 1 else { return try oneByOne(input) }
    return (DenseStream(self), try output(of: input))
  }
}

extension Residual {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    let (stream, output) = try inner.stream(of: input)
    return (ConnectionStream(stream, .sum), output)
  }
}

extension DenseConnection {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    let (stream, _) = try inner.stream(of: input)
    return (ConnectionStream(stream, .concat), try output(of: input))
  }
}

extension TimeDistributed {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    guard input.hasTime else { return try oneByOne(input) }
    var (stream, output) = try inner.stream(of: StepShape(input.sizes, hasTime: false))
    output.hasTime = true
    return (stream, output)
  }
}

extension TimeWindow {
  public func stream(
    of input: StepShape
  ) throws(LetheError) -> (stream: any SequenceStream, output: StepShape) {
    guard input.hasTime else { return try oneByOne(input) }
    return (WindowStream(self, width: input.count), try output(of: input))
  }
}

/// A dense layer on rows: weights packed once, nothing allocated.
struct DenseStream: StatelessStream {
  let inputSize: Int
  var outputSize: Int { factor.columns }
  private let factor: PackedFactor
  private let bias: Tensor?
  private let activation: Activation
  private var output: Tensor

  /// - Precondition: the layer is built.
  init(_ layer: Dense) {
    inputSize = layer.weight.shape[1]
    factor = PackedFactor(transposed: layer.weight.value)
    bias = layer.usesBias ? layer.bias.value : nil
    activation = layer.activation
    output = Tensor(zeros: [layer.units])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let (factor, bias, activation) = (factor, bias, activation)
    return output.withUnsafeMutableBuffer { y in
      if let x = x.baseAddress, let start = y.baseAddress {
        factor.multiply(x, bias: bias?.pointer, into: start)
        activation.apply(toRow: start, count: y.count)
      }
      return UnsafeBufferPointer(y)
    }
  }
}

/// A stream whose input is added to its output, or goes before it.
struct ConnectionStream: SequenceStream {
  enum Joint { case sum, concat }

  var inputSize: Int { inner.inputSize }
  var outputSize: Int { output.count }
  private var inner: any SequenceStream
  private let joint: Joint
  private var output: Tensor

  init(_ inner: any SequenceStream, _ joint: Joint) {
    self.inner = inner
    self.joint = joint
    output = Tensor(zeros: [inner.outputSize + (joint == .sum ? 0 : inner.inputSize)])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let inside = inner.step(x)
    let joint = joint
    return output.withUnsafeMutableBuffer { y in
      guard let x = x.baseAddress, let f = inside.baseAddress, let start = y.baseAddress else {
        return UnsafeBufferPointer(y)
      }
      let width = y.count - inside.count
      switch joint {
      case .sum: kernels.binary(LETHE_ADD, start, x, f, Int64(y.count))
      case .concat:
        start.update(from: x, count: width)
        (start + width).update(from: f, count: inside.count)
      }
      return UnsafeBufferPointer(y)
    }
  }

  var states: [RecurrentState] {
    get { inner.states }
    set { inner.states = newValue }
  }

  mutating func reset() { inner.reset() }
}

/// The last steps side by side, the newest first. *State*: the window, [1, k · features].
struct WindowStream: StateStream {
  let inputSize: Int
  var outputSize: Int { window.count }
  private var window: Tensor

  init(_ layer: TimeWindow, width: Int) {
    inputSize = width
    window = Tensor(zeros: [1, layer.steps * width])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let width = inputSize
    return window.withUnsafeMutableBuffer { y in
      if let x = x.baseAddress, let start = y.baseAddress {
        (start + width).update(from: start, count: y.count - width)
        start.update(from: x, count: width)
      }
      return UnsafeBufferPointer(y)
    }
  }

  var state: RecurrentState {
    get { RecurrentState(hidden: [Variable(window)]) }
    set {
      newValue.requireNumbersAlone("stream")
      let given = (newValue.hidden + newValue.cell).map(\.tensor)
      require(
        given.map(\.shape) == [window.shape],
        "stream: expected a window of shape \(window.shape), got \(given.map(\.shape))")
      window = given[0]
    }
  }

  mutating func reset() { window = Tensor(zeros: window.shape) }
}
