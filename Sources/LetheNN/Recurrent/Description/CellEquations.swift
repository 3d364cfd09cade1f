import CLetheKernels

extension CellDescription {
  /// The arithmetic of a step as it was described: what the slow twin, the instruments and the certificates read. The
  /// kernels of the built-in cells are written by hand; their equations are here, in the words of everybody else's.
  struct Equations: Sendable, Equatable {
    /// What a gate sums up, and where the engine keeps what becomes of it.
    struct Term: Sendable, Equatable {
      var name: String
      var seesInput: Bool
      var fixed: FixedInput?
      /// Whether it is part of another gate's sum only.
      var isPart = false
      /// The number of columns of a narrower h, which has weights of its own.
      var width: Int?
      var sources: [CellGraph.ID]
      var bias: SlotBias
      /// The slot, and the node whose value is in it after a step: the sum or its activation.
      var slot: Int
      var home: CellGraph.ID
      /// Whether it is a gate with a name, and not part of one or part of the input.
      var isGate: Bool { fixed == nil && !isPart }
    }
    var graph: CellGraph
    /// What is summed up; then what is made by arithmetic and kept under a name, which sees nothing by weights.
    var terms: [Term]
    /// What the states become, h first.
    var results: [CellGraph.ID]

    /// Blocks of rows: those of `weight_ih` stand in the order of the terms that see the input, those of `weight_hh` in
    /// the order of all their sources.
    func inputRow(_ term: Int) -> Int { terms[..<term].count { $0.seesInput } }
    func hiddenRow(_ term: Int) -> Int {
      terms[..<term].reduce(0) { $0 + ($1.width == nil ? $1.sources.count : 0) }
    }
  }

  var equations: Equations {
    described ?? (gateActivation == .sigmoid ? Self.builtIn[kernel.rawValue] : nil) ?? builtIn()
  }

  /// Those of the built-in cells with σ as their gates, made once.
  private static let builtIn: [UInt32: Equations] = {
    let cells = [lstm, gruAfter, gruBefore, rnn(LETHE_CELL_RNN_TANH), rnn(LETHE_CELL_RNN_RELU)]
    return Dictionary(uniqueKeysWithValues: cells.map { (UInt32($0.kernel.rawValue), $0.builtIn()) })
  }()

  /// The slots that hold what became of gates; one that is itself h, or has the name of a state, is recorded as that.
  var recordedGates: [(name: String, slot: Int)] {
    let equations = equations
    return equations.terms.filter { isRecorded($0, equations) }.map { ($0.name, $0.slot) }
  }

  func isRecorded(_ term: Equations.Term, _ equations: Equations) -> Bool {
    !term.isPart && term.home != equations.results[0] && !states.contains(term.name)
  }

  private func builtIn() -> Equations {
    let cell = CellBuilder(name), h = cell.hidden
    func open(_ name: String) -> Signal { LetheNN.gate(cell.gate(name), gateActivation) }
    switch kernel {
    case LETHE_CELL_LSTM:
      let c = cell.state("cell")
      let i = open("input"), f = open("forget"), u = tanh(cell.gate("candidate")), o = open("output")
      let next = f * c + i * u
      cell.update(c, to: next)
      return equations(cell, o * tanh(next), homes: [i, f, u, o])
    case LETHE_CELL_GRU_AFTER:
      let r = open("reset"), z = open("update")
      let sum = cell.gate("candidate", sees: [.input]), seen = cell.gate("recurrent", sees: [.hidden])
      let n = tanh(sum + r * seen)
      return equations(cell, z * h + (1 - z) * n, homes: [r, z, n, seen])
    case LETHE_CELL_GRU_BEFORE:
      let r = open("reset"), z = open("update")
      let n = tanh(cell.gate("candidate", sees: [.input, .signal(r * h)]))
      return equations(cell, z * h + (1 - z) * n, homes: [r, z, n])
    default:
      let sum = cell.gate("hidden")
      let next = kernel == LETHE_CELL_RNN_RELU ? relu(sum) : tanh(sum)
      return equations(cell, next, homes: [next])
    }
  }

  /// A built-in cell has PyTorch's two biases for each gate; a term that sees only one side has that side's.
  private func equations(_ cell: CellBuilder, _ output: Signal, homes: [Signal]) -> Equations {
    var inputRow = 0, hiddenRow = 0
    let terms = zip(cell.terms, homes).enumerated().map { number, entry -> Equations.Term in
      let (term, home) = entry
      let slot = number < gateSlots.count ? gateSlots[number] : slots - 1
      var bias = SlotBias()
      if term.seesInput {
        bias.input = inputRow
        inputRow += 1
      }
      if !term.sources.isEmpty {
        bias.hidden = hiddenRow
        hiddenRow += 1
      }
      // The candidate of a GRU with the reset before has both biases; see `gruBefore`.
      return .init(
        name: term.name, seesInput: term.seesInput, fixed: nil, sources: term.sources, bias: bias, slot: slot,
        home: home.id)
    }
    return Equations(graph: cell.graph, terms: terms, results: cell.finish(output))
  }
}
