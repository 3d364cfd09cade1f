import LetheCore

extension Dataset {
  /// The same dataset, if it can be learnt from; `name` is what errors call it.
  ///
  /// Inputs and target values are finite, labels are classes, there is a label a row or a step, and lengths
  /// lie between 0 and the number of steps. Labels of steps beyond a row's length may be anything.
  ///
  /// - Throws: a `LetheError` that names the first offender with its row and position.
  ///
  /// *Cost*: one look at every number.
  @discardableResult
  public func validated(name: String) throws -> Dataset {
    guard !inputs.shape.isEmpty else {
      throw LetheError(name, "the inputs have no rows", expected: "a shape [rows, …]", found: "[]")
    }
    try checkFinite(inputs, "\(name): inputs")
    try checkLengths(name)
    switch targets {
    case .values(let values):
      if values.shape.first != count {
        throw LetheError(
          name, "targets and inputs differ in rows", expected: "\(count)", found: "the shape \(values.shape)")
      }
      try checkFinite(values, "\(name): targets")
    case .classes(let labels, let classes): try checkLabels(labels, classes, name)
    }
    return self
  }

  private func checkLengths(_ name: String) throws {
    guard let lengths else { return }
    guard inputs.shape.count >= 2 else {
      throw LetheError(
        name, "there are lengths, but no steps", expected: "inputs [rows, time, …]",
        found: "the shape \(inputs.shape)")
    }
    if lengths.count != count {
      throw LetheError(
        name, "lengths and inputs differ in rows", expected: "\(count)", found: "\(lengths.count)")
    }
    let steps = inputs.shape[1]
    for (row, length) in lengths.enumerated() where length < 0 || length > steps {
      throw LetheError(
        "\(name): lengths, row \(row)", "the length is out of range", expected: "0 to \(steps)",
        found: "\(length)")
    }
  }

  private func checkLabels(_ labels: [Int32], _ classes: Int, _ name: String) throws {
    let steps = inputs.shape.count >= 2 ? inputs.shape[1] : 1
    let isPerStep = labels.count != count && labels.count == count * steps
    guard labels.count == count || isPerStep else {
      throw LetheError(
        name, "labels and inputs differ in number",
        expected: "\(count), one a row" + (steps > 1 ? ", or \(count * steps), one a step" : ""),
        found: "\(labels.count)")
    }
    for (i, label) in labels.enumerated() where label < 0 || Int(label) >= classes {
      let row = isPerStep ? i / steps : i
      if isPerStep, let lengths, i % steps >= lengths[row] { continue }
      throw LetheError(
        "\(name): labels, row \(row)" + (isPerStep ? ", step \(i % steps)" : ""), "the label is no class",
        expected: "0 to \(classes - 1)", found: "\(label)")
    }
  }

  private func checkFinite(_ tensor: Tensor, _ name: String) throws {
    // Infinities and NaN have every bit of the exponent set.
    let exponent: UInt32 = 0x7f80_0000
    let position = tensor.withUnsafeBuffer { numbers in
      // A loop without an exit is one that the compiler makes wide.
      var isFinite = true
      for number in numbers { isFinite = isFinite && number.bitPattern & exponent != exponent }
      return isFinite ? nil : numbers.firstIndex { !$0.isFinite }
    }
    guard let position else { return }
    var rest = position
    var indices: [Int] = []
    for size in tensor.shape.reversed() {
      indices.append(rest % size)
      rest /= size
    }
    let found = tensor.withUnsafeBuffer { "\($0[position])" }
    throw LetheError(
      "\(name), row \(indices.last ?? 0)", "the number at \(indices.reversed().description) is not finite",
      expected: "a finite number", found: found)
  }
}
