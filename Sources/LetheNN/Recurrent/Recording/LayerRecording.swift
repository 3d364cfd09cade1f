import LetheCore

/// What one recurrent layer did in one direction while a batch ran through: every gate, candidate and state by name.
///
/// *Shapes*: values [batch, time, units] (h of a projected cell [batch, time, its width]), in the time order of the input for
/// either direction; zeros past a sequence's length.
/// A gate's value is what its activation gave; where a description does more with a sum than one activation, it is the sum.
public struct LayerRecording: Sendable {
  /// Where the layer stands in the model: "0", "2.memory"; empty for a layer by itself.
  public let path: String
  /// The layer of the stack, from 0.
  public let layer: Int
  /// Whether it walked from the last step to the first.
  public let isReversed: Bool
  /// What the layer was given: [batch, time, features].
  public let input: Tensor
  /// Lengths and resets of the batch, if it had any.
  public let timing: Timing?
  /// The width of the state.
  public let units: Int
  /// The cell.
  public let description: CellDescription
  /// The values of gates and states that were asked for, by name.
  public internal(set) var values: [String: Tensor] = [:]
  /// The states before the first step, h first: [batch, units] each.
  public internal(set) var initial: [Tensor]
  /// The parameters, in the order of files.
  package let parts: [Tensor]
  // Their packed form, shared with the layer.
  let cache: PackedCache

  /// The names of all gates, in the order of the weights' rows; candidates are among them.
  public var gates: [String] { description.equations.terms.filter(\.isGate).map(\.name) }
  /// Gates beside the cell's own, such as the read-out gate of a Forgetting Gate Network.
  public internal(set) var others: [String] = []
  /// Whether the values of that name are those of a gate, between 0 and 1.
  public func isGate(_ name: String) -> Bool {
    let equations = description.equations
    guard let term = equations.terms.first(where: { $0.name == name }),
      case .unary(let operation, _) = equations.graph.nodes[term.home]
    else { return others.contains(name) }
    switch operation {
    case .sigmoid, .hardSigmoid, .hardStep, .positive: return true
    default: return false
    }
  }
  /// The names of all states, "hidden" first.
  public var states: [String] { description.states }
  /// Path, layer and direction in words.
  public var name: String {
    (path.isEmpty ? "" : "layer \(path) ") + description.name + (layer > 0 ? " (\(layer + 1))" : "")
      + (isReversed ? ", backward" : "")
  }

  /// The values of a gate or state; `nil` for names that the cell does not have or that were not asked for.
  public subscript(name: String) -> Tensor? { values[name] }

  /// The values of a gate or state of one sequence, step by step in the order of time, as far as the sequence goes.
  public func steps(_ name: String, row: Int) -> [[Float]]? {
    guard let tensor = values[name] else { return nil }
    let time = tensor.shape[1], width = tensor.shape[2], length = timing?.lengths?[row] ?? time
    return tensor.withUnsafeBuffer { from in
      (0..<length).map { t in
        let start = (row * time + t) * width
        return Array(from[start..<start + width])
      }
    }
  }
}

/// The memory of one layer over one sequence, taken apart: c_t = keep_t ⊙ c_{t−1} + write_t.
///
/// It follows from the cell's equations, with every activation held at its value: for an LSTM keep is f and write i ⊙ g, for
/// a GRU z and (1 − z) ⊙ n, for a plain RNN 0 and h.
/// *Shapes*: [steps][units], in the order in which the layer walked.
public struct MemoryTrace: Sendable {
  /// The name of the state that remembers.
  public let state: String
  /// The time of each step walked.
  public let times: [Int]
  /// How much of each unit's memory a step keeps.
  public let keep: [[Double]]
  /// What a step adds.
  public let write: [[Double]]
  /// The memory after each step, as the engine computed it.
  public let value: [[Double]]
  /// The memory before the first step.
  public let initial: [Double]
  /// Whether the sequence starts anew before a step, which then keeps nothing; empty: nowhere.
  public let isNew: [Bool]

  /// A memory taken apart elsewhere.
  ///
  /// - Precondition: as many rows of each as times, all as wide as `initial`.
  public init(
    state: String, times: [Int], keep: [[Double]], write: [[Double]], value: [[Double]], initial: [Double],
    isNew: [Bool] = []
  ) {
    require(
      [keep, write, value].allSatisfy { rows in
        rows.count == times.count && rows.allSatisfy { $0.count == initial.count }
      }, "MemoryTrace: expected \(times.count) rows of \(initial.count) numbers each")
    (self.state, self.times, self.keep) = (state, times, keep)
    (self.write, self.value, self.initial, self.isNew) = (write, value, initial, isNew)
  }

  /// The number of steps.
  public var count: Int { times.count }
  /// The width of the memory.
  public var units: Int { initial.count }

