import LetheCore
import LetheData
import LetheNN
import LetheTraining

/// One network trained on one task from one seed: Adam along half a cosine, with the gradient's norm bounded by 1.
struct ComparisonTrial {
  /// What came of it.
  struct Result: Sendable {
    /// The metric on the test examples, at the end.
    var value: Double
    /// The metric on the validation examples as training went on.
    var curve: [Point] = []
    var steps = 0
    /// Of training steps alone.
    var seconds = 0.0
    /// Whether training ended early at numbers that were not finite.
    var isBroken = false
  }

  /// A look at the network on the way.
  struct Point: Sendable {
    var steps: Int
    var seconds: Double
    var value: Double
  }

  /// Sequences of a training step.
  static let batchSize = 32
  /// How often the network is looked at, the end included.
  static let looks = 20

  /// How often that is until a share of the budget is used up: early on, where quick learners differ, more often.
  private static func looks(until share: Double) -> Int { Int(share.squareRoot() * Double(looks)) }

  let contestant: Contestant
  let task: any SequenceTask
  let validation: Dataset
  let test: Dataset
  let budget: ComparisonBudget
  let rate: Float
  let seed: UInt64

  /// Trains; `nil` when it was told to stop.
  func run(report: (_ share: Double, _ last: Double?) -> Void, shouldStop: () -> Bool) throws -> Result? {
    var network = try contestant.network(seed: seed)
    var optimizer = OptimizerState(.adam(rate: rate))
    var result = Result(value: .nan)
    var used = 0.0
    let clock = ContinuousClock()
    while used < 1 && !result.isBroken {
      let batch = task.batch(seed: seed, step: result.steps, count: Self.batchSize)
      let rate = rate * Float(0.5 + 0.5 * Elementary.sinCos(Double.pi * used).cos)
      let start = clock.now
      if step(&network, &optimizer, batch, rate: rate) {
        result.steps += 1
        result.seconds += (clock.now - start) / .seconds(1)
      } else {
        result.isBroken = true
      }
      used = min(budget.share(steps: result.steps, seconds: result.seconds), 1)
      let looks = result.isBroken ? result.curve.count + 1 : Self.looks(until: used)
      if looks > result.curve.count {
        let value = try metric(network, validation)
        // A step longer than the time between two looks stands for all of them.
        let point = Point(steps: result.steps, seconds: result.seconds, value: value)
        result.curve += Array(repeating: point, count: looks - result.curve.count)
      }
      report(used, result.curve.last?.value)
      if shouldStop() { return nil }
    }
    result.value = try metric(network, test)
    return result
  }

  /// One step; `false`, and nothing changed, where loss or gradients are not finite.
  private func step(
    _ network: inout Sequential, _ optimizer: inout OptimizerState, _ batch: Dataset, rate: Float
  ) -> Bool {
    var (loss, gradients) = network.gradients { network, tape in
      let x = tape.constant(batch.inputs, timing: batch.lengths.map { Timing(lengths: $0) })
      let output = network(x)
      switch batch.targets {
      case .classes(let labels, _): return task.loss(output, labels)
      case .values(let values): return task.loss(output, values)
      }
    }
    guard loss.isFinite, gradients.clip(.norm(1)).isFinite else { return false }
    optimizer.update(&network, gradients: gradients, rate: rate)
    return true
  }

  private func metric(_ network: Sequential, _ data: Dataset) throws -> Double {
    if task.answersEachStep {
      return task.shareRight(network.predictions(for: data), data)
    }
    let score = try network.evaluate(data, loss: task.loss)
    return task.isAccuracy ? score.accuracy ?? .nan : score.loss
  }
}
