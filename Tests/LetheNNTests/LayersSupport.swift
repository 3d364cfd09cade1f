import Lethe
import LetheTestSupport
import Testing

/// Compares the gradients of Σ ⟨f(inputs), random cotangent⟩ with differences of its values, scalar by
/// scalar.
func expectGradients(
  _ name: String, _ inputs: [Tensor], step: Float = 0.02, tolerance: Float = 2e-3, timing: Timing? = nil,
  sourceLocation: SourceLocation = #_sourceLocation, _ f: ([Variable]) -> Variable
) {
  let shape = f(inputs.map { Variable($0, timing: timing) }).shape
  let cotangent = numbers("cotangent \(name)", shape)
  let tape = Tape()
  let variables = inputs.map { tape.watched($0, timing: timing) }
  let gradients = tape.gradients(of: [(f(variables), cotangent)])
  func value(_ inputs: [Tensor]) -> Double {
    let y = f(inputs.map { Variable($0, timing: timing) }).tensor
    return zip(y.scalars, cotangent.scalars).reduce(0) { $0 + Double($1.0) * Double($1.1) }
  }
  for (number, input) in inputs.enumerated() {
    guard let gradient = gradients[variables[number]] else {
      Issue.record("\(name): no gradient for input \(number)", sourceLocation: sourceLocation)
      continue
    }
    var slopes: [Float] = []
    for i in 0..<input.count {
      let ends = [step, -step].map { step in
        var changed = inputs
        changed[number].withUnsafeMutableBuffer { $0[i] += step }
        return value(changed)
      }
      slopes.append(Float((ends[0] - ends[1]) / Double(2 * step)))
    }
    let found = difference(gradient, Tensor(slopes, shape: input.shape))
    #expect(found < tolerance, "\(name): gradient of input \(number)", sourceLocation: sourceLocation)
  }
}

/// What a layer cannot be built with, and what the error has to say.
func expectRefusal(
  _ layer: some Layer, _ input: [Int], saying words: String, sourceLocation: SourceLocation = #_sourceLocation
) {
  var layer = layer
  do {
    let output = try layer.build(input: input)
    Issue.record("built for \(input), giving \(output)", sourceLocation: sourceLocation)
  } catch {
    #expect("\(error)".contains(words), sourceLocation: sourceLocation)
  }
}

/// A number that depends on every bit of some tensors (FNV-1a).
func bitsHash(_ tensors: [Tensor]) -> UInt64 {
  tensors.flatMap(\.scalars).reduce(0xcbf2_9ce4_8422_2325) {
    ($0 ^ UInt64($1.bitPattern)) &* 0x100_0000_01b3
  }
}

/// Results of a computation with one thread and with others, which have to have the same bits.
func expectSameBits(
  threads: [Int] = [2, 3], sourceLocation: SourceLocation = #_sourceLocation, _ compute: () -> [Tensor]
) {
  let one = Parallel.$threads.withValue(1) { compute() }
  for threads in threads {
    let several = Parallel.$threads.withValue(threads) { compute() }
    #expect(
      zip(one, several).allSatisfy { sameBits($0, $1) }, "\(threads) threads", sourceLocation: sourceLocation)
  }
}
