import LetheCore
import LetheFormats
import LetheNN

/// What must hold for every cell, whatever its gates are.
///
///     for result in CellLaws.check("peephole") where !result.ok { print(result) }
///
/// Most laws demand equal bits: one step, a chunk and the whole sequence are the same arithmetic.
public struct CellLaws: Sendable {
  /// What was found.
  public struct Result: Sendable {
    /// The cell's name in `CellLaws.cells`.
    public let cell: String
    /// The law's name.
    public let law: String
    /// The largest |a − b| / (1 + |b|); infinite where shapes differ or a number is not finite.
    public let maxDifference: Double
    /// What it may be at most; 0 for equal bits.
    public let tolerance: Double
    /// Whether the law holds.
    public var ok: Bool { maxDifference <= tolerance }

    /// What was found of a law that is checked elsewhere.
    public init(cell: String, law: String, maxDifference: Double, tolerance: Double) {
      (self.cell, self.law, self.maxDifference, self.tolerance) = (cell, law, maxDifference, tolerance)
    }
  }

  /// The cells whose laws can be checked.
  public static var cells: [String] { CellCatalog.all.map(\.name) + LawSubject.others }

  /// The laws, in the order of checking, and what each says.
  public static let laws: [(name: String, meaning: String)] = [
    ("chunks", "the whole sequence is its chunks, with the state handed on"),
    ("steps", "the whole sequence is its steps as a stream"),
    ("ragged", "a shorter row in a batch is that sequence alone"),
    ("reset", "a reset inside a row begins a new sequence"),
    ("reversed", "backward in time over the reversed sequence is forward over it"),
    ("nil", "no state is the zero state"),
    ("batch", "a row of many is that row alone"),
    ("threads", "outputs and gradients do not depend on the number of threads"),
    ("saved", "a model read back from a file gives the same outputs"),
    ("twin", "the kernels agree with the equations in doubles, one unit at a time"),
    ("gradients", "gradients are the differences of the equations in doubles"),
    ("long", "a stream of many steps stays finite"),
  ]

  /// Checks all laws of a cell; `nil` for a name that is none of `cells`.
  ///
  /// - Parameter steps: how long the law "long" goes on.
  /// *Cost*: some 50 ms, and the long stream.
  public static func check(_ name: String, steps: Int = 1_000_000) -> [Result]? {
    LawSubject.named(name, units: units).map { check($0, steps: steps) }
  }

  /// Checks all laws of a cell of your own.
  public static func check(_ entry: CellCatalog.Entry, steps: Int = 1_000_000) -> [Result] {
    check(.of(entry, units: units), steps: steps)
  }

  private static func check(_ subject: LawSubject, steps: Int) -> [Result] {
    let laws = CellLaws(subject: subject, long: steps)
    return Self.laws.compactMap { law in
      laws.measure(law.name).map {
        Result(cell: subject.name, law: law.name, maxDifference: $0.found, tolerance: $0.allowed)
      }
    }
  }

  /// A number that follows from every bit of a cell's outputs, states and gradients: equal on every instruction set.
  public static func digest(_ name: String) -> UInt64? {
    guard let subject = LawSubject.named(name, units: units) else { return nil }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for tensor in CellLaws(subject: subject, long: 0).everything() {
      for x in tensor.scalars { hash = (hash ^ UInt64(x.bitPattern)) &* 0x100_0000_01b3 }
    }
    return hash
  }

  static let units = 19
  let subject: LawSubject
  let long: Int
  private let batch = 5
  private let time = 7

  private func measure(_ law: String) -> (found: Double, allowed: Double)? {
    switch law {
    case "chunks": return (chunks(), 0)
    case "steps": return (steps(), 0)
    case "ragged": return (ragged(), 0)
    case "reset": return (reset(), 0)
    case "reversed": return (reversed(), 0)
    case "nil": return (nothing(), 0)
    case "batch": return (batchMates(), 0)
    case "threads": return (threads(), 0)
    case "saved": return (saved(), 0)
    case "twin": return twin().map { ($0, 1e-5) }
    case "gradients": return subject.isStraightThrough ? nil : finiteDifferences().map { ($0, 1e-4) }
    default: return long > 0 ? (longStream(), 0) : nil
    }
  }

  /// 0 for equal bits.
  private func distance(_ a: [Tensor], _ b: [Tensor]) -> Double {
    guard a.map(\.shape) == b.map(\.shape) else { return .infinity }
    var most = 0.0
    for (x, y) in zip(a.flatMap(\.scalars), b.flatMap(\.scalars)) where x.bitPattern != y.bitPattern {
      guard x.isFinite && y.isFinite else { return .infinity }
      most = max(most, max(Double(abs(x - y) / (1 + abs(y))), Double(Float.leastNonzeroMagnitude)))
    }
    return most
  }

  private func parts(_ state: RecurrentState) -> [Tensor] {
    (state.hidden + state.cell).map(\.tensor) + (state.attention?.tensors ?? [])
  }

