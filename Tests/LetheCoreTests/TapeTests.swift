import Lethe
import LetheTestSupport
import Testing

@Suite struct TapeTests {
  /// The gradient of Σ f(x) against central differences.
  func check(_ name: String, _ x: Tensor, tolerance: Float = 2e-3, _ f: (Variable) -> Variable) throws {
    let tape = Tape()
    let input = tape.watched(x)
    let weights = numbers("weights.\(name)", f(Variable(x)).shape)
    let gradients = tape.gradients(of: (f(input) * Variable(weights)).sum())
    let ours = try #require(gradients[input])
    let step: Float = 1 / 256
    for i in 0..<x.count {
      func at(_ amount: Float) -> Double {
        var scalars = x.scalars
        scalars[i] += amount
        return (f(Variable(Tensor(scalars, shape: x.shape))).tensor * weights).sum
      }
      let slope = Float((at(step) - at(-step)) / Double(2 * step))
      #expect(abs(ours.scalars[i] - slope) < tolerance * (1 + abs(slope)), "\(name)[\(i)]")
    }
  }

  @Test func operations() throws {
    let x = numbers("x", [3, 5]), y = numbers("y", [3, 5]), row = numbers("row", [5])
    let positive = Tensor(x.scalars.map { abs($0) + 0.5 }, shape: x.shape)
    try check("+", x) { $0 + Variable(y) }
    try check("- row", x) { $0 - Variable(row) }
    try check("row of *", row) { Variable(x) * $0 }
    try check("one number", Tensor(0.7)) { Variable(x) * $0 }
    try check("/", positive) { Variable(y) / $0 }
    try check("/ above", x) { $0 / Variable(positive) }
    try check("exp", x) { $0.exp() }
    try check("log", positive) { $0.log() }
    try check("sigmoid", x) { $0.sigmoid() }
    try check("tanh", x) { $0.tanh() }
    try check("mean", x) { $0.mean() }
    try check("numbers", x) { 2 * $0 + 1 - $0 * 0.5 - (1 - $0) }
    try check("columns", x) { $0.columns(1..<4) }
    try check("concatenated", x) { .concatenated([$0, Variable(y), $0]) }
    try check("reshaped", x) { $0.reshaped([5, 3]) }
    try check("times", x) { $0.times(Variable(numbers("w", [5, 4]))) }
    try check("times of weights", numbers("w", [5, 4])) { Variable(x).times($0) }
  }

  @Test func kinks() throws {
    let x = Tensor([-4, -1, -0.2, 0.3, 1, 5])
    try check("relu", x) { $0.relu() }
    try check("hardSigmoid", x) { $0.hardSigmoid() }
    #expect(
      Variable(x).hardSigmoid().tensor.scalars.first == 0
        && Variable(x).hardSigmoid().tensor.scalars.last == 1)
  }

  @Test func aValueUsedTwiceGetsBothGradients() {
    let tape = Tape()
    let x = tape.watched(Tensor([3]))
    let gradients = tape.gradients(of: (x * x + x).sum())
    #expect(gradients[x]?.scalars == [7])
  }

  @Test func nothingIsRecordedWithoutNeed() {
    let tape = Tape(records: false)
    let x = tape.watched(Tensor([3]))
    #expect(!(x * x).isRecorded)
    #expect(!(Variable(Tensor([1])) + Variable(Tensor([2]))).isRecorded)
  }

  @Test func theFirstNonFiniteValueIsNamed() {
    let tape = Tape(checksValues: true)
    tape.named("head") { _ = (tape.watched(Tensor([0])).log() + 1).exp() }
    #expect(tape.firstNonFinite == "head › log")
  }
}
