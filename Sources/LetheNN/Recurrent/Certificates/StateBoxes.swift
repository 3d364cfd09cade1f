import LetheCore

/// The search for boxes that the states of a layer never leave.
///
/// Boxes S are kept for good when the initial state lies in them and one step from anywhere in S ends in S. They grow from the
/// initial state, faster and faster, until that holds; a unit that never settles is let go to ±∞. Then they shrink, since a step
/// from boxes that hold leads to boxes that hold (widening and narrowing: Cousot & Cousot 1977). Two facts let a memory
/// c' = f c + w jump to its limit instead of creeping there:
///
///     |f| ≤ f̄ < 1, |w| ≤ w̄:          |c| ≤ w̄ / (1 − f̄) once it holds, for k f̄ B + w̄ ≤ B there      leaky
///     c' = f c + (1 − f) u, 0 ≤ f ≤ 1:  c stays between the extremes of c_0 and u                     coupled
///
/// Rounding of the engine is in both: see `leaky` and `coupled`.
struct StateBoxes {
  var box: CellBox
  /// Where each state starts, unit by unit; zero is always in it.
  let initial: [[Interval]]
  /// How each state's next value depends on it.
  let memories: [Memory]
  /// In an order in which results come after those that they are made of.
  private let order: [Int]

  /// One state's update.
  struct Memory {
    /// keep ⊙ state + write, with all activations held; `nil`: not of that form, or not kept at all.
    var linear: CellGraph.Memory?
    /// Whether it is a plain sum of one product with the state and of other things.
    var isPlainSum = false
    /// Roundings of the engine on the way.
    var roundings = 0
    var coupling: Coupling?
  }

  /// keep ⊙ state + share ⊙ content with keep + share ≤ 1.
  struct Coupling {
    var content: CellGraph.ID
    /// Keep, before a decay within 0...1 that the state may have passed.
    var keep: CellGraph.ID
    var share: CellGraph.ID
    var decay: CellGraph.ID?
    /// Numbers that have to be at least 0 for it.
    var positive: [CellGraph.ID] = []
    /// Whether share is 1 − keep in one operation, or the other way round; else a quotient each.
    var isComplement: Bool
  }

  /// All states start in `initial`; taking the updates apart adds nodes to the graph, which then is the box's.
  init(
    _ description: CellDescription, _ equations: inout CellDescription.Equations, units: Int,
    parts: [Tensor], input: [Interval], initial: [[Interval]]
  ) {
    var found: [Memory] = []
    for number in description.states.indices { found.append(Self.memory(number, &equations)) }
    memories = found
    box = CellBox(description, equations, units: units, inputs: input.count, parts: parts, input: input)
    self.initial = initial
    let results = equations.results
    order = results.indices.sorted { (results[$0], $0) < (results[$1], $1) }
  }

  // MARK: The form of an update

  private static func memory(_ number: Int, _ equations: inout CellDescription.Equations) -> Memory {
    var memory = Memory()
    let state = equations.graph.leaf(.state(number))
    let result = equations.graph.unclamped(equations.results[number])
    memory.coupling = equations.graph.coupling(of: state, in: result)
    if let parts = equations.graph.memory(of: state, in: result),
      equations.graph.constant(of: parts.keep) != 0
    {
      memory.linear = parts
    }
    let graph = equations.graph
    let summands = graph.summands(result)
    let own = summands.filter { graph.below([$0]).contains(state) && graph.isProduct($0, with: state) }
    let others = summands.filter { !own.contains($0) }
    memory.isPlainSum =
      own.count == 1 && others.count <= 1 && memory.linear != nil
      && others.allSatisfy { graph.constant(of: $0) != nil || !graph.linearly([$0]).contains(state) }
    memory.roundings = graph.linearly([result]).count { !graph.nodes[$0].children.isEmpty } + 2
    return memory
  }

  // MARK: Bounds that hold for good

