import CLetheKernels
import LetheCore

/// From nodes to code: what each stage computes, keeps and reads, and the way back.
extension CellCompiler {
  /// A value that stays in its place from the stage that first reads it: a gate's, one with a name, or a state that a mean is
  /// made of.
  private struct Kept {
    var id: CellGraph.ID
    var place: lethe_place
    /// Where the gradient of `sum(id)` is left.
    var slot: Int
    var term: Int?
    /// The stage that makes it.
    var home = -1
    /// Whether the gradient overwrites the value.
    var isOverwritten: Bool { place.kind == UInt8(LETHE_PLACE_SLOT.rawValue) }
  }

  /// What a stage computes for others.
  private struct Output {
    var place: lethe_place
    var id: CellGraph.ID
    /// The gradient that reaches it.
    var seed: CellGraph.Leaf
    /// The mean that it is a summand of.
    var number: Int?
  }

  private typealias Values = [(place: lethe_place, id: CellGraph.ID)]
  private var final: Int { sources.count - 1 }

  mutating func description() -> CellDescription {
    var outputs: [[Output]] = []
    for stage in sources.indices { outputs.append(self.outputs(of: stage)) }
    var kept = self.kept(outputs)
    let reads = homes(&kept, outputs)
    let program = CellProgram()
    for stage in sources.indices {
      program.forward.append(forward(stage, outputs[stage], kept, reads[stage]))
      program.numbers.append(numberCode(stage))
      program.dNumbers.append(dNumberCode(stage))
    }
    program.backward = backward(outputs, kept, reads)
    require(slots <= 64, "\(builder.name): needs \(slots) slots a unit; the engine has 64\(Self.wayOut)")
    program.finish()
    return assemble(program, homes: kept.prefix(builder.terms.count).map(\.id))
  }

  /// What a stage computes: means, what the next stage sees (if a slot), and the results if it is the last.
  private mutating func outputs(of stage: Int) -> [Output] {
    var outputs: [Output] = []
    for (index, number) in numbers.enumerated() where number.stage == stage && number.isMean {
      guard case .mean(let a) = graph.nodes[number.id] else { continue }
      outputs.append(
        Output(place: .init(LETHE_PLACE_NUMBER, index), id: a, seed: .dNumber(index), number: index))
    }
    if stage == final {
      return outputs
        + results.enumerated().map {
          Output(place: .init(LETHE_PLACE_STATE_OUT, $0.offset), id: $0.element, seed: .dState($0.offset))
        }
    }
    guard let slot = seenSlot[stage + 1], case .signal(let id) = sources[stage + 1] else { return outputs }
    // The mask of a projected h has its width: recurrent dropout is for h alone then.
    let seen = projection != nil ? id : graph.binary(.multiply, id, graph.leaf(.mask))
    return outputs + [Output(place: .init(LETHE_PLACE_SLOT, slot), id: seen, seed: .dSeen)]
  }

  private mutating func kept(_ outputs: [[Output]]) -> [Kept] {
    var kept = builder.terms.indices.map { term -> Kept in
      let slot = slotOfTerm[term]
      return Kept(
        id: activated[term] ?? graph.leaf(.term(term)), place: .init(LETHE_PLACE_SLOT, slot), slot: slot,
        term: term)
    }
    for (named, slot) in zip(builder.named, namedSlot) {
      kept.append(Kept(id: named.id, place: .init(LETHE_PLACE_SLOT, slot), slot: slot))
    }
    if numbers.isEmpty && projection == nil { return kept }
    let early = graph.below(outputs.dropLast().joined().map(\.id))
    for (state, id) in results.enumerated()
    where early.contains(id) && !graph.nodes[id].children.isEmpty && !kept.contains(where: { $0.id == id }) {
      kept.append(Kept(id: id, place: .init(LETHE_PLACE_STATE_OUT, state), slot: slots))
      slots += 1
    }
    return kept
  }

  /// Finds the stage that makes each kept value, and which of them each stage reads.
  private func homes(_ kept: inout [Kept], _ outputs: [[Output]]) -> [[Int]] {
    let ids = Set(kept.map(\.id))
    let reads = outputs.indices.map { stage -> [Int] in
      let known = ids.union(numbers.filter { $0.stage < stage }.map(\.id))
      var found: Set<Int> = []
      var open = outputs[stage].map(\.id)
      while !open.isEmpty {
        let below = Set(graph.below(open, known: known))
        open = []
        for index in kept.indices where below.contains(kept[index].id) && found.insert(index).inserted {
          guard kept[index].home < 0 else { continue }
          kept[index].home = stage
          if kept[index].term == nil { open += graph.nodes[kept[index].id].children }
        }
      }
      return found.sorted()
    }
    for (named, own) in zip(builder.named, kept.dropFirst(builder.terms.count)) where own.home < 0 {
      stop("\(builder.name): '\(named.name)' is never used")
    }
    return reads
  }

