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
  elementwiseLoss("meanSquaredError", output, targets) { _, x, t in ((x - t) * (x - t), 2 * (x - t)) }
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
  return elementwiseLoss("huber", output, targets) { _, x, t in
    let d = x - t, size = abs(d)
    return size <= delta
      ? (0.5 * d * d, d) : (delta * (size - 0.5 * delta), d < 0 ? -delta : d > 0 ? delta : d)
  }
}

/// The mean cross-entropy of yes-or-no targets, from logits.
///
///     mean of −t log σ(x) − (1 − t) log(1 − σ(x)) = mean of max(x, 0) − x t + log(1 + e^−|x|)
///
/// Logits are what stands before the sigmoid. Targets are 0, 1, or probabilities between.
/// *Gradient*: (σ(x) − t) / count.
/// - Precondition: the shapes fit.
public func binaryCrossEntropy(_ logits: Variable, _ targets: Tensor) -> Variable {
  let x = logits.tensor
  let sigma = x.applying(LETHE_SIGMOID)
  let small = Tensor(shape: x.shape) { to in
    x.withUnsafeBuffer { from in
      for i in from.indices { to[i] = -abs(from[i]) }
    }
  }.applying(LETHE_EXP)
  let logs = small.combined(LETHE_ADD, 1).applying(LETHE_LOG)
  return sigma.withUnsafeBuffer { sigma in
    small.withUnsafeBuffer { small in
      logs.withUnsafeBuffer { logs in
        elementwiseLoss("binaryCrossEntropy", logits, targets) { i, x, t in
          // log(1 + z), good for small z too: log(u) z / (u − 1), where u is 1 + z rounded (Kahan).
          let z = small[i], u = 1 + z
          let logTerm = u == 1 ? z : logs[i] * (z / (u - 1))
          return (max(x, 0) - x * t + logTerm, sigma[i] - t)
        }
      }
    }
  }
}
