import CLetheKernels
import LetheCore

/// What a gate does with its sum.
public enum GateActivation: Sendable, Codable, Equatable {
  /// σ(x) = 1 / (1 + e⁻ˣ).
  case sigmoid
  /// clamp(slope · x + offset, 0, 1), which reaches 0 and 1 exactly. Keras 3: slope 1/6, offset ½; Keras 2 and
  /// ONNX: slope 0.2, offset ½.
  case hardSigmoid(slope: Float = 1 / 6, offset: Float = 0.5)

  /// Throws for a line that is none, or that does not rise.
  func check(_ place: String) throws(LetheError) {
    guard case .hardSigmoid(let slope, let offset) = self else { return }
    if slope > 0 && slope.isFinite && offset.isFinite { return }
    throw LetheError(
      place, "a hard sigmoid is no rising line", expected: "a slope above 0 and a finite offset",
      found: "\(slope) and \(offset)")
  }
}

/// What the engine must know of a cell: its gates, what they see, and its arithmetic.
///
/// The engine owns the matrix products, the time loop, direction, lengths, resets and saved activations. The arithmetic of
/// LSTM, GRU and RNN is in the kernels; that of every other cell is described (`CellBuilder`) and compiled to code that the
/// kernels run.
public struct CellDescription: Sendable {
  /// Its name in messages.
  public let name: String
  /// The gates: those that sum up something in the order of the rows of `weight_ih` and `weight_hh`, then those made by
  /// arithmetic.
  public let gates: [String]
  /// What is kept between steps: "hidden" first.
  public let states: [String]
  /// Whether there is a state beside the hidden state.
  public var hasCellState: Bool { states.count > 1 }
  /// What the gates of LSTM and GRU do with their sums; a described cell says it gate by gate.
  public internal(set) var gateActivation: GateActivation = .sigmoid

  /// Neighbouring slots from `first` on, and which block of rows of a weight matrix each takes.
  struct Group: Equatable {
    var first: Int
    var rows: [Int]
  }
  /// What a slot takes of the input without weights of its own.
  enum FixedInput: Sendable, Equatable {
    /// x itself, in layers as wide as their input.
    case identity
    /// The same number for all units: so many columns from the first of those that no gate sees.
    case scalar(Int)
  }
  struct FixedSlot: Equatable {
    var input: FixedInput
    var slot: Int
  }
  /// What gates see beside the input.
  enum Source: Equatable {
    case nothing
    case state(Int)
    /// What an earlier stage has left in a slot.
    case slot(Int)
  }
  /// A part of a step: products, then arithmetic. The slots of `fill` start from their biases alone.
  struct Stage: Equatable {
    var source: Source
    var groups: [Group]
    var fill: [Int] = []
    /// The width of its one gate, where that is a narrower h.
    var width: Int?
    /// The numbers of a row that it adds up: `means` of them, then what follows from those.
    var firstNumber = 0
    var means = 0
    var numbers = 0
  }
  /// Which blocks of the two bias vectors a slot adds up.
  struct SlotBias: Equatable {
    var input: Int?
    var hidden: Int?
  }
  let kernel: lethe_cell
  /// Vectors of saved values for each unit, and in which of them each gate's value lies.
  let slots: Int
  let gateSlots: [Int]
  /// What the input feeds.
  let projections: [Group]
  let stages: [Stage]
  let slotBiases: [SlotBias]
  /// Blocks of `units` rows in weight_ih, weight_hh and the biases.
  let inputRows: Int
  /// Slots that take part of the input as it is; and the columns no gate sees.
  let fixedInputs: [FixedSlot]
  package let scalars: Int
  let hiddenRows: Int
  let biasRows: Int
  /// Whether there are two biases, as in PyTorch's files.
  let hasHiddenBias: Bool
  /// Whether units see each other's states or means. Where they do not, blocks of units go through time alone.
  var looksBack: Bool { stages.contains { !$0.groups.isEmpty } || numbers > 0 }
  /// The width of h where it is narrower than the cell.
  var projected: Int? { stages.lazy.compactMap(\.width).first }
  /// The width of a state.
  package func width(ofState number: Int, units: Int) -> Int { number == 0 ? projected ?? units : units }
  /// The means that a row has, and what is made of means alone.
  var numbers: Int { stages.reduce(0) { $0 + $1.numbers } }
  /// Parameters with one number a unit, and the slots where their gradients lie; `nil`: summed up beside the slots.
  var vectors: [CellBuilder.Vector] = []
  var vectorSlots: [Int?] = []
  /// Nodes of `described` that are made of vectors alone: computed once, and behind the vectors for the kernels.
  var derivedVectors: [CellGraph.ID] = []
  /// Slots that hold random numbers in training.
  struct Noise: Equatable {
    var slot: Int
    var rate: Float
  }
  var noises: [Noise] = []
  /// How the biases start, block by block.
  var biasInitializers: [Initializer] = []
  var program: CellProgram?
  /// Of a described cell; see `equations`.
  var described: Equations?

  /// Describes a cell; see `CellBuilder`. Costs some ten microseconds, more for a cell of many stages: a layer does it once.
  public init(_ name: String, _ body: (CellBuilder) -> Signal) {
    let builder = CellBuilder(name)
    self = CellCompiler.compile(builder, output: body(builder))
  }