  /// What the engine fills before a step and nothing overwrites: noise, and what follows from vectors.
  private mutating func fixedPlaces() -> [CellGraph.ID: lethe_place] {
    var places = derivedPlaces
    for (number, slot) in noiseSlot.enumerated() {
      places[graph.leaf(.noise(number))] = .init(LETHE_PLACE_SLOT, slot)
    }
    return places
  }

  private func numberPlaces(_ isKnown: (Number) -> Bool) -> [CellGraph.ID: lethe_place] {
    var places: [CellGraph.ID: lethe_place] = [:]
    for (index, number) in numbers.enumerated() where isKnown(number) {
      places[number.id] = .init(LETHE_PLACE_NUMBER, index)
    }
    return places
  }

  /// sum + value, where padding counts as 0.
  private mutating func tallied(_ value: CellGraph.ID, onto sum: CellGraph.Leaf) -> CellGraph.ID {
    graph.binary(.add, graph.leaf(sum), graph.select(graph.leaf(.units), value, graph.constant(0)))
  }

  // MARK: Forward

  private mutating func forward(_ stage: Int, _ outputs: [Output], _ kept: [Kept], _ reads: [Int]) -> CellCode
  {
    var values: Values = []
    for output in outputs {
      if let number = output.number {
        values.append((output.place, tallied(output.id, onto: .number(number))))
      } else if !kept.contains(where: { own in
        own.id == output.id && own.home < stage && !own.isOverwritten && own.place.index == output.place.index
      }) {
        values.append((output.place, output.id))
      }
    }
    var known = fixedPlaces().merging(numberPlaces { $0.stage < stage }) { $1 }
    for index in reads {
      let own = kept[index]
      if let term = own.term { known[graph.leaf(.term(term))] = own.place }
      if own.home < stage {
        known[own.id] = own.place
      } else if own.term.map({ activated[$0] != nil }) ?? true {
        values.append((own.place, own.id))
      }
    }
    return CellCode(graph, values, known: known, name: builder.name)
  }

  /// What follows from a stage's means alone.
  private func numberCode(_ stage: Int) -> CellCode {
    let values = numbers.enumerated().filter { $1.stage == stage && !$1.isMean }.map {
      (place: lethe_place(LETHE_PLACE_NUMBER, $0), id: $1.id)
    }
    let known = numberPlaces { $0.stage < stage || $0.stage == stage && $0.isMean }
    return CellCode(graph, values, known: known, name: builder.name)
  }

  // MARK: Backward

  private mutating func dNumberCode(_ stage: Int) -> CellCode {
    let own = numbers.enumerated().filter { $1.stage == stage }
    var seeds: [CellGraph.ID: CellGraph.ID] = [:]
    for (index, number) in own where !number.isMean { seeds[number.id] = graph.leaf(.dNumber(index)) }
    let means = own.filter(\.1.isMean)
    let gradients = graph.gradients(of: seeds, to: Set(means.map(\.1.id)))
    let values = means.compactMap { index, number in
      gradients[number.id].map {
        (
          place: lethe_place(LETHE_PLACE_D_NUMBER, index),
          id: graph.binary(.add, graph.leaf(.dNumber(index)), $0)
        )
      }
    }
    return CellCode(graph, values, known: numberPlaces { $0.stage <= stage }, name: builder.name)
  }

