import LetheCore

/// A batch of sequences taken apart where they begin anew, each piece a sequence of its own.
///
/// The kernels put zeros at a reset. A layer that learns what it begins with begins each piece with that instead.
struct SequencePieces {
  struct Piece {
    var row: Int
    var steps: Range<Int>
    /// Whether a state that is given stands before it when time runs forward, not what is learned.
    var isLed: Bool
  }
  let batch: Int
  let time: Int
  /// Row by row, in the order of time; an empty sequence is one empty piece.
  let pieces: [Piece]

  /// `nil` where no sequence begins anew.
  init?(batch: Int, time: Int, timing: Timing?) {
    guard let resets = timing?.resets, resets.joined().contains(true) else { return nil }
    timing?.check(batch: batch, time: time)
    (self.batch, self.time) = (batch, time)
    pieces = (0..<batch).flatMap { row in
      let length = timing?.lengths?[row] ?? time
      let starts = [0] + (0..<length).filter { $0 > 0 && resets[row][$0] }
      return zip(starts, starts.dropFirst() + [length]).map { start, end in
        Piece(row: row, steps: start..<end, isLed: start == 0 && !(length > 0 && resets[row][0]))
      }
    }
  }

  private var longest: Int { pieces.map(\.steps.count).max() ?? 0 }
  /// The lengths of the pieces.
  var timing: Timing { Timing(lengths: pieces.map(\.steps.count)) }
  /// Each row's first piece, and its last.
  private var firsts: [Int] { pieces.indices.filter { $0 == 0 || pieces[$0 - 1].row != pieces[$0].row } }
  private var lasts: [Int] { firsts.dropFirst().map { $0 - 1 } + (pieces.isEmpty ? [] : [pieces.count - 1]) }

  func layout(isReversed: Bool) -> SequenceLayout {
    SequenceLayout(batch: pieces.count, time: longest, timing: timing, isReversed: isReversed)
  }

  /// [batch, time, width] → [pieces, longest, width], zeros past their ends.
  func cut(_ x: Tensor) -> Tensor {
    moved(x, to: [pieces.count, longest, x.shape[2]]) { number, piece in
      (number * longest, piece.row * time + piece.steps.lowerBound)
    }
  }

  /// The inverse of `cut`, zeros past the lengths.
  func joined(_ x: Tensor) -> Tensor {
    moved(x, to: [batch, time, x.shape[2]]) { number, piece in
      (piece.row * time + piece.steps.lowerBound, number * longest)
    }
  }

  private func moved(_ x: Tensor, to shape: [Int], _ places: (Int, Piece) -> (to: Int, from: Int)) -> Tensor {
    let result = Tensor(zeros: shape), width = shape[2]
    for (number, piece) in pieces.enumerated() {
      let place = places(number, piece)
      (result.pointer + place.to * width).update(
        from: x.pointer + place.from * width, count: piece.steps.count * width)
    }
    return result
  }

  func cut(_ x: Variable) -> Variable {
    .operation("cut", [x], cut(x.tensor), timing: timing) { [joined($0)] }
  }

  func joined(_ x: Variable) -> Variable { .operation("joined", [x], joined(x.tensor)) { [cut($0)] } }

  /// A state part for each piece: what is given [batch, width] before those it leads into, else what is learned [width].
  func starts(given: Variable?, learned: Variable, isReversed: Bool) -> Variable {
    let all = learned.repeated(pieces.count)
    guard let given else { return all }
    let last = Set(lasts)
    let flags = pieces.indices.map { isReversed ? last.contains($0) : pieces[$0].isLed }
    return .chosen(flags, given.picked(pieces.map(\.row)), all)
  }

  /// Of a state part for each piece the one that its row ends with: [pieces, width] → [batch, width].
  func ends(_ states: Variable, isReversed: Bool) -> Variable {
    states.picked(isReversed ? firsts : lasts)
  }

  /// A mask for each sequence: the pieces of a row share its own.
  func ofPieces(_ mask: Tensor) -> Tensor { mask.picked(pieces.map(\.row)) }
}

extension RecurrentPass {
  /// The pass over sequences that begin anew from what is learned, not from zeros.
  func run(
    _ x: Variable, pieces: SequencePieces, isReversed: Bool, weights: Weights, given: [Variable]?,
    learned: [Variable], wantsOutputs: Bool, wantsOutputGate: Bool
  ) -> Result {
    var inner = RecurrentPass(
      description: description, layout: pieces.layout(isReversed: isReversed), inputs: inputs, units: units,
      hiddenMask: hiddenMask.map(pieces.ofPieces))
    inner.noise = noise.map(pieces.cut)
    let initial = learned.enumerated().map { number, learned in
      pieces.starts(given: given?[number], learned: learned, isReversed: isReversed)
    }
    var result = inner.run(
      pieces.cut(x), weights: weights, initial: initial, wantsOutputs: wantsOutputs,
      wantsOutputGate: wantsOutputGate)
    result.states = result.states.map { pieces.ends($0, isReversed: isReversed) }
    result.outputs = result.outputs.map { pieces.joined($0).timed(x.timing) }
    result.outputGate = result.outputGate.map { pieces.joined($0).timed(x.timing) }
    return result
  }
}

extension Tensor {
  /// Rows by their numbers: [rows, width] → [count, width].
  fileprivate func picked(_ rows: [Int]) -> Tensor {
    let width = shape[1], result = Tensor(zeros: [rows.count, width])
    for (to, from) in rows.enumerated() {
      (result.pointer + to * width).update(from: pointer + from * width, count: width)
    }
    return result
  }
}

extension Variable {
  fileprivate func picked(_ rows: [Int]) -> Variable {
    let shape = shape
    return .operation("picked", [self], tensor.picked(rows)) { gradient in
      let whole = Tensor(zeros: shape), width = shape[1]
      for (from, to) in rows.enumerated() {
        for i in 0..<width { whole.pointer[to * width + i] += gradient.pointer[from * width + i] }
      }
      return [whole]
    }
  }
}
