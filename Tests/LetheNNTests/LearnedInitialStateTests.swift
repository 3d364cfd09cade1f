import Lethe
import LetheTestSupport
import Testing

/// A layer that learns what a sequence begins with begins with it wherever a sequence begins.
@Suite struct LearnedInitialStateTests {
  static let units = 5, inputs = 3, time = 8
  let x = numbers("begin.x", [3, time, inputs])
  let lengths = [8, 5, 0]
  let resets = [
    [false, false, true, false, false, false, true, false],
    [true, false, false, true, false, true, true, true],
    [true, true, false, false, false, false, false, false],
  ]
  /// Where the pieces of each row begin and end.
  let pieces = [[0..<2, 2..<6, 6..<8], [0..<3, 3..<5], []]

  /// Forward, backward in time, and both.
  static let ways = [[false], [true], [false, true]]

  private func layer(_ bidirectional: Bool, layers: Int = 1, reversed: Bool = false) throws
    -> Recurrent<LSTMCell>
  {
    var layer = Recurrent(
      LSTMCell(Self.units), layers: layers, bidirectional: bidirectional, outputs: .all, reversed: reversed)
    layer.learnsInitialState = true
    _ = try layer.build(input: [.any, Self.inputs])
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("begin.\(name)", parameter.shape, scale: 0.7)
    }
    return layer
  }

  private func steps(_ x: Tensor, _ row: Int, _ range: Range<Int>) -> Tensor {
    let (time, width) = (x.shape[1], x.shape[2])
    let from = (row * time + range.lowerBound) * width
    return Tensor(Array(x.scalars[from..<from + range.count * width]), shape: [1, range.count, width])
  }

  private var timing: Timing { Timing(lengths: lengths, resets: resets) }

  @Test(arguments: ways) func aResetIsANewSequence(ways: [Bool]) throws {
    try check(x, timing, pieces, ways)
  }

  /// Each piece of a row is a sequence alone, and the state is that of the piece that a direction ends with.
  private func check(_ x: Tensor, _ timing: Timing, _ pieces: [[Range<Int>]], _ ways: [Bool]) throws {
    let layer = try layer(ways.count == 2, reversed: ways == [true])
    let whole = layer.run(Variable(x, timing: timing))
    let y = whole.output.tensor
    #expect(whole.output.timing == timing)
    for row in 0..<2 {
      for piece in pieces[row] {
        let alone = layer.run(Variable(steps(x, row, piece)))
        #expect(sameBits(steps(y, row, piece), alone.output.tensor), "\(row) \(piece)")
        for (way, isReversed) in ways.enumerated()
        where piece == (isReversed ? pieces[row].first : pieces[row].last) {
          for (a, b) in [
            (whole.state.hidden[way], alone.state.hidden[way]),
            (whole.state.cell[way], alone.state.cell[way]),
          ] {
            #expect(sameBits(a.tensor.rows(row..<row + 1), b.tensor))
          }
        }
      }
      let end = pieces[row].last?.upperBound ?? 0
      #expect(steps(y, row, end..<x.shape[1]).scalars.allSatisfy { $0 == 0 })
    }
    // An empty row's state is what it would have begun with.
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    for (state, name) in [(whole.state.hidden[0], "hidden"), (whole.state.cell[0], "cell")] {
      let begin = try #require(named["initial_\(name)_l0"])
      #expect(state.tensor.rows(2..<3).scalars == begin.scalars)
    }
  }

  // MARK: Pieces of very different lengths, which go in groups

  static let longTime = 60
  let long = numbers("begin.long", [3, longTime, inputs])
  let uneven = [[0..<1, 1..<2, 2..<3, 3..<5, 5..<9, 9..<60], [0..<40, 40..<41, 41..<42, 42..<43], []]
  private var unevenTiming: Timing {
    let starts = uneven.map { $0.map(\.lowerBound).filter { $0 > 0 } }
    return Timing(
      lengths: [60, 43, 0], resets: starts.map { starts in (0..<Self.longTime).map { starts.contains($0) } })
  }

  @Test(arguments: ways) func unevenPiecesAreSequencesToo(ways: [Bool]) throws {
    try check(long, unevenTiming, uneven, ways)
  }

  /// Long and short pieces together hold little more than the same steps in one piece.
  @Test func shortPiecesAreNotFilledUpToLongOnes() async {
    await #expect(processExitsWith: .success) {
      var layer = Recurrent(LSTMCell(8), outputs: .all)
      layer.learnsInitialState = true
      _ = try layer.build(input: [.any, 8])
      layer.initialize(key: RandomKey(seed: 1))
      let built = layer, x = numbers("cost", [1, 2000, 8])
      func held(_ resets: [Bool]) -> Int {
        let before = MemoryUse.now.inUse
        var held = 0
        _ = built.gradients { layer, tape in
          let y = layer(tape.constant(x, timing: Timing(resets: [resets]))).sum()
          held = MemoryUse.now.inUse - before
          return y
        }
        return held
      }
      let one = held((0..<2000).map { $0 == 5 }), many = held((0..<2000).map { $0 < 1000 && $0 % 10 == 0 })
      #expect(one > 0 && many < 2 * one, "\(many) bytes, and \(one) in two pieces")
    }
  }

  // MARK: What is given

  /// What is given stands before the first step that no reset cuts off, and with what is learned put there by hand it is
  /// the same as nothing given.
  @Test(arguments: [false, true]) func aGivenStateLeadsInOnce(bidirectional: Bool) throws {
    let layer = try layer(bidirectional)
    let count = bidirectional ? 2 : 1
    let state = RecurrentState(
      hidden: (0..<count).map { Variable(numbers("h\($0)", [3, Self.units])) },
      cell: (0..<count).map { Variable(numbers("c\($0)", [3, Self.units])) })
    let y = layer.run(Variable(x, timing: timing), from: state)
    let none = layer.run(Variable(x, timing: timing))
    func own(_ row: Int) -> RecurrentState {
      func one(_ parts: [Variable]) -> [Variable] { parts.map { Variable($0.tensor.rows(row..<row + 1)) } }
      return RecurrentState(hidden: one(state.hidden), cell: one(state.cell))
    }
    let units = Self.units
    func forward(_ t: Tensor) -> [Float] { t.columns(0..<units).scalars }
    func backward(_ t: Tensor) -> [Float] { t.columns(units..<2 * units).scalars }
    // Row 0 is led into, row 1 is reset at once.
    let led = layer.run(Variable(steps(x, 0, 0..<2)), from: own(0)).output.tensor
    #expect(forward(steps(y.output.tensor, 0, 0..<2)) == forward(led))
    #expect(
      forward(steps(y.output.tensor, 1, 0..<3)) == forward(steps(none.output.tensor, 1, 0..<3)))
    #expect(
      forward(steps(y.output.tensor, 0, 2..<8)) == forward(steps(none.output.tensor, 0, 2..<8)))
    if bidirectional {
      for (row, last) in [(0, 6..<8), (1, 3..<5)] {
        let led = layer.run(Variable(steps(x, row, last)), from: own(row)).output.tensor
        #expect(backward(steps(y.output.tensor, row, last)) == backward(led))
      }
      #expect(
        backward(steps(y.output.tensor, 0, 0..<6)) == backward(steps(none.output.tensor, 0, 0..<6)))
    }
    #expect(y.state.hidden[0].tensor.rows(2..<3).scalars != none.state.hidden[0].tensor.rows(2..<3).scalars)
  }

  /// Gradients are those of the pieces, each a sequence of its own.
  @Test(arguments: [1, 2], [false, true]) func gradientsAreThoseOfThePieces(layers: Int, isLong: Bool) throws
  {
    let layer = try layer(layers == 1, layers: layers)
    let x = isLong ? long : x, timing = isLong ? unevenTiming : timing, pieces = isLong ? uneven : pieces
    func loss(_ y: Variable, _ weights: Tensor) -> Variable { (y * y * Variable(weights)).sum() }
    let width = layers == 1 ? 2 * Self.units : Self.units
    let weights = numbers("begin.loss", [3, x.shape[1], width])
    let (_, together) = layer.gradients { layer, tape in
      loss(layer(tape.constant(x, timing: timing)), weights)
    }
    var sums: [String: Tensor] = [:]
    for row in 0..<2 {
      for piece in pieces[row] {
        let (_, own) = layer.gradients { layer, tape in
          loss(layer(tape.constant(steps(x, row, piece))), steps(weights, row, piece))
        }
        for (name, gradient) in own.named(for: layer) {
          sums[name] = sums[name].map { $0 + gradient } ?? gradient
        }
      }
    }
    for (name, gradient) in together.named(for: layer) {
      #expect(difference(gradient, try #require(sums[name])) < 2e-6, "\(name)")
      if name.hasPrefix("initial") { #expect(gradient.scalars.contains { abs($0) > 1e-4 }, "\(name)") }
    }
  }

  /// Into the input and a given state: against differences.
  @Test func gradientsReachInputAndState() throws {
    let layer = try layer(true)
    let state = (0..<4).map { numbers("g\($0)", [3, Self.units]) }
    func run(_ x: Variable, _ state: [Variable]) -> Variable {
      let (y, end) = layer.run(
        x, from: RecurrentState(hidden: Array(state[..<2]), cell: Array(state[2...])))
      return (end.hidden + end.cell).reduce((y * y).sum()) { $0 + ($1 * $1).sum() }
    }
    let tape = Tape()
    let input = tape.watched(x, timing: timing), given = state.map { tape.watched($0) }
    let all = tape.gradients(of: run(input, given))
    for (number, value) in ([input] + given).enumerated() {
      let ours = try #require(all[value]).scalars
      for index in stride(from: 0, to: ours.count, by: 7) {
        func at(_ amount: Float) -> Float {
          var tensors = [x] + state
          tensors[number].withUnsafeMutableBuffer { $0[index] += amount }
          return run(
            Variable(tensors[0], timing: timing), tensors.dropFirst().map { Variable($0) }
          ).tensor.scalar
        }
        let slope = (at(1 / 64) - at(-1 / 64)) * 32
        #expect(abs(ours[index] - slope) < 3e-3 * (1 + abs(slope)), "\(number)[\(index)]")
      }
    }
  }

  /// Recurrent dropout and zoneout draw as they do without resets: a mask a row, a coin a step.
  @Test func randomMasksFollowTheirRows() throws {
    var layer = try layer(false)
    layer.dropout.recurrent = 0.5
    func trained(_ timing: Timing?) -> Tensor {
      layer(Tape(key: RandomKey(seed: 3)).constant(x, timing: timing)).tensor
    }
    let plain = trained(nil), cut = trained(Timing(resets: resets))
    #expect(sameBits(steps(plain, 0, 0..<2), steps(cut, 0, 0..<2)))
    #expect(!sameBits(steps(plain, 0, 2..<3), steps(cut, 0, 2..<3)))
  }

  /// A reset at the first step, with nothing before it, is none: also for instruments.
  @Test(arguments: ways) func aResetAtTheFirstStepIsNone(ways: [Bool]) throws {
    let layer = try layer(ways.count == 2, layers: 2, reversed: ways == [true])
    // Past the end of the second row nothing begins.
    let flags = Timing(lengths: [8, 3, 0], resets: resets.map { _ in (0..<8).map { $0 == 0 } })
    var late = flags
    late.resets?[1][3] = true
    let lengths = Timing(lengths: flags.lengths)
    let plain = layer.record(x, timing: lengths)
    for timing in [flags, late] {
      let seen = layer.record(x, timing: timing)
      #expect(sameBits(seen.output, plain.output))
      #expect(sameBits(layer(Variable(x, timing: timing)).tensor, plain.output))
      #expect(layer(Variable(x, timing: timing)).timing == timing)
      for (a, b) in zip(seen.layers, plain.layers) {
        #expect(a.values.mapValues(\.scalars) == b.values.mapValues(\.scalars))
        #expect(!a.startsAnew(at: 0) && a.memory()?.keep == b.memory()?.keep)
      }
      let gates = layer.gateValues(Variable(x, timing: timing))
      #expect(
        gates.mapValues(\.scalars)
          == layer.gateValues(Variable(x, timing: lengths)).mapValues(\.scalars))
    }
  }

  @Test func instrumentsTakePiecesOneByOne() async {
    await #expect(processExitsWith: .failure) {
      var layer = Recurrent(LSTMCell(3), outputs: .all)
      layer.learnsInitialState = true
      _ = try layer.build(input: [.any, 2])
      layer.initialize(key: RandomKey(seed: 1))
      _ = layer.record(Tensor(zeros: [1, 2, 2]), timing: Timing(resets: [[false, true]]))
    }
  }

  @Test func streamsAndWholeSequencesBeginAlike() throws {
    let layer = try layer(false)
    var stream = layer.stream()
    var marked: [Float] = []
    for t in 0..<Self.time {
      if resets[0][t] { stream.reset() }
      marked += stream.step((0..<Self.inputs).map { x[0, t, $0] })
    }
    let whole = layer.run(Variable(x.rows(0..<1), timing: Timing(resets: [resets[0]])))
    #expect(whole.output.tensor.scalars == marked)
  }
}
