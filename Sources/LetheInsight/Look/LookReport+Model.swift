import LetheCore
import LetheNN

extension LookReport {
  /// Looks at a model while it reads one sequence: every instrument that its cells allow, and a note for those they do not.
  ///
  /// - Parameters:
  ///   - headline: model, data and row; answers are filled in where the model names classes.
  ///   - x: one example, `[1, …]`.
  ///   - classes: the names of the classes, for a model that ends in a softmax or is known to choose.
  ///   - others: more examples, for half-lives over data; none: this one alone.
  ///   - basis: what `others` are.
  /// *Cost*: some hundred runs of the example, most of it for gradients.
  /// - Throws: `LetheError` when the model does not take such an input.
  public init(
    _ headline: Headline, of model: Sequential, reading x: Tensor, classes: [String] = [],
    others: Tensor? = nil, basis: String = "this row", seed: UInt64 = 0
  ) throws(LetheError) {
    let recording = model.record(x)
    // Of a model whose recurrent layers cannot be read, those of the example.
    let steps =
      recording.layers.map { $0.input.shape[1] }.max() ?? (recording.unread.isEmpty ? 0 : x.shape[1])
    self.init(headline: headline, steps: steps)
    notes = recording.unread.map { "Not looked into: \($0)." }
    let answer = nameAnswer(model, recording.output, classes)
    if recording.layers.isEmpty {
      notes.append("The model has no recurrent layer that the instruments can read.")
      return
    }
    if recording.layers.contains(where: { $0.input.shape[1] != steps }) {
      notes.append("Layers with fewer steps than the longest are drawn over the first of its steps.")
    }
    layers = recording.layers.map(Self.layer)

    let top = recording.layers.last { !$0.isReversed }
    let traces = recording.layers.map { $0.memory() }
    for (layer, trace) in zip(recording.layers, traces) where trace == nil {
      notes.append(
        "\(layer.name): what a step keeps cannot be told from what it writes, so it has no ledger.")
    }
    if top == nil {
      notes.append("No layer reads from the first step on, so no ledger and no boundaries are drawn.")
    }
    if let top, let trace = top.memory() {
      ledger = Self.ledger(LetheInsight.Ledger(trace), top.name)
      // A plain network's memory is cleared at every step. Features have names where the layer reads what the user knows.
      let keeps = trace.keep.joined().contains { $0 != 0 }
      let isInput = top.input.shape == x.shape && top.input.scalars == x.scalars
      boundaries = keeps ? Self.boundaries(trace, top, namesFeatures: isInput, seed: seed) : nil
    }
    if let answer { try explain(answer, of: model, x) }

    let wide = others.map { model.record($0) } ?? recording
    try certify(model, within: others ?? x, wide)
    for layer in wide.layers {
      let rows = layer.input.shape[0]
      guard let retention = Retention((0..<rows).compactMap { layer.memory(row: $0) }) else { continue }
      memories.append(Self.memory(retention, layer.name, basis))
    }
    for layer in recording.layers {
      guard let flow = LetheInsight.GradientFlow(layer), flow.norms.count > 1 else { continue }
      gradients.append(Self.flow(flow, layer))
    }
  }

  // MARK: One instrument each

  private static func layer(_ recording: LayerRecording) -> Layer {
    func inTime(_ rows: [[Double]], _ trace: MemoryTrace) -> [[Float]] {
      var result = [[Float]](repeating: [], count: trace.count)
      for (time, row) in zip(trace.times, rows) { result[time] = row.map { Float($0) } }
      return result
    }
    let trace = recording.memory()
    let keep = trace.map { inTime($0.keep, $0) }
    var signals: [Signal] = []
    var isKeepShown = false
    for name in recording.gates + recording.others + recording.states {
      guard let values = recording.steps(name, row: 0), !signals.contains(where: { $0.name == name }) else {
        continue
      }
      let isMemory = !isKeepShown && values == keep
      isKeepShown = isKeepShown || isMemory
      signals.append(
        Signal(name, role: isMemory ? .memory : recording.isGate(name) ? .gate : .value, values: values))
    }
    if let trace, let keep, !isKeepShown, trace.keep.joined().contains(where: { $0 != 0 }) {
      signals.insert(Signal("kept of \(trace.state)", role: .memory, values: keep), at: 0)
    }
    return Layer(recording.name, isReversed: recording.isReversed, signals: signals)
  }

