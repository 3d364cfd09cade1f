import CLetheKernels
import LetheCore

/// A learned vector for each of `count` symbols.
///
///     y_t = E[x_t]
///
/// *Shapes*: x [batch, time] (or any shape) of indices 0..<count, as floats → [batch, time, width]; `weight`
/// [count, width]. Steps past a sequence's length give zeros, whatever index stands there.
/// *Gradient*: into `weight` only, added row by row in the order of the input.
/// *Cost*: one copy of the output.
public struct Embedding: Layer {
  public static let kind = "embedding"
  public static let isPerStep = true
  /// How many symbols there are.
  public var count: Int
  /// The length of each vector.
  public var width: Int
  /// E; starts normal with deviation 1.
  public var weight = Parameter()

  /// A layer for `count` symbols, as vectors of the given width.
  public init(_ count: Int, _ width: Int) {
    self.count = count
    self.width = width
  }

  /// A layer ready for use.
  public init(count: Int, width: Int, key: RandomKey) {
    self.init(count, width)
    builtOrStop(input: [.any], key: key)
  }

  enum CodingKeys: String, CodingKey { case count, width }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    // A float holds every whole number to 2²⁴.
    guard count > 0, count <= 1 << 24, width > 0 else {
      throw LetheError(
        Self.kind, "sizes are out of range", expected: "a count in 1...16777216 and a width above 0",
        found: "count \(count), width \(width)")
    }
    weight = Parameter(shape: [count, width], .embedding)
    return input + [width]
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("weight", &weight) }

  public func callAsFunction(_ x: Variable) -> Variable { embedding(x, x.with(weight)) }
}

/// The rows of `weight` that the indices in `x` name; see `Embedding`.
///
/// - Precondition: every index of a real step is a whole number in 0..<count.
public func embedding(_ x: Variable, _ weight: Variable) -> Variable {
  require(
    weight.shape.count == 2, "embedding: expected a weight [count, width], got \(weight.shape)")
  let (count, width) = (weight.shape[0], weight.shape[1])
  let steps = CountedUnits(x, unit: 1, in: "embedding")
  var rows = [Int](repeating: -1, count: x.tensor.count)
  x.tensor.withUnsafeBuffer { indices in
    for range in steps.ranges {
      for i in range {
        let row = Int(exactly: indices[i]) ?? -1
        require(
          row >= 0 && row < count,
          "embedding: index \(indices[i]) at place \(i) of the input \(x.shape); expected 0..<\(count)")
        rows[i] = row
      }
    }
  }
  let result = steps.isWhole ? Tensor.uninitialized(x.shape + [width]) : Tensor(zeros: x.shape + [width])
  let table = weight.tensor
  for (i, row) in rows.enumerated() where row >= 0 {
    (result.pointer + i * width).update(from: table.pointer + row * width, count: width)
  }
  return .operation("embedding", [x, weight], result, timing: x.timing) { gradient in
    let sums = Tensor(zeros: [count, width])
    let (to, from) = (sums.pointer, gradient.pointer)
    // Columns never meet, so threads may share them.
    Parallel.split(width, grain: 64) { columns in
      for (i, row) in rows.enumerated() where row >= 0 {
        let at = to + row * width + columns.lowerBound
        kernels.binary(LETHE_ADD, at, at, from + i * width + columns.lowerBound, Int64(columns.count))
      }
    }
    return [nil, sums]
  }
}
