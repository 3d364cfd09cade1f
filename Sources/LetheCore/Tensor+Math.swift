import CLetheKernels

/// Runs `body` over even parts of `count` scalars, on several threads where that pays.
package func eachPart(_ count: Int, _ body: (Range<Int>) -> Void) {
  Parallel.split(count, grain: 1 << 16) { range in body(range) }
}

extension Tensor {
  package var pointer: UnsafeMutablePointer<Float> { storage.pointer }

  package static func uninitialized(_ shape: [Int]) -> Tensor { Tensor(shape: shape) { _ in } }

  /// Whether every scalar is finite.
  public var isFinite: Bool { kernels.all_finite(storage.pointer, Int64(count)) }

  /// The sum of all scalars, in a fixed order.
  public var sum: Double { kernels.sum(storage.pointer, Int64(count)) }

  /// The sum of the squares of all scalars, in a fixed order.
  public var sumOfSquares: Double { kernels.sum_squares(storage.pointer, Int64(count)) }

  /// The position of the largest scalar in each row of the last dimension; the first of equals.
  public var argmax: [Int] {
    let width = shape.last ?? 1
    return withUnsafeBuffer { x in
      (0..<(width == 0 ? 0 : count / width)).map { row in
        var best = 0
        for i in 1..<max(width, 1) where x[row * width + i] > x[row * width + best] { best = i }
        return best
      }
    }
  }

  package mutating func add(_ other: Tensor) {
    withUnsafeMutableBuffer { x in
      guard let to = x.baseAddress else { return }
      let from = other.pointer
      eachPart(x.count) { range in
        kernels.binary(
          LETHE_ADD, to + range.lowerBound, to + range.lowerBound, from + range.lowerBound, Int64(range.count)
        )
      }
    }
  }

  package func combined(_ operation: lethe_binary, _ other: Tensor) -> Tensor {
    let result = Tensor.uninitialized(shape)
    let (y, a, b) = (result.pointer, pointer, other.pointer)
    eachPart(count) { range in
      let i = range.lowerBound
      kernels.binary(operation, y + i, a + i, b + i, Int64(range.count))
    }
    return result
  }

  package func combined(_ operation: lethe_binary, _ scalar: Float) -> Tensor {
    let result = Tensor.uninitialized(shape)
    let (y, a) = (result.pointer, pointer)
    eachPart(count) { range in
      kernels.binary_scalar(operation, y + range.lowerBound, a + range.lowerBound, scalar, Int64(range.count))
    }
    return result
  }

  /// Elementwise sum.
  ///
  /// - Precondition: the shapes are equal.
  public static func + (a: Tensor, b: Tensor) -> Tensor { a.paired("+", b).combined(LETHE_ADD, b) }
  /// Elementwise difference.
  ///
  /// - Precondition: the shapes are equal.
  public static func - (a: Tensor, b: Tensor) -> Tensor { a.paired("-", b).combined(LETHE_SUB, b) }
  /// Elementwise product.
  ///
  /// - Precondition: the shapes are equal.
  public static func * (a: Tensor, b: Tensor) -> Tensor { a.paired("*", b).combined(LETHE_MUL, b) }
  /// Every scalar times a number.
  public static func * (a: Tensor, b: Float) -> Tensor { a.combined(LETHE_MUL, b) }

  private func paired(_ name: String, _ other: Tensor) -> Tensor {
    require(shape == other.shape, "\(name): expected equal shapes, got \(shape) and \(other.shape)")
    return self
  }

  package func applying(_ f: lethe_unary, slope: Float = 0, offset: Float = 0) -> Tensor {
    let result = Tensor.uninitialized(shape)
    let (y, x) = (result.pointer, pointer)
    eachPart(count) { range in
      kernels.unary(f, y + range.lowerBound, x + range.lowerBound, slope, offset, Int64(range.count))
    }
    return result
  }

  /// Σ over rows of the matrix [rows, columns] this tensor is, the last `columns` being one row.
  package func columnSums(_ columns: Int) -> [Float] {
    var sums = [Float](repeating: 0, count: columns)
    sums.withUnsafeMutableBufferPointer { to in
      guard let to = to.baseAddress, columns > 0 else { return }
      let x = pointer, rows = count / columns
      Parallel.split(columns, grain: rows * columns < 1 << 16 ? columns : 64) { range in
        kernels.column_sums(
          to, x, Int64(rows), Int64(columns), Int64(range.lowerBound), Int64(range.upperBound))
      }
    }
    return sums
  }

  /// The softmax of each row of the last dimension.
  public var softmax: Tensor {
    let width = shape.last ?? 1
    let result = Tensor.uninitialized(shape)
    let (y, x) = (result.pointer, pointer)
    Parallel.split(width == 0 ? 0 : count / width, grain: max(1, 1 << 14 / max(width, 1))) { rows in
      kernels.softmax(
        y + rows.lowerBound * width, x + rows.lowerBound * width, Int64(rows.count), Int64(width))
    }
    return result
  }
}
