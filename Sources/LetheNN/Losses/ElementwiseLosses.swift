import CLetheKernels
import LetheCore

// Losses that compare an output with its target number by number. All skip the steps past a sequence's
// length, and take targets of the output's shape, where a last dimension of 1 may be left out.

/// The mean squared difference.
///
///     mean of (x − t)²
///
/// *Gradient*: 2 (x − t) / count.
/// - Precondition: the shapes fit.
public func meanSquaredError(_ output: Variable, _ targets: Tensor) -> Variable {
  elementwiseLoss("meanSquaredError", LETHE_LOSS_SQUARED, output, targets)
}

/// The mean of a function that is quadratic near 0 and linear beyond `delta`, so that outliers pull less.
///
///     d = x − t;  d² / 2 where |d| ≤ δ, else δ (|d| − δ / 2)
///
/// *Gradient*: d clamped to ±δ, over count.
/// *Source*: Huber 1964; PyTorch's `huber_loss`.
/// - Precondition: the shapes fit, δ > 0.
public func huber(_ output: Variable, _ targets: Tensor, delta: Float = 1) -> Variable {
  require(delta > 0, "huber: expected a delta above 0, got \(delta)")
  return elementwiseLoss("huber", LETHE_LOSS_HUBER, output, targets, delta: delta)
}

/// The mean cross-entropy of yes-or-no targets, from logits.
///
///     mean of −t log σ(x) − (1 − t) log(1 − σ(x)) = mean of max(x, 0) − x t + log(1 + e^−|x|)
///
/// Logits are what stands before the sigmoid. Targets are 0, 1, or probabilities between.
/// *Gradient*: (σ(x) − t) / count.
/// - Precondition: the shapes fit.
public func binaryCrossEntropy(_ logits: Variable, _ targets: Tensor) -> Variable {
  elementwiseLoss("binaryCrossEntropy", LETHE_LOSS_BINARY, logits, targets)
}

/// The mean over counted scalars. Each part of 65,536 gives its sum, and the sums meet in order, so that threads change
/// no bit; the gradient is made in the same pass.
private func elementwiseLoss(
  _ name: String, _ loss: lethe_loss, _ x: Variable, _ targets: Tensor, delta: Float = 0
) -> Variable {
  let expected = x.shape
  require(
    targets.shape == expected || targets.shape + [1] == expected || targets.shape == expected + [1],
    "\(name): expected targets of the output's shape \(expected), got \(targets.shape)")
  let output = x.tensor
  let counted = CountedUnits(x, unit: 1, in: name)
  let scale = Float(1 / counted.divisor)
  var slopes: Tensor?
  if x.isRecorded { slopes = counted.isWhole ? .uninitialized(expected) : Tensor(zeros: expected) }
  let slope = slopes?.pointer
  let part = 1 << 16
  let parts = counted.ranges.flatMap { range in
    stride(from: range.lowerBound, to: range.upperBound, by: part).map {
      $0..<min($0 + part, range.upperBound)
    }
  }
  var sums = [Double](repeating: 0, count: parts.count)
  sums.withUnsafeMutableBufferPointer { sums in
    let sums = sums.baseAddress
    Parallel.split(parts.count, grain: max(1, part * parts.count / max(counted.count, 1))) { own in
      for i in own {
        let at = parts[i].lowerBound
        sums?[i] = kernels.elementwise_loss(
          loss, slope.map { $0 + at }, output.pointer + at, targets.pointer + at, delta, scale,
          Int64(parts[i].count))
      }
    }
  }
  let saved = slopes
  return .operation(name, [x], Tensor(Float(sums.reduce(0, +) / counted.divisor))) { [saved?.scaled(by: $0)] }
}
