import CLetheKernels
import LetheCore

/// The sizes of one convolution, and its products.
///
/// Everything is a product of a padded image with a packed weight: a row of the left operand is the window of
/// one output, whose k runs over kernel rows and, within one, over neighbouring floats of the image. No
/// matrix of windows is made.
/// *Source*: the product that im2col (Chellapilla, Puri & Simard 2006) writes out, with the matrix left where
/// it lies.
struct Convolution {
  let images, height, width, channels: Int
  let filters, kernelHeight, kernelWidth, stride: Int
  let top, left: Int
  let paddedHeight, paddedWidth: Int
  let outHeight, outWidth: Int

  init(images: Int, height: Int, width: Int, weight: [Int], stride: Int, padding: Conv2D.Padding) {
    self.images = images
    self.height = height
    self.width = width
    (filters, channels, kernelHeight, kernelWidth) = (weight[0], weight[1], weight[2], weight[3])
    self.stride = stride
    let rows = Self.fit(height, kernelHeight, stride, padding)
    let columns = Self.fit(width, kernelWidth, stride, padding)
    (outHeight, top, paddedHeight) = (rows.out, rows.before, rows.padded)
    (outWidth, left, paddedWidth) = (columns.out, columns.before, columns.padded)
  }

  private static func fit(
    _ size: Int, _ kernel: Int, _ stride: Int, _ padding: Conv2D.Padding
  ) -> (out: Int, before: Int, padded: Int) {
    switch padding {
    case .valid: return (size < kernel ? 0 : (size - kernel) / stride + 1, 0, size)
    case .same:
      let out = (size + stride - 1) / stride
      let zeros = max((out - 1) * stride + kernel - size, 0)
      return (out, zeros / 2, size + zeros)
    }
  }

  /// Floats of one image: of the input, the padded input, the output.
  var inputSize: Int { height * width * channels }
  var paddedSize: Int { paddedHeight * paddedWidth * channels }
  var places: Int { outHeight * outWidth }
  var outputSize: Int { places * filters }
  /// Terms of one sum.
  var depth: Int { kernelHeight * kernelWidth * channels }
  /// The images with their zeros around them, [images, padded height, padded width, channels].
  func padded(_ x: Tensor) -> Tensor {
    if paddedHeight == height && paddedWidth == width { return x }
    let result = Tensor.uninitialized([images, paddedHeight, paddedWidth, channels])
    let (to, from) = (result.pointer, x.pointer)
    Parallel.split(images, grain: max(1, 1 << 16 / max(1, paddedSize))) { range in
      (to + range.lowerBound * paddedSize).update(repeating: 0, count: range.count * paddedSize)
      for image in range {
        copyColumns(
          from: from + image * inputSize, row: width * channels,
          to: to + image * paddedSize + (top * paddedWidth + left) * channels, row: paddedWidth * channels,
          width: width * channels, rows: height)
      }
    }
    return result
  }

  /// Packed [kernel row, kernel column, channel] by filter.
  private func forwardPanels(_ weight: Tensor) -> Panels {
    let area = kernelHeight * kernelWidth
    let ordered = Storage(count: weight.count)
    let (to, from) = (ordered.pointer, weight.pointer)
    for filter in 0..<filters {
      for channel in 0..<channels {
        for place in 0..<area {
          to[filter * depth + place * channels + channel] = from[filter * depth + channel * area + place]
        }
      }
    }
    return withExtendedLifetime(ordered) {
      Panels(ordered.pointer, k: 1, column: depth, depth: depth, columns: filters)
    }
  }

  /// Packed [kernel row, kernel column, filter], rows and columns backwards, by channel.
  private func backwardPanels(_ weight: Tensor) -> Panels {
    let area = kernelHeight * kernelWidth
    let ordered = Storage(count: weight.count)
    let (to, from) = (ordered.pointer, weight.pointer)
    for filter in 0..<filters {
      for channel in 0..<channels {
        for place in 0..<area {
          to[(channel * area + area - 1 - place) * filters + filter] =
            from[
              (filter * channels + channel) * area + place]
        }
      }
    }
    return withExtendedLifetime(ordered) {
      Panels(ordered.pointer, k: 1, column: area * filters, depth: area * filters, columns: channels)
    }
  }