  /// Where a state stays for ever, unit by unit, as long as the other states stay where `box` has them.
  mutating func invariant(_ number: Int) -> [Interval] {
    let everything = Array(repeating: Interval.everything, count: box.units)
    guard let leaky = leaky(number) else { return everything }
    var limits = zip(leaky, initial[number]).map { $0.limits(from: $1) }
    if let coupled = coupled(number) { limits = zip(limits, coupled).map { $1.isBounded ? $1 : $0 } }
    return limits
  }

  /// keep and write of one unit, and what the engine's rounding adds.
  struct Leaky: Sendable {
    /// f.
    var keep: Interval
    /// w.
    var write: Interval
    /// At least 1 − |f|, from the complement: σ(−a) where f = σ(a).
    var gap: Double
    /// At least 1 − |f| − rounding, for f as a float.
    var floatGap: Double
    /// At least |w| and rounding.
    var reach: Double
    /// Whether floats cannot grow past 2²⁵ w̄ where f has rounded to 1.
    var stalls: Bool
    /// What rounding adds for each of |c|.
    var room: Double

    /// |c_t| ≤ this for ever; infinite where there is no bound.
    func limit(from start: Double) -> Double {
      if reach == 0 && keep.magnitude <= 1 && stalls { return start }
      var limit = Double.infinity
      if floatGap > 0 { limit = (reach / floatGap).nextUp }
      if gap > 0, stalls, keep.magnitude <= 1 {
        // A float of at least 2²⁴ w̄ does not notice w̄: c + w rounds to c at most, if c is a power of two.
        var power = 0x1p-120
        while power < reach * 0x1p24 && power.isFinite { power *= 2 }
        limit = min(limit, max(power, (reach / gap).nextUp))
      }
      return max(limit, start)
    }

    /// The same with its sign, where the sign of f is known.
    func limits(from start: Interval) -> Interval {
      let limit = limit(from: start.magnitude)
      guard keep.low >= 0, limit.isFinite else { return Interval(-limit, limit) }
      let extra = max(reach - write.magnitude, 0) + room * limit
      func side(_ write: Double, _ start: Double) -> Double {
        if write + extra <= 0 { return max(start, 0) }
        var own = self
        own.reach = (write + extra).nextUp
        return min(own.limit(from: max(start, 0)), limit)
      }
      return Interval(-side(-write.low, -start.low), side(write.high, start.high))
    }
  }

  /// The terms of |c'| ≤ f̄ |c| + w̄, unit by unit. `nil` where the update is not of that form.
  ///
  /// The engine rounds each of n operations, so that |c'| ≤ (f̄ |c| + w̄) (1 + 2⁻²⁴)ⁿ, where f̄ and w̄ are sums of magnitudes.
  mutating func leaky(_ number: Int) -> [Leaky]? {
    let memory = memories[number]
    guard let linear = memory.linear else { return nil }
    let (keep, write) = (box.value(linear.keep), box.value(linear.write))
    let (keepSize, writeSize) = (box.magnitude(linear.keep), box.magnitude(linear.write))
    let gaps = box.gap(linear.keep)
    let share = Double(memory.roundings) * 0x1p-24 * (1 + 0x1p-10)
    return (0..<box.units).map { unit in
      let top = keep[unit].magnitude
      let room = share * keepSize[unit], plain = max(1 - top - 0x1p-52, 0)
      return Leaky(
        keep: keep[unit], write: write[unit], gap: keep[unit].low >= 0 ? max(gaps[unit], plain) : plain,
        floatGap: max(1 - top - room - 0x1p-50, 0),
        reach: writeSize[unit] == 0 ? 0 : (write[unit].magnitude + share * writeSize[unit] + 0x1p-140).nextUp,
        stalls: memory.isPlainSum && keepSize[unit] <= 1, room: room)
    }
  }

