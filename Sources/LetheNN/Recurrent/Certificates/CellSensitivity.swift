import LetheCore

/// How far one step of a cell can pull two states or inputs apart, anywhere in a box.
///
/// Derivatives of every node with respect to the states and the gates' sums are intervals over the box; by the mean value
/// theorem |s'(a) − s'(b)| ≤ A |a − b| + B |x − y| for all pairs in it, with non-negative A and B that are never written down:
/// `apart` gives A v + B w. Where something jumps (a hard gate, a choice that depends on the state) it gives infinity.
struct CellSensitivity {
  private let box: CellBox
  /// |∂ node / ∂ leaf| for each leaf: results first, then what gates see.
  private let ofResults: [Row]
  private let ofSources: [CellGraph.ID: Row]
  private let order: [Leaf]
  /// |∂ summand / ∂ leaf| of each mean.
  private let ofMeans: [CellGraph.ID: Row]

  /// What a node depends on unit by unit; sums and means depend on all units.
  private enum Leaf: Hashable {
    case state(Int)
    case term(Int)
    case mean(CellGraph.ID)
  }
  /// For each leaf that matters, unit by unit.
  private typealias Row = [Leaf: [Double]]

  init(_ box: CellBox) {
    var box = box
    var rows: [CellGraph.ID: [Leaf: [Interval]]] = [:]
    let graph = box.graph, results = box.equations.results
    let sources = box.equations.terms.flatMap(\.sources)
    let below = graph.below(results + sources)
    for id in below { rows[id] = Self.row(id, graph, &box, rows) }
    func sizes(_ id: CellGraph.ID) -> Row { (rows[id] ?? [:]).mapValues { $0.map(\.magnitude) } }
    ofResults = results.map(sizes)
    ofSources = Dictionary(uniqueKeysWithValues: Set(sources).map { ($0, sizes($0)) })
    var ofMeans: [CellGraph.ID: Row] = [:]
    for id in below { if case .mean(let a) = graph.nodes[id] { ofMeans[id] = sizes(a) } }
    self.ofMeans = ofMeans
    // Sums and means after those that they are made of.
    var order: [Leaf] = []
    let terms = box.equations.terms
    func visit(_ leaf: Leaf) {
      if order.contains(leaf) { return }
      var roots: [CellGraph.ID] = []
      switch leaf {
      case .state: return
      case .term(let number): roots = terms[number].sources
      case .mean(let id): roots = graph.nodes[id].children
      }
      for id in graph.below(roots) {
        switch graph.nodes[id] {
        case .leaf(.term(let other)): visit(.term(other))
        case .mean: visit(.mean(id))
        default: break
        }
      }
      order.append(leaf)
    }
    for number in terms.indices { visit(.term(number)) }
    for id in below { if case .mean = graph.nodes[id] { visit(.mean(id)) } }
    self.order = order
    self.box = box
  }

  private static func row(
    _ id: CellGraph.ID, _ graph: CellGraph, _ box: inout CellBox, _ rows: [CellGraph.ID: [Leaf: [Interval]]]
  ) -> [Leaf: [Interval]] {
    let units = box.units
    func of(_ id: CellGraph.ID) -> [Leaf: [Interval]] { rows[id] ?? [:] }
    func one(_ leaf: Leaf) -> [Leaf: [Interval]] { [leaf: Array(repeating: Interval(1), count: units)] }
    func scaled(_ row: [Leaf: [Interval]], by factor: [Interval]) -> [Leaf: [Interval]] {
      row.mapValues { zip($0, factor).map { $0 * $1 } }
    }
    func combined(
      _ a: [Leaf: [Interval]], _ b: [Leaf: [Interval]], _ f: (Int, Interval, Interval) -> Interval
    ) -> [Leaf: [Interval]] {
      var row: [Leaf: [Interval]] = [:]
      let none = Array(repeating: Interval.zero, count: units)
      for leaf in Set(a.keys).union(b.keys) {
        let (x, y) = (a[leaf] ?? none, b[leaf] ?? none)
        row[leaf] = (0..<units).map { f($0, x[$0], y[$0]) }
      }
      return row
    }
    switch graph.nodes[id] {
    case .leaf(.state(let number)): return one(.state(number))
    case .leaf(.term(let number)): return one(.term(number))
    case .leaf: return [:]
    case .mean: return one(.mean(id))
    case .unary(let operation, let a): return scaled(of(a), by: box.value(a).map { operation.slope($0) })
    case .select(let condition, let a, let b):
      let c = box.value(condition)
      var row = combined(of(a), of(b)) { c[$0].low > 0 ? $1 : c[$0].high <= 0 ? $2 : $1.union($2) }
      // Where the side may change, there may be a jump.
      for (leaf, slope) in of(condition) {
        let own = row[leaf] ?? Array(repeating: .zero, count: units)
        row[leaf] = (0..<units).map { unit in
          let isOpen = c[unit].low <= 0 && c[unit].high > 0
          return isOpen && slope[unit] != .zero ? .everything : own[unit]
        }
      }
      return row
    case .binary(let operation, let a, let b):
      let (x, y) = (box.value(a), box.value(b))
      switch operation {
      case .add: return combined(of(a), of(b)) { $1 + $2 }
      case .subtract: return combined(of(a), of(b)) { $1 - $2 }
      case .multiply: return combined(scaled(of(a), by: y), scaled(of(b), by: x)) { $1 + $2 }
      case .divide:
        let down = y.map { Interval(1) / $0 }
        let across = zip(zip(x, y), down).map { -(($0.0 / $0.1) * $1) }
        return combined(scaled(of(a), by: down), scaled(of(b), by: across)) { $1 + $2 }
      case .max, .min:
        let isMax = operation == .max
        return combined(of(a), of(b)) { unit, p, q in
          let (u, v) = isMax ? (x[unit], y[unit]) : (-x[unit], -y[unit])
          return u.low > v.high ? p : u.high < v.low ? q : p.union(q)
        }
      }
    }
  }

