import CLetheKernels
import LetheCore

/// The mean cross-entropy of class labels, from logits.
///
///     mean over rows of −log softmax(x)[label]
///
/// Logits are what stands before softmax; a final softmax has to be left out (`Sequential.logits`), which is
/// both quicker and right where probabilities round to 0 or 1. Steps past a sequence's length do not count.
/// *Shapes*: logits [batch, classes] with a label for each row, or [batch, time, classes] with batch · time
/// labels, row-major → one number.
/// *Gradient*: (softmax(x) − one-hot) / rows.
/// - Precondition: one label for each row, each in 0..<classes where the step counts.
public func crossEntropy(_ logits: Variable, _ labels: [Int32]) -> Variable {
  let name = "crossEntropy"
  let classes = logits.shape.last ?? 0
  let rows = classes == 0 ? 0 : logits.tensor.count / classes
  require(
    logits.shape.count > 1 && classes > 0 && labels.count == rows,
    "\(name): expected logits [..., classes] and a label for each row, got \(logits.shape) and "
      + "\(labels.count) labels"
  )
  let counted = CountedUnits(logits, unit: classes, in: name)
  checkLabels(labels, counted, classes: classes, in: name)
  let x = logits.tensor
  let scale = Float(1 / counted.divisor)
  let losses = counted.isWhole ? Tensor.uninitialized([rows]) : Tensor(zeros: [rows])
  var slopes: Tensor?
  if logits.isRecorded { slopes = counted.isWhole ? .uninitialized(x.shape) : Tensor(zeros: x.shape) }
  let slope = slopes?.pointer
  labels.withUnsafeBufferPointer { labels in
    counted.forEachPart(grain: max(1, 1 << 14 / classes)) { part in
      guard let label = labels.baseAddress else { return }
      let at = part.lowerBound * classes
      kernels.cross_entropy(
        losses.pointer + part.lowerBound, slope.map { $0 + at }, x.pointer + at, label + part.lowerBound,
        scale,
        Int64(part.count), Int64(classes))
    }
  }
  let saved = slopes
  return .operation(name, [logits], Tensor(Float(losses.sum / counted.divisor))) { [saved?.scaled(by: $0)] }
}

/// The mean cross-entropy of target probabilities (one-hot rows, or soft ones), from logits.
///
///     mean over rows of −Σ_c t_c log softmax(x)_c
///
/// Steps past a sequence's length do not count.
/// *Shapes*: logits [..., classes], targets the same → one number.
/// *Gradient*: (softmax(x) Σ_c t_c − t) / rows; Σ t is 1 where targets are probabilities.
/// - Precondition: the shapes are equal.
public func crossEntropy(_ logits: Variable, _ targets: Tensor) -> Variable {
  let name = "crossEntropy"
  let classes = logits.shape.last ?? 0
  require(
    logits.shape.count > 1 && classes > 0 && logits.shape == targets.shape,
    "\(name): expected logits [..., classes] and targets of the same shape, got \(logits.shape) and "
      + "\(targets.shape)"
  )
  let counted = CountedUnits(logits, unit: classes, in: name)
  let x = logits.tensor
  let rows = x.count / classes
  // A row's loss for its largest logit is log Σ e^(x − max), exactly.
  let best = x.argmax.map(Int32.init)
  let logSums = Tensor.uninitialized([rows])
  kernels.cross_entropy(logSums.pointer, nil, x.pointer, best, 1, Int64(rows), Int64(classes))
  var slopes = x.softmax
  var sum = 0.0
  slopes.withUnsafeMutableBuffer { slope in
    x.withUnsafeBuffer { x in
      targets.withUnsafeBuffer { t in
        var next = 0  // the first row not done
        for range in counted.ranges {
          for i in next * classes..<range.lowerBound * classes { slope[i] = 0 }
          next = range.upperBound
          for row in range {
            let largest = x[row * classes + Int(best[row])]
            var total: Float = 0
            for i in row * classes..<(row + 1) * classes where t[i] != 0 {
              sum += Double(t[i] * (logSums.pointer[row] - (x[i] - largest)))
              total += t[i]
            }
            for i in row * classes..<(row + 1) * classes { slope[i] = slope[i] * total - t[i] }
          }
        }
        for i in next * classes..<rows * classes { slope[i] = 0 }
      }
    }
  }
  let scale = Float(1 / counted.divisor)
  let saved = slopes
  return .operation(name, [logits], Tensor(Float(sum / counted.divisor))) { [saved * ($0.scalar * scale)] }
}

