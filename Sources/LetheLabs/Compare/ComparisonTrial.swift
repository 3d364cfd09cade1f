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
    /// What the forward pass of a training step has held for the way back, at most, in bytes.
    var heldBytes = 0
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
    var learner = Learner(try contestant.network(seed: seed), seed: seed)
    var result = Result(value: .nan)
    var used = 0.0
    let clock = ContinuousClock()
    while used < 1 && !result.isBroken {
      let batch = task.batch(seed: seed, step: result.steps, count: Self.batchSize)
      let rate = Learner<Sequential>.cosine(rate, at: used)
      let start = clock.now
      if learner.step(batch, task.loss, rate: rate) != nil {
        result.steps += 1
        result.seconds += (clock.now - start) / .seconds(1)
      } else {
        result.isBroken = true
      }
      used = min(budget.share(steps: result.steps, seconds: result.seconds), 1)
      let looks = result.isBroken ? result.curve.count + 1 : Self.looks(until: used)
      if looks > result.curve.count {
        let value = try metric(learner.network, validation)
        // A step longer than the time between two looks stands for all of them.
        let point = Point(steps: result.steps, seconds: result.seconds, value: value)
        result.curve += Array(repeating: point, count: looks - result.curve.count)
      }
      report(used, result.curve.last?.value)
      if shouldStop() { return nil }
    }
    result.heldBytes = learner.heldBytes
    result.value = try metric(learner.network, test)
    return result
  }

  private func metric(_ network: Sequential, _ data: Dataset) throws -> Double {
    if task.answersEachStep {
      return task.shareRight(network.predictions(for: data), data)
    }
    let score = try network.evaluate(data, loss: task.loss)
    return task.isAccuracy ? score.accuracy ?? .nan : score.loss
  }
}
