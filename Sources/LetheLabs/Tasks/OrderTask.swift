import LetheCore
import LetheData
import LetheNN

/// Temporal order, three bits: three of the symbols are X or Y, the rest say nothing; the answer is which of the eight
/// orders it was.
///
/// A sequence begins with E and ends with B. The three lie in steps T/10…T/5, 33T/100…43T/100 and 66T/100…76T/100,
/// counted from 0; all other steps show a, b, c or d.
///
/// *Shapes*: [count, length, 8]: a, b, c, d, X, Y, E, B.
/// *Source*: Hochreiter & Schmidhuber 1997, experiment 6b, whose sequences have 100 to 110 steps.
public struct OrderTask: SequenceTask {
  public let name = "order"
  public let meaning = "say in which order three symbols X or Y came, among others that say nothing"
  public let inputSize = 8
  public let outputSize = 8
  public let loss = Loss.categoricalCrossEntropy
  public let baseline = 1.0 / 8
  public let goal = 0.95
  public let length: Int

  /// Sequences of the given length, 10 or more.
  public init(length: Int = 50) { self.length = length }

  /// Where the three symbols may lie.
  var windows: [ClosedRange<Int>] {
    [(10, 20), (33, 43), (66, 76)].map { length * $0 / 100...length * $1 / 100 }
  }

  public func examples(_ count: Int, key: RandomKey) -> Dataset {
    var draws = Draws(key, count: count * (length + 6))
    var labels: [Int32] = []
    var x = [Float](repeating: 0, count: count * length * inputSize)
    for row in 0..<count {
      var symbols = (0..<length).map { _ in draws.below(4) }
      var label = 0
      for window in windows {
        let (place, bit) = (window.lowerBound + draws.below(window.count), draws.below(2))
        symbols[place] = 4 + bit
        label = label * 2 + bit
      }
      symbols[0] = 6
      symbols[length - 1] = 7
      for (t, symbol) in symbols.enumerated() { x[(row * length + t) * inputSize + symbol] = 1 }
      labels.append(Int32(label))
    }
    return Dataset(
      inputs: Tensor(x, shape: [count, length, inputSize]), targets: .classes(labels, count: 8))
  }
}
