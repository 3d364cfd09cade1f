import CLetheKernels
import LetheCore

/// Turns what a `CellBuilder` has written down into slots, stages and code.
///
/// Slots of a row: gates that see the input first, then those that see states only; then what later stages see; then, for
/// the backward pass, the gradients of vectors and what one stage's gradient adds to another's.
struct CellCompiler {
  private enum Source: Hashable {
    case state(Int)
    case signal(CellGraph.ID)
  }

  private let builder: CellBuilder
  private var graph: CellGraph
  private let results: [CellGraph.ID]  // h, then the other states
  private var sources: [Source?] = []  // stage by stage; nil: none
  private var firstSlotStage = 0
  private var slotOfTerm: [Int] = []
  private var seenSlot: [Int: Int] = [:]  // stage → slot it sees
  private var dVectorSlot: [Int] = []
  private var noiseSlot: [Int] = []
  private var slots = 0
  /// Terms whose slot holds the value of their one activation instead of the sum.
  private var activated: [Int: CellGraph.ID] = [:]

  static func compile(_ builder: CellBuilder, output: Signal) -> CellDescription {
    var compiler = CellCompiler(builder, output)
    return compiler.description()
  }

  private init(_ builder: CellBuilder, _ output: Signal) {
    self.builder = builder
    results = builder.finish(output)
    graph = builder.graph
    orderStages()
    orderSlots()
    findActivations()
  }

  private func source(_ id: CellGraph.ID) -> Source {
    if case .leaf(.state(let number)) = graph.nodes[id] { .state(number) } else { .signal(id) }
  }

  // MARK: Stages

  private func terms(in id: CellGraph.ID) -> [Int] {
    graph.below([id]).compactMap {
      if case .leaf(.term(let number)) = graph.nodes[$0] { number } else { nil }
    }
  }

  /// How many products have to be done before a source is known.
  private func level(_ source: Source) -> Int {
    guard case .signal(let id) = source else { return 0 }
    return 1 + (terms(in: id).flatMap { builder.terms[$0].sources }.map { level(self.source($0)) }.max() ?? 0)
  }

  private mutating func orderStages() {
    var states: [Source] = [], signals: [Source] = []
    for id in builder.terms.flatMap(\.sources) {
      let source = source(id)
      if case .state = source {
        if !states.contains(source) { states.append(source) }
      } else if !signals.contains(source) {
        signals.append(source)
      }
    }
    let sorted = signals.enumerated().sorted {
      (level($0.element), $0.offset) < (level($1.element), $1.offset)
    }
    sources = states.isEmpty ? [nil] : states
    firstSlotStage = sources.count
    sources += sorted.map(\.element)
    require(
      sources.count <= Int(LETHE_STAGES) && builder.states.count <= Int(LETHE_STATES),
      "\(builder.name): at most \(LETHE_STAGES) different things that gates see and \(LETHE_STATES) states, got "
        + "\(sources.count) and \(builder.states.count)")
  }

  private func stage(of id: CellGraph.ID) -> Int { sources.firstIndex(of: source(id)) ?? 0 }

  private mutating func orderSlots() {
    let terms = builder.terms
    require(terms.contains { $0.seesInput || $0.fixed != nil }, "\(builder.name): nothing sees the input")
    func key(_ number: Int) -> [Int] {
      let term = terms[number]
      let kind = term.fixed != nil ? 3 : term.sources.isEmpty ? 0 : term.seesInput ? 1 : 2
      // Later stages first: the slots of the first are then next to those that see only states.
      return [kind] + [kind == 2 ? 1 : -1].flatMap { sign in term.sources.map { sign * stage(of: $0) } } + [
        number
      ]
    }
    let order = terms.indices.sorted { key($0).lexicographicallyPrecedes(key($1)) }
    slotOfTerm = terms.indices.map { order.firstIndex(of: $0) ?? 0 }
    slots = terms.count
    for stage in firstSlotStage..<sources.count {
      seenSlot[stage] = slots
      slots += 1
    }
    dVectorSlot = builder.vectors.indices.map { slots + $0 }
    slots += builder.vectors.count
    noiseSlot = builder.noises.indices.map { slots + $0 }
    slots += builder.noises.count
    require(slots <= 64, "\(builder.name): needs \(slots) slots a unit; the engine has 64")
  }

  private mutating func findActivations() {
    var parents: [CellGraph.ID: [CellGraph.ID]] = [:]
    let used = graph.below(results + builder.terms.flatMap(\.sources))
    for id in used { for child in graph.nodes[id].children { parents[child, default: []].append(id) } }
    for id in used {
      guard case .leaf(.term(let number)) = graph.nodes[id], let own = parents[id], own.count == 1,
        case .unary(let operation, _) = graph.nodes[own[0]], operation.rememberedByValue,
        !results.contains(id), !builder.terms.contains(where: { $0.sources.contains(id) })
      else { continue }
      activated[number] = own[0]
    }
    for number in builder.terms.indices where !used.contains(graph.leaf(.term(number))) {
      stop("\(builder.name): the gate '\(builder.terms[number].name)' is never used")
    }
  }

