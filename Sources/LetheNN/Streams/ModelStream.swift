import LetheCore

/// A whole model run one step at a time.
///
///     var stream = try model.stream()
///     while let frame = microphone.next() { use(stream.step(frame)) }
///
/// At each step it gives what the model gives at the end of the sequence so far: that of the last step where the model
/// answers every step, the answer itself where it answers once, with the same bits. A sequence may be longer than a time
/// that the model's input names. A copy is a fork: both go on from the same state, each with its own.
/// *Shapes*: one sequence; x is all of a step's input, as the output is all of an output, in one row.
/// *Cost*: that of the layers' steps. Recurrent layers with an engine, dense layers and connections of rows allocate nothing;
/// other layers make the tensors of one step.
public struct ModelStream: Sendable {
  private var line: StreamLine
  private var echo = Tensor(zeros: [0])
  /// The numbers of a step's input.
  public let inputSize: Int

  fileprivate init(_ line: StreamLine, input: [Int]) {
    self.line = line
    inputSize = input.steps.reduce(1, *)
  }

  /// The numbers of an output.
  public var outputSize: Int { line.outputSize }

  /// One step; the output stays valid until the next, or until the stream goes.
  ///
  /// - Precondition: x has `inputSize` numbers, and is no output of this stream.
  @discardableResult
  public mutating func step(_ x: UnsafeBufferPointer<Float>) -> UnsafeBufferPointer<Float> {
    require(x.count == inputSize, "stream: expected \(inputSize) inputs, got \(x.count)")
    let y = line.step(x)
    guard y.baseAddress == x.baseAddress else { return y }
    // A model of dropout alone gives what it took, which is the caller's.
    echo = Tensor(Array(x))
    return UnsafeBufferPointer(start: echo.pointer, count: echo.count)
  }

  /// One step, with arrays.
  ///
  /// - Precondition: x has `inputSize` numbers.
  public mutating func step(_ x: [Float]) -> [Float] { x.withUnsafeBufferPointer { Array(step($0)) } }

  /// What is remembered of the steps so far, or what to go on from: a state for each recurrent layer, however many levels it
  /// has, and for each window, first to last.
  ///
  /// - Precondition: as many states as it has, of the same shapes.
  public var states: [RecurrentState] {
    get { line.states }
    set {
      let count = line.states.count
      require(newValue.count == count, "stream: expected \(count) states, got \(newValue.count)")
      line.states = newValue
    }
  }

  /// Goes back to the state it began with.
  public mutating func reset() { line.reset() }
}

extension Sequential {
  /// This model one step at a time, from the state it begins with.
  ///
  /// - Throws: `LetheError` for a model that is not ready or takes no sequence; else it names the layer which needs the whole
  ///   sequence, such as one that also runs backward.
  public func stream() throws(LetheError) -> ModelStream {
    guard !outputs.isEmpty else {
      throw LetheError(Self.kind, "is not ready", expected: "a model with an input shape")
    }
    guard input.first == .any || input.count > 1 || beginsWithSymbols else {
      throw LetheError(
        Self.kind, "takes no sequence", expected: "an input shape [time, …]", found: "\(input)")
    }
    let steps = [.any] + input.dropFirst()
    return ModelStream(try streamLine(of: steps), input: steps)
  }

  private var beginsWithSymbols: Bool {
    (layers.first as? Sequential)?.beginsWithSymbols ?? (layers.first is Embedding)
  }

  /// Its layers in line, for inputs of a shape that begins with `.any` where there is time.
  func streamLine(of input: [Int]) throws(LetheError) -> StreamLine {
    var (shape, parts) = (input, [any StreamPart]())
    for (index, layer) in layers.enumerated() {
      do {
        if shape.first == .any { try layer.refuseWholeSequences() }
        let output = try layer.shape(of: shape)
        // Dropout gives what it takes.
        if !(layer is Dropout) { parts.append(try layer.part(from: shape, to: output)) }
        shape = output
      } catch {
        throw error.inLayer(index)
      }
    }
    return StreamLine(parts, output: shape)
  }
}

extension Layer {
  /// Throws for a layer that cannot take a sequence step by step.
  fileprivate func refuseWholeSequences() throws(LetheError) {
    if let own = self as? any RecurrentLayer {
      guard own.isReversed || own.isBidirectional else { return }
      throw LetheError(
        Self.kind, "cannot run one step at a time: it reads sequences from their end",
        expected: "a layer that runs forward only")
    }
    guard Self.isPerStep || self is any StreamedLayer else {
      throw LetheError(
        Self.kind, "cannot run one step at a time: it needs the whole sequence",
        expected: "a recurrent layer that runs forward only, or one that takes each step alone",
        advice: "TimeDistributed applies a layer to each step; a layer of your own says isPerStep")
    }
  }

  /// The shape of its output for an input shape other than it was built for.
  ///
  /// - Throws: `LetheError` for parameters that are not those it declares, and for sizes that memory could not hold.
  fileprivate func shape(of input: [Int]) throws(LetheError) -> [Int] {
    var copy = self
    let output = try copy.build(input: input)
    var declared: [[Int]] = []
    copy.forEachParameter { declared.append($1.shape) }
    let filled = parameters.map(\.value.shape)
    guard filled == declared else {
      throw LetheError(
        Self.kind, "is not ready", expected: "its parameters filled, of shapes \(declared)",
        found: "\(filled)")
    }
    guard let count = product(of: output.steps), count <= 1 << 28 else {
      throw LetheError(
        Self.kind, "has an output too large for a stream", expected: "up to 2^28 numbers a step",
        found: "\(output)")
    }
    return output
  }

  /// What it is in a stream. Where no time is left, layers take whole examples.
  fileprivate func part(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    if input.first == .any {
      if let own = self as? any StreamedLayer { return try own.streamPart(from: input, to: output) }
      if let own = self as? any RecurrentLayer { return try own.statePart(from: input, to: output) }
    } else if let own = self as? Dense, input.count == 1 {
      return DensePart(own)
    }
    return LayerPart(self, from: input, to: output)
  }
}

extension RecurrentLayer {
  fileprivate func statePart(from input: [Int], to output: [Int]) throws(LetheError) -> any StreamPart {
    let stream = stream(), expected = [input, output].map { $0.steps.reduce(1, *) }
    guard [stream.inputSize, stream.outputSize] == expected else {
      throw LetheError(
        Self.kind, "has a stream of another width", expected: "\(expected[0]) numbers to \(expected[1])",
        found: "\(stream.inputSize) to \(stream.outputSize)")
    }
    return StatePart(stream)
  }
}

extension [Int] {
  /// The sizes of one step, or of an example without time.
  var steps: [Int] { first == .any ? Array(dropFirst()) : self }
}
