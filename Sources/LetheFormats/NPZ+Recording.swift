import LetheCore
import LetheNN

extension NPZ {
  /// Everything that was recorded, under the names `PATH.layerN.forward.NAME` (or `backward`): PATH is the layer's place in the
  /// model (nothing for a layer by itself), N its number in a stack, NAME that of a gate or state.
  ///
  /// The model's output is `output`. Where sequences have lengths of their own, `lengths.PATH.layerN.forward` has them. A layer
  /// that ran more than once has `run2`, `run3` … behind its direction from the second time on.
  ///
  /// *Shapes*: [batch, time, units]; the output as it is; lengths [batch].
  public init(_ recording: Recording) {
    self.init()
    tensors.append(("output", recording.output))
    var runs: [String: Int] = [:]
    for layer in recording.layers {
      let run = (runs[layer.label] ?? 0) + 1
      runs[layer.label] = run
      let label = layer.label + (run > 1 ? ".run\(run)" : "")
      // A gate that is itself the next state is recorded as that.
      for name in layer.gates.filter({ !layer.states.contains($0) }) + layer.states {
        if let values = layer[name] { tensors.append(("\(label).\(name)", values)) }
      }
      if let lengths = layer.timing?.lengths {
        tensors.append(("lengths.\(label)", Tensor(lengths.map { Float($0) })))
      }
    }
  }
}
