import LetheCore

/// A random matrix [rows, the rest of the shape] whose rows, or columns where those are fewer, are
/// orthonormal.
///
/// Gram & Schmidt's process on rows of normal numbers: what is left of a row is divided by its own length,
/// which is positive, so that R of A = QR has a positive diagonal and Q needs no correction of signs to be
/// uniformly distributed (Mezzadri 2007). Each row goes through twice, which is enough for orthogonality to
/// rounding (Giraud, Langou, Rozložník & van den Eshof 2005). Only + − · / and √ of Double, in a fixed order:
/// the same bits on every machine.
func orthogonalTensor(shape: [Int], key: RandomKey) -> Tensor {
  let rows = shape.first ?? 1
  let columns = shape.dropFirst().reduce(1, *)
  let (count, width) = (min(rows, columns), max(rows, columns))
  if count == 0 { return Tensor(zeros: shape) }
  let lanes = (width + 7) / 8
  let start = key.normal(shape: [count, width])
  let vectors = [SIMD8<Double>](unsafeUninitializedCapacity: count * lanes) { vectors, used in
    vectors.initialize(repeating: .zero)
    used = count * lanes
    start.withUnsafeBuffer { from in
      for i in 0..<count {
        for c in 0..<width { vectors[i * lanes + c / 8][c % 8] = Double(from[i * width + c]) }
      }
    }
    guard let first = vectors.baseAddress else { return }
    for i in 0..<count { orthonormalize(first + i * lanes, against: first, count: i, lanes: lanes) }
  }
  return Tensor(shape: shape) { to in
    for r in 0..<rows {
      for c in 0..<columns {
        let (i, j) = rows <= columns ? (r, c) : (c, r)
        to[r * columns + c] = Float(vectors[i * lanes + j / 8][j % 8])
      }
    }
  }
}

private typealias Row = UnsafeMutablePointer<SIMD8<Double>>

/// Takes from `row` its parts along `count` orthonormal rows, twice, and scales it to length 1.
private func orthonormalize(_ row: Row, against rows: Row, count: Int, lanes: Int) {
  for _ in 0..<2 {
    for j in 0..<count {
      let other = rows + j * lanes
      let part = SIMD8(repeating: dot(row, other, lanes))
      for k in 0..<lanes { row[k] -= part * other[k] }
    }
  }
  let length = dot(row, row, lanes).squareRoot()
  if length > 0 {
    for k in 0..<lanes { row[k] /= SIMD8(repeating: length) }
  } else {
    row[0][0] = 1  // a row of zeros was drawn
  }
}

private func dot(_ a: Row, _ b: Row, _ lanes: Int) -> Double {
  var sum = SIMD8<Double>.zero
  for k in 0..<lanes { sum += a[k] * b[k] }
  let four = sum.lowHalf + sum.highHalf
  let two = four.lowHalf + four.highHalf
  return two[0] + two[1]
}
