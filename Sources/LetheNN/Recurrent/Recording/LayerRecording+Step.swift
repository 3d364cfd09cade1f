import LetheCore

// Single steps run again from where a recorded sequence stood: what instruments ask of a layer.

extension LayerRecording {
  /// The width of the whole state: units times states, or less where h is narrower.
  public var stateSize: Int { states.indices.reduce(0) { $0 + width(ofState: $1) } }

  private func width(ofState number: Int) -> Int { description.width(ofState: number, units: units) }

  /// The time of a step walked, and whether the sequence starts anew there.
  func step(_ index: Int, row: Int) -> (time: Int, isNew: Bool) {
    let length = timing?.lengths?[row] ?? input.shape[1]
    require((0..<length).contains(index), "step \(index) of a sequence of \(length)")
    let t = isReversed ? length - 1 - index : index
    let boundary = isReversed ? t + 1 : t
    return (t, boundary < length && timing?.resets?[row][boundary] ?? false)
  }

  /// Whether the sequence starts anew before a step walked.
  public func startsAnew(at index: Int, row: Int = 0) -> Bool { step(index, row: row).isNew }

  /// The states before a step walked, h first, each [1, units]; `nil` where states were not kept.
  func states(before index: Int, row: Int) -> [Tensor]? {
    let (_, isNew) = step(index, row: row)
    if isNew { return states.indices.map { Tensor(zeros: [1, width(ofState: $0)]) } }
    if index == 0 { return initial.map { $0.rows(row..<row + 1) } }
    let (t, _) = step(index - 1, row: row)
    var result: [Tensor] = []
    for name in states {
      guard let value = values[name] else { return nil }
      let width = value.shape[2]
      result.append(Self.row(value, (row * input.shape[1] + t) * width, width))
    }
    return result
  }

  private static func row(_ tensor: Tensor, _ start: Int, _ width: Int) -> Tensor {
    Tensor(shape: [1, width]) { $0.baseAddress?.update(from: tensor.pointer + start, count: width) }
  }

  /// What the layer was given at a step walked: [1, features].
  public func input(at index: Int, row: Int) -> Tensor {
    let features = input.shape[2]
    return Self.row(input, (row * input.shape[1] + step(index, row: row).time) * features, features)
  }

  private func pass(batch: Int) -> RecurrentPass {
    RecurrentPass(
      description: description,
      layout: SequenceLayout(batch: batch, time: 1, timing: nil, isReversed: false), inputs: input.shape[2],
      units: units, hiddenMask: nil)
  }

  /// One step run again with other inputs: a batch of sequences of one step each, from the state before step `index`.
  ///
  /// *Shapes*: inputs [count, features]. Returns `nil` where states were not kept.
  public func replayed(step index: Int, row: Int, inputs: Tensor) -> LayerRecording? {
    guard let before = states(before: index, row: row) else { return nil }
    let count = inputs.shape[0], x = inputs.reshaped([count, 1, inputs.shape[1]])
    let initial = before.map { Variable(Tensor(shape: [count, $0.count], repeatingRow: $0)) }
    let result = pass(batch: count).run(
      Variable(x), weights: .init(parts: parts.map { Variable($0) }, cache: cache), initial: initial,
      wantsOutputs: true, keeping: { _ in true })
    var copy = LayerRecording(
      path: path, layer: layer, isReversed: false, input: x, timing: nil, units: units,
      description: description, initial: initial.map(\.tensor), parts: parts, cache: cache)
    copy.values = result.values
    return copy
  }

  /// Takes gradients with respect to the state after step `index` to gradients with respect to the state before it, by the
  /// engine's backward pass: rows of Vᵀ ∂s_t/∂s_{t−1}.
  ///
  /// *Shapes*: [count, stateSize] → the same, states side by side, h first; `nil` where states were not kept.
  public func pulledBack(_ gradients: Tensor, through index: Int, row: Int) -> Tensor? {
    guard let before = states(before: index, row: row) else { return nil }
    let count = gradients.shape[0]
    if step(index, row: row).isNew { return Tensor(zeros: gradients.shape) }
    let tape = Tape(isTraining: false)
    let initial = before.map { tape.watched(Tensor(shape: [count, $0.count], repeatingRow: $0)) }
    let x = Tensor(shape: [count, input.shape[2]], repeatingRow: input(at: index, row: row))
    let result = pass(batch: count).run(
      tape.constant(x.reshaped([count, 1, input.shape[2]])),
      weights: .init(parts: parts.map { Variable($0) }, cache: cache), initial: initial, wantsOutputs: false)
    var first = 0
    let found = tape.gradients(
      of: result.states.map { state in
        first += state.shape[1]
        return (state, gradients.columns(first - state.shape[1]..<first))
      })
    return Variable.concatenated(
      initial.map { Variable(found[$0] ?? Tensor(zeros: $0.shape)) }
    ).tensor
  }

  /// What of a unit of memory is seen in the output of each step, all gates held: (h_t − h_t with c_t = 0) / c_t, and its
  /// derivative where c_t is next to 0; 1 where h itself is the memory. For an LSTM o tanh(c) / c.
  ///
  /// *Shapes*: [steps][units] in the order walked. `nil` where not enough was kept, and where h mixes the units (a projection).
  public func readOut(row: Int = 0) -> [[Double]]? {
    if description.projected != nil { return nil }
    var equations = description.equations
    guard let (state, _) = description.memory(&equations), let c = values[states[state]] else { return nil }
    let times = walk(row: row).map(\.time)
    let (output, memory) = (equations.results[0], equations.results[state])
    if output == memory { return times.map { _ in Array(repeating: 1, count: units) } }
    let one = equations.graph.constant(1)
    let value = flat(c, row: row, times)
    // Means are held like gates.
    let gates = equations.terms.filter { values[$0.name] != nil }.map(\.home)
    let means = equations.graph.below([output], known: Set([memory] + gates)).filter {
      if case .mean = equations.graph.nodes[$0] { true } else { false }
    }
    guard let held = nodes(means, equations, row: row, replacing: [memory: value]) else { return nil }
    var fixed = Dictionary(uniqueKeysWithValues: zip(means, held.map { $0.flatMap { $0 } as [Double]? }))
    fixed.updateValue(nil, forKey: output)
    guard
      let slope = equations.graph.gradients(of: [output: one], to: Set([memory] + means))[memory]
    else { return times.map { _ in Array(repeating: 0, count: units) } }
    let zero = [Double](repeating: 0, count: value.count)
    guard
      let seen = nodes(
        [output, slope], equations, row: row, replacing: fixed.merging([memory: value]) { $1 }),
      let unseen = nodes([output], equations, row: row, replacing: fixed.merging([memory: zero]) { $1 })
    else { return nil }
    return times.indices.map { step in
      (0..<units).map { unit in
        let c = value[step * units + unit]
        return abs(c) < 1e-6 ? seen[1][step][unit] : (seen[0][step][unit] - unseen[0][step][unit]) / c
      }
    }
  }
}

extension Tensor {
  /// The same row in every row.
  fileprivate init(shape: [Int], repeatingRow row: Tensor) {
    let width = row.count
    self.init(shape: shape) { to in
      guard let to = to.baseAddress else { return }
      copyColumns(from: row.pointer, row: 0, to: to, row: width, width: width, rows: shape[0])
    }
  }
}
