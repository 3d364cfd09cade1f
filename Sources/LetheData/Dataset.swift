import LetheCore

/// What a network should answer.
public enum Targets: Sendable {
  /// Class numbers from 0 to below `count`: one a row, or one a step, row by row.
  case classes([Int32], count: Int)
  /// Numbers, one slice a row: `[rows, …]`.
  case values(Tensor)
}

/// Rows of inputs with what should be answered to each.
///
///     let digits = Digits.load()
///     let few = digits[rows: [0, 5, 3]]
///     few.inputs.shape  // [3, 8, 8, 1]
///
/// *Shapes*: inputs `[rows, …]`; sequences are `[rows, time, features]`, and `lengths` says how many steps of
/// each row count.
public struct Dataset: Sendable {
  /// The inputs, `[rows, …]`.
  public var inputs: Tensor
  /// What should be answered.
  public var targets: Targets
  /// How many steps of each row count; `nil` where all do.
  public var lengths: [Int]?

  /// Puts the parts together; `validated(name:)` checks that they fit.
  public init(inputs: Tensor, targets: Targets, lengths: [Int]? = nil) {
    self.inputs = inputs
    self.targets = targets
    self.lengths = lengths
  }

  /// The number of rows.
  public var count: Int { inputs.shape.first ?? 0 }

  /// The given rows in the given order; a row may be taken more than once.
  ///
  /// - Precondition: every row exists, and the parts fit together, as `validated(name:)` checks.
  ///
  /// *Cost*: one copy of what is taken.
  public subscript(rows rows: [Int]) -> Dataset {
    require(
      rows.allSatisfy { $0 >= 0 && $0 < count },
      "Dataset: a row of \(rows.prefix(8))… is outside the \(count) rows there are")
    let targets: Targets =
      switch self.targets {
      case .classes(let labels, let classes):
        .classes(gather(rows, from: labels), count: classes)
      case .values(let values): .values(gather(rows, from: values))
      }
    return Dataset(
      inputs: gather(rows, from: inputs), targets: targets, lengths: lengths.map { gather(rows, from: $0) })
  }

  /// The rows of a range.
  ///
  /// - Precondition: every row exists, and the parts fit together, as `validated(name:)` checks.
  ///
  /// *Cost*: one copy of what is taken.
  public subscript(range: Range<Int>) -> Dataset { self[rows: Array(range)] }

  /// Slices of a tensor along its first dimension.
  private func gather(_ rows: [Int], from tensor: Tensor) -> Tensor {
    require(
      tensor.shape.first == count,
      "Dataset: \(count) rows of inputs do not fit targets of shape \(tensor.shape)")
    let width = count == 0 ? 0 : tensor.count / count
    return Tensor(shape: [rows.count] + tensor.shape.dropFirst()) { to in
      guard width > 0, let start = to.baseAddress else { return }
      tensor.withUnsafeBuffer { from in
        guard let source = from.baseAddress else { return }
        for (i, row) in rows.enumerated() {
          (start + i * width).initialize(from: source + row * width, count: width)
        }
      }
    }
  }

  /// As many elements a row as there are for each.
  private func gather<T>(_ rows: [Int], from elements: [T]) -> [T] {
    require(
      count == 0 ? elements.isEmpty : elements.count % count == 0,
      "Dataset: \(elements.count) labels or lengths do not fit \(count) rows")
    let width = count == 0 ? 0 : elements.count / count
    if width == 1 { return rows.map { elements[$0] } }
    return rows.flatMap { elements[$0 * width..<($0 + 1) * width] }
  }
}
