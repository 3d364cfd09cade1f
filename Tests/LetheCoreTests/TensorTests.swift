import Lethe
import LetheTestSupport
import Testing

@Suite struct TensorTests {
  @Test func copiesAreValues() {
    var a = Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3])
    let b = a
    a[1, 2] = 9
    #expect(a[1, 2] == 9 && b[1, 2] == 6)
    #expect(a.rows(1..<2).scalars == [4, 5, 9])
    #expect(a.reshaped([3, 2])[2, 1] == 9)
    #expect(a != b && b == Tensor([1, 2, 3, 4, 5, 6], shape: [2, 3]))
  }

  @Test func emptyAndScalarShapes() {
    #expect(Tensor(3).scalar == 3 && Tensor(3).shape.isEmpty)
    #expect(Tensor(zeros: [0, 4]).count == 0 && Tensor(zeros: [0, 4]).sum == 0)
    #expect(Tensor(zeros: [0, 4]).softmax.shape == [0, 4])
  }

  @Test func reductionsKeepTheirBitsWhateverTheLength() {
    for count in [1, 15, 16, 17, 63, 65, 4095, 4097, 10_001] {
      let x = numbers("sum", [count])
      let exact = x.scalars.reduce(0.0) { $0 + Double($1) }
      #expect(abs(x.sum - exact) < 1e-6 * Double(count))
      let squares = x.scalars.reduce(0.0) { $0 + Double($1) * Double($1) }
      #expect(abs(x.sumOfSquares - squares) < 1e-6 * Double(count))
      let one = Parallel.$threads.withValue(1) { x.columnSums(1)[0] }
      #expect(one == x.columnSums(1)[0])
    }
  }

  @Test func finiteness() {
    var x = Tensor(zeros: [37])
    #expect(x.isFinite)
    x[36] = .infinity
    #expect(!x.isFinite)
    x[36] = .nan
    #expect(!x.isFinite)
  }

  @Test func argmaxTakesTheFirstOfEquals() {
    #expect(Tensor([1, 3, 3, 2, 2, 2], shape: [2, 3]).argmax == [1, 0])
  }

  @Test(arguments: [
    (1, 1, 1), (3, 5, 7), (6, 16, 64), (13, 33, 65), (50, 300, 130), (1, 520, 1000), (70, 3, 513),
  ])
  func productsInEveryTransposition(_ sizes: (Int, Int, Int)) {
    let (rows, depth, columns) = sizes
    let a = numbers("a", [rows, depth]), b = numbers("b", [depth, columns]), bias = numbers("bias", [columns])
    var expected = Tensor(zeros: [rows, columns])
    for m in 0..<rows {
      for n in 0..<columns {
        var sum = bias[n]
        for k in 0..<depth { sum = a[m, k].multipliedAdd(b[k, n], to: sum) }
        expected[m, n] = sum
      }
    }
    func transposed(_ t: Tensor) -> Tensor {
      var result = Tensor(zeros: [t.shape[1], t.shape[0]])
      for i in 0..<t.shape[0] { for j in 0..<t.shape[1] { result[j, i] = t[i, j] } }
      return result
    }
    let at = transposed(a), bt = transposed(b)
    for threads in [1, 2, 3] {
      Parallel.$threads.withValue(threads) {
        let lefts = [MatrixView(a.pointer, row: depth), MatrixView(at.pointer, row: rows).transposed]
        let rights = [MatrixView(b.pointer, row: columns), MatrixView(bt.pointer, row: depth).transposed]
        for left in lefts {
          for right in rights {
            let result = Tensor.uninitialized([rows, columns])
            multiply(
              left, right, rows: rows, depth: depth, columns: columns, bias: UnsafePointer(bias.pointer),
              into: result.pointer)
            // One chain of fused multiply-adds: equal to the naive loop to the bit.
            #expect(sameBits(result, expected))
          }
        }
      }
    }
  }
}

extension Float {
  fileprivate func multipliedAdd(_ factor: Float, to sum: Float) -> Float { sum.addingProduct(self, factor) }
}
