import LetheCore
import LetheData
import LetheNN
import LetheTraining

/// A network in training by Adam, the norm of its gradient bounded by 1: what comparisons and laboratories share.
struct Learner<Network: Model> {
  /// The network as it is by now.
  var network: Network
  /// Steps taken.
  private(set) var steps = 0
  /// What the forward pass of a step has held for the way back, at most, in bytes.
  private(set) var heldBytes = 0
  private var optimizer = OptimizerState(.adam())
  private let key: RandomKey

  /// A network that has learned nothing yet; the seed is that of dropout and its like.
  init(_ network: Network, seed: UInt64) {
    self.network = network
    key = RandomKey(seed: seed).child("training")
  }

  /// One step down a loss of one's own, which it gives; `nil`, and nothing changed, where loss or gradients are not
  /// finite.
  mutating func step(rate: Float, of loss: (Network, Tape) throws -> Variable) rethrows -> Float? {
    let before = MemoryUse.now.inUse
    var held = 0
    var (value, gradients) = try network.gradients(key: key.child(steps)) { network, tape in
      let value = try loss(network, tape)
      held = MemoryUse.now.inUse - before
      return value
    }
    heldBytes = max(heldBytes, held)
    guard value.isFinite, gradients.clip(.norm(1)).isFinite else { return nil }
    optimizer.update(&network, gradients: gradients, rate: rate)
    steps += 1
    return value
  }

  /// One step on a batch.
  mutating func step(_ batch: Dataset, _ loss: Loss, rate: Float) -> Float? {
    step(rate: rate) { network, tape in
      let output = network(tape.constant(batch.inputs, timing: batch.lengths.map { Timing(lengths: $0) }))
      switch batch.targets {
      case .classes(let labels, _): return loss(output, labels)
      case .values(let values): return loss(output, values)
      }
    }
  }

  /// A rate that falls to 0 along half a cosine, at the share of the way.
  static func cosine(_ rate: Float, at share: Double) -> Float {
    rate * Float(0.5 + 0.5 * Elementary.sinCos(Double.pi * share).cos)
  }
}
