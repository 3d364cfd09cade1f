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
  }
  struct Vector: Equatable, Sendable {
    var name: String
    var initializer: Initializer
  }

  var graph = CellGraph()
  private(set) var terms: [Term] = []
  private(set) var states = ["hidden"]
  private(set) var vectors: [Vector] = []
  private(set) var next: [Int: CellGraph.ID] = [:]
  private(set) var scalars = 0
  private(set) var noises: [Float] = []
  let name: String

  init(_ name: String) { self.name = name }

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
    require(!terms.contains { $0.name == name }, "\(self.name): there are two gates '\(name)'")
    var term = Term(name: name, seesInput: false, fixed: nil, sources: [], bias: bias)
    for source in sees {
      switch source {
      case .input: term.seesInput = true
      case .hidden: term.sources.append(hidden.id)
      case .signal(let signal): term.sources.append(signal.id)
      }
    }
    require(
      term.seesInput || !term.sources.isEmpty,
      "\(self.name): the gate '\(name)' sees nothing; a constant for each unit is a vector")
    terms.append(term)
    return leaf(.term(terms.count - 1))
  }

  /// A parameter with one number a unit: a peephole, a decay, a gain.
  public func vector(_ name: String, _ initializer: Initializer = .zeros) -> Signal {
    require(!vectors.contains { $0.name == name }, "\(self.name): there are two vectors '\(name)'")
    vectors.append(Vector(name: name, initializer: initializer))
    return leaf(.vector(vectors.count - 1))
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
    guard case .leaf(.state(let number)) = graph.nodes[state.id], number > 0 else {
      stop("\(name): update expects a state made by `state`; h_t is what the description returns")
    }
    require(next[number] == nil, "\(name): the state '\(states[number])' is updated twice")
    next[number] = value.id
  }

  /// What every state becomes.
  func finish(_ output: Signal) -> [CellGraph.ID] {
    [output.id]
      + (1..<states.count).map { number in
        guard let id = next[number] else { stop("\(name): the state '\(states[number])' is never updated") }
        return id
      }
  }
}