  /// The shares of all units, and the entries of the three units that hold most at the end.
  private static func ledger(_ ledger: LetheInsight.Ledger, _ name: String) -> Ledger {
    let trace = ledger.trace, shares = ledger.shares()
    var maps = [Ledger.Map("all units", shares: shares.map { $0.dropFirst().map { Float($0) } })]
    let last = trace.value.last ?? []
    let most = last.indices.sorted { (abs(last[$1]), $0) < (abs(last[$0]), $1) }.prefix(3)
    for unit in most {
      // [initial, step 0, …], one unit's entries at each reading step.
      var entries = [trace.initial[unit]]
      let rows = (0..<trace.count).map { t -> [Float] in
        for k in entries.indices { entries[k] *= trace.keep[t][unit] }
        entries.append(trace.write[t][unit])
        let total = entries.reduce(0) { $0 + abs($1) }
        return entries.dropFirst().map { Float(total > 0 ? $0 / total : 0) }
      }
      maps.append(Ledger.Map("unit \(unit)", shares: rows))
    }
    let hasInitial = trace.initial.contains { $0 != 0 }
    return Ledger(layer: name, maps: maps, initial: hasInitial ? shares.map { Float($0[0]) } : [])
  }

  private static func boundaries(
    _ trace: MemoryTrace, _ layer: LayerRecording, namesFeatures: Bool, seed: UInt64
  ) -> Boundaries {
    let rounds = 200
    let found = LetheInsight.Boundaries(trace, rounds: rounds, seed: seed)
    let features = layer.input.shape[2], steps = Double(max(trace.count, 1))
    let usual = (0..<(namesFeatures ? features : 0)).map { feature -> Float in
      Float(trace.times.reduce(0) { $0 + Double(layer.input[0, $1, feature]) } / steps)
    }
    let mean = (0..<trace.units).map { unit in
      trace.keep.reduce(0) { $0 + $1[unit] } / Double(max(trace.count, 1))
    }
    var closing = [Double](repeating: .nan, count: trace.count)
    for (step, time) in trace.times.enumerated() {
      closing[time] = 1 - min(trace.keep[step].reduce(0) { $0 + abs($1) } / Double(max(trace.units, 1)), 1)
    }
    let events = found.found.map { boundary -> Boundaries.Event in
      let keep = trace.keep[boundary.step]
      let units = mean.indices.filter { keep[$0] < mean[$0] }
        .sorted { (keep[$0] - mean[$0], $0) < (keep[$1] - mean[$1], $1) }
      let strongest = Array(units.prefix(8))
      let causes =
        namesFeatures && features <= 256
        ? layer.closers(of: strongest, step: boundary.step, usual: usual).prefix(3).map {
          "feature \($0.feature)"
        } : []
      return Boundaries.Event(
        step: trace.times[boundary.step], pValue: boundary.probability, units: strongest,
        causes: Array(causes))
    }
    return Boundaries(
      scores: closing, events: events.sorted { $0.step < $1.step }, trials: rounds)
  }

  private static func memory(_ retention: Retention, _ name: String, _ basis: String) -> Memory {
    var memory = Memory(layer: name, halfLives: retention.units.map(\.halfLife))
    let units = retention.units
    memory.neverClose = units.indices.filter { units[$0].neverCloses }
    memory.neverOpen = units.indices.filter { units[$0].neverOpens }
    memory.saturated = units.indices.filter { units[$0].open + units[$0].closed > 0.95 }
    memory.duplicates = retention.duplicates.map { [$0.0, $0.1] }
    memory.horizon = retention.horizon
    memory.basis = basis
    return memory
  }

  /// Beside it a plain tanh network as wide, fresh, on the same input and in the same direction: its factor of a
  /// step is r.
  private static func flow(_ flow: LetheInsight.GradientFlow, _ layer: LayerRecording) -> GradientFlow {
    var rnn = RNN(inputSize: layer.input.shape[2], hiddenSize: min(layer.units, 256))
    rnn.isReversed = layer.isReversed
    let plain = rnn.record(layer.input.rows(0..<1)).layers.first.flatMap { LetheInsight.GradientFlow($0) }
    var result = GradientFlow(
      layer: layer.name, isReversed: layer.isReversed, norms: [], plainRate: plain?.factor)
    // Norms are of the states after each step walked; the first is of the state before the first.
    result.norms = result.turned(Array(flow.norms.dropFirst()))
    result.gateProducts = result.turned(Array(flow.cellPath.dropFirst()))
    return result
  }

