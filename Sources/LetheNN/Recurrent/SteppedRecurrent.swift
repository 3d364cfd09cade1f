import LetheCore

/// A cell that no description can express, written as one step of ordinary `Variable` operations: sums over units, states of
/// other widths, products of its own. It runs on the tape, step by step, ten times slower than a described cell or more.
public protocol SteppedCell: Module, Codable {
  /// Its name in model files.
  static var kind: String { get }
  /// The width of each state; the first is the output's.
  var stateSizes: [Int] { get }
  /// The shape of an output, of which the first state is the flat form.
  var outputShape: [Int] { get }
  /// Declares the parameters for inputs of a shape, time left out.
  mutating func build(input: [Int]) throws(LetheError)
  /// What the states become. *Shapes*: x [batch, all of an input], states [batch, their width].
  func step(_ x: Variable, _ states: [Variable]) -> [Variable]
}

extension SteppedCell {
  public var outputShape: [Int] { Array(stateSizes.prefix(1)) }
}

/// A layer of stepped cells: lengths, resets, direction, states in and out and gradients as in `Recurrent`.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …output], or [batch, …output] with `outputs: .last`.
/// *Cost*: that of its operations, each on its own: `runsOnTape` and a model's `summary` say so.
public struct SteppedRecurrent<Cell: SteppedCell>: Layer {
  public static var kind: String { Cell.kind }
  public static var recordingLimit: String? {
    "its step is ordinary operations, without gates that have names"
  }
  /// The cell.
  public var cell: Cell
  /// Every step's output or the last.
  public var outputs: RecurrentOutputs
  /// Whether it walks from the last step to the first; outputs stay in time order.
  public var isReversed: Bool
  public var runsOnTape: Bool { true }
  /// The numbers of an input at one step, once built.
  private(set) var features = 0

  /// A layer that learns its input width when it is built.
  public init(_ cell: Cell, outputs: RecurrentOutputs = .last, reversed: Bool = false) {
    (self.cell, self.outputs, isReversed) = (cell, outputs, reversed)
  }

  /// A layer ready for use.
  public init(
    _ cell: Cell, inputSize: Int, outputs: RecurrentOutputs = .all, reversed: Bool = false,
    key: RandomKey = RandomKey(seed: 0)
  ) {
    self.init(cell, outputs: outputs, reversed: reversed)
    builtOrStop(input: [.any, inputSize], key: key)
  }

  enum CodingKeys: String, CodingKey {
    case cell, outputs
    case isReversed = "reversed"
  }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count > 1, input.dropFirst().allSatisfy({ $0 > 0 }),
      let features = product(of: input.dropFirst())
    else {
      throw LetheError(Cell.kind, "cannot take this input", expected: "[time, …]", found: "\(input)")
    }
    try cell.build(input: Array(input.dropFirst()))
    self.features = features
    return (outputs == .all ? [input[0]] : []) + cell.outputShape
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) { cell.visitParameters(&visitor) }

  public func callAsFunction(_ x: Variable) -> Variable { run(x).output }

  /// The outputs and the final state, from an initial state (`nil`: zeros): `hidden` holds the output's, `cell` the others.
  ///
  /// - Precondition: x is [batch, time, features] and the state has this layer's shapes.
  public func run(_ x: Variable, from state: RecurrentState? = nil) -> (
    output: Variable, state: RecurrentState
  ) {
    require(x.shape.count > 2, "\(Cell.kind): expected [batch, time, …], got \(x.shape)")
    let (batch, time, sizes) = (x.shape[0], x.shape[1], cell.stateSizes)
    x.timing?.check(batch: batch, time: time)
    let x = x.reshaped([batch, time, x.shape.dropFirst(2).reduce(1, *)]).timed(x.timing)
    state?.requireNumbersAlone(Cell.kind)
    var states = state.map { $0.hidden + $0.cell } ?? sizes.map { Variable(Tensor(zeros: [batch, $0])) }
    require(
      states.map(\.shape) == sizes.map { [batch, $0] },
      "\(Cell.kind): expected states of shapes \(sizes.map { [batch, $0] }), got \(states.map(\.shape))")
    let lengths = x.timing?.lengths ?? Array(repeating: time, count: batch)
    let resets = x.timing?.resets
    let inputs = x.unstacked()
    var results = [Variable?](repeating: nil, count: time)
    for step in 0..<time {
      // Each row walks its own steps; a reversed one begins at its own end.
      let at = isReversed ? time - 1 - step : step
      let active = lengths.map { at < $0 }
      if let resets {
        let boundary = isReversed ? at + 1 : at
        let isNew = (0..<batch).map { boundary < lengths[$0] && resets[$0][boundary] }
        if isNew.contains(true) { states = states.map { .chosen(isNew.map { !$0 }, $0, nil) } }
      }
      let next = cell.step(inputs[at], states)
      require(
        next.map(\.shape) == sizes.map { [batch, $0] },
        "\(Cell.kind): a step gave states of shapes \(next.map(\.shape)), not \(sizes.map { [batch, $0] })")
      let all = !active.contains(false)
      states = all ? next : zip(next, states).map { .chosen(active, $0, $1) }
      results[at] = all ? next[0] : .chosen(active, next[0], nil)
    }
    let final = RecurrentState(hidden: [states[0]], cell: Array(states.dropFirst()))
    if outputs == .last { return (states[0].reshaped([batch] + cell.outputShape), final) }
    let all = Variable.stacked(results.compactMap { $0 }, batch: batch, width: sizes[0])
    return (all.reshaped([batch, time] + cell.outputShape).timed(x.timing), final)
  }
}

