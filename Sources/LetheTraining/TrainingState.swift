import LetheCore
import LetheNN

/// All that training carries from step to step besides the parameters: with both, it goes on bit by bit.
struct TrainingState {
  /// The part that is numbers.
  var counts = TrainingCounts()
  /// What the optimizer remembers.
  var optimizer: OptimizerState
  /// The parameters of the best epoch, where they will be put back.
  var best: [String: Tensor] = [:]

  init(_ optimizer: Optimizer) { self.optimizer = OptimizerState(optimizer) }
}

/// Where training stands.
struct TrainingCounts: Codable {
  /// The epochs done.
  var epoch = 0
  /// The batches done of the epoch after them.
  var batch = 0
  /// The steps done over all epochs.
  var step = 0
  /// What the batches of this epoch gave.
  var score = Score()
  /// The time this epoch has taken; in no way part of a result.
  var seconds = 0.0
  /// The plateaus so far.
  var plateau = PlateauState()
  /// The lowest validation loss so far.
  var lowest = LowestLoss()
  /// The epochs so far.
  var history = History()
}
