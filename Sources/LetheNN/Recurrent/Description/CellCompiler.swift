import CLetheKernels
import LetheCore

/// Turns what a `CellBuilder` has written down into slots, stages and code.
///
/// Slots of a row: gates that see the input first, then those that see states only; then what later stages see, and what has
/// a name; then, for the backward pass, what one stage's gradient adds to another's.
struct CellCompiler {
  enum Source: Hashable {
    case state(Int)
    case signal(CellGraph.ID)
  }
  /// A number of a row: a mean, or what is made of means of one stage alone.
  struct Number {
    var id: CellGraph.ID
    /// The stage that adds it up: later ones read it.
    var stage: Int
    var isMean: Bool
  }

  let builder: CellBuilder
  var graph: CellGraph
  let results: [CellGraph.ID]  // h, then the other states
  private(set) var sources: [Source?] = []  // stage by stage; nil: none
  private(set) var firstSlotStage = 0
  private(set) var slotOfTerm: [Int] = []
  private(set) var seenSlot: [Int: Int] = [:]  // stage → slot it sees
  private(set) var namedSlot: [Int] = []
  /// Vectors whose gradient lies in a slot anyway.
  private(set) var dVectorSlot: [Int: Int] = [:]
  /// What is made of vectors alone and read beside other things: computed once for all rows, numbered behind the vectors.
  private(set) var derived: [CellGraph.ID] = []
  private(set) var noiseSlot: [Int] = []
  /// Numbers of a row, those of a stage together, means first.
  private(set) var numbers: [Number] = []
  var slots = 0
  /// Terms whose slot holds the value of their one activation instead of the sum.
  private(set) var activated: [Int: CellGraph.ID] = [:]

  /// What to do about a description that is too large.
  static let wayOut = "; written as a SteppedCell it runs on the tape"

  static func compile(_ builder: CellBuilder, output: Signal) -> CellDescription {
    var compiler = CellCompiler(builder, output)
    return compiler.description()
  }

  private init(_ builder: CellBuilder, _ output: Signal) {
    self.builder = builder
    results = builder.finish(output)
    graph = builder.graph
    checkProjection()
    orderStages()
    findDerived()
    findActivations()
    orderSlots()
  }

  /// All that has to be computed.
  private var roots: [CellGraph.ID] { results + builder.terms.flatMap(\.sources) + builder.named.map(\.id) }

  private func source(_ id: CellGraph.ID) -> Source {
    if case .leaf(.state(let number)) = graph.nodes[id] { .state(number) } else { .signal(id) }
  }

  /// The gate that is a narrower h.
  var projection: Int? { builder.terms.firstIndex { $0.width != nil } }

  private mutating func checkProjection() {
    guard let projection else { return }
    let term = builder.terms[projection], h = graph.leaf(.term(projection)), before = graph.leaf(.state(0))
    let inner = Set(graph.below(roots).flatMap { graph.nodes[$0].children } + results.dropFirst())
    require(
      results[0] == h && !inner.contains(h) && !inner.contains(before) && !term.sources.contains(before)
        && builder.terms.allSatisfy { !$0.sources.contains(h) },
      "\(builder.name): a projection is what the description returns, and h is seen by gates alone")
    require(
      source(term.sources[0]) == .signal(term.sources[0]),
      "\(builder.name): a projection is of what is made of gates, not of the state of the step before")
    require(
      builder.terms.enumerated().allSatisfy { number, other in
        number == projection || other.sources.allSatisfy { $0 == before }
      },
      "\(builder.name): beside a projection gates can see the input and h alone")
  }

  // MARK: Stages

  /// How often a step has to wait before a node is known: for the product of something made of gates, or for a mean.
  private func depths() -> [Int] {
    var depths: [Int] = []
    for node in graph.nodes {
      switch node {
      case .leaf(.term(let number)):
        let signals = builder.terms[number].sources.filter { source($0) == .signal($0) }
        depths.append(signals.map { depths[$0] + 1 }.max() ?? 0)
      case .mean(let a): depths.append(depths[a] + 1)
      default: depths.append(node.children.map { depths[$0] }.max() ?? 0)
      }
    }
    return depths
  }

