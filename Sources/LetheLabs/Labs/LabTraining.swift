import LetheCore
import LetheData
import LetheNN
import LetheTraining

/// A training run of a laboratory.
struct LabTraining {
  /// The steps of a training, looks included.
  var steps: Int
  /// The learning rate.
  var rate: Float = 0.005
  /// Whether the rate falls to 0 along half a cosine; where training ends at a goal it stays.
  var falls = true
  /// Steps between two looks.
  var lookEvery = Int.max

  /// Takes steps by `step`, which is given the rate and the number of steps before, until they are over, a look ends it by
  /// `true`, or a step failed at numbers that are not finite.
  ///
  /// - Returns: the steps taken when a look ended it; `nil` where none did.
  @discardableResult
  func run(
    _ setup: LabSetup, _ progress: LabProgress, step: (_ rate: Float, _ before: Int) -> Float?,
    look: (_ steps: Int) -> Bool = { _ in false }
  ) throws -> Int? {
    for before in 0..<steps {
      try setup.goOn()
      let share = Double(before) / Double(steps)
      let rate = falls ? Learner<Sequential>.cosine(rate, at: share) : rate
      if step(rate, before) == nil { return nil }
      progress(share)
      if (before + 1).isMultiple(of: lookEvery), look(before + 1) { return before + 1 }
    }
    return nil
  }

  /// Trains on batches of a task; `look` sees the network.
  ///
  /// - Returns: as the other one.
  @discardableResult
  func run<Network: Model>(
    _ learner: inout Learner<Network>, on task: some SequenceTask, batch: Int = 32, seed: UInt64,
    _ setup: LabSetup, _ progress: LabProgress, look: (Network, Int) -> Bool = { _, _ in false }
  ) throws -> Int? {
    var network = learner
    defer { learner = network }
    return try run(setup, progress) { rate, before in
      network.step(task.batch(seed: seed, step: before, count: batch), task.loss, rate: rate)
    } look: {
      look(network.network, $0)
    }
  }
}

extension Model {
  /// The mean loss and, for classes, the share of right answers over held-out examples.
  func measured(on data: Dataset, _ loss: Loss) -> (loss: Double, accuracy: Double) {
    guard let score = try? evaluate(data, loss: loss) else { return (.nan, .nan) }
    return (score.loss, score.accuracy ?? .nan)
  }
}

extension Module {
  /// The same with numbers of one's own in the parameters named.
  ///
  /// - Precondition: each name is a parameter's, with so many numbers.
  func with(_ numbers: [String: [Float]]) -> Self {
    var copy = self
    var left = Set(numbers.keys)
    copy.forEachParameter { name, parameter in
      guard let values = numbers[name], left.remove(name) != nil else { return }
      parameter.value = Tensor(values, shape: parameter.shape)
    }
    require(left.isEmpty, "with: there is no parameter \(left.min() ?? "")")
    return copy
  }
}

extension Recurrent {
  /// The states of one layer that holds `hidden` and `cell`, one row each.
  static func state(hidden: [Float], cell: [Float]) -> RecurrentState {
    RecurrentState(
      hidden: [Variable(Tensor(hidden, shape: [1, hidden.count]))],
      cell: [Variable(Tensor(cell, shape: [1, cell.count]))])
  }
}

/// The x with σ(x) = share.
func logit(_ share: Double) -> Double { Elementary.log(share) - Elementary.log(1 - share) }

/// The decimal logarithm, at least that of `floor`: for axes.
func log10(_ x: Double, floor: Double = 1e-45) -> Double {
  Elementary.log(max(abs(x), floor)) / Elementary.log(10)
}