  // MARK: Code

  /// The node that stands for a term in a slot: its sum, or its activation's value.
  private mutating func home(_ term: Int) -> CellGraph.ID { activated[term] ?? graph.leaf(.term(term)) }

  /// What a stage computes: results of the last one, else what the next stage sees (if a slot).
  private mutating func outputs(of stage: Int) -> [(place: lethe_place, id: CellGraph.ID)] {
    if stage == sources.count - 1 {
      return results.enumerated().map { (.init(LETHE_PLACE_STATE_OUT, $0.offset), $0.element) }
    }
    guard let slot = seenSlot[stage + 1], case .signal(let id) = sources[stage + 1] else { return [] }
    return [(.init(LETHE_PLACE_SLOT, slot), graph.binary(.multiply, id, graph.leaf(.mask)))]
  }

  private mutating func description() -> CellDescription {
    let stages = sources.indices
    var outputs: [[(place: lethe_place, id: CellGraph.ID)]] = []
    for stage in stages { outputs.append(self.outputs(of: stage)) }
    // Which terms each stage reads, and which stage is the first to read a term.
    let homes = builder.terms.indices.map { home($0) }
    let inner = Set(homes)
    let reads = outputs.map { output -> [Int] in
      let below = Set(graph.below(output.map(\.id), known: inner))
      return builder.terms.indices.filter { below.contains(homes[$0]) }
    }
    var first: [Int: Int] = [:], last: [Int: Int] = [:]
    for stage in stages {
      for term in reads[stage] {
        first[term] = min(first[term] ?? stage, stage)
        last[term] = stage
      }
    }
    var spill: [Int: Int] = [:]
    for term in builder.terms.indices where first[term] != last[term] {
      spill[term] = slots
      slots += 1
    }
    require(slots <= 64, "\(builder.name): needs \(slots) slots a unit; the engine has 64")

    let program = CellProgram()
    for stage in stages {
      // Forward: a term's activation is stored by the first stage that reads it, and read from its slot after that.
      var results = outputs[stage]
      var known = noisePlaces()
      for term in reads[stage] {
        let slot = lethe_place(LETHE_PLACE_SLOT, slotOfTerm[term])
        known[graph.leaf(.term(term))] = slot
        guard let value = activated[term] else { continue }
        if first[term] == stage { results.append((slot, value)) } else { known[value] = slot }
      }
      program.forward.append(CellCode(graph, results, known: known, name: builder.name))
    }
    program.backward = backward(outputs, homes: homes, reads: reads, first: first, last: last, spill: spill)
    program.finish()
    return assemble(program, homes: homes)
  }

  /// The engine fills these slots before a step; nothing overwrites them.
  private mutating func noisePlaces() -> [CellGraph.ID: lethe_place] {
    var places: [CellGraph.ID: lethe_place] = [:]
    for (number, slot) in noiseSlot.enumerated() {
      places[graph.leaf(.noise(number))] = .init(LETHE_PLACE_SLOT, slot)
    }
    return places
  }

  private mutating func backward(
    _ outputs: [[(place: lethe_place, id: CellGraph.ID)]], homes: [CellGraph.ID], reads: [[Int]],
    first: [Int: Int], last: [Int: Int], spill: [Int: Int]
  ) -> [CellCode] {
    var codes: [CellCode] = []
    let final = outputs.count - 1
    let states = builder.states.indices.map { graph.leaf(.state($0)) }
    let vectors = builder.vectors.indices.map { graph.leaf(.vector($0)) }
    let zero = graph.constant(0)
    for stage in outputs.indices.reversed() {
      guard !outputs[stage].isEmpty else {
        codes.append(CellCode(graph, [], known: [:], name: builder.name))
        continue
      }
      var seeds: [CellGraph.ID: CellGraph.ID] = [:]
      for (number, output) in outputs[stage].enumerated() {
        let d = graph.leaf(stage == final ? .dState(number) : .dSeen)
        seeds[output.id] = seeds[output.id].map { graph.binary(.add, $0, d) } ?? d
      }
      let gradients = graph.gradients(of: seeds, to: Set(homes + states + vectors))
      var results: [(place: lethe_place, id: CellGraph.ID)] = []
      for term in reads[stage] {
        var d = gradients[homes[term]] ?? zero
        if let slot = spill[term], last[term] != stage { d = graph.binary(.add, d, graph.leaf(.slot(slot))) }
        if first[term] == stage {
          if let value = activated[term], case .unary(let operation, let sum) = graph.nodes[value] {
            d = graph.slope(operation, x: sum, y: value, times: d)
          }
          results.append((.init(LETHE_PLACE_SLOT, slotOfTerm[term]), d))
        } else if let slot = spill[term] {
          results.append((.init(LETHE_PLACE_SLOT, slot), d))
        }
      }
      func accumulate(_ d: CellGraph.ID?, _ place: lethe_place, _ before: CellGraph.Leaf) {
        if stage == final {
          results.append((place, d ?? zero))
        } else if let d {
          results.append((place, graph.binary(.add, d, graph.leaf(before))))
        }
      }
      for number in states.indices {
        accumulate(gradients[states[number]], .init(LETHE_PLACE_CARRY, number), .carry(number))
      }
      for (number, slot) in dVectorSlot.enumerated() {
        accumulate(gradients[vectors[number]], .init(LETHE_PLACE_SLOT, slot), .slot(slot))
      }
      var known = noisePlaces()
      for term in builder.terms.indices {
        known[homes[term]] = .init(LETHE_PLACE_SLOT, slotOfTerm[term])
      }
      if stage == final {
        for (number, id) in self.results.enumerated() where graph.nodes[id].children.count > 0 {
          if known[id] == nil { known[id] = .init(LETHE_PLACE_STATE_OUT, number) }
        }
      }
      codes.append(CellCode(graph, results, known: known, name: builder.name))
    }
    return codes.reversed()
  }

