import Lethe
import Testing

@Suite struct ClippingTests {
  let model = Free(weight: Tensor(zeros: [2]), bias: Tensor(zeros: [1]))

  /// Gradients (3, 0) and (−4): their norm is 5.
  var gradients: Gradients {
    model.gradients { model, tape in
      let weight = tape.constant(Tensor([0])).with(model.weight)
      let bias = tape.constant(Tensor([0])).with(model.bias)
      return (weight * tape.constant(Tensor([3, 0]))).sum() - 4 * bias.sum()
    }.gradients
  }

  private func clipped(_ clipping: Clipping) -> (norm: Double, weight: [Float]?, bias: [Float]?) {
    var gradients = gradients
    let norm = gradients.clip(clipping)
    let named = gradients.named(for: model)
    return (norm, named["weight"]?.scalars, named["bias"]?.scalars)
  }

  @Test func theNormIsOverAllParameters() {
    let result = clipped(.norm(1))
    #expect(result.norm == 5)
    #expect(result.weight == [0.6, 0])
    #expect(result.bias == [-0.8])
  }

  @Test func smallGradientsStay() {
    for clipping in [Clipping.norm(5), .value(4), .none] {
      let result = clipped(clipping)
      #expect(result.norm == 5)
      #expect(result.weight == [3, 0])
      #expect(result.bias == [-4])
    }
  }

  @Test func valuesAreBoundOneByOne() {
    let result = clipped(.value(3.5))
    #expect(result.norm == 5)
    #expect(result.weight == [3, 0])
    #expect(result.bias == [-3.5])
  }

  @Test func hugeGradientsAreStillClipped() {
    var gradients = model.gradients(alongWeight: Tensor([3e38, 3e38]))
    let norm = gradients.clip(.norm(1))
    #expect(abs(norm / 4.2426407e38 - 1) < 1e-6)
    let weight = gradients.named(for: model)["weight"]?.scalars ?? []
    #expect(weight.allSatisfy { abs($0 - 0.70710677) < 1e-6 })
  }

  @Test func theNormShowsWhatIsNotFinite() {
    for bad in [Float.nan, .infinity, -.infinity] {
      #expect(!model.gradients(alongWeight: Tensor([1, bad])).norm.isFinite)
    }
  }

  @Test func limitsAreChecked() throws {
    for clipping in [Clipping.norm(0), .norm(.infinity), .value(-1), .value(.nan)] {
      #expect(throws: LetheError.self) { try clipping.validated() }
    }
    try Clipping.none.validated()
    try Clipping.norm(1).validated()
  }
}
