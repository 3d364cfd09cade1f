import LetheCore

/// The slow, obvious twin of `conv2D` without activation: the equation of `Conv2D` loop by loop, in doubles.
/// The oracle of its tests.
///
/// *Shapes*: as `conv2D`; dy that of the output.
package func naiveConv2D(
  _ x: Tensor, _ weight: Tensor, _ bias: Tensor, dy: Tensor, stride: Int, padding: Conv2D.Padding
) -> (y: Tensor, dx: Tensor, dweight: Tensor, dbias: Tensor) {
  let shape = Convolution(
    images: x.shape[0], height: x.shape[1], width: x.shape[2], weight: weight.shape, stride: stride,
    padding: padding)
  let (xs, ws, bs, gs) = (x.scalars, weight.scalars, bias.scalars, dy.scalars)
  var y = [Double](repeating: 0, count: shape.images * shape.outputSize)
  var dx = [Double](repeating: 0, count: xs.count)
  var dw = [Double](repeating: 0, count: ws.count)
  var db = [Double](repeating: 0, count: bs.count)
  var at = 0
  for image in 0..<shape.images {
    for i in 0..<shape.outHeight {
      for j in 0..<shape.outWidth {
        for o in 0..<shape.filters {
          y[at] = Double(bs[o])
          db[o] += Double(gs[at])
          for c in 0..<shape.channels {
            for p in 0..<shape.kernelHeight {
              for q in 0..<shape.kernelWidth {
                let row = i * stride + p - shape.top, column = j * stride + q - shape.left
                guard row >= 0, row < shape.height, column >= 0, column < shape.width else { continue }
                let from = ((image * shape.height + row) * shape.width + column) * shape.channels + c
                let by = ((o * shape.channels + c) * shape.kernelHeight + p) * shape.kernelWidth + q
                y[at] += Double(ws[by]) * Double(xs[from])
                dx[from] += Double(ws[by]) * Double(gs[at])
                dw[by] += Double(xs[from]) * Double(gs[at])
              }
            }
          }
          at += 1
        }
      }
    }
  }
  func tensor(_ values: [Double], _ shape: [Int]) -> Tensor { Tensor(values.map { Float($0) }, shape: shape) }
  return (
    tensor(y, [shape.images, shape.outHeight, shape.outWidth, shape.filters]), tensor(dx, x.shape),
    tensor(dw, weight.shape), tensor(db, bias.shape)
  )
}