  /// What gradients flow into of a state.
  func numbers(_ state: RecurrentState) -> [Tensor] { (state.hidden + state.cell).map(\.tensor) }

  /// The state with its numbers on a tape; an attention's cache is a constant.
  func watched(_ state: RecurrentState, on tape: Tape) -> RecurrentState {
    RecurrentState(
      hidden: state.hidden.map { tape.watched($0.tensor) }, cell: state.cell.map { tape.watched($0.tensor) },
      attention: state.attention)
  }

  private func cut(_ x: Tensor, _ range: Range<Int>) -> Tensor {
    let (batch, time, width) = (x.shape[0], x.shape[1], x.shape[2])
    let from = x.scalars
    var to: [Float] = []
    for row in 0..<batch {
      to += from[(row * time + range.lowerBound) * width..<(row * time + range.upperBound) * width]
    }
    return Tensor(to, shape: [batch, range.count, width])
  }

  private func rows(_ state: RecurrentState, _ row: Int) -> RecurrentState {
    func one(_ parts: [Variable]) -> [Variable] { parts.map { Variable($0.tensor.rows(row..<row + 1)) } }
    return RecurrentState(
      hidden: one(state.hidden), cell: one(state.cell), attention: state.attention?.row(row))
  }

  private func chunks() -> Double {
    let x = subject.input("chunks", batch: batch, time: 11), start = subject.state("start", batch: batch)
    let whole = subject.run(Variable(x), start)
    var state = start, pieces: [Tensor] = []
    var most = 0.0
    for range in [0..<4, 4..<5, 5..<11] {
      let part = subject.run(Variable(cut(x, range)), state)
      pieces.append(part.output.tensor)
      most = max(most, distance([cut(whole.output.tensor, range)], [part.output.tensor]))
      state = part.state.detached
    }
    return max(most, distance(parts(whole.state), parts(state)))
  }

  private func steps() -> Double {
    var stream: any SequenceStream = subject.layer.stream()
    let x = subject.input("steps", batch: 1, time: 23)
    let whole = subject.run(Variable(x), nil)
    var outputs: [Float] = []
    for t in 0..<23 { outputs += stream.step(cut(x, t..<t + 1).scalars) }
    return max(
      distance([whole.output.tensor], [Tensor(outputs, shape: whole.output.shape)]),
      distance(parts(whole.state), parts(stream.state)))
  }

  private func ragged() -> Double {
    let lengths = [7, 0, 3, 5, 1], x = subject.input("ragged", batch: batch, time: time)
    let start = subject.state("start", batch: batch)
    let together = subject.run(Variable(x, timing: Timing(lengths: lengths)), start)
    var most = 0.0
    for (row, length) in lengths.enumerated() {
      let own = cut(x.rows(row..<row + 1), 0..<length), output = together.output.tensor.rows(row..<row + 1)
      let alone =
        length == 0
        ? (output: Variable(own), state: rows(start, row)) : subject.run(Variable(own), rows(start, row))
      if length > 0 { most = max(most, distance([cut(output, 0..<length)], [alone.output.tensor])) }
      let rest = cut(output, length..<time)
      most = max(most, distance([rest], [Tensor(zeros: rest.shape)]))
      most = max(most, distance(parts(rows(together.state, row)), parts(alone.state)))
    }
    return most
  }

  private func reset() -> Double {
    let x = subject.input("reset", batch: 2, time: 9)
    var resets = Array(repeating: Array(repeating: false, count: 9), count: 2)
    resets[0][4] = true
    let marked = subject.run(Variable(x, timing: Timing(resets: resets)), nil)
    let fresh = subject.run(Variable(cut(x.rows(0..<1), 4..<9)), nil)
    return max(
      distance([cut(marked.output.tensor.rows(0..<1), 4..<9)], [fresh.output.tensor]),
      distance(parts(rows(marked.state, 0)), parts(fresh.state)))
  }

  /// With lengths, states and resets: what is cut off from the step before it is so whichever way it is walked.
  private func reversed() -> Double {
    let lengths = [7, 0, 3, 5, 1], x = subject.input("reversed", batch: batch, time: time)
    let start = subject.state("start", batch: batch)
    func turned<T>(_ steps: [T], _ length: Int) -> [T] { steps[..<length].reversed() + steps[length...] }
    func turned(_ x: Tensor) -> Tensor {
      let width = x.shape[2], from = x.scalars
      var to: [Float] = []
      for (row, length) in lengths.enumerated() {
        let steps = (row * time..<(row + 1) * time).map { Array(from[$0 * width..<($0 + 1) * width]) }
        to += turned(steps, length).joined()
      }
      return Tensor(to, shape: x.shape)
    }
    let cuts = [(0, 2), (0, 6), (2, 1), (3, 3)]  // before these steps of the sequence turned round
    func resets(_ place: (_ length: Int, _ step: Int) -> Int) -> [[Bool]] {
      lengths.enumerated().map { row, length in
        let own = cuts.filter { $0.0 == row }.map { place(length, $0.1) }
        return (0..<time).map { own.contains($0) }
      }
    }
    let forward = subject.run(
      Variable(turned(x), timing: Timing(lengths: lengths, resets: resets { $1 })), start)
    let backward = subject.reversed(
      Variable(x, timing: Timing(lengths: lengths, resets: resets { $0 - $1 })), start)
    return distance(
      [turned(backward.output.tensor)] + parts(backward.state), [forward.output.tensor] + parts(forward.state)
    )
  }