  /// How much each step keeps, signs left out; without the steps at which the sequence starts anew, which are no gate's doing.
  public var kept: [[Double]] {
    keep.indices.filter { isNew.isEmpty || !isNew[$0] }.map { keep[$0].map(\.magnitude) }
  }

  /// The steps after which half of each unit's memory is left: ln ½ / mean ln |keep| over all steps of all sequences. 0 where a
  /// step keeps nothing, infinite where nothing is lost; empty without steps.
  public static func halfLives(of traces: [MemoryTrace]) -> [Double] {
    let rows = traces.flatMap(\.kept)
    guard let first = rows.first else { return [] }
    var logs = first.map { _ in 0.0 }
    for row in rows {
      for (unit, keep) in row.enumerated() { logs[unit] += keep == 0 ? -.infinity : Elementary.log(keep) }
    }
    return logs.map { $0 >= 0 ? .infinity : Elementary.log(0.5) * Double(rows.count) / $0 }
  }
}

extension LayerRecording {
  /// The memory of one sequence; `nil` where the cell's update is not of that form, or where not all gates and states were
  /// kept.
  ///
  /// - Precondition: the row is in the batch.
  public func memory(row: Int = 0) -> MemoryTrace? {
    require(input.shape[0] > row && row >= 0, "memory: row \(row) of a batch of \(input.shape[0])")
    var equations = description.equations
    guard let (state, parts) = description.memory(&equations), let after = values[description.states[state]],
      let columns = nodes([parts.keep, parts.write], equations, row: row)
    else { return nil }
    let walk = walk(row: row)
    var keep = columns[0]
    for (index, step) in walk.enumerated() where step.isNew {
      keep[index] = Array(repeating: 0, count: units)
    }
    return MemoryTrace(
      state: description.states[state], times: walk.map(\.time), keep: keep, write: columns[1],
      value: inSteps(flat(after, row: row, walk.map(\.time))),
      initial: initial[state].rows(row..<row + 1).scalars.map(Double.init), isNew: walk.map(\.isNew))
  }

  /// The times of one sequence in the order walked, and where it starts anew: there its state is zero before the step.
  func walk(row: Int) -> [(time: Int, isNew: Bool)] {
    let length = timing?.lengths?[row] ?? input.shape[1]
    return (0..<length).map { step($0, row: row) }
  }

  func flat(_ tensor: Tensor, row: Int, _ times: [Int]) -> [Double] {
    var numbers: [Double] = []
    numbers.reserveCapacity(times.count * units)
    for t in times {
      let start = (row * input.shape[1] + t) * units
      for i in start..<start + units { numbers.append(Double(tensor.pointer[i])) }
    }
    return numbers
  }

  private func inSteps(_ flat: [Double]) -> [[Double]] {
    stride(from: 0, to: flat.count, by: units).map { Array(flat[$0..<$0 + units]) }
  }

  /// The values of nodes at every step of one sequence, [node][steps][units] in the order walked; `nil` where something they
  /// are made of was not kept.
  ///
  /// - Parameter replacing: other values of nodes than those recorded; `nil` to compute one anew.
  func nodes(
    _ roots: [CellGraph.ID], _ equations: CellDescription.Equations, row: Int,
    replacing: [CellGraph.ID: [Double]?] = [:]
  ) -> [[[Double]]]? {
    let walk = walk(row: row), times = walk.map(\.time), count = walk.count * units
    func before(_ state: Int) -> [Double]? {
      guard let own = values[description.states[state]] else { return nil }
      let first = initial[state].rows(row..<row + 1).scalars.map(Double.init)
      var all = Array((first + flat(own, row: row, times)).prefix(count))
      for (index, step) in walk.enumerated() where step.isNew {
        for i in index * units..<(index + 1) * units { all[i] = 0 }
      }
      return all
    }
    var known: [CellGraph.ID: [Double]] = [:]
    for (number, id) in equations.results.enumerated() where !equations.graph.nodes[id].children.isEmpty {
      known[id] = values[description.states[number]].map { flat($0, row: row, times) }
    }
    for term in equations.terms {
      if let own = values[term.name] { known[term.home] = flat(own, row: row, times) }
    }
    for (id, value) in replacing { known[id] = value }
    var isComplete = true
    let columns = equations.graph.columns(roots, count: count, units: units, known: known) { leaf in
      switch leaf {
      case .state(let number):
        if let own = before(number) { return own }
        isComplete = false
      case .vector(let number):
        let (part, block) = description.vectorPlace(number)
        let own = (block * units..<(block + 1) * units).map { Double(parts[part].pointer[$0]) }
        return (0..<walk.count).flatMap { _ in own }
      case .noise(let number): return Array(repeating: Double(description.noises[number].rate), count: count)
      case .mask: return Array(repeating: 1, count: count)
      default: isComplete = false
      }
      return Array(repeating: .nan, count: count)
    }
    return isComplete ? columns.map(inSteps) : nil
  }
}
