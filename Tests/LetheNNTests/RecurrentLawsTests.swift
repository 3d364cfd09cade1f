import Lethe
import LetheNN
import LetheTestSupport
import Testing

/// One harness for every cell: the laws that hold whatever its gates are. Sizes are pairwise different and off the
/// vector width.
@Suite struct RecurrentLawsTests {
  static let cells = ["lstm", "lstm_hard", "gru_after", "gru_before", "rnn_tanh", "rnn_relu"]
  let batch = 5
  let time = 7
  let inputs = 3
  let units = 19

  /// A layer of a named cell behind one face.
  struct Subject: Sendable {
    var parameters: [(name: String, value: Tensor)]
    var description: CellDescription
    var hasCell: Bool { description.hasCellState }
    var run: @Sendable (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState)
    var gradients:
      @Sendable (
        _ body: (_ run: (Variable, RecurrentState?) -> (output: Variable, state: RecurrentState), Tape) ->
          Variable
      )
        -> (loss: Float, gradients: [String: Tensor], all: Gradients)
  }

  func subject(
    _ name: String, inputs: Int? = nil, units: Int? = nil, bidirectional: Bool = false,
    weights: [String: Tensor]? = nil
  ) -> Subject {
    let (inputs, units) = (inputs ?? self.inputs, units ?? self.units)
    func wrap<Cell: RecurrentCell>(_ cell: Cell) -> Subject {
      var layer = Recurrent(cell, bidirectional: bidirectional, outputs: .all)
      do {
        _ = try layer.build(input: [.any, inputs])
        if let weights { try layer.load(weights, from: "test") }
      } catch { preconditionFailure("\(error)") }
      if weights == nil {
        layer.forEachParameter { name, parameter in
          parameter.value = numbers(
            "\(cell).\(name)", parameter.shape, scale: name.hasPrefix("bias") ? 0.5 : 0.4)
        }
      }
      let built = layer
      return Subject(
        parameters: built.parameters, description: cell.description, run: { built.run($0, from: $1) },
        gradients: { body in
          let (loss, all) = built.gradients { layer, tape in body({ layer.run($0, from: $1) }, tape) }
          return (loss, all.named(for: built), all)
        })
    }
    switch name {
    case "lstm": return wrap(LSTMCell(units))
    case "lstm_hard": return wrap(LSTMCell(units, gateActivation: .hardSigmoid(slope: 0.3, offset: 0.4)))
    case "gru_after": return wrap(GRUCell(units))
    case "gru_before": return wrap(GRUCell(units, reset: .before))
    case "rnn_tanh": return wrap(RNNCell(units))
    default: return wrap(RNNCell(units, activation: .relu))
    }
  }

  func state(_ subject: Subject, batch: Int, units: Int? = nil) -> RecurrentState {
    let shape = [batch, units ?? self.units]
    return RecurrentState(
      hidden: [Variable(numbers("h0", shape))], cell: subject.hasCell ? [Variable(numbers("c0", shape))] : [])
  }

  func row(_ tensor: Tensor, _ index: Int) -> Tensor { tensor.rows(index..<index + 1) }

  /// Steps `range` of a tensor [batch, time, features].
  func steps(_ tensor: Tensor, _ range: Range<Int>) -> Tensor {
    let (batch, time, width) = (tensor.shape[0], tensor.shape[1], tensor.shape[2])
    return Tensor(
      (0..<batch).flatMap {
        tensor.scalars[($0 * time + range.lowerBound) * width..<($0 * time + range.upperBound) * width]
      },
      shape: [batch, range.count, width])
  }

  @Test(arguments: cells) func noStateIsZeroState(_ cell: String) {
    let subject = subject(cell)
    let x = Variable(numbers("x", [batch, time, inputs]))
    let zeros = Variable(Tensor(zeros: [batch, units]))
    let a = subject.run(x, nil)
    let b = subject.run(x, RecurrentState(hidden: [zeros], cell: subject.hasCell ? [zeros] : []))
    #expect(sameBits(a.output.tensor, b.output.tensor))
    #expect(sameBits(a.state.hidden[0].tensor, b.state.hidden[0].tensor))
  }

