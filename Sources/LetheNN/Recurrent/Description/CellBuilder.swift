import LetheCore

/// Where a cell is described: what its gates see, what they become, and what it remembers.
///
///     CellDescription("lstm") { cell in
///       let c = cell.state("cell")
///       let i = sigmoid(cell.gate("input"))
///       let f = sigmoid(cell.gate("forget", bias: .constant(1)))
///       let u = tanh(cell.gate("candidate"))
///       let o = sigmoid(cell.gate("output"))
///       let next = f * c + i * u
///       cell.update(c, to: next)
///       return o * tanh(next)
///     }
///
/// Everything is for one unit at one step; the engine does the rest, gradients included. What the closure returns is
/// h_t, the output and the state that gates see a step later.
public final class CellBuilder {
  /// What a gate sums up besides its bias.
  public enum Source {
    /// W x_t.
    case input
    /// U h_{t−1}.
    case hidden
    /// U s: of a state, or of anything made of states and gates, such as r ⊙ h_{t−1}.
    case signal(Signal)
  }

  struct Term {
    var name: String
    /// Whether it sees the input by weights of its own, or takes part of it as it is.
    var seesInput: Bool
    var fixed: CellDescription.FixedInput?
    var sources: [CellGraph.ID]
    var bias: Initializer?
    /// Whether it is only part of a gate's sum: nobody records it.
    var isPart = false
    /// The number of its columns, where it is h and narrower than the cell.
    var width: Int?
  }
  /// One number a unit: all of a parameter, or a block of it.
  struct Vector: Equatable, Sendable {
    var name: String
    var initializer: Initializer
    var block = 0
  }
  /// A value made by arithmetic that is kept like a gate's.
  struct Named {
    var name: String
    var id: CellGraph.ID
  }

  var graph = CellGraph()
  private(set) var terms: [Term] = []
  private(set) var states = ["hidden"]
  private(set) var vectors: [Vector] = []
  private(set) var next: [Int: CellGraph.ID] = [:]
  private(set) var scalars = 0
  private(set) var noises: [Float] = []
  private(set) var named: [Named] = []
  /// Whether gates have a second bias, as in PyTorch's files.
  var hasHiddenBias = false
  let name: String

  init(_ name: String) { self.name = name }

  /// The node of a signal of this description.
  func own(_ signal: Signal) -> CellGraph.ID {
    require(
      signal.cell === self, "\(name): a signal of another description, \(signal.cell.name), is used here")
    return signal.id
  }

  private func leaf(_ leaf: CellGraph.Leaf) -> Signal { Signal(id: graph.leaf(leaf), cell: self) }

  /// h_{t−1}, the output of the step before.
  public var hidden: Signal { leaf(.state(0)) }

  /// A state beside h, as it was after the step before; give its next value with `update`.
  public func state(_ name: String) -> Signal {
    require(!states.contains(name), "\(self.name): there are two states '\(name)'")
    states.append(name)
    return leaf(.state(states.count - 1))
  }

  /// What a gate sums up: W x + U s + b over what it sees, before its activation.
  ///
  /// Rows of `weight_ih` follow the gates that see the input, and rows of `weight_hh` each gate and other thing that it
  /// sees, in the order of description; `nil` leaves out the bias.
  public func gate(_ name: String, sees: [Source] = [.input, .hidden], bias: Initializer? = .zeros) -> Signal
  {
    sum(name, sees, bias, isPart: false)
  }

  /// Part of what a gate sums up, W x + U s over what it sees: a gate without bias that is nobody's gate yet. See `named`.
  public func product(_ name: String, sees: [Source]) -> Signal { sum(name, sees, nil, isPart: true) }

  private func sum(_ name: String, _ sees: [Source], _ bias: Initializer?, isPart: Bool) -> Signal {
    checkIsNew(name)
    var term = Term(name: name, seesInput: false, fixed: nil, sources: [], bias: bias, isPart: isPart)
    for source in sees {
      switch source {
      case .input: term.seesInput = true
      case .hidden: term.sources.append(hidden.id)
      case .signal(let signal): term.sources.append(own(signal))
      }
    }
    require(
      term.seesInput || !term.sources.isEmpty,
      "\(self.name): the gate '\(name)' sees nothing; a constant for each unit is a vector")
    terms.append(term)
    return leaf(.term(terms.count - 1))
  }

