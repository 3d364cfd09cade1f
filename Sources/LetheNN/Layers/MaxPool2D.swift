import CLetheKernels
import LetheCore

/// The largest number of each window of an image, channel by channel.
///
///     y[i, j, c] = max over 0 ≤ a, b < size of x[size · i + a, size · j + b, c]
///
/// Windows do not overlap; rows and columns that fill no window are left out.
/// *Shapes*: x [batch, height, width, channels] → [batch, height / size, width / size, channels], rounded
/// down.
/// *Gradient*: to the first of equals.
public struct MaxPool2D: Layer {
  public static let kind = "max_pool_2d"
  /// The height and width of a window.
  public var size: Int

  /// A layer with square windows, of size 1...16.
  public init(_ size: Int = 2) { self.size = size }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard (1...16).contains(size) else {
      throw LetheError(Self.kind, "the size is out of range", expected: "1...16", found: "\(size)")
    }
    guard input.count == 3, input[0] >= size, input[1] >= size, input[2] > 0 else {
      throw LetheError(
        Self.kind, "cannot take this input",
        expected: "[height, width, channels] with height and width of \(size) or more", found: "\(input)")
    }
    return [input[0] / size, input[1] / size, input[2]]
  }

  public func callAsFunction(_ x: Variable) -> Variable { maxPool2D(x, size: size) }
}

/// The largest number of each window; see `MaxPool2D`.
///
/// - Precondition: x is [batch, height, width, channels] and the size 1...16.
public func maxPool2D(_ x: Variable, size: Int) -> Variable {
  require(
    x.shape.count == 4 && (1...16).contains(size),
    "maxPool2D: expected [batch, height, width, channels] and a size in 1...16, got \(x.shape) and \(size)")
  let (images, height, width, channels) = (x.shape[0], x.shape[1], x.shape[2], x.shape[3])
  let input = x.tensor
  let result = Tensor.uninitialized([images, height / size, width / size, channels])
  // A byte for each output, four in the place of a float.
  let choices = Storage(count: (result.count + 3) / 4)
  let choice = UnsafeMutableRawPointer(choices.pointer).assumingMemoryBound(to: UInt8.self)
  let (inputStep, outputStep) = (height * width * channels, result.count / max(images, 1))
  let grain = max(1, 1 << 15 / max(inputStep, 1))
  Parallel.split(images, grain: grain) { range in
    let (from, to) = (range.lowerBound * inputStep, range.lowerBound * outputStep)
    kernels.max_pool(
      result.pointer + to, choice + to, input.pointer + from, Int64(range.count), Int64(height), Int64(width),
      Int64(channels), Int64(size))
  }
  let shape = x.shape
  return .operation("maxPool2D", [x], result) { gradient in
    let dx = Tensor.uninitialized(shape)
    withExtendedLifetime(choices) {
      Parallel.split(images, grain: grain) { range in
        let (from, to) = (range.lowerBound * outputStep, range.lowerBound * inputStep)
        kernels.max_pool_backward(
          dx.pointer + to, choice + from, gradient.pointer + from, Int64(range.count), Int64(height),
          Int64(width),
          Int64(channels), Int64(size))
      }
    }
    return [dx]
  }
}