  /// The extremes of c_0 and u, where c' = f c + (1 − f) u; everything for units where f may leave 0...1. `nil` where the update
  /// is not of that form.
  ///
  /// In floats: f and 1 − f are rounded once, so that their sum is at most 1 + 2⁻²⁵; then f B + (1 − f) u, with the product on
  /// the right rounded once more, is at most B (1 + 2⁻²⁵) for |u| (1 + 2⁻²⁰) ≤ B, which is nearer to B than to the next float: the
  /// fused sum rounds to B at most. Two quotients, each off by 4 · 2⁻²⁴, drift further: by 2⁻²¹ / (1 − f̄), or to 8 ū, where
  /// floats no longer notice.
  mutating func coupled(_ number: Int) -> [Interval]? {
    guard let coupling = memories[number].coupling else { return nil }
    let (content, keep, share) = (
      box.value(coupling.content), box.value(coupling.keep), box.value(coupling.share)
    )
    let (gaps, decay) = (box.gap(coupling.keep), coupling.decay.map { box.value($0) })
    var positive: [[Interval]] = []
    for id in coupling.positive { positive.append(box.value(id)) }
    let unit1 = Interval(0, 1)
    return (0..<box.units).map { unit in
      // Ends are floats where f is one.
      let f = keep[unit], i = share[unit], u = content[unit]
      guard u.isBounded, unit1.contains(f) || !coupling.isComplement, f.low >= 0, i.low >= 0,
        decay.map({ unit1.contains($0[unit]) }) ?? true, positive.allSatisfy({ $0[unit].low >= 0 })
      else { return .everything }
      let start = initial[number][unit]
      if coupling.isComplement {
        let low = u.low - abs(u.low) * 0x1p-20 - 0x1p-100, high = u.high + abs(u.high) * 0x1p-20 + 0x1p-100
        let both = Interval(low, high).union(start)
        // A decayed state lies between 0 and itself.
        return (coupling.decay == nil ? both : both.union(.zero)).single
      }
      let gap = gaps[unit]
      let grown = gap > 0 ? min(8, 1 + 0x1p-21 / gap) : 8
      let limit = max(u.magnitude * grown + 0x1p-100, start.magnitude)
      return Interval(-limit, limit).single
    }
  }

  // MARK: Growing and shrinking

  /// One step from the boxes of `box`, each joined with the initial state.
  private mutating func step(shrinking: Bool) -> [[Interval]] {
    let before = box.states
    var limits: [[Interval]] = []
    for number in memories.indices { limits.append(invariant(number)) }
    var from = box
    from.states = zip(before, limits).map { own, limit in
      zip(own, limit).map { $1.isBounded ? (shrinking ? $1.intersection($0) : $1) : $0 }
    }
    var after = before
    for number in order {
      let id = from.equations.results[number]
      let next = zip(from.value(id), limits[number]).map { $0.intersection($1) }
      if !from.graph.nodes[id].children.isEmpty { from.know(id, next) }
      after[number] = zip(next, initial[number]).map { $0.union($1) }
    }
    return after
  }

  /// Boxes that hold; `box` has them afterwards.
  mutating func settle() {
    box.states = initial
    var round = 0
    while true {
      let next = step(shrinking: false)
      let isKept = zip(box.states, next).allSatisfy { zip($0, $1).allSatisfy { $0.contains($1) } }
      if isKept { break }
      // Ever further beyond what was reached; from round 40 on to infinity.
      let factor = round < 8 ? 0.05 : Double(sign: .plus, exponent: min(round - 8, 40), significand: 0.1)
      box.states = zip(box.states, next).map { own, next in
        zip(own, next).map { own, next in
          if own.contains(next) { return own }
          if round >= 40 {
            return Interval(
              next.low < own.low ? -.infinity : own.low, next.high > own.high ? .infinity : own.high)
          }
          let slack = 1e-6 * next.magnitude + 1e-30
          return Interval(
            next.low < own.low ? next.low - factor * (own.low - next.low) - slack : own.low,
            next.high > own.high ? next.high + factor * (next.high - own.high) + slack : own.high)
        }
      }
      round += 1
    }
    for _ in 0..<16 {
      let next = step(shrinking: true)
      let shrunk = zip(box.states, next).map { zip($0, $1).map { $0.intersection($1) } }
      let moves = zip(box.states, shrunk).contains {
        zip($0, $1).contains { !$0.isBounded && $1 != $0 || $0.width - $1.width > 1e-5 * $0.width }
      }
      box.states = shrunk
      if !moves { break }
    }
  }
}