  /// A narrower h, W value, without bias: `weight_hr` [width, units]. Return it; gates then see it as h, and nothing else that has
  /// weights; unit by unit it cannot be used.
  public func project(_ value: Signal, to width: Int) -> Signal {
    require(width > 0, "\(name): expected a projection to a width above 0, got \(width)")
    require(!terms.contains { $0.width != nil }, "\(name): there are two projections")
    checkIsNew("projection")
    terms.append(
      Term(
        name: "projection", seesInput: false, fixed: nil, sources: [own(value)], bias: nil, isPart: true,
        width: width))
    return leaf(.term(terms.count - 1))
  }

  private func checkIsNew(_ name: String) {
    require(
      !terms.contains { $0.name == name } && !named.contains { $0.name == name },
      "\(self.name): there are two gates '\(name)'")
  }

  /// A gate that is made by arithmetic, σ of a normalised sum, say: its value is kept for the backward pass, recorded and can
  /// be changed like that of a gate with a sum of its own.
  ///
  ///     let f = cell.named("forget", sigmoid(normalised + cell.vector("bias")))
  public func named(_ name: String, _ value: Signal) -> Signal {
    checkIsNew(name)
    switch graph.nodes[own(value)] {
    case .leaf, .mean: stop("\(self.name): '\(name)' names a value that is no arithmetic")
    default: break
    }
    require(!named.contains { $0.id == value.id }, "\(self.name): '\(name)' has another name too")
    named.append(Named(name: name, id: value.id))
    return value
  }

  /// A parameter with one number a unit: a peephole, a decay, a gain.
  public func vector(_ name: String, _ initializer: Initializer = .zeros) -> Signal {
    vectors(name, [initializer])[0]
  }

  /// A parameter with one number a unit and block, [blocks · units]: the gains of several gates, say.
  public func vectors(_ name: String, _ initializers: [Initializer]) -> [Signal] {
    require(!vectors.contains { $0.name == name }, "\(self.name): there are two vectors '\(name)'")
    return initializers.enumerated().map { block, initializer in
      vectors.append(Vector(name: name, initializer: initializer, block: block))
      return leaf(.vector(vectors.count - 1))
    }
  }

  /// The input itself, unit by unit: x_t, for layers whose input is as wide as they are.
  public var input: Signal { fixed(.identity, "x") }

  /// One number a step for all units, which no gate sees: a time difference, an attention score. It is taken from the
  /// last columns of the input, in the order of description.
  public func scalar(_ name: String) -> Signal {
    scalars += 1
    return fixed(.scalar(scalars - 1), name)
  }

  private func fixed(_ input: CellDescription.FixedInput, _ name: String) -> Signal {
    if let known = terms.firstIndex(where: { $0.fixed == input }) { return leaf(.term(known)) }
    terms.append(Term(name: name, seesInput: false, fixed: input, sources: [], bias: nil))
    return leaf(.term(terms.count - 1))
  }

  /// Zoneout: `old` with a chance of `rate`, unit by unit and step by step, else `new`; in evaluation their mean.
  ///
  /// *Source*: Krueger et al. 2017, arXiv 1606.01305.
  public func zoneout(_ new: Signal, keeping old: Signal, rate: Float) -> Signal {
    require(rate >= 0 && rate < 1, "\(name): expected a zoneout rate in 0..<1, got \(rate)")
    if rate == 0 { return new }
    noises.append(rate)
    let keep = leaf(.noise(noises.count - 1))
    return keep * old + (1 - keep) * new
  }

  /// Says what a state becomes.
  public func update(_ state: Signal, to value: Signal) {
    guard case .leaf(.state(let number)) = graph.nodes[own(state)], number > 0 else {
      stop("\(name): update expects a state made by `state`; h_t is what the description returns")
    }
    require(next[number] == nil, "\(name): the state '\(states[number])' is updated twice")
    next[number] = own(value)
  }

  /// What every state becomes.
  func finish(_ output: Signal) -> [CellGraph.ID] {
    [own(output)]
      + (1..<states.count).map { number in
        guard let id = next[number] else { stop("\(name): the state '\(states[number])' is never updated") }
        return id
      }
  }
}