/// The mean cross-entropy of class labels, from probabilities.
///
///     mean over rows of −log p[label]
///
/// For models whose softmax cannot be left out. Where p rounds to 0 the loss is that of the smallest normal
/// float (87.3) and nothing is learned: prefer `crossEntropy`, which takes logits.
/// *Shapes*: probabilities [..., classes], a label for each row → one number.
/// *Gradient*: −1 / (p[label] · rows) at the label.
/// - Precondition: one label for each row, each in 0..<classes where the step counts.
public func probabilityCrossEntropy(_ probabilities: Variable, _ labels: [Int32]) -> Variable {
  let name = "probabilityCrossEntropy"
  let classes = probabilities.shape.last ?? 0
  let rows = classes == 0 ? 0 : probabilities.tensor.count / classes
  require(
    probabilities.shape.count > 1 && labels.count == rows,
    "\(name): expected probabilities [..., classes] and a label for each row, got \(probabilities.shape) and "
      + "\(labels.count) labels")
  checkLabels(
    labels, CountedUnits(probabilities, unit: classes, in: name), classes: classes, in: name)
  var targets = Tensor(zeros: probabilities.shape)
  targets.withUnsafeMutableBuffer { t in
    for (row, label) in labels.enumerated() where label >= 0 && Int(label) < classes {
      t[row * classes + Int(label)] = 1
    }
  }
  return probabilityCrossEntropy(probabilities, targets)
}

/// The mean cross-entropy of target probabilities, from probabilities.
///
///     mean over rows of −Σ_c t_c log p_c
///
/// *Shapes*: probabilities [..., classes], targets the same → one number.
/// - Precondition: the shapes are equal.
public func probabilityCrossEntropy(_ probabilities: Variable, _ targets: Tensor) -> Variable {
  let name = "probabilityCrossEntropy"
  let classes = probabilities.shape.last ?? 0
  require(
    probabilities.shape.count > 1 && classes > 0 && probabilities.shape == targets.shape,
    "\(name): expected probabilities [..., classes] and targets of the same shape, got "
      + "\(probabilities.shape) and \(targets.shape)")
  let least = Float.leastNormalMagnitude
  let floor = probabilities.tensor.mapped { $0 < least ? least : $0 }
  let logs = floor.applying(LETHE_LOG)
  let counted = CountedUnits(probabilities, unit: classes, in: name)
  var slopes = Tensor(zeros: targets.shape)
  var sum = 0.0
  slopes.withUnsafeMutableBuffer { slope in
    targets.withUnsafeBuffer { t in
      for range in counted.ranges {
        for i in range.lowerBound * classes..<range.upperBound * classes where t[i] != 0 {
          sum -= Double(t[i] * logs.pointer[i])
          slope[i] = -t[i] / floor.pointer[i]
        }
      }
    }
  }
  let scale = Float(1 / counted.divisor)
  let saved = slopes
  return .operation(name, [probabilities], Tensor(Float(sum / counted.divisor))) {
    [saved * ($0.scalar * scale)]
  }
}

private func checkLabels(_ labels: [Int32], _ counted: CountedUnits, classes: Int, in name: String) {
  for range in counted.ranges {
    for row in range {
      require(
        labels[row] >= 0 && Int(labels[row]) < classes,
        "\(name): row \(row) has the label \(labels[row]); expected 0..<\(classes)")
    }
  }
}

extension Tensor {
  fileprivate func mapped(_ f: (Float) -> Float) -> Tensor {
    Tensor(shape: shape) { to in
      withUnsafeBuffer { from in
        for i in from.indices { to[i] = f(from[i]) }
      }
    }
  }
}
