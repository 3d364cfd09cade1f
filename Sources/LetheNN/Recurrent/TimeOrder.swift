import LetheCore

// The order in which sequences are walked: what stands a step earlier, where a walk ends, sequences turned round.

extension Variable {
  /// The last real step of each sequence: [batch, time, features] → [batch, features]; zeros for empty ones.
  public func lastStep() -> Variable { lastStep(backward: false) }

  /// The step that a walk ends with: the last real one or, backward, the first.
  func lastStep(backward: Bool) -> Variable {
    require(shape.count == 3, "lastStep: expected [batch, time, features], got \(shape)")
    let (batch, time, width) = (shape[0], shape[1], shape[2])
    let last = (0..<batch).map { row in
      let length = timing?.lengths?[row] ?? time
      return backward ? min(length, 1) - 1 : length - 1
    }
    let result = Tensor(zeros: [batch, width])
    for (row, step) in last.enumerated() where step >= 0 {
      (result.pointer + row * width).update(from: tensor.pointer + (row * time + step) * width, count: width)
    }
    return .operation("lastStep", [self], result) { gradient in
      let wide = Tensor(zeros: [batch, time, width])
      for (row, step) in last.enumerated() where step >= 0 {
        (wide.pointer + (row * time + step) * width).update(
          from: gradient.pointer + row * width, count: width)
      }
      return [wide]
    }
  }

  /// What stood one step earlier in the walk: [batch, time, features], the first step walked from `initial` (`nil`: zeros),
  /// zeros where the sequence starts anew and past its length.
  func previousStep(from initial: Variable?, backward: Bool = false) -> Variable {
    let (batch, time, width) = (shape[0], shape[1], shape[2])
    let (resets, lengths) = (timing?.resets, timing?.lengths)
    /// Calls `body` with where each step walked has what was before it; `nil` for the initial one.
    func each(_ body: (_ row: Int, _ step: Int, _ before: Int?) -> Void) {
      for row in 0..<batch {
        let length = lengths?[row] ?? time, first = backward ? length - 1 : 0
        for step in 0..<length {
          let before = backward ? step + 1 : step - 1, boundary = max(step, before)
          if boundary < length && resets?[row][boundary] ?? false { continue }
          body(row, step, step == first ? nil : before)
        }
      }
    }
    let result = Tensor(zeros: shape)
    each { row, step, before in
      let to = result.pointer + (row * time + step) * width
      if let before {
        to.update(from: tensor.pointer + (row * time + before) * width, count: width)
      } else if let initial {
        to.update(from: initial.tensor.pointer + row * width, count: width)
      }
    }
    return .operation("previousStep", [self] + (initial.map { [$0] } ?? []), result, timing: timing) {
      gradient in
      let back = Tensor(zeros: [batch, time, width]), first = Tensor(zeros: [batch, width])
      each { row, step, before in
        let to = before.map { back.pointer + (row * time + $0) * width } ?? first.pointer + row * width
        to.update(from: gradient.pointer + (row * time + step) * width, count: width)
      }
      return [back] + (initial == nil ? [] : [first])
    }
  }

  /// What a layer that walks forward makes of these sequences or, backward, of them turned round: its outputs are turned back
  /// where there is one for every step.
  func walked<State>(
    backward: Bool, outputs: RecurrentOutputs, _ walk: (Variable) -> (output: Variable, state: State)
  ) -> (output: Variable, state: State) {
    guard backward else { return walk(self) }
    let x = turned()
    let (output, state) = walk(x)
    return (outputs == .all ? output.timed(x.timing).turned().timed(timing) : output, state)
  }

  /// Every sequence from its last real step to its first, with the resets to match; zeros past the lengths.
  ///
  /// *Shapes*: [batch, time, features] → the same.
  func turned() -> Variable {
    let (batch, time, lengths) = (shape[0], shape[1], timing?.lengths)
    timing?.check(batch: batch, time: time)
    func turned(_ from: Tensor) -> Tensor {
      let width = from.shape[2]
      let to = lengths == nil ? Tensor.uninitialized(from.shape) : Tensor(zeros: from.shape)
      for row in 0..<batch {
        let length = lengths?[row] ?? time, first = row * time
        for step in 0..<length {
          (to.pointer + (first + length - 1 - step) * width).update(
            from: from.pointer + (first + step) * width, count: width)
        }
      }
      return to
    }
    return .operation("turned", [self], turned(tensor), timing: timing?.turned(time: time)) {
      [turned($0)]
    }
  }
}

extension Timing {
  /// That of the sequences turned round, each within its own length. A reset cuts a step off from the one before it, whichever
  /// way they are walked; before the first step there is nothing to cut off.
  func turned(time: Int) -> Timing {
    Timing(
      lengths: lengths,
      resets: resets.map { rows in
        rows.enumerated().map { row, isNew in
          let length = lengths?[row] ?? time
          return (0..<time).map { 0 < $0 && $0 < length && isNew[length - $0] }
        }
      })
  }
}
