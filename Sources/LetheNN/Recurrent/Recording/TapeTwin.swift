import LetheCore

/// The recurrent engine once more, on the tape: every gate of every step a value of its own, which can be changed and has a
/// gradient.
struct TapeTwin {
  let description: CellDescription
  let equations: CellDescription.Equations
  let units: Int
  /// In the order of files.
  let parts: [Tensor]
  let interventions: [Intervention]
  /// Where the changes of gates and states are watched, if gradients are wanted.
  let tape: Tape?
  /// What each term multiplies the input with, and its sources; and what it adds.
  fileprivate let weights: [(input: Variable?, sources: [Variable], biases: [Variable])]

  init(
    _ description: CellDescription, units: Int, parts: [Tensor], interventions: [Intervention], tape: Tape?
  ) {
    let equations = description.equations
    (self.description, self.equations, self.units, self.parts) = (description, equations, units, parts)
    (self.interventions, self.tape) = (interventions, tape)
    func block(_ part: Int?, _ number: Int?) -> Variable? {
      guard let part, let number else { return nil }
      return Variable(parts[part].rows(number * units..<(number + 1) * units))
    }
    weights = equations.terms.enumerated().map { number, term in
      (
        term.seesInput ? block(description.inputPart, equations.inputRow(number)) : nil,
        term.width != nil
          ? []
          : term.sources.indices.compactMap {
            block(description.hiddenPart, equations.hiddenRow(number) + $0)
          },
        [
          block(description.inputBiasPart, term.bias.input),
          block(description.hiddenBiasPart, term.bias.hidden),
        ].compactMap { $0 }
      )
    }
  }

  struct Run {
    var outputs: Variable
    /// The final states, h first.
    var states: [Variable]
    /// What gates and states were at each time.
    var values: [String: [Variable]]
    var watched: [String: [Variable]]
  }

  /// All steps of x [batch, time, features]; the state is [batch, units] each.
  func run(_ x: Variable, from initial: [Variable], isReversed: Bool) -> Run {
    let (batch, time) = (x.shape[0], x.shape[1])
    let inputs = x.unstacked()
    let walk = isReversed ? Array((0..<time).reversed()) : Array(0..<time)
    var states = initial
    var values: [String: [Int: Variable]] = [:], watched: [String: [Int: Variable]] = [:]
    var last: [String: Variable] = [:]

    for t in walk {
      /// What a value becomes after all changes of it at this step.
      func settled(_ name: String, _ value: Variable) -> Variable {
        var value = value
        for change in interventions where change.name == name && change.steps?.contains(t) ?? true {
          value = changed(value, by: change, last[name], at: t, time)
        }
        if let tape {
          let change = tape.watched(Tensor(zeros: value.shape))
          watched[name, default: [:]][t] = change
          value = value + change
        }
        values[name, default: [:]][t] = value
        last[name] = value
        return value
      }
      var step = Step(self, inputs[t], states, settled)
      let next = equations.results.map { step.value($0) }
      states = zip(description.states, next).map { settled($0, $1) }
    }
    func inOrder(_ byTime: [Int: Variable]) -> [Variable] { (0..<time).compactMap { byTime[$0] } }
    let all = values.mapValues(inOrder)
    return Run(
      outputs: .stacked(
        all[description.states[0]] ?? [], batch: batch, width: description.width(ofState: 0, units: units)),
      states: states,
      values: all, watched: watched.mapValues(inOrder))
  }

  private func changed(_ value: Variable, by change: Intervention, _ last: Variable?, at t: Int, _ time: Int)
    -> Variable
  {
    let (batch, units) = (value.shape[0], value.shape[1])
    let isChanged = (0..<batch * units).map { change.units?.contains($0 % units) ?? true }
    func numbers(_ number: Float) -> Variable { Variable(Tensor(repeating: number, shape: [batch, units])) }
    let new: Variable
    switch change.action {
    case .set(let number): new = numbers(number)
    case .scale(let factor): new = value * factor
    case .freeze: new = last ?? numbers(0)
    case .replace(let tensor):
      new = Variable(
        Tensor(shape: [batch, units]) { to in
          for row in 0..<batch {
            (to.baseAddress.map { $0 + row * units })?.update(
              from: tensor.pointer + (row * time + t) * units, count: units)
          }
        })
    }
    return .selected(isChanged, new, value)
  }
}

/// One step: the graph's nodes as values, computed when first asked for.
private struct Step {
  let twin: TapeTwin
  let x: Variable
  let states: [Variable]
  let settled: (String, Variable) -> Variable
  private var known: [CellGraph.ID: Variable] = [:]
  private var equations: CellDescription.Equations { twin.equations }

  init(
    _ twin: TapeTwin, _ x: Variable, _ states: [Variable], _ settled: @escaping (String, Variable) -> Variable
  ) {
    (self.twin, self.x, self.states, self.settled) = (twin, x, states, settled)
  }

  mutating func value(_ id: CellGraph.ID) -> Variable {
    if let value = known[id] { return value }
    var value = computed(id)
    // A gate's value may be changed once it is there; that of a state when the step ends.
    if let term = equations.terms.first(where: { $0.home == id }),
      twin.description.isRecorded(term, equations)
    {
      value = settled(term.name, value)
    }
    known[id] = value
    return value
  }

