import CLetheKernels
import LetheCore

/// A layer, not recurrent itself, that has its own way through a sequence step by step.
protocol StreamedLayer: Layer {
  /// Its part in a stream. *Shapes*: both begin with `.any`, or `output` is that of an example.
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart
}

extension Sequential: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    try streamLine(of: input)
  }
}

extension Dense: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    input.count == 2 ? DensePart(self) : LayerPart(self, from: input, to: output)
  }
}

extension Residual: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    SumPart(try inner.streamLine(of: input))
  }
}

extension DenseConnection: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    ConcatPart(try inner.streamLine(of: input), rows: input.steps.dropLast().reduce(1, *), output: output)
  }
}

extension TimeDistributed: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    try inner.streamLine(of: input.steps)
  }
}

extension TimeWindow: StreamedLayer {
  func streamPart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    WindowPart(width: input[1], steps: steps)
  }
}

/// A part around others, whose states are its own.
private protocol WrappingPart: StreamPart {
  var inner: StreamLine { get set }
}

extension WrappingPart {
  var states: [RecurrentState] {
    get { inner.states }
    set { inner.states = newValue }
  }
  mutating func reset() { inner.reset() }
}

/// A dense layer on a row: weights packed once, nothing allocated.
struct DensePart: StreamPart {
  var outputSize: Int { factor.columns }
  let inputSize: Int
  private let factor: PackedFactor
  private let bias: Tensor?
  private let activation: Activation
  private var output: Tensor

  /// - Precondition: the layer is built and filled.
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

/// x + f(x).
private struct SumPart: WrappingPart {
  var outputSize: Int { output.count }
  var inner: StreamLine
  private var output: Tensor

  init(_ inner: StreamLine) {
    self.inner = inner
    output = Tensor(zeros: [inner.outputSize])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let f = inner.step(x)
    return output.withUnsafeMutableBuffer { y in
      if let x = x.baseAddress, let f = f.baseAddress, let start = y.baseAddress {
        kernels.binary(LETHE_ADD, start, x, f, Int64(y.count))
      }
      return UnsafeBufferPointer(y)
    }
  }
}

/// [x, f(x)], row by row.
private struct ConcatPart: WrappingPart {
  var outputSize: Int { output.count }
  var inner: StreamLine
  private let rows: Int
  private var output: Tensor

  init(_ inner: StreamLine, rows: Int, output: [Int]) {
    self.inner = inner
    self.rows = rows
    self.output = Tensor(zeros: [output.steps.reduce(1, *)])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let f = inner.step(x), rows = rows
    let (own, more) = (x.count / rows, f.count / rows)
    return output.withUnsafeMutableBuffer { y in
      if let x = x.baseAddress, let f = f.baseAddress, let start = y.baseAddress {
        for row in 0..<rows {
          let to = start + row * (own + more)
          to.update(from: x + row * own, count: own)
          (to + own).update(from: f + row * more, count: more)
        }
      }
      return UnsafeBufferPointer(y)
    }
  }
}

/// The last steps side by side, the newest first. *State*: the window, [1, k · features].
private struct WindowPart: StreamPart {
  var outputSize: Int { window.count }
  private let width: Int
  private var window: Tensor

  init(width: Int, steps: Int) {
    self.width = width
    window = Tensor(zeros: [1, steps * width])
  }

  mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    let width = width
    return window.withUnsafeMutableBuffer { y in
      if let x = x.baseAddress, let start = y.baseAddress {
        (start + width).update(from: start, count: y.count - width)
        start.update(from: x, count: width)
      }
      return UnsafeBufferPointer(y)
    }
  }

  var states: [RecurrentState] {
    get { [RecurrentState(hidden: [Variable(window)])] }
    set {
      newValue[0].requireNumbersAlone("stream")
      let given = (newValue[0].hidden + newValue[0].cell).map(\.tensor)
      require(
        given.map(\.shape) == [window.shape],
        "stream: expected a window of shape \(window.shape), got \(given.map(\.shape))")
      window = given[0]
    }
  }
  mutating func reset() { window = Tensor(zeros: window.shape) }
}