  init(
    name: String, gates: [String], states: [String], kernel: lethe_cell, slots: Int, gateSlots: [Int],
    projections: [Group], stages: [Stage], slotBiases: [SlotBias], inputRows: Int,
    fixedInputs: [FixedSlot] = [], scalars: Int = 0,
    hiddenRows: Int, biasRows: Int,
    hasHiddenBias: Bool, vectors: [CellBuilder.Vector] = [], vectorSlots: [Int?] = [],
    derivedVectors: [CellGraph.ID] = [],
    noises: [Noise] = [], biasInitializers: [Initializer] = [], program: CellProgram? = nil,
    described: Equations? = nil
  ) {
    (self.name, self.gates, self.states, self.kernel) = (name, gates, states, kernel)
    (self.slots, self.gateSlots, self.projections, self.stages) = (slots, gateSlots, projections, stages)
    (self.slotBiases, self.inputRows, self.hiddenRows) = (slotBiases, inputRows, hiddenRows)
    (self.fixedInputs, self.scalars) = (fixedInputs, scalars)
    (self.biasRows, self.hasHiddenBias, self.vectors) = (biasRows, hasHiddenBias, vectors)
    (self.vectorSlots, self.biasInitializers) = (vectorSlots, biasInitializers)
    (self.program, self.described, self.noises) = (program, described, noises)
    self.derivedVectors = derivedVectors
  }

  private init(
    builtIn name: String, _ gates: [String], _ kernel: lethe_cell, states: [String] = ["hidden"],
    gateSlots: [Int],
    stages: [Stage], slotBiases: [SlotBias]? = nil
  ) {
    let slots = kernel == LETHE_CELL_RNN_TANH || kernel == LETHE_CELL_RNN_RELU ? 1 : 4
    let rows = gates.indices.sorted { gateSlots[$0] < gateSlots[$1] }
    let both = rows.map { SlotBias(input: $0, hidden: $0) }
    self.init(
      name: name, gates: gates, states: states, kernel: kernel, slots: slots, gateSlots: gateSlots,
      projections: [Group(first: 0, rows: rows)], stages: stages,
      slotBiases: slotBiases ?? both + Array(repeating: SlotBias(), count: slots - both.count),
      inputRows: gates.count, hiddenRows: gates.count, biasRows: gates.count, hasHiddenBias: true)
  }

  static let lstm = CellDescription(
    builtIn: "LSTM", ["input", "forget", "candidate", "output"], LETHE_CELL_LSTM, states: ["hidden", "cell"],
    gateSlots: [0, 1, 2, 3],
    stages: [Stage(source: .state(0), groups: [Group(first: 0, rows: [0, 1, 2, 3])])])

  /// The candidate's recurrent product has a slot and a bias of its own, inside the reset.
  static let gruAfter = CellDescription(
    builtIn: "GRU", ["reset", "update", "candidate"], LETHE_CELL_GRU_AFTER, gateSlots: [1, 2, 0],
    stages: [Stage(source: .state(0), groups: [Group(first: 1, rows: [0, 1, 2])], fill: [3])],
    slotBiases: [
      SlotBias(input: 2), SlotBias(input: 0, hidden: 0), SlotBias(input: 1, hidden: 1), SlotBias(hidden: 2),
    ])

  /// The candidate sees r ⊙ h, which the first stage leaves in the last slot.
  static let gruBefore = CellDescription(
    builtIn: "GRU", ["reset", "update", "candidate"], LETHE_CELL_GRU_BEFORE, gateSlots: [1, 2, 0],
    stages: [
      Stage(source: .state(0), groups: [Group(first: 1, rows: [0, 1])]),
      Stage(source: .slot(3), groups: [Group(first: 0, rows: [2])]),
    ])

  static func rnn(_ kernel: lethe_cell) -> CellDescription {
    CellDescription(
      builtIn: "RNN", ["hidden"], kernel, gateSlots: [0],
      stages: [Stage(source: .state(0), groups: [Group(first: 0, rows: [0])])])
  }

  /// The rows of a matrix [rows · units, k] that a group takes, as the kernels want them.
  func matrix(_ group: Group, units: Int, k: Int) -> lethe_gates {
    var gates = lethe_gates()
    gates.units = Int64(units)
    gates.k = Int64(k)
    gates.slots = Int64(group.rows.count)
    withUnsafeMutableBytes(of: &gates.order) { to in
      for (slot, row) in group.rows.enumerated() { to[slot] = UInt8(row) }
    }
    return gates
  }

  /// Tells the kernels which cell it is and what its gates do.
  func fill(_ arguments: inout lethe_recurrent) {
    arguments.cell = kernel
    arguments.states = Int32(states.count)
    if case .hardSigmoid(let slope, let offset) = gateActivation {
      arguments.hard_gates = true
      arguments.gate_slope = slope
      arguments.gate_offset = offset
    }
  }
}

extension CellDescription: Equatable {
  /// Whether two cells are the same in gates, order, states and arithmetic.
  public static func == (a: CellDescription, b: CellDescription) -> Bool {
    a.kernel == b.kernel && a.gateActivation == b.gateActivation && a.gates == b.gates && a.states == b.states
      && (a.program === b.program
        || a.described == b.described && a.vectors == b.vectors && a.noises == b.noises)
  }
}
