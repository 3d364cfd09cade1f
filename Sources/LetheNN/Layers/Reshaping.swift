import LetheCore

/// Everything of an example in one row.
///
/// *Shapes*: x [batch, …] → [batch, product of the rest].
public struct Flatten: Layer {
  public static let kind = "flatten"

  /// A layer without options.
  public init() {}

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.allSatisfy({ $0 > 0 }), let width = product(of: input) else {
      throw LetheError(
        Self.kind, "cannot take this input", expected: "sizes that are known and above 0", found: "\(input)")
    }
    return [width]
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    require(!x.shape.isEmpty, "flatten: expected [batch, …], got one number")
    return x.reshaped([x.shape[0], x.shape.dropFirst().reduce(1, *)])
  }
}

/// An image as the sequence of its rows, top to bottom, for a recurrent layer to read.
///
/// *Shapes*: x [batch, height, width, channels] → [batch, height (time), width · channels (features)]; images
/// without channels, [batch, height, width], are such sequences already and stay as they are.
public struct Rows: Layer {
  public static let kind = "rows"
  public static let isPerStep = true

  /// A layer without options.
  public init() {}

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count == 2 || input.count == 3, input.dropFirst().allSatisfy({ $0 > 0 }),
      let width = product(of: input.dropFirst())
    else {
      throw LetheError(
        Self.kind, "cannot take this input", expected: "[height, width, channels]", found: "\(input)")
    }
    return [input[0], width]
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    require(
      x.shape.count == 3 || x.shape.count == 4,
      "rows: expected [batch, height, width, channels], got \(x.shape)")
    return x.reshaped([x.shape[0], x.shape[1], x.shape.dropFirst(2).reduce(1, *)])
  }
}

/// The product of sizes; `nil` if it overflows.
func product(of sizes: some Sequence<Int>) -> Int? {
  var result = 1
  for size in sizes {
    let (product, overflow) = result.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    result = product
  }
  return result
}