  /// A v + B w: how far apart the next states can be, when states are at most v apart, unit by unit, and each input w.
  func apart(_ v: [[Double]], input w: Double) -> [[Double]] {
    let (units, description) = (box.units, box.description)
    var sums = [[Double]](repeating: [], count: box.equations.terms.count)
    var means: [CellGraph.ID: [Double]] = [:]
    func total(_ row: Row) -> [Double] {
      var all = Array(repeating: 0.0, count: units)
      for (leaf, slope) in row.sorted(by: { Self.number($0.key) < Self.number($1.key) }) {
        let own: [Double]
        switch leaf {
        case .state(let number): own = v[number]
        case .term(let number): own = sums[number]
        case .mean(let id): own = means[id] ?? []
        }
        for unit in 0..<units where slope[unit] != 0 && own[unit] != 0 {
          all[unit] += slope[unit] * own[unit]
        }
      }
      return all
    }
    func product(_ part: Int, _ row: Int, rows: Int? = nil, _ columns: Int, _ x: (Int) -> Double)
      -> [Double]
    {
      let weight = box.parts[part].pointer + row * units * columns
      return (0..<(rows ?? units)).map { unit in
        var sum = 0.0
        for k in 0..<columns where x(k) != 0 && weight[unit * columns + k] != 0 {
          sum += Double(abs(weight[unit * columns + k])) * x(k)
        }
        return sum
      }
    }
    for leaf in order {
      if case .mean(let id) = leaf {
        let mean = total(ofMeans[id] ?? [:]).reduce(0, +) / Double(units)
        means[id] = Array(repeating: mean, count: units)
      }
      guard case .term(let number) = leaf else { continue }
      let term = box.equations.terms[number]
      if term.fixed != nil {
        sums[number] = Array(repeating: w, count: units)
        continue
      }
      if let width = term.width, let part = description.projectionPart {
        let seen = total(ofSources[term.sources[0]] ?? [:])
        sums[number] =
          product(part, 0, rows: width, units) { seen[$0] } + Array(repeating: 0, count: units - width)
        continue
      }
      var sum = Array(repeating: 0.0, count: units)
      if term.seesInput, let part = description.inputPart, w != 0 {
        let own = product(part, box.equations.inputRow(number), box.inputs - description.scalars) { _ in w }
        sum = zip(sum, own).map { $0 + $1 }
      }
      for (index, source) in term.sources.enumerated() {
        guard let part = description.hiddenPart else { continue }
        let seen = total(ofSources[source] ?? [:])
        let columns = description.width(ofState: 0, units: units)
        let own = product(part, box.equations.hiddenRow(number) + index, columns) { seen[$0] }
        sum = zip(sum, own).map { $0 + $1 }
      }
      sums[number] = sum
    }
    // All terms are at least 0, so that one factor holds the rounding of these sums.
    return ofResults.map { total($0).map { ($0.isNaN ? .infinity : $0) * (1 + 0x1p-36) } }
  }

  private static func number(_ leaf: Leaf) -> Int {
    switch leaf {
    case .state(let number): number
    case .term(let number): 1000 + number
    case .mean(let id): 1_000_000 + id
    }
  }

  /// A rate and weights v with A v ≤ rate · v, as small a rate as some hundred steps of the power method find
  /// (Collatz-Wielandt). States that nothing depends on and that depend on nothing have small weights.
  func contraction() -> (rate: Double, weights: [[Double]]) {
    var v = box.description.states.map { _ in Array(repeating: 1.0, count: box.units) }
    var best = (rate: Double.infinity, weights: v)
    for round in 0..<200 {
      let next = apart(v, input: 0)
      let rate = zip(next, v).flatMap { zip($0, $1).map { $0 / $1 } }.max() ?? .infinity
      if !rate.isFinite { break }
      if rate < best.rate { best = (rate.nextUp, v) }
      let top = next.flatMap { $0 }.max() ?? 0
      if top == 0 || round > 30 && best.rate > 1.5 { break }
      // Half a step at a time, and never down to 0.
      let scale = 1 / top
      v = zip(v, next).map { zip($0, $1).map { max(0.5 * $0 + 0.5 * $1 * scale, 1e-4) } }
    }
    return best
  }
}