extension CellGraph {
  /// Without bounds on both sides of 0 around it: what stays within an interval around 0 inside stays there outside.
  func unclamped(_ id: ID) -> ID {
    switch nodes[id] {
    case .binary(.min, let a, let b):
      if let bound = constant(of: b), bound >= 0 { return unclamped(a) }
      if let bound = constant(of: a), bound >= 0 { return unclamped(b) }
    case .binary(.max, let a, let b):
      if let bound = constant(of: b), bound <= 0 { return unclamped(a) }
      if let bound = constant(of: a), bound <= 0 { return unclamped(b) }
    default: break
    }
    return id
  }

  func summands(_ id: ID) -> [ID] {
    if case .binary(.add, let a, let b) = nodes[id] { return summands(a) + summands(b) }
    return [id]
  }

  /// Whether a node is the state itself, or one product of it with something that it is not in.
  func isProduct(_ id: ID, with state: ID) -> Bool {
    if id == state { return true }
    guard case .binary(.multiply, let a, let b) = nodes[id] else { return false }
    return (a == state && !linearly([b]).contains(state)) || (b == state && !linearly([a]).contains(state))
  }

  /// What nodes are made of, down to activations.
  func linearly(_ roots: [ID]) -> Set<ID> {
    var open = roots, seen: Set<ID> = []
    while let id = open.popLast() {
      guard seen.insert(id).inserted else { continue }
      switch nodes[id] {
      case .unary(.negate, let a): open.append(a)
      case .leaf, .unary, .mean: break
      case .binary(_, let a, let b): open += [a, b]
      case .select(_, let a, let b): open += [a, b]
      }
    }
    return seen
  }

  /// keep ⊙ state + share ⊙ content with keep + share ≤ 1, if the graph says so.
  func coupling(of state: ID, in id: ID) -> StateBoxes.Coupling? {
    guard case .binary(.add, let x, let y) = nodes[id] else { return nil }
    // The engine fuses the first product that is used once with the sum: the state has to be in that one.
    for (first, second) in isUsedOnce(x) ? [(x, y)] : [(y, x)] {
      guard case .binary(.multiply, let a, let b) = nodes[first],
        case .binary(.multiply, let c, let d) = nodes[second], isUsedOnce(first)
      else { continue }
      for (keep, kept) in [(a, b), (b, a)] {
        for (share, content) in [(c, d), (d, c)] {
          guard let decay = decay(of: state, in: kept), !linearly([content]).contains(state) else { continue }
          if isOneMinus(share, keep) || isOneMinus(keep, share) {
            return .init(
              content: content, keep: keep, share: share, decay: decay.id, isComplement: true)
          }
          if case .binary(.divide, let p, let all) = nodes[keep],
            case .binary(.divide, let q, let same) = nodes[share], all == same, p != q,
            Set([p, q]).isSubset(of: summands(all)), decay.id == nil
          {
            return .init(
              content: content, keep: keep, share: share, positive: summands(all), isComplement: false)
          }
        }
      }
    }
    return nil
  }

  /// What a state is multiplied with before it is kept, if anything.
  private struct Decay { var id: ID? }

  /// That of a node that is the state, or the state times one other node; `nil` for other nodes.
  private func decay(of state: ID, in id: ID) -> Decay? {
    if id == state { return Decay() }
    guard case .binary(.multiply, let a, let b) = nodes[id] else { return nil }
    if a == state && !linearly([b]).contains(state) { return Decay(id: b) }
    if b == state && !linearly([a]).contains(state) { return Decay(id: a) }
    return nil
  }

  private func isOneMinus(_ a: ID, _ b: ID) -> Bool {
    if case .binary(.subtract, let one, let x) = nodes[a] { return constant(of: one) == 1 && x == b }
    return false
  }

  /// Only then does the engine fuse a product with its sum.
  private func isUsedOnce(_ id: ID) -> Bool {
    nodes.reduce(0) { $0 + $1.children.count { $0 == id } } == 1
  }
}