  private func nothing() -> Double {
    let x = Variable(subject.input("nil", batch: batch, time: time))
    let a = subject.run(x, nil), b = subject.run(x, subject.layer.emptyState(batch: batch))
    return distance([a.output.tensor] + parts(a.state), [b.output.tensor] + parts(b.state))
  }

  private func batchMates() -> Double {
    let x = subject.input("batch", batch: 13, time: time)
    let together = subject.run(Variable(x), nil)
    return [0, 6, 12].map { row in
      let alone = subject.run(Variable(x.rows(row..<row + 1)), nil)
      return distance(
        [together.output.tensor.rows(row..<row + 1)] + parts(rows(together.state, row)),
        [alone.output.tensor] + parts(alone.state))
    }.max() ?? 0
  }

  /// Outputs, final states and all gradients of a batch with lengths and resets.
  func everything() -> [Tensor] {
    let x = subject.input("everything", batch: 9, time: 40), start = subject.state("start", batch: 9)
    let lengths = [40, 40, 33, 40, 2, 0, 40, 17, 40]
    let resets = (0..<9).map { row in (0..<40).map { $0 % 7 == row } }
    var watched: [Variable] = [], results: [Tensor] = []
    let (named, all) = subject.gradients { run, tape in
      let input = tape.watched(x, timing: Timing(lengths: lengths, resets: resets))
      let state = self.watched(start, on: tape)
      watched = [input] + state.hidden + state.cell
      let (y, final) = run(input, state)
      results = [y.tensor] + parts(final)
      return (final.hidden + final.cell).reduce((y * y).sum()) { $0 + ($1 * $1).sum() }
    }
    return results + named.map(\.1) + watched.compactMap { all[$0] }
  }

  private func threads() -> Double {
    let one = Parallel.$threads.withValue(1) { everything() }
    return [2, 3].map { count in distance(Parallel.$threads.withValue(count) { everything() }, one) }.max()
      ?? 0
  }

  private func saved() -> Double {
    do {
      var model = try Sequential(input: [.any] + subject.stepShape, layers: [subject.layer])
      var own = subject.layer.parameters.makeIterator()
      model.forEachParameter { _, parameter in
        if let value = own.next()?.value { parameter.value = value }
      }
      let copy = try ModelFile(
        bytes: ModelFile(model).encoded(), name: subject.name, layers: [type(of: subject.layer)]
      ).model
      let x = subject.input("saved", batch: batch, time: time)
      let y = subject.run(Variable(x), nil).output.tensor
      return [copy, model].map { model in
        distance([model(x.reshaped([batch, time] + subject.stepShape)).reshaped(y.shape)], [y])
      }.max() ?? 0
    } catch {
      return .infinity
    }
  }

  private func twin() -> Double? {
    guard let twin = subject.twin else { return nil }
    let x = subject.input("twin", batch: 2, time: time)
    let start = subject.attends ? subject.layer.emptyState(batch: 2) : subject.state("start", batch: 2)
    let fast = subject.run(Variable(x), start)
    var most = 0.0
    for row in 0..<2 {
      let begin = NaiveTwin.State(numbers(rows(start, row)).map { $0.scalars.map(Double.init) })
      let slow = twin.run(vectors(x, row), from: begin, resets: nil)
      let pairs = zip(fast.output.tensor.rows(row..<row + 1).scalars, slow.outputs.joined())
      let states = zip(numbers(rows(fast.state, row)).flatMap(\.scalars), slow.state.parts.joined())
      for (a, b) in Array(pairs) + Array(states) {
        guard a.isFinite && b.isFinite else { return .infinity }
        most = max(most, abs(Double(a) - b) / (1 + abs(b)))
      }
    }
    return most
  }

  func vectors(_ x: Tensor, _ row: Int) -> [[Double]] {
    let (time, width) = (x.shape[1], x.shape[2])
    return (0..<time).map { t in (0..<width).map { Double(x[row, t, $0]) } }
  }

  private func longStream() -> Double {
    var stream: any SequenceStream = subject.layer.stream()
    let x = subject.input("long", batch: 1, time: 64)
    let steps = (0..<64).map { cut(x, $0..<$0 + 1).scalars }
    for t in 0..<long {
      let y = stream.step(steps[t % 64])
      if t % 4096 == 0 && !y.allSatisfy(\.isFinite) { return .infinity }
    }
    return parts(stream.state).allSatisfy(\.isFinite) ? 0 : .infinity
  }
}
