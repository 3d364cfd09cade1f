/// Ends training when the validation loss no longer falls.
public struct EarlyStopping: Sendable, Codable, Equatable {
  /// The epochs without improvement after which training ends.
  public var patience: Int
  /// By how much a loss must fall below the best so far to count.
  public var minimumImprovement: Double
  /// Whether the parameters of the best epoch are put back when training ends.
  public var restoresBest: Bool

  /// Patience with the rest at its defaults.
  public init(patience: Int = 5, minimumImprovement: Double = 0, restoresBest: Bool = true) {
    self.patience = patience
    self.minimumImprovement = minimumImprovement
    self.restoresBest = restoresBest
  }
}

/// The lowest loss so far, and how long ago it was.
package struct LowestLoss: Sendable, Codable, Equatable {
  /// The lowest loss; `nil` before the first.
  package private(set) var loss: Double?
  /// The epoch it was seen in, from 1.
  package private(set) var epoch: Int?
  /// The epochs since without improvement.
  package private(set) var wait = 0

  package init() {}

  /// Takes in the loss of an epoch; NaN never improves.
  ///
  /// - Returns: whether it is the new lowest.
  package mutating func observe(_ new: Double, epoch: Int, minimumImprovement: Double = 0) -> Bool {
    guard loss.map({ new < $0 - minimumImprovement }) ?? !new.isNaN else {
      wait += 1
      return false
    }
    (loss, self.epoch, wait) = (new, epoch, 0)
    return true
  }

  /// Starts waiting anew, with the lowest loss kept.
  package mutating func resetWait() { wait = 0 }
}