  private mutating func orderStages() {
    var states: [Source] = [], signals: [CellGraph.ID] = []
    for id in builder.terms.flatMap(\.sources) {
      if case .state = source(id) {
        if !states.contains(source(id)) { states.append(source(id)) }
      } else if !signals.contains(id) {
        signals.append(id)
      }
    }
    sources = states.isEmpty ? [nil] : states
    firstSlotStage = sources.count
    let depths = depths()
    var last = [firstSlotStage - 1]  // the last stage of each depth
    let deepest = (roots.map { depths[$0] } + signals.map { depths[$0] + 1 }).max() ?? 0
    for depth in stride(from: 1, through: deepest, by: 1) {
      let own = signals.filter { depths[$0] + 1 == depth }
      sources += own.isEmpty ? [nil] : own.map { .signal($0) }
      last.append(sources.count - 1)
    }
    orderNumbers(depths, last)
    require(
      sources.count <= Int(LETHE_STAGES) && builder.states.count <= Int(LETHE_STATES),
      "\(builder.name): at most \(LETHE_STAGES) different things that gates see or means that wait for each other, and "
        + "\(LETHE_STATES) states; got \(sources.count) and \(builder.states.count)" + Self.wayOut)
  }

  /// Finds the means, and what is made of means of one depth alone and read beside other things: once a row is enough for it.
  private mutating func orderNumbers(_ depths: [Int], _ last: [Int]) {
    let used = graph.below(roots)
    var depthAlone: [CellGraph.ID: Int] = [:]
    var isRead = Set(roots)
    for id in used {
      let children = graph.nodes[id].children
      if case .mean = graph.nodes[id] {
        depthAlone[id] = depths[id]
        isRead.formUnion(children)
        continue
      }
      let own = Set(children.filter { graph.constant(of: $0) == nil }.map { depthAlone[$0] })
      if own.count == 1, let depth = own.first { depthAlone[id] = depth }
      if depthAlone[id] == nil { isRead.formUnion(children) }
    }
    let found = used.compactMap { id -> Number? in
      guard let depth = depthAlone[id] else { return nil }
      if case .mean = graph.nodes[id] { return Number(id: id, stage: last[depth - 1], isMean: true) }
      return isRead.contains(id) ? Number(id: id, stage: last[depth - 1], isMean: false) : nil
    }
    numbers = found.sorted { ($0.stage, $0.isMean ? 0 : 1, $0.id) < ($1.stage, $1.isMean ? 0 : 1, $1.id) }
    require(
      numbers.count < 256, "\(builder.name): needs \(numbers.count) means; the engine has 255\(Self.wayOut)")
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
    func next() -> Int {
      slots += 1
      return slots - 1
    }
    for stage in firstSlotStage..<sources.count where sources[stage] != nil { seenSlot[stage] = next() }
    namedSlot = builder.named.map { _ in next() }
    dVectorSlot = sharedGradients()
    noiseSlot = builder.noises.indices.map { slots + $0 }
    slots += builder.noises.count
    require(slots <= 64, "\(builder.name): needs \(slots) slots a unit; the engine has 64\(Self.wayOut)")
  }

  private mutating func findDerived() {
    // What has a place of its own, or is a result, is no vector to others.
    let own = Set(roots), used = graph.below(roots)
    var isOfVectors: Set<CellGraph.ID> = [], isRead: Set<CellGraph.ID> = []
    for id in used {
      let children = graph.nodes[id].children
      let isVector: Bool =
        switch graph.nodes[id] {
        case .leaf(.vector): true
        case .leaf, .mean: false
        default:
          !own.contains(id) && children.contains { isOfVectors.contains($0) }
            && children.allSatisfy { isOfVectors.contains($0) || graph.constant(of: $0) != nil }
        }
      if isVector { isOfVectors.insert(id) } else { isRead.formUnion(children) }
    }
    derived = used.filter {
      isOfVectors.contains($0) && isRead.contains($0) && !graph.nodes[$0].children.isEmpty
    }
    require(
      builder.vectors.count + derived.count < 256, "\(builder.name): needs more than 255 vectors")
  }

  /// Where values that follow from vectors alone lie.
  var derivedPlaces: [CellGraph.ID: lethe_place] {
    Dictionary(
      uniqueKeysWithValues: derived.enumerated().map {
        ($1, lethe_place(LETHE_PLACE_VECTOR, builder.vectors.count + $0))
      })
  }

