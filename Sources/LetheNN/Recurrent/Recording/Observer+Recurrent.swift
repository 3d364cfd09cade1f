import LetheCore

extension Observer {
  /// Adds a gate beside the cell's own to the layer that ran last.
  func add(_ name: String, _ value: Tensor) {
    guard let last = recordings.indices.last, keeps(name) else { return }
    recordings[last].others.append(name)
    recordings[last].values[name] = value
  }

  /// One layer in one direction: by the engine or, where something is changed or gradients of gates are wanted, by its twin
  /// on the tape.
  ///
  /// - Parameter initial: all states, h first, or none: zeros.
  func run(
    _ pass: RecurrentPass, _ x: Variable, _ weights: RecurrentPass.Weights, initial: [Variable],
    wantsOutputGate: Bool, layer: Int, isReversed: Bool
  ) -> RecurrentPass.Result {
    let changes = own(layer: layer, isReversed: isReversed)
    let states = pass.description.states
    let batch = pass.batch
    var recording = LayerRecording(
      path: place, layer: layer, isReversed: isReversed, input: x.tensor, timing: x.timing, units: pass.units,
      description: pass.description,
      initial: initial.isEmpty
        ? states.indices.map {
          Tensor(zeros: [batch, pass.description.width(ofState: $0, units: pass.units)])
        } : initial.map(\.tensor),
      parts: weights.parts.map(\.tensor), cache: weights.cache)
    defer { recordings.append(recording) }
    if changes.isEmpty && tape == nil {
      let result = pass.run(
        x, weights: weights, initial: initial, wantsOutputs: true, wantsOutputGate: wantsOutputGate,
        keeping: keeps)
      recording.values = result.values
      return result
    }

    let (time, lengths) = (x.shape[1], x.timing?.lengths ?? [])
    require(
      lengths.allSatisfy { $0 == time } && !(x.timing?.resets?.joined().contains(true) ?? false) && time > 0,
      "operated: expected sequences of the full \(time) steps without resets; take them one by one")
    let twin = TapeTwin(
      pass.description, units: pass.units, parts: recording.parts, interventions: changes, tape: tape)
    let run = twin.run(
      x, from: initial.isEmpty ? recording.initial.map { Variable($0) } : initial, isReversed: isReversed)
    func stacked(_ steps: [Variable]) -> Variable {
      .stacked(steps, batch: batch, width: steps.first?.shape[1] ?? pass.units)
    }
    for (name, steps) in run.values.sorted(by: { $0.key < $1.key }) where keeps(name) {
      recording.values[name] = stacked(steps).tensor
    }
    var result = RecurrentPass.Result(outputs: run.outputs, states: run.states)
    if wantsOutputGate { result.outputGate = run.values["output"].map(stacked) }
    if let tape {
      func watch(_ name: String, _ steps: [Variable]) {
        watched.append(
          Watched(path: place, layer: layer, isReversed: isReversed, name: name, changes: steps))
      }
      for (name, steps) in run.watched.sorted(by: { $0.key < $1.key }) { watch(name, steps) }
      let change = tape.watched(Tensor(zeros: run.outputs.shape))
      watch(GateGradient.layerOutput, [change])
      result.outputs = run.outputs + change
      result.states[0] = (run.outputs + change).unstacked()[isReversed ? 0 : time - 1]
    }
    return result
  }
}