  /// a(W x + b), [images, out height, out width, filters].
  ///
  /// Threads take rows of images, whichever image they are of; the function is applied while the rows are in
  /// the cache.
  func forward(_ padded: Tensor, weight: Tensor, bias: Tensor?, _ activation: Pointwise) -> Tensor {
    let result = Tensor.uninitialized([images, outHeight, outWidth, filters])
    let panels = forwardPanels(weight)
    var product = lethe_product()
    product.left = windows(imageWidth: paddedWidth, outWidth: outWidth, channels: channels, stride: stride)
    product.right = panels.operand
    product.initial = bias.map { UnsafePointer($0.pointer) }
    product.initial_group = 16
    product.rowMajor(columns: filters)
    let (image, y) = (padded.pointer, result.pointer)
    let grain = max(1, 1 << 17 / max(1, 2 * outWidth * filters * depth))
    Parallel.split(images * outHeight, grain: grain, perThread: 4) { range in
      var row = range.lowerBound
      while row < range.upperBound {
        let number = row / outHeight, end = min(range.upperBound, (number + 1) * outHeight)
        let first = (row - number * outHeight) * outWidth, last = (end - number * outHeight) * outWidth
        var p = product
        p.left.a = UnsafePointer(image + number * paddedSize)
        p.out = y + number * outputSize
        kernels.product(&p, Int64(first), Int64(last), 0, panels.count)
        let at = p.out + first * filters
        activation.apply(at, count: (last - first) * filters)
        row = end
      }
    }
    withExtendedLifetime((panels, bias)) {}
    return result
  }

  /// The gradients of the input (where wanted), the weight and the bias, from that of the output.
  ///
  /// Images are cut into fixed groups that threads share; each group sums its own weight gradient, and the
  /// groups' sums are joined in order.
  func backward(
    _ gradient: Tensor, y: Tensor, padded: Tensor, weight: Tensor, _ activation: Pointwise, wantsInput: Bool
  ) -> (input: Tensor?, weight: Tensor, bias: Tensor) {
    let blockWidth = (filters + 15) / 16 * 16
    let sumSize = (depth + 1) * blockWidth
    let groups = max(1, min(16, images, max(4, (1 << 24) / sumSize)))
    let sums = Storage(count: groups * sumSize)
    let dx = wantsInput ? Tensor.uninitialized([images, height, width, channels]) : nil
    let back = wantsInput ? backwardPanels(weight) : nil
    let threads = images * outputSize * depth < 1 << 16 ? 1 : Parallel.threads
    Parallel.run(groups, threads: threads) { group in
      let dw = sums.pointer + group * sumSize, db = dw + depth * blockWidth
      db.update(repeating: 0, count: blockWidth)
      let range = images * group / groups..<images * (group + 1) / groups
      if range.isEmpty { dw.update(repeating: 0, count: depth * blockWidth) }
      let scratch = BackwardScratch(self, activation, wantsInput: wantsInput)
      for image in range {
        let dy = scratch.sumGradient(
          activation, gradient.pointer + image * outputSize, y: y.pointer + image * outputSize)
        kernels.column_sums(db, dy, Int64(places), Int64(filters), 0, Int64(filters))
        addWeightGradient(
          dy, padded: padded.pointer + image * paddedSize, isFirst: image == range.lowerBound,
          packed: scratch.packed?.pointer, to: dw, blockWidth: blockWidth)
        if let dx, let back, let dilated = scratch.dilated?.pointer {
          spread(dy, to: dilated)
          inputGradient(dilated, back, to: dx.pointer + image * inputSize)
        }
      }
    }
    for group in 1..<max(groups, 1) {
      kernels.binary(LETHE_ADD, sums.pointer, sums.pointer, sums.pointer + group * sumSize, Int64(sumSize))
    }
    let dw = unpacked(sums.pointer, blockWidth: blockWidth)
    let db = Tensor(shape: [filters]) { to in
      to.baseAddress?.update(from: sums.pointer + depth * blockWidth, count: filters)
    }
    withExtendedLifetime((sums, back)) {}
    return (dx, dw, db)
  }

  /// dw[k, filter] (+)= Σ over places of window[place, k] dy[place, filter].
  private func addWeightGradient(
    _ dy: UnsafePointer<Float>, padded: UnsafePointer<Float>, isFirst: Bool,
    packed: UnsafeMutablePointer<Float>?, to dw: UnsafeMutablePointer<Float>, blockWidth: Int
  ) {
    var product = lethe_product()
    // The forward pass's windows, transposed.
    product.left.a = padded
    product.left.row_width = Int64(kernelWidth * channels)
    product.left.row_block = paddedWidth * channels
    product.left.a_row = 1
    product.left.k_blocks = Int64(outHeight)
    product.left.k_width = Int64(outWidth)
    product.left.k_last = Int64(outWidth)
    product.left.a_block = stride * paddedWidth * channels
    product.left.a_k = stride * channels
    product.right.columns = Int64(blockWidth)
    product.right.panel = 4
    let panels = Int64((blockWidth + 63) / 64)
    if let packed {
      kernels.pack(packed, dy, filters, 1, Int64(places), Int64(filters), 4, 0, panels)
      product.right.w = UnsafePointer(packed)
      product.right.w_panel = 64 * places
    } else {
      product.right.w = dy
      product.right.w_panel = 64
      product.right.w_k = filters
    }
    product.adds = !isFirst
    product.rowMajor(columns: blockWidth)
    product.out = dw
    kernels.product(&product, 0, Int64(depth), 0, panels)
  }