  private mutating func computed(_ id: CellGraph.ID) -> Variable {
    switch equations.graph.nodes[id] {
    case .leaf(let leaf): return self.leaf(leaf)
    case .unary(let operation, let a): return value(a).applying(operation)
    case .mean(let a): return value(a).meanOfUnits()
    case .select(let c, let a, let b):
      return .selected(value(c).tensor.scalars.map { $0 > 0 }, value(a), value(b))
    case .binary(let operation, let a, let b):
      let (a, b) = (value(a), value(b))
      switch operation {
      case .add: return a + b
      case .subtract: return a - b
      case .multiply: return a * b
      case .divide: return a / b
      case .max: return .selected(zip(a.tensor.scalars, b.tensor.scalars).map { $0 >= $1 }, a, b)
      case .min: return .selected(zip(a.tensor.scalars, b.tensor.scalars).map { $0 <= $1 }, a, b)
      }
    }
  }

  private var shape: [Int] { [x.shape[0], twin.units] }

  private mutating func leaf(_ leaf: CellGraph.Leaf) -> Variable {
    func constant(_ number: Float) -> Variable { Variable(Tensor(repeating: number, shape: shape)) }
    switch leaf {
    case .constant(let number): return constant(number)
    case .state(let number): return states[number]
    case .noise(let number): return constant(twin.description.noises[number].rate)
    case .vector(let number):
      let (part, block) = twin.description.vectorPlace(number), units = twin.units
      return constant(0)
        + Variable(
          Tensor(Array(twin.parts[part].scalars[block * units..<(block + 1) * units]), shape: [units]))
    case .term(let number): return sum(number)
    case .mask, .dState, .dSeen, .carry, .slot, .number, .dNumber, .dVector, .units: return constant(1)
    }
  }

  /// W x + U s + b of one gate.
  private mutating func sum(_ number: Int) -> Variable {
    let (units, term, own) = (twin.units, equations.terms[number], twin.weights[number])
    let features = x.shape[1] - twin.description.scalars
    switch term.fixed {
    case .identity: return x.columns(0..<features)
    case .scalar(let index):
      return Variable(Tensor(zeros: shape))
        + .concatenated(
          Array(repeating: x.columns(features + index..<features + index + 1), count: units))
    case nil: break
    }
    if term.width != nil, let part = twin.description.projectionPart {
      return linear(value(term.sources[0]), Variable(twin.parts[part]), nil)
    }
    var sum = Variable(Tensor(zeros: shape))
    if let input = own.input { sum = sum + linear(x.columns(0..<features), input, nil) }
    for (source, weight) in zip(term.sources, own.sources) { sum = sum + linear(value(source), weight, nil) }
    return own.biases.reduce(sum) { $0 + $1 }
  }
}

extension Variable {
  /// Number by number `a` where the flag is set, else `b`.
  fileprivate static func selected(_ flags: [Bool], _ a: Variable, _ b: Variable) -> Variable {
    func mixed(_ x: Tensor?, _ y: Tensor?, _ shape: [Int]) -> Tensor {
      Tensor(shape: shape) { to in
        for (i, flag) in flags.enumerated() { to[i] = (flag ? x : y)?.pointer[i] ?? 0 }
      }
    }
    let shape = a.shape
    return .operation("selected", [a, b], mixed(a.tensor, b.tensor, shape)) { gradient in
      [mixed(gradient, nil, shape), mixed(nil, gradient, shape)]
    }
  }

  /// Row by row the mean of all units, for each of them.
  fileprivate func meanOfUnits() -> Variable {
    func means(_ x: Tensor) -> Tensor {
      Tensor(shape: x.shape) { to in
        let (rows, units) = (x.shape[0], x.shape[1])
        for row in 0..<rows {
          let own = row * units..<(row + 1) * units
          let mean = own.reduce(Double(0)) { $0 + Double(x.pointer[$1]) } / Double(units)
          for unit in own { to[unit] = Float(mean) }
        }
      }
    }
    return .operation("mean", [self], means(tensor)) { [means($0)] }
  }

  fileprivate func applying(_ operation: CellGraph.Unary) -> Variable {
    let x = tensor
    func made(_ f: (Float) -> Float) -> Tensor { Tensor(x.scalars.map(f), shape: x.shape) }
    switch operation {
    case .negate: return -self
    case .sigmoid: return sigmoid()
    case .tanh: return tanh()
    case .relu: return relu()
    case .exp: return exp()
    case .log: return log()
    case .hardSigmoid(let slope, let offset): return hardSigmoid(slope: slope, offset: offset)
    case .sqrt:
      let y = made { $0.squareRoot() }
      return .operation("sqrt", [self], y) { gradient in
        [Tensor(zip(gradient.scalars, y.scalars).map { $0 * 0.5 / $1 }, shape: x.shape)]
      }
    case .abs:
      return .operation("abs", [self], made { $0.magnitude }) { gradient in
        [Tensor(zip(gradient.scalars, x.scalars).map { $1 > 0 ? $0 : -$0 }, shape: x.shape)]
      }
    case .softplus:
      let y = made { Float(NaiveTwin.softplus(Double($0))) }
      return .operation("softplus", [self], y) { gradient in
        let slopes = x.scalars.map { Float(NaiveTwin.sigmoid(Double($0))) }
        return [Tensor(zip(gradient.scalars, slopes).map(*), shape: x.shape)]
      }
    case .positive: return Variable(made { $0 > 0 ? 1 : 0 })
    case .hardStep: return .operation("hardStep", [self], made { $0 > 0 ? 1 : 0 }) { [$0] }
    }
  }
}
