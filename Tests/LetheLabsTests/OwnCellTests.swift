import Lethe
import LetheTestSupport
import Testing

/// A cell nobody has named, as a user would write it: it keeps what rises and lets go of what falls.
///
///     f_t = σ(W_f x_t + U_f h_{t−1} + b_f + p ⊙ c_{t−1})
///     u_t = tanh(W_u x_t + U_u (f_t ⊙ h_{t−1}) + b_u)
///     c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ max(u_t, c_{t−1})
///     h_t = c_t ⊙ σ(W_o x_t + b_o)
struct TideCell: RecurrentCell {
  static let kind = "tide"
  var hiddenSize: Int

  var description: CellDescription {
    CellDescription("tide") { cell in
      let c = cell.state("level")
      let f = sigmoid(cell.gate("forget", bias: .constant(1)) + cell.vector("pull") * c)
      let u = tanh(cell.gate("candidate", sees: [.input, .signal(f * cell.hidden)]))
      let next = f * c + (1 - f) * max(u, c)
      cell.update(c, to: next)
      return next * sigmoid(cell.gate("output", sees: [.input]))
    }
  }
}

/// Forgetting attention behind a name of its own.
struct Glance: RecurrentLayer {
  static let kind = "glance"
  var attention: ForgettingAttention

  var stateSizes: [Int] { [] }
  var isReversed: Bool {
    get { attention.isReversed }
    set { attention.isReversed = newValue }
  }
  func stream() -> AttentionStream { attention.stream() }
  func emptyState(batch: Int) -> RecurrentState { attention.emptyState(batch: batch) }
  func run(_ x: Variable, from state: RecurrentState?) -> (output: Variable, state: RecurrentState) {
    attention.run(x, from: state)
  }
  func callAsFunction(_ x: Variable) -> Variable { attention(x) }
  mutating func build(input: [Int]) throws(LetheError) -> [Int] { try attention.build(input: input) }
  mutating func visitParameters(_ visitor: inout ParameterVisitor) { attention.visitParameters(&visitor) }
}

@Suite struct OwnCellTests {
  private let entry = CellCatalog.Entry(name: "tide", summary: "a cell of a user's own") {
    TideCell(hiddenSize: $0)
  }

