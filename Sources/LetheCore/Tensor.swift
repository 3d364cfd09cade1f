/// An array of 32-bit floats with a shape: row-major, contiguous, with value semantics.
///
/// Copies share memory until one of them is changed. The memory comes from a pool that keeps freed
/// buffers, so a training step in steady state asks the system for nothing.
///
///     var t = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
///     t[1, 2] = 9
///     t.reshaped([3, 2]).scalars  // [1, 2, 3, 4, 5, 9]
///
/// *Shapes* are written `[batch, time, features]`. A tensor of shape `[]` is one number.
public struct Tensor: Sendable {
  /// The size of each dimension, outermost first.
  public private(set) var shape: [Int]
  package var storage: Storage

  /// The number of scalars: the product of the shape.
  public var count: Int { storage.count }

  /// A tensor whose scalars `body` writes; they are undefined before, so it must write every one.
  ///
  /// - Precondition: no dimension is negative.
  public init(shape: [Int], initializingWith body: (UnsafeMutableBufferPointer<Float>) throws -> Void)
    rethrows
  {
    require(shape.allSatisfy { $0 >= 0 }, "Tensor: a dimension of \(shape) is negative")
    self.shape = shape
    storage = Storage(count: shape.reduce(1, *))
    try body(UnsafeMutableBufferPointer(start: storage.pointer, count: storage.count))
  }

  /// A tensor of the given scalars in row-major order.
  ///
  /// - Precondition: the shape holds as many scalars as are given.
  public init(_ scalars: [Float], shape: [Int]) {
    require(
      scalars.count == shape.reduce(1, *), "Tensor: \(scalars.count) scalars do not fill the shape \(shape)")
    self.init(shape: shape) { to in _ = to.initialize(fromContentsOf: scalars) }
  }

  /// A tensor of one dimension.
  public init(_ scalars: [Float]) { self.init(scalars, shape: [scalars.count]) }

  /// A tensor with the same number everywhere.
  public init(repeating value: Float, shape: [Int]) {
    self.init(shape: shape) { $0.initialize(repeating: value) }
  }

  /// A tensor of zeros.
  public init(zeros shape: [Int]) { self.init(repeating: 0, shape: shape) }

  /// One number, as a tensor of shape `[]`.
  public init(_ value: Float) { self.init(repeating: value, shape: []) }

  /// The scalars in row-major order.
  public var scalars: [Float] { withUnsafeBuffer { Array($0) } }

  /// The only scalar.
  ///
  /// - Precondition: there is exactly one.
  public var scalar: Float {
    require(count == 1, "Tensor.scalar: the tensor of shape \(shape) holds \(count) scalars, not one")
    return storage.pointer[0]
  }

  /// The scalar at the given position, one index a dimension.
  public subscript(_ indices: Int...) -> Float {
    get { storage.pointer[offset(of: indices)] }
    set {
      let offset = offset(of: indices)
      makeUnique()
      storage.pointer[offset] = newValue
    }
  }

  private func offset(of indices: [Int]) -> Int {
    require(
      indices.count == shape.count, "Tensor: \(indices.count) indices for the shape \(shape)")
    var offset = 0
    for (index, size) in zip(indices, shape) {
      require(index >= 0 && index < size, "Tensor: index \(indices) is outside the shape \(shape)")
      offset = offset * size + index
    }
    return offset
  }

  /// Calls `body` with the scalars in row-major order.
  public func withUnsafeBuffer<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    try withExtendedLifetime(storage) {
      try body(UnsafeBufferPointer(start: storage.pointer, count: storage.count))
    }
  }

  /// Calls `body` with the scalars in row-major order, to change in place.
  public mutating func withUnsafeMutableBuffer<R>(
    _ body: (UnsafeMutableBufferPointer<Float>) throws -> R
  ) rethrows -> R {
    makeUnique()
    return try withExtendedLifetime(storage) {
      try body(UnsafeMutableBufferPointer(start: storage.pointer, count: storage.count))
    }
  }

  private mutating func makeUnique() {
    if !isKnownUniquelyReferenced(&storage) { storage = storage.copy() }
  }

  /// The same scalars under another shape; nothing is copied.
  ///
  /// - Precondition: both shapes hold as many scalars.
  public func reshaped(_ newShape: [Int]) -> Tensor {
    require(
      newShape.reduce(1, *) == count,
      "reshaped: \(shape) holds \(count) scalars, which do not fill \(newShape)")
    var copy = self
    copy.shape = newShape
    return copy
  }

  /// The slices `range` along the first dimension, copied.
  public func rows(_ range: Range<Int>) -> Tensor {
    require(
      !shape.isEmpty && range.lowerBound >= 0 && range.upperBound <= shape[0],
      "rows: \(range) is outside the shape \(shape)")
    let width = shape.dropFirst().reduce(1, *)
    return Tensor(shape: [range.count] + shape.dropFirst()) { to in
      withUnsafeBuffer { from in
        _ = to.initialize(
          fromContentsOf: from[range.lowerBound * width..<range.upperBound * width])
      }
    }
  }
}

extension Tensor: Equatable {
  /// Whether shapes and scalars agree; `-0` equals `0`, and NaN equals nothing.
  public static func == (a: Tensor, b: Tensor) -> Bool {
    a.shape == b.shape && a.withUnsafeBuffer { x in b.withUnsafeBuffer { y in x.elementsEqual(y) } }
  }
}

extension Tensor: CustomStringConvertible {
  /// The shape and the first scalars.
  public var description: String {
    let head = scalars.prefix(8).map { "\($0)" }.joined(separator: ", ")
    return "Tensor\(shape)[\(head)\(count > 8 ? ", …" : "")]"
  }
}