  // MARK: The description

  private func runs(_ slots: [(slot: Int, row: Int)]) -> [CellDescription.Group] {
    var runs: [[(slot: Int, row: Int)]] = []
    for entry in slots.sorted(by: { $0.slot < $1.slot }) {
      if let last = runs.last?.last, last.slot + 1 == entry.slot {
        runs[runs.count - 1].append(entry)
      } else {
        runs.append([entry])
      }
    }
    return runs.flatMap { run -> [CellDescription.Group] in
      let parts = (run.count + 3) / 4
      return (0..<parts).map { part in
        let own = run[run.count * part / parts..<run.count * (part + 1) / parts]
        return .init(first: own.first?.slot ?? 0, rows: own.map(\.row))
      }
    }
  }

  private func assemble(_ program: CellProgram, homes: [CellGraph.ID]) -> CellDescription {
    let terms = builder.terms
    var inputRows = 0, hiddenRows = 0, biasRows = 0
    let gates = terms.indices.filter { terms[$0].fixed == nil }
    var fixed: [CellDescription.FixedSlot] = []
    var projected: [(slot: Int, row: Int)] = []
    var fed: [[(slot: Int, row: Int)]] = sources.map { _ in [] }
    var fills: [[Int]] = sources.map { _ in [] }
    var biases: [CellDescription.SlotBias] = (0..<slots).map { _ in .init() }
    for (number, term) in terms.enumerated() {
      let slot = slotOfTerm[number]
      if term.seesInput {
        projected.append((slot, inputRows))
        inputRows += 1
      } else if let input = term.fixed {
        fixed.append(.init(input: input, slot: slot))
      }
      for id in term.sources {
        fed[stage(of: id)].append((slot, hiddenRows))
        hiddenRows += 1
      }
      if term.bias != nil {
        biases[slot].input = biasRows
        biasRows += 1
      }
      if !term.seesInput, term.fixed == nil, let first = term.sources.map({ stage(of: $0) }).min() {
        fills[first].append(slot)
      }
    }
    let stages = sources.indices.map { stage -> CellDescription.Stage in
      let source: CellDescription.Source =
        switch sources[stage] {
        case nil: .nothing
        case .state(let number): .state(number)
        case .signal: .slot(seenSlot[stage] ?? 0)
        }
      let groups = runs(fed[stage])
      let fill = fills[stage].sorted()
      require(
        groups.count <= 4 && (fill.isEmpty || fill.count == fill[fill.count - 1] - fill[0] + 1),
        "\(builder.name): its gates see too many different things for the engine")
      return .init(source: source, groups: groups, fill: fill)
    }
    return CellDescription(
      name: builder.name, gates: gates.map { terms[$0].name }, states: builder.states,
      kernel: LETHE_CELL_PROGRAM,
      slots: slots, gateSlots: gates.map { slotOfTerm[$0] }, projections: runs(projected), stages: stages,
      slotBiases: biases,
      inputRows: inputRows, fixedInputs: fixed, scalars: builder.scalars, hiddenRows: hiddenRows,
      biasRows: biasRows, hasHiddenBias: false,
      vectors: builder.vectors, vectorSlots: dVectorSlot,
      noises: zip(noiseSlot, builder.noises).map { .init(slot: $0, rate: $1) },
      biasInitializers: terms.compactMap(\.bias), program: program,
      described: .init(
        graph: builder.graph,
        terms: terms.enumerated().map { number, term in
          .init(
            name: term.name, seesInput: term.seesInput, fixed: term.fixed, sources: term.sources,
            bias: biases[slotOfTerm[number]], slot: slotOfTerm[number], home: homes[number])
        },
        results: results))
  }
}

extension lethe_place {
  init(_ kind: lethe_place_kind, _ index: Int) {
    self.init(kind: UInt8(kind.rawValue), index: UInt8(index))
  }
}