  @Test(arguments: cells) func wholeIsChunksIsSteps(_ cell: String) {
    let subject = subject(cell)
    let x = numbers("x", [batch, time, inputs])
    let whole = subject.run(Variable(x), state(subject, batch: batch))
    for cuts in [[0, 3, 7], [0, 1, 2, 3, 4, 5, 6, 7], [0, 6, 7]] {
      var carried = state(subject, batch: batch)
      for (a, b) in zip(cuts, cuts.dropFirst()) {
        let part = subject.run(Variable(steps(x, a..<b)), carried)
        #expect(sameBits(part.output.tensor, steps(whole.output.tensor, a..<b)))
        carried = part.state
      }
      #expect(sameBits(carried.hidden[0].tensor, whole.state.hidden[0].tensor))
      if subject.hasCell { #expect(sameBits(carried.cell[0].tensor, whole.state.cell[0].tensor)) }
    }
  }

  @Test(arguments: cells, [false, true]) func raggedRowIsItsOwnSequence(_ cell: String, _ bidirectional: Bool)
  {
    let subject = subject(cell, bidirectional: bidirectional)
    let x = numbers("x", [batch, time, inputs])
    let lengths = [4, 7, 1, 0, 6]
    let ragged = subject.run(Variable(x, timing: Timing(lengths: lengths)), nil)
    for (index, length) in lengths.enumerated() {
      let output = row(ragged.output.tensor, index)
      #expect(steps(output, length..<time).scalars.allSatisfy { $0 == 0 })
      guard length > 0 else { continue }
      let alone = subject.run(Variable(steps(row(x, index), 0..<length)), nil)
      #expect(sameBits(steps(output, 0..<length), alone.output.tensor))
      for (a, b) in zip(ragged.state.hidden + ragged.state.cell, alone.state.hidden + alone.state.cell) {
        #expect(sameBits(row(a.tensor, index), b.tensor))
      }
    }
  }

  @Test(arguments: cells, [false, true]) func resetIsANewSequence(_ cell: String, _ bidirectional: Bool) {
    let subject = subject(cell, bidirectional: bidirectional)
    let x = numbers("x", [2, time, inputs])
    let resets = [
      [false, false, true, false, true, false, false], [false, false, false, false, false, false, true],
    ]
    let whole = subject.run(Variable(x, timing: Timing(resets: resets)), nil).output.tensor
    for (index, cuts) in [[0, 2, 4, 7], [0, 6, 7]].enumerated() {
      for (a, b) in zip(cuts, cuts.dropFirst()) {
        let alone = subject.run(Variable(steps(row(x, index), a..<b)), nil).output.tensor
        #expect(sameBits(steps(row(whole, index), a..<b), alone))
      }
    }
  }

  @Test(arguments: cells) func backwardIsForwardOfTheReversed(_ cell: String) {
    let both = subject(cell, bidirectional: true)
    let x = numbers("x", [batch, time, inputs])
    func reversed(_ tensor: Tensor) -> Tensor {
      let parts = (0..<time).reversed().map { steps(tensor, $0..<$0 + 1) }
      return Variable.concatenated(parts.map { Variable($0.reshaped([batch, 1, tensor.shape[2]])) }).tensor
        .reshaped(
          [batch, time, tensor.shape[2]])
    }
    #expect(sameBits(reversed(reversed(x)), x))
    // A layer whose forward weights are the backward ones of `both`, fed the reversed input.
    let plain = both.run(Variable(x), nil).output.tensor
    let swapped = swappedDirections(cell).run(Variable(reversed(x)), nil).output.tensor
    let forwardOfSwapped = reversed(Variable(swapped).columns(0..<units).tensor)
    #expect(sameBits(Variable(plain).columns(units..<2 * units).tensor, forwardOfSwapped))
  }

  /// `subject(cell, bidirectional: true)` with the two directions' weights exchanged.
  func swappedDirections(_ cell: String) -> Subject {
    let both = subject(cell, bidirectional: true)
    var named: [String: Tensor] = [:]
    for (name, value) in both.parameters {
      named[name.hasSuffix("_reverse") ? String(name.dropLast(8)) : name + "_reverse"] = value
    }
    return subject(cell, bidirectional: true, weights: named)
  }

  @Test(arguments: cells) func batchMatesDoNotMatter(_ cell: String) {
    let subject = subject(cell)
    let x = numbers("x", [13, time, inputs])
    let together = subject.run(Variable(x), nil)
    for index in [0, 6, 12] {
      let alone = subject.run(Variable(row(x, index)), nil)
      #expect(sameBits(row(together.output.tensor, index), alone.output.tensor))
    }
  }

  /// A batch of one row shares out its units, step by step, where they are many.
  @Test(arguments: ["lstm", "gru_after", "gru_before", "rnn_tanh"], [1, 2])
  func threadsDoNotMatterWhereTheyShareUnits(_ cell: String, batch: Int) {
    let units = 531
    let subject = subject(cell, units: units)
    let x = numbers("x", [batch, 3, inputs])
    let timings: [Timing?] = [
      nil, Timing(lengths: Array([3, 1].prefix(batch))),
      Timing(resets: Array(repeating: [false, false, true], count: batch)),
    ]
    for timing in timings {
      func everything() -> [Tensor] {
        let (_, gradients, _) = subject.gradients { run, tape in
          let (output, state) = run(
            tape.watched(x, timing: timing), self.state(subject, batch: batch, units: units))
          return (output * output).sum() + (state.hidden[0] * state.hidden[0]).sum()
        }
        let plain = subject.run(Variable(x, timing: timing), nil)
        return [plain.output.tensor] + gradients.keys.sorted().compactMap { gradients[$0] }
      }
      expectSameBits { everything() }
    }
  }

  @Test(arguments: cells) func threadsDoNotMatter(_ cell: String) {
    let subject = subject(cell, inputs: 21, units: 70)
    let x = numbers("x", [9, 40, 21])
    func everything(_ threads: Int) -> [Tensor] {
      Parallel.$threads.withValue(threads) {
        var watched: Variable?
        let (_, named, all) = subject.gradients { run, tape in
          let input = tape.watched(x)
          watched = input
          let (y, _) = run(input, nil)
          return (y * y).sum()
        }
        let dx = watched.flatMap { all[$0] }
        return [subject.run(Variable(x), nil).output.tensor, dx].compactMap { $0 }
          + named.sorted { $0.key < $1.key }.map(\.value)
      }
    }
    let one = everything(1)
    #expect(one.count == 6)
    for threads in [2, 3, 5] { for (a, b) in zip(one, everything(threads)) { #expect(sameBits(a, b)) } }
  }

  @Test(arguments: cells) func inferenceIsTraining(_ cell: String) {
    let subject = subject(cell)
    let x = numbers("x", [batch, 300, inputs])
    var recorded: Tensor?
    _ = subject.gradients { run, tape in
      let y = run(tape.constant(x), nil).output
      recorded = y.tensor
      return y.sum()
    }
    #expect(recorded.map { sameBits($0, subject.run(Variable(x), nil).output.tensor) } == true)
  }

  // MARK: The naive twin, in doubles

  func twin(_ subject: Subject, units: Int) -> NaiveTwin {
    let named = Dictionary(
      uniqueKeysWithValues: subject.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
    let names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
    return NaiveTwin(subject.description, units: units, parts: names.map { named[$0] ?? [] })
  }

  func doubles(_ tensor: Tensor) -> [Double] { tensor.scalars.map(Double.init) }

  func vectors(_ tensor: Tensor, row: Int, count: Int) -> [[Double]] {
    let width = tensor.shape[2]
    return (0..<count).map { step in (0..<width).map { Double(tensor[row, step, $0]) } }
  }

  @Test(arguments: cells, [(1, 1, 1, 1), (2, 3, 4, 5), (1, 9, 17, 33), (7, 2, 1, 64), (3, 5, 50, 16)])
  func fastIsNaive(_ cell: String, _ sizes: (Int, Int, Int, Int)) {
    let (batch, time, inputs, units) = sizes
    let subject = subject(cell, inputs: inputs, units: units)
    let x = numbers("x", [batch, time, inputs])
    let initial = state(subject, batch: batch, units: units)
    let fast = subject.run(Variable(x), initial)
    for index in 0..<batch {
      let start = NaiveTwin.State((initial.hidden + initial.cell).map { doubles(row($0.tensor, index)) })
      let slow = twin(subject, units: units).run(vectors(x, row: index, count: time), from: start)
      let expected = Tensor(slow.outputs.flatMap { $0.map { Float($0) } }, shape: [1, time, units])
      #expect(difference(row(fast.output.tensor, index), expected) < 3e-6)
      let final = Tensor(slow.state.h.map { Float($0) }, shape: [1, units])
      #expect(difference(row(fast.state.hidden[0].tensor, index), final) < 3e-6)
    }
  }

  /// Gradients against central differences of the twin, through lengths, resets and random cotangents on
  /// outputs and final state.
  @Test(arguments: cells) func gradientsAreFiniteDifferences(_ cell: String) throws {
    let (batch, time, inputs, units) = (3, 4, 2, 5)
    let subject = subject(cell, inputs: inputs, units: units)
    let lengths = [4, 2, 3]
    let resets = [[false, true, false, false], [false, false, false, false], [true, false, true, false]]
    let x = numbers("x", [batch, time, inputs])
    let cotangents = numbers("gy", [batch, time, units])
    let (final, finalCell) = (numbers("ghn", [batch, units]), numbers("gcn", [batch, units]))
    let initial = state(subject, batch: batch, units: units)

    func loss(_ twin: NaiveTwin, _ x: Tensor, _ initial: [Tensor]) -> Double {
      var total = 0.0
      for index in 0..<batch {
        let start = NaiveTwin.State(initial.map { doubles(row($0, index)) })
        let (outputs, state) = twin.run(
          vectors(x, row: index, count: lengths[index]), from: start,
          resets: Array(resets[index].prefix(lengths[index])))
        for step in 0..<lengths[index] {
          for unit in 0..<units { total += outputs[step][unit] * Double(cotangents[index, step, unit]) }
        }
        for unit in 0..<units {
          total += state.h[unit] * Double(final[index, unit])
          if subject.hasCell { total += state.c[unit] * Double(finalCell[index, unit]) }
        }
      }
      return total
    }

    var watched: [Variable] = []
    let (_, named, all) = subject.gradients { run, tape in
      let input = tape.watched(x, timing: Timing(lengths: lengths, resets: resets))
      let h = tape.watched(initial.hidden[0].tensor)
      let c = subject.hasCell ? [tape.watched(initial.cell[0].tensor)] : []
      watched = [input, h] + c
      let (y, state) = run(input, RecurrentState(hidden: [h], cell: c))
      var loss = (y * Variable(cotangents)).sum() + (state.hidden[0] * Variable(final)).sum()
      if subject.hasCell { loss = loss + (state.cell[0] * Variable(finalCell)).sum() }
      return loss
    }
    let base = twin(subject, units: units)
    let start = [initial.hidden[0].tensor] + (subject.hasCell ? [initial.cell[0].tensor] : [])
    let step = 1e-5

    func central(_ change: (inout NaiveTwin, Double) -> Void) -> Double {
      var (up, down) = (base, base)
      change(&up, step)
      change(&down, -step)
      return (loss(up, x, start) - loss(down, x, start)) / (2 * step)
    }
    for (part, name) in ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"].enumerated() {
      let ours = try #require(named[name]).scalars
      for i in stride(from: 0, to: ours.count, by: 3) {
        let slope = central { $0.parts[part][i] += $1 }
        #expect(abs(Double(ours[i]) - slope) < 2e-5 * (1 + abs(slope)), "\(cell) \(name)[\(i)]")
      }
    }
    // Inputs and states are floats: a coarser step, exact in floats.
    let coarse: Float = 1 / 1024
    for (number, value) in watched.enumerated() {
      let ours = try #require(all[value])
      for i in 0..<ours.count {
        func shifted(_ amount: Float) -> Double {
          var parts = [x] + start
          var scalars = parts[number].scalars
          scalars[i] += amount
          parts[number] = Tensor(scalars, shape: parts[number].shape)
          return loss(base, parts[0], Array(parts.dropFirst()))
        }
        let slope = (shifted(coarse) - shifted(-coarse)) / Double(2 * coarse)
        #expect(
          abs(Double(ours.scalars[i]) - slope) < 1e-3 * (1 + abs(slope)), "\(cell) input \(number)[\(i)]")
      }
    }
  }
}