  private mutating func findActivations() {
    var parents: [CellGraph.ID: [CellGraph.ID]] = [:]
    let used = graph.below(roots)
    for id in used { for child in graph.nodes[id].children { parents[child, default: []].append(id) } }
    for id in used {
      guard case .leaf(.term(let number)) = graph.nodes[id], let own = parents[id], own.count == 1,
        case .unary(let operation, _) = graph.nodes[own[0]], operation.rememberedByValue,
        !builder.named.contains(where: { $0.id == own[0] }),
        !results.contains(id), !builder.terms.contains(where: { $0.sources.contains(id) })
      else { continue }
      activated[number] = own[0]
    }
    for number in builder.terms.indices where !used.contains(graph.leaf(.term(number))) {
      stop("\(builder.name): the gate '\(builder.terms[number].name)' is never used")
    }
  }

  /// The node whose gradient is left in the place of a value: what its activation was given, if the value remembers the slope.
  func sum(_ id: CellGraph.ID) -> CellGraph.ID {
    if case .unary(let operation, let a) = graph.nodes[id], operation.rememberedByValue { a } else { id }
  }

  /// Vectors that are only added to what a named value is made of: their gradient is its own, slot by slot.
  private func sharedGradients() -> [Int: Int] {
    var uses: [CellGraph.ID: Int] = [:]
    let seen = results + builder.terms.flatMap(\.sources)
    for id in graph.below(roots).flatMap({ graph.nodes[$0].children }) + seen { uses[id, default: 0] += 1 }
    var shared: [Int: Int] = [:]
    func visit(_ id: CellGraph.ID, _ slot: Int) {
      switch graph.nodes[id] {
      case .leaf(.vector(let number)): shared[number] = slot
      case .binary(.add, let a, let b): for child in [a, b] where uses[child] == 1 { visit(child, slot) }
      default: break
      }
    }
    for (named, slot) in zip(builder.named, namedSlot)
    where sum(named.id) == named.id || uses[sum(named.id)] == 1 {
      visit(sum(named.id), slot)
    }
    return shared
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

  func assemble(_ program: CellProgram, homes: [CellGraph.ID]) -> CellDescription {
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
        fed[stage(of: id)].append((slot, term.width == nil ? hiddenRows : 0))
        if term.width == nil { hiddenRows += 1 }
      }
      if term.bias != nil {
        biases[slot].input = biasRows
        if builder.hasHiddenBias { biases[slot].hidden = biasRows }
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
        "\(builder.name): its gates see too many different things for the engine\(Self.wayOut)")
      let own = numbers.filter { $0.stage == stage }
      return .init(
        source: source, groups: groups, fill: fill,
        width: projection.flatMap { self.stage(of: terms[$0].sources[0]) == stage ? terms[$0].width : nil },
        firstNumber: numbers.firstIndex { $0.stage == stage } ?? 0,
        means: own.count { $0.isMean }, numbers: own.count)
    }
    return CellDescription(
      name: builder.name,
      gates: gates.filter { !terms[$0].isPart }.map { terms[$0].name } + builder.named.map(\.name),
      states: builder.states,
      kernel: LETHE_CELL_PROGRAM,
      slots: slots, gateSlots: gates.filter { !terms[$0].isPart }.map { slotOfTerm[$0] } + namedSlot,
      projections: runs(projected), stages: stages,
      slotBiases: biases,
      inputRows: inputRows, fixedInputs: fixed, scalars: builder.scalars, hiddenRows: hiddenRows,
      biasRows: biasRows, hasHiddenBias: builder.hasHiddenBias,
      vectors: builder.vectors, vectorSlots: builder.vectors.indices.map { dVectorSlot[$0] },
      derivedVectors: derived,
      noises: zip(noiseSlot, builder.noises).map { .init(slot: $0, rate: $1) },
      biasInitializers: terms.compactMap(\.bias), program: program,
      described: .init(
        graph: builder.graph,
        terms: terms.enumerated().map { number, term in
          .init(
            name: term.name, seesInput: term.seesInput, fixed: term.fixed, isPart: term.isPart,
            width: term.width, sources: term.sources, bias: biases[slotOfTerm[number]],
            slot: slotOfTerm[number],
            home: homes[number])
        }
          + zip(builder.named, namedSlot).map { named, slot in
            .init(
              name: named.name, seesInput: false, fixed: nil, sources: [], bias: .init(), slot: slot,
              home: named.id)
          },
        results: results))
  }
}

extension lethe_place {
  init(_ kind: lethe_place_kind, _ index: Int) {
    self.init(kind: UInt8(kind.rawValue), index: UInt8(index))
  }
}
