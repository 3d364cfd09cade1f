import LetheCore
import LetheData

/// The right answers of a dataset, step by step.
struct StepAnswers {
  private let targets: Tensor
  private let count: Int

  /// `nil` for targets that are not [rows, time, answers].
  init?(_ data: Dataset) {
    guard case .values(let values) = data.targets, values.shape.count == 3, values.shape[2] > 0 else {
      return nil
    }
    (targets, count) = (values, values.shape[2])
  }

  /// The steps at which something is asked, numbered row by row.
  var asked: [Int] { (0..<targets.count / count).filter { !right(at: $0).isEmpty } }

  /// The steps of a row at which something is asked.
  func asked(row: Int) -> [Int] {
    let time = targets.shape[1]
    return (row * time..<(row + 1) * time).filter { !right(at: $0).isEmpty }
  }

  /// The answers that are right at a step.
  func right(at step: Int) -> [Int] { (0..<count).filter { isRight($0, at: step) } }

  func isRight(_ answer: Int, at step: Int) -> Bool { targets.pointer[step * count + answer] > 0 }
}

/// Strings of symbols, one after the other, with what is right to answer at each.
struct SymbolStrings {
  private var rows: [[(symbol: Int, right: [Int])]] = []

  /// Begins a row.
  mutating func begin() { rows.append([]) }

  /// Adds a symbol to the last row, and the answers that are right after it; none where nothing is asked.
  mutating func add(_ symbol: Int, _ right: [Int] = []) { rows[rows.count - 1].append((symbol, right)) }

  /// The symbols as 1 in one of `inputs` places, the answers as equal probabilities of `outputs` ones.
  ///
  /// *Shapes*: inputs [rows, longest, inputs], targets [rows, longest, outputs].
  func dataset(inputs: Int, outputs: Int) -> Dataset {
    let lengths = rows.map(\.count), time = lengths.max() ?? 0
    var x = [Float](repeating: 0, count: rows.count * time * inputs)
    var y = [Float](repeating: 0, count: rows.count * time * outputs)
    for (row, steps) in rows.enumerated() {
      for (t, step) in steps.enumerated() {
        let at = row * time + t
        x[at * inputs + step.symbol] = 1
        for answer in step.right { y[at * outputs + answer] = 1 / Float(step.right.count) }
      }
    }
    return Dataset(
      inputs: Tensor(x, shape: [rows.count, time, inputs]),
      targets: .values(Tensor(y, shape: [rows.count, time, outputs])),
      lengths: lengths.allSatisfy { $0 == time } ? nil : lengths)
  }
}