  @Test func allLawsHold() {
    let results = CellLaws.check(entry, steps: 5000)
    #expect(results.count == CellLaws.laws.count)
    for result in results { #expect(result.ok, "\(result.law): \(result.maxDifference)") }
  }

  /// Nor need a layer whose state is a cache be the catalogue's.
  @Test func lawsHoldOfALayerThatAttends() {
    let entry = CellCatalog.Entry(name: "glance", summary: "attention that forgets nothing at first") {
      Glance(attention: ForgettingAttention($0, heads: 2, headSize: 3, outputs: $1, forgetBias: 4))
    }
    let results = CellLaws.check(entry, steps: 0)
    #expect(
      Set(results.map(\.law)).isSuperset(of: [
        "chunks", "steps", "ragged", "reset", "reversed", "nil", "batch", "threads", "saved",
      ]))
    for result in results { #expect(result.ok, "\(result.law): \(result.maxDifference)") }
  }

  @Test func itLearnsToRecall() throws {
    // The first of eight steps says which of two classes; the rest is noise.
    func batch(_ seed: UInt64) -> (x: Tensor, labels: [Int32]) {
      let key = RandomKey(seed: seed)
      var x = key.child("x").uniform(shape: [64, 8, 3], in: -1..<1)
      let labels = key.child("labels").uniform(shape: [64], in: 0..<2).scalars.map { Int32($0) }
      x.withUnsafeMutableBuffer { to in
        for row in 0..<64 { to[row * 24 + 2] = labels[row] == 1 ? 2 : -2 }
      }
      return (x, labels)
    }
    var model = Sequential(input: [8, 3], seed: 3) {
      Recurrent(TideCell(hiddenSize: 12), outputs: .last)
      Dense(2)
    }
    var optimizer = OptimizerState(.adam(rate: 0.01))
    for step in 0..<150 {
      let (x, labels) = batch(UInt64(step))
      let (_, gradients) = model.gradients { model, tape in crossEntropy(model(tape.constant(x)), labels) }
      optimizer.update(&model, gradients: gradients)
    }
    let (x, labels) = batch(1000)
    let answers = model(x)
    let right = labels.indices.count { (answers[$0, 1] > answers[$0, 0]) == (labels[$0] == 1) }
    #expect(right >= 62, "\(right) of 64")

    let gates = try #require((model.layers[0] as? Recurrent<TideCell>)?.gateValues(Variable(x)))
    #expect(Set(gates.keys) == ["forget", "candidate", "output"])

    let bytes = try ModelFile(model).encoded()
    let copy = try ModelFile(bytes: bytes, name: "tide", layers: [Recurrent<TideCell>.self]).model
    #expect(sameBits(copy(x), answers))
    #expect(throws: LetheError.self) { try ModelFile(bytes: bytes, name: "tide") }
  }

  /// Means over units, with and without names on the way.
  @Test(arguments: [false, true]) func meansFit(_ isNamed: Bool) {
    let entry = CellCatalog.Entry(name: "centered", summary: "means") {
      CenteredCell(hiddenSize: $0, isNamed: isNamed)
    }
    let results = CellLaws.check(entry, steps: 1000)
    #expect(results.count == CellLaws.laws.count)
    for result in results { #expect(result.ok, "\(result.law): \(result.maxDifference)") }
  }

  /// A value with a name, or one that is only added to, may also be used in other ways: as a state, beside its name, and by
  /// what a gate sees.
  @Test(arguments: SharedCell.Use.allCases) func sharedValuesFit(_ use: SharedCell.Use) {
    let entry = CellCatalog.Entry(name: "shared", summary: "\(use)") { SharedCell(hiddenSize: $0, use: use) }
    for result in CellLaws.check(entry, steps: 100) {
      #expect(result.ok, "\(use), \(result.law): \(result.maxDifference)")
    }
  }

  /// What has no value where all sums are 0, past the last unit, leaves no trace in the gradients of the units.
  @Test(arguments: [true, false]) func ratiosFit(_ looksBack: Bool) {
    let entry = CellCatalog.Entry(name: "ratio", summary: "a / b") {
      RatioCell(hiddenSize: $0, looksBack: looksBack)
    }
    for result in CellLaws.check(entry, steps: 100) {
      #expect(result.ok, "\(looksBack), \(result.law): \(result.maxDifference)")
    }
    // Wider than a block, and not a whole number of them.
    let layer = Recurrent(RatioCell(hiddenSize: 20, looksBack: looksBack), inputSize: 3),
      x = numbers("x", [2, 5, 3])
    let tape = Tape(), input = tape.watched(x)
    let gradients = tape.gradients(of: layer(input).sum())
    #expect(gradients[input]?.scalars.allSatisfy { $0.isFinite && $0 != 0 } == true)
  }

  /// Seven gates that see the same are multiplied as three and four; eight rows make the tallest tiles.
  @Test func manyGatesFit() {
    let entry = CellCatalog.Entry(name: "many", summary: "seven gates") { ManyGatesCell(hiddenSize: $0) }
    for result in CellLaws.check(entry, steps: 100) {
      #expect(result.ok, "\(result.law): \(result.maxDifference)")
    }
    let layer = Recurrent(ManyGatesCell(hiddenSize: 20), inputSize: 3)
    let x = numbers("x", [8, 4, 3])
    let together = layer(x)
    for row in 0..<8 { #expect(sameBits(layer(x.rows(row..<row + 1)), together.rows(row..<row + 1))) }
  }
}

/// c_t = c_{t−1} / 2 + tanh(a / b), where b = 0 past the last unit.
private struct RatioCell: RecurrentCell {
  static let kind = "ratio"
  var hiddenSize: Int
  var looksBack = true

  var description: CellDescription {
    CellDescription("ratio") { cell in
      let c = cell.state("sum")
      let sees: [CellBuilder.Source] = looksBack ? [.input, .hidden] : [.input]
      let a = cell.gate("above", sees: sees)
      let b = cell.gate("below", sees: sees, bias: .constant(4))
      let next = 0.5 * c + tanh(a / b)
      cell.update(c, to: next)
      return tanh(next)
    }
  }
}

/// Means in all places: in what gates see, in states, of one another, three deep.
private struct CenteredCell: RecurrentCell {
  static let kind = "centered"
  var hiddenSize: Int
  var isNamed: Bool

  var description: CellDescription {
    CellDescription("centered") { cell in
      let level = cell.state("level"), total = cell.state("total")
      let sum = cell.gate("candidate")
      let centered = sum - mean(sum)
      let share = exp(centered) / mean(exp(centered))
      let named = isNamed ? cell.named("share", share) : share
      let seen = cell.gate("forget", sees: [.input, .signal(named * cell.hidden)])
      let forget = isNamed ? cell.named("forget share", sigmoid(seen + cell.vector("shift"))) : sigmoid(seen)
      let next = forget * level + (1 - forget) * tanh(centered + mean(named * sum))
      cell.update(level, to: next)
      let shown = next / sqrt(mean(next * next) + 0.1) * cell.vector("gain", .constant(1))
      cell.update(total, to: mean(shown * shown) + 0.5 * total)
      return shown * named + 0.1 * mean(level)
    }
  }
}

struct SharedCell: RecurrentCell {
  enum Use: String, CaseIterable, Codable {
    case sumIsState, sumIsSeen, vectorIsSeen, namedTwice, sumBesideItsName
  }
  static let kind = "shared"
  var hiddenSize: Int
  var use: Use

  var description: CellDescription {
    CellDescription("shared") { cell in
      let a = cell.gate("a")
      switch use {
      case .sumIsState:
        let level = cell.state("level"), sum = cell.state("sum")
        let s = a + cell.vector("v")
        let f = cell.named("f", sigmoid(s + level))
        cell.update(sum, to: s)
        cell.update(level, to: f * level + (1 - f) * tanh(sum))
        return f * tanh(level)
      case .sumIsSeen:
        let s = a + cell.vector("v")
        let f = cell.named("f", sigmoid(s + cell.hidden))
        return f * cell.hidden + (1 - f) * tanh(cell.gate("b", sees: [.input, .signal(s)]))
      case .vectorIsSeen:
        let v = cell.vector("v")
        let u = cell.gate("b", sees: [.input, .hidden, .signal(v)])
        let f = cell.named("f", sigmoid(a + v))
        return f * cell.hidden + (1 - f) * tanh(u)
      case .namedTwice:
        let d = a - mean(a)
        return cell.named("f", sigmoid(d + 0.25)) * cell.named("g", 0.75 * d + 0.1)
      case .sumBesideItsName:
        let d = a - mean(a)
        return cell.named("f", sigmoid(d)) * tanh(d)
      }
    }
  }
}

private struct ManyGatesCell: RecurrentCell {
  static let kind = "many_gates"
  var hiddenSize: Int

  var description: CellDescription {
    CellDescription("many gates") { cell in
      (0..<7).map { tanh(cell.gate("g\($0)")) }.reduce(0.5 * cell.hidden) { $0 * 0.9 + $1 * 0.1 }
    }
  }
}