  /// dy where the windows of the input gradient read it: s apart, zeros between and around.
  private func spread(_ dy: UnsafePointer<Float>, to dilated: UnsafeMutablePointer<Float>) {
    let row = (width + kernelWidth - 1) * filters
    let start = dilated + (kernelHeight - 1 - top) * row + (kernelWidth - 1 - left) * filters
    for i in 0..<outHeight {
      let (to, from) = (start + stride * i * row, dy + i * outWidth * filters)
      if stride == 1 {
        to.update(from: from, count: outWidth * filters)
      } else {
        copyColumns(from: from, row: filters, to: to, row: stride * filters, width: filters, rows: outWidth)
      }
    }
  }

  private func inputGradient(
    _ dilated: UnsafePointer<Float>, _ panels: Panels, to dx: UnsafeMutablePointer<Float>
  ) {
    var product = lethe_product()
    product.left = windows(imageWidth: width + kernelWidth - 1, outWidth: width, channels: filters, stride: 1)
    product.left.a = dilated
    product.right = panels.operand
    product.rowMajor(columns: channels)
    product.out = dx
    kernels.product(&product, 0, Int64(height * width), 0, panels.count)
  }

  /// A row for each place of an output `outWidth` wide: the floats of its window, kernel row by kernel row.
  private func windows(imageWidth: Int, outWidth: Int, channels: Int, stride: Int) -> lethe_operand {
    var operand = lethe_operand()
    operand.row_width = Int64(outWidth)
    operand.row_block = stride * imageWidth * channels
    operand.a_row = stride * channels
    operand.k_blocks = Int64(kernelHeight)
    operand.k_width = Int64(kernelWidth * channels)
    operand.k_last = operand.k_width
    operand.a_block = imageWidth * channels
    operand.a_k = 1
    return operand
  }

  /// [kernel row, kernel column, channel][filter, padded] as the weight's shape.
  private func unpacked(_ sums: UnsafePointer<Float>, blockWidth: Int) -> Tensor {
    let area = kernelHeight * kernelWidth
    return Tensor(shape: [filters, channels, kernelHeight, kernelWidth]) { to in
      for filter in 0..<filters {
        for channel in 0..<channels {
          for place in 0..<area {
            to[(filter * channels + channel) * area + place] =
              sums[
                (place * channels + channel) * blockWidth + filter]
          }
        }
      }
    }
  }
}

/// What one thread needs for the backward pass of an image.
private struct BackwardScratch {
  let gradient, packed, dilated: Storage?
  let count: Int

  init(_ shape: Convolution, _ activation: Pointwise, wantsInput: Bool) {
    count = shape.outputSize
    gradient = activation.function == LETHE_IDENTITY ? nil : Storage(count: count)
    // A matrix of whole blocks can be multiplied with as it lies.
    packed = shape.filters % 16 == 0 ? nil : Storage(count: shape.places * ((shape.filters + 15) / 16 * 16))
    let size = (shape.height + shape.kernelHeight - 1) * (shape.width + shape.kernelWidth - 1) * shape.filters
    dilated = wantsInput ? Storage(count: size) : nil
    dilated?.pointer.update(repeating: 0, count: size)
  }

  /// The gradient of an image's sums from that of their function.
  func sumGradient(
    _ activation: Pointwise, _ dy: UnsafePointer<Float>, y: UnsafePointer<Float>
  ) -> UnsafePointer<Float> {
    guard let to = gradient?.pointer else { return dy }
    kernels.unary_backward(activation.function, to, nil, y, dy, activation.slope, Int64(count))
    return UnsafePointer(to)
  }
}

/// A packed right operand.
private final class Panels {
  let operand: lethe_panels
  let count: Int64
  private let storage: Storage

  /// right(i, c) = start[i · k + c · column].
  init(_ start: UnsafePointer<Float>, k: Int, column: Int, depth: Int, columns: Int) {
    let blocks = (columns + 15) / 16
    count = Int64((blocks + 3) / 4)
    storage = Storage(count: blocks * 16 * depth)
    kernels.pack(storage.pointer, start, k, column, Int64(depth), Int64(columns), 4, 0, count)
    operand = lethe_panels(
      w: UnsafePointer(storage.pointer), columns: Int64(columns), panel: 4, w_panel: 64 * depth, w_k: 0,
      w_vec: 0)
  }
}

extension lethe_product {
  fileprivate mutating func rowMajor(columns: Int) {
    out_row = columns
    out_group = 16
    group = 1
    dense = true
  }
}

extension Pointwise {
  func apply(_ start: UnsafeMutablePointer<Float>, count: Int) {
    if function == LETHE_IDENTITY { return }
    kernels.unary(function, start, start, slope, offset, Int64(count))
  }
}