  private mutating func backward(_ outputs: [[Output]], _ kept: [Kept], _ reads: [[Int]]) -> [CellCode] {
    var codes: [CellCode] = []
    let states = builder.states.indices.map { graph.leaf(.state($0)) }
    // Of what is made of vectors alone the gradient is summed up first, and only the sum's led back to the vectors.
    let vectors = builder.vectors.indices.map { graph.leaf(.vector($0)) } + derived
    let zero = graph.constant(0)
    /// Where what later stages add to the gradient of a kept value is summed up; and what is left for its home to compute.
    var spill: [Int: Int] = [:], deferred: [Int: CellGraph.ID] = [:]
    for stage in outputs.indices.reversed() {
      guard !outputs[stage].isEmpty else {
        codes.append(CellCode(graph, [], known: [:], name: builder.name))
        continue
      }
      let made = reads[stage].filter { kept[$0].home == stage && kept[$0].term == nil }
      let before = numbers.filter { $0.stage < stage }.map(\.id)
      let leaves = Set(
        kept.indices.filter { !made.contains($0) }.map { kept[$0].id } + states + vectors + before)

      var seeds: [CellGraph.ID: CellGraph.ID] = [:], passing = seeds, lasting = seeds
      func add(_ d: CellGraph.ID, to id: CellGraph.ID, _ seeds: inout [CellGraph.ID: CellGraph.ID]) {
        seeds[id] = seeds[id].map { graph.binary(.add, $0, d) } ?? d
      }
      for output in outputs[stage] {
        let d = graph.leaf(output.seed)
        add(d, to: output.id, &seeds)
        if output.number == nil { add(d, to: output.id, &passing) } else { add(d, to: output.id, &lasting) }
      }
      for index in made {
        if let slot = spill[index] { add(graph.leaf(.slot(slot)), to: kept[index].id, &seeds) }
        if let d = deferred[index] { add(d, to: kept[index].id, &seeds) }
      }
      // The slot of a value made here holds all of its gradient: nothing else passes through it.
      let slotOf = Dictionary(made.map { (sum(kept[$0].id), kept[$0].slot) }) { first, _ in first }
      let cut = leaves.union(slotOf.keys)
      let gradients = graph.gradients(of: seeds, to: leaves, inside: Set(made.map { sum(kept[$0].id) }))
      let ofPassing = graph.gradients(of: passing, to: cut)
      var ofLasting = graph.gradients(of: lasting, to: cut)
      for (node, slot) in slotOf.sorted(by: { $0.key < $1.key }) where !leaves.contains(node) {
        let seed = [node: graph.leaf(.slot(slot))]
        for (id, d) in graph.gradients(of: seed, to: cut.subtracting([node])).sorted(by: { $0.key < $1.key })
        {
          add(d, to: id, &ofLasting)
        }
      }

      var results: Values = []
      for index in reads[stage] {
        let own = kept[index], place = lethe_place(LETHE_PLACE_SLOT, own.slot)
        if own.home == stage {
          var d = gradients[own.term == nil ? sum(own.id) : own.id] ?? zero
          if let term = own.term {
            if let slot = spill[index] { d = graph.binary(.add, d, graph.leaf(.slot(slot))) }
            if let later = deferred[index] { d = graph.binary(.add, d, later) }
            if let value = activated[term], case .unary(let operation, let sum) = graph.nodes[value] {
              d = graph.slope(operation, x: sum, y: value, times: d)
            }
          }
          results.append((place, d))
          continue
        }
        // What follows from gradients that stay where they are is left for the value's home.
        var part = gradients[own.id]
        if let later = ofLasting[own.id], isReadable(later, at: own.home, kept) {
          deferred[index] = deferred[index].map { graph.binary(.add, $0, later) } ?? later
          part = ofPassing[own.id]
        }
        guard let part else { continue }
        if let slot = spill[index] {
          results.append((.init(LETHE_PLACE_SLOT, slot), graph.binary(.add, part, graph.leaf(.slot(slot)))))
        } else {
          // A state's place for its gradient is free until its home writes it.
          let slot = own.isOverwritten ? slots : own.slot
          if own.isOverwritten { slots += 1 }
          spill[index] = slot
          results.append((.init(LETHE_PLACE_SLOT, slot), part))
        }
      }
      for number in states.indices {
        let place = lethe_place(LETHE_PLACE_CARRY, number), d = gradients[states[number]]
        if stage == final {
          // The carry of h is zero until something is written there, which stages before this one may do.
          if d != nil || number > 0 || final > 0 { results.append((place, d ?? zero)) }
        } else if let d {
          results.append((place, graph.binary(.add, d, graph.leaf(.carry(number)))))
        }
      }
      for number in vectors.indices where dVectorSlot[number] == nil {
        guard let d = gradients[vectors[number]] else { continue }
        let sum = graph.binary(.add, d, graph.leaf(.dVector(number)))
        results.append((.init(LETHE_PLACE_D_VECTOR, number), sum))
      }
      for (index, number) in numbers.enumerated() where number.stage < stage {
        guard let d = gradients[number.id] else { continue }
        results.append((.init(LETHE_PLACE_D_NUMBER, index), tallied(d, onto: .dNumber(index))))
      }
      var known = fixedPlaces().merging(numberPlaces { _ in true }) { $1 }
      for own in kept where own.term != nil || own.home <= stage || !own.isOverwritten {
        known[own.id] = own.place
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

  /// Whether the code of a stage can compute a node: gradients of stages after it lie where their values were.
  private func isReadable(_ id: CellGraph.ID, at stage: Int, _ kept: [Kept]) -> Bool {
    let below = Set(graph.below([id], known: Set(kept.map(\.id)).union(numbers.map(\.id))))
    return !kept.contains { $0.isOverwritten && $0.home > stage && below.contains($0.id) }
  }
}