  /// For inputs between the least and the largest number in the data.
  private mutating func certify(
    _ model: Sequential, within data: Tensor, _ recording: Recording
  ) throws(LetheError) {
    let scalars = data.scalars
    guard let least = scalars.min(), let most = scalars.max(), least <= most else { return }
    let found = try model.certificates(
      inputRange: .every(least...most), observing: [recording], margin: 0.1)
    func range(_ interval: Interval?) -> ClosedRange<Double>? {
      guard let interval, interval.low <= interval.high else { return nil }
      return interval.low...interval.high
    }
    for layer in found.layers {
      for statement in layer.statements {
        certificates.append(
          Certificate(
            found.layers.count > 1 ? "\(layer.name): \(statement.what)" : statement.what,
            bound: statement.isProved ? range(statement.bound) : nil,
            // A gate that rounds to 1 has an endless half-life in floats, which breaks nothing.
            observed: statement.observed.flatMap { statement.bound.contains($0) ? range($0) : nil }
              ?? (statement.subject == .longestHalfLife ? nil : range(statement.observed)),
            isProved: statement.isProved, remark: Self.remark(statement)))
      }
      notes.append("Bounds of \(layer.name) hold for \(layer.source).")
    }
  }

  /// What a statement says beside its bound.
  private static func remark(_ statement: LetheInsight.Certificate) -> String {
    let text = statement.text
    switch statement.subject {
    case .gate, .state:
      if statement.isProved { return text.firstIndex(of: ",").map { String(text[$0...].dropFirst(2)) } ?? "" }
    case .longestHalfLife:
      if statement.isProved { return "in steps, by the equation: a float may round to 1" }
    default: break
    }
    return text.hasPrefix("not proved") ? String(text.dropFirst("not proved: ".count)) : text
  }

  // MARK: The answer

  /// What the model answered: its name, where it stands among the outputs, and whether it was chosen among them.
  private struct Answered {
    var name: String
    var index: Int
    var isChoice: Bool
  }

  /// Puts the answers into the headline; `nil` where there is none.
  private mutating func nameAnswer(_ model: Sequential, _ output: Tensor, _ classes: [String]) -> Answered? {
    let width = output.shape.last ?? 1, last = model.finalActivation
    let isChoice = last == .softmax || last == .linear && !classes.isEmpty
    guard output.shape.count >= 2, width > 1 || !isChoice else { return nil }
    let final = Variable(output).lastAnswer().tensor
    if isChoice {
      let shares = model.finalActivation == .softmax ? final : final.softmax
      let order = (0..<width).sorted { (shares.scalars[$1], $0) < (shares.scalars[$0], $1) }
      func name(_ index: Int) -> String {
        guard index < classes.count else { return "class \(index)" }
        return classes[index].isEmpty ? "none" : classes[index]
      }
      headline.answers = order.prefix(5).map {
        Answer(name($0), probability: Double(shares.scalars[$0]))
      }
      return Answered(name: name(order[0]), index: order[0], isChoice: true)
    }
    headline.facts.append(Fact("answer", "\(final.scalars[0])"))
    return Answered(name: width > 1 ? "output 0" : "the output", index: 0, isChoice: false)
  }

  /// What the answer's logit rests on, step by step.
  private mutating func explain(_ answer: Answered, of model: Sequential, _ x: Tensor) throws(LetheError) {
    let ledgers = try model.predictionLedgers(x, logits: answer.isChoice) {
      $0.lastAnswer().columns(answer.index..<answer.index + 1).sum()
    }
    // The last layer, in both directions if it has two: each step's share is what either walk wrote there.
    guard let top = ledgers.last else { return }
    let both = ledgers.filter { $0.layer.path == top.layer.path && $0.layer.layer == top.layer.layer }
    guard both.allSatisfy({ $0.ledger.steps.count == steps }) else { return }
    var shares = [Double](repeating: 0, count: steps)
    for (layer, ledger) in both {
      let inTime = layer.isReversed ? ledger.steps.reversed() : ledger.steps
      for (step, share) in inTime.enumerated() { shares[step] += share }
    }
    attribution = Attribution(
      answer: answer.name, contributions: shares,
      remainder: top.ledger.value - shares.reduce(0, +), total: top.ledger.value)
  }
}

extension Variable {
  /// The last step's outputs, where every step is answered: [1, …, width] → [1, width].
  fileprivate func lastAnswer() -> Variable {
    let width = max(shape.last ?? 1, 1)
    return reshaped([tensor.count / width, width]).lastRow()
  }

  /// The last row of a matrix: [rows, width] → [1, width].
  fileprivate func lastRow() -> Variable {
    let (rows, width) = (shape[0], shape[1])
    return .operation("lastRow", [self], tensor.rows(rows - 1..<rows)) { gradient in
      let whole = Tensor(zeros: [rows, width])
      (whole.pointer + (rows - 1) * width).update(from: gradient.pointer, count: width)
      return [whole]
    }
  }
}