extension Variable {
  /// Each step by itself: [batch, time, width] → time times [batch, width].
  func unstacked() -> [Variable] {
    let (batch, time, width) = (shape[0], shape[1], shape[2])
    let steps = (0..<time).map { t in
      Tensor(shape: [batch, width]) { to in
        for row in 0..<batch {
          (to.baseAddress.map { $0 + row * width })?.update(
            from: tensor.pointer + (row * time + t) * width, count: width)
        }
      }
    }
    guard let tape else { return steps.map { Variable($0) } }
    return tape.record("unstacked", inputs: [self], outputs: steps) { gradients in
      let whole = Tensor(zeros: [batch, time, width])
      for (t, gradient) in gradients.enumerated() {
        guard let gradient else { continue }
        for row in 0..<batch {
          (whole.pointer + (row * time + t) * width).update(
            from: gradient.pointer + row * width, count: width)
        }
      }
      return [whole]
    }
  }

  /// The inverse of `unstacked`.
  static func stacked(_ steps: [Variable], batch: Int, width: Int) -> Variable {
    let time = steps.count
    let whole = Tensor(zeros: [batch, time, width])
    for (t, step) in steps.enumerated() {
      for row in 0..<batch {
        (whole.pointer + (row * time + t) * width).update(
          from: step.tensor.pointer + row * width, count: width)
      }
    }
    return .operation("stacked", steps, whole) { gradient in
      (0..<time).map { t in
        Tensor(shape: [batch, width]) { to in
          for row in 0..<batch {
            (to.baseAddress.map { $0 + row * width })?.update(
              from: gradient.pointer + (row * time + t) * width, count: width)
          }
        }
      }
    }
  }

  /// Row by row `a` where the flag is set, else `b` (`nil`: zeros). *Shapes*: [batch, width] each.
  static func chosen(_ flags: [Bool], _ a: Variable, _ b: Variable?) -> Variable {
    func mixed(_ x: Tensor?, _ y: Tensor?, _ shape: [Int]) -> Tensor {
      let result = Tensor(zeros: shape)
      for (row, flag) in flags.enumerated() {
        guard let from = flag ? x : y else { continue }
        (result.pointer + row * shape[1]).update(from: from.pointer + row * shape[1], count: shape[1])
      }
      return result
    }
    let shape = a.shape
    return .operation("chosen", [a] + (b.map { [$0] } ?? []), mixed(a.tensor, b?.tensor, shape)) { gradient in
      [mixed(gradient, nil, shape)] + (b == nil ? [] : [mixed(nil, gradient, shape)])
    }
  }
}

extension Variable {
  /// A value of this one's computation: a constant becomes part of its tape, so that parameters can be put on it.
  func alongside(_ value: Variable) -> Variable {
    guard let tape, value.tape == nil else { return value }
    return tape.constant(value.tensor)
  }
}
