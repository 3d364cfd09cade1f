import LetheCore

/// A batch of sequences taken apart where they begin anew, each piece a sequence of its own.
///
/// The kernels put zeros at a reset. A layer that learns what it begins with begins each piece with that instead. Pieces go
/// through the engine side by side, filled up to the longest of their group: one group where that at most doubles the batch,
/// else one for each power of two of their lengths, which at most doubles each.
struct SequencePieces {
  struct Piece {
    var row: Int
    var steps: Range<Int>
    /// Whether it is the first of its row, and the last.
    var isFirst: Bool
    var isLast: Bool
    /// Whether a state that is given stands before it when time runs forward, not what is learned.
    var isLed: Bool
  }
  let batch: Int
  let time: Int
  /// Each with its pieces row by row, in the order of time; an empty sequence is one empty piece.
  let groups: [Group]

  /// `nil` where no sequence begins anew; at a first step that needs a state that it would follow.
  init?(batch: Int, time: Int, timing: Timing?, followsState: Bool) {
    guard let resets = timing?.resets else { return nil }
    timing?.check(batch: batch, time: time)
    let lengths = timing?.lengths ?? Array(repeating: time, count: batch)
    let begins = (0..<batch).contains { row in
      resets[row].prefix(lengths[row]).dropFirst(followsState ? 0 : 1).contains(true)
    }
    guard begins else { return nil }
    (self.batch, self.time) = (batch, time)
    let pieces = (0..<batch).flatMap { row in
      let length = lengths[row]
      let starts = [0] + (0..<length).filter { $0 > 0 && resets[row][$0] }
      return zip(starts, starts.dropFirst() + [length]).map { start, end in
        Piece(
          row: row, steps: start..<end, isFirst: start == 0, isLast: end == length,
          isLed: start == 0 && !(length > 0 && resets[row][0]))
      }
    }
    let counts = pieces.map(\.steps.count)
    if pieces.count * (counts.max() ?? 0) <= 2 * batch * time {
      groups = [Group(pieces: pieces)]
    } else {
      // Empty ones go with the shortest.
      let least = counts.filter { $0 > 0 }.min() ?? 1
      let powers = Dictionary(grouping: pieces) { piece in
        Int.bitWidth - (max(piece.steps.count, least) - 1).leadingZeroBitCount
      }
      groups = powers.sorted { $0.key < $1.key }.map { Group(pieces: $0.value) }
    }
  }

  /// Pieces side by side: [pieces, longest, width].
  struct Group {
    let pieces: [Piece]
    let longest: Int
    /// The lengths of the pieces.
    var timing: Timing { Timing(lengths: pieces.map(\.steps.count)) }

    init(pieces: [Piece]) {
      self.pieces = pieces
      longest = pieces.map(\.steps.count).max() ?? 0
    }

    func layout(isReversed: Bool) -> SequenceLayout {
      SequenceLayout(batch: pieces.count, time: longest, timing: timing, isReversed: isReversed)
    }

    /// [batch, time, width] → [pieces, longest, width], zeros past their ends.
    func cut(_ x: Tensor) -> Tensor {
      let (time, width) = (x.shape[1], x.shape[2])
      let result = Tensor(zeros: [pieces.count, longest, width])
      for (number, piece) in pieces.enumerated() {
        (result.pointer + number * longest * width).update(
          from: x.pointer + (piece.row * time + piece.steps.lowerBound) * width,
          count: piece.steps.count * width)
      }
      return result
    }

    /// Puts what was cut out back into its place.
    func put(_ part: Tensor, into whole: Tensor) {
      let (time, width) = (whole.shape[1], whole.shape[2])
      for (number, piece) in pieces.enumerated() {
        (whole.pointer + (piece.row * time + piece.steps.lowerBound) * width).update(
          from: part.pointer + number * longest * width, count: piece.steps.count * width)
      }
    }

    /// A state part for each piece: what is given [batch, width] before those it leads into, else what is learned [width].
    func starts(given: Variable?, learned: Variable, isReversed: Bool) -> Variable {
      let all = learned.repeated(pieces.count)
      guard let given else { return all }
      let flags = pieces.map { isReversed ? $0.isLast : $0.isLed }
      return .chosen(flags, given.picked(pieces.map(\.row)), all)
    }

    /// The pieces that a row ends with, by number, and their rows.
    func ends(isReversed: Bool) -> [(number: Int, row: Int)] {
      pieces.enumerated().filter { isReversed ? $1.isFirst : $1.isLast }.map { ($0, $1.row) }
    }

    /// A mask for each sequence: the pieces of a row share its own.
    func ofPieces(_ mask: Tensor) -> Tensor { mask.picked(pieces.map(\.row)) }
  }

  /// A sequence batch [batch, time, width] as those of the groups.
  func cut(_ x: Variable) -> [Variable] {
    let parts = groups.map { $0.cut(x.tensor) }, width = x.shape[2]
    let cut =
      x.tape?.record("cut", inputs: [x], outputs: parts) { [joined($0, width: width)] }
      ?? parts.map { Variable($0) }
    return zip(cut, groups).map { $0.timed($1.timing) }
  }

  /// The inverse of `cut`, zeros past the lengths.
  func joined(_ parts: [Variable]) -> Variable {
    .operation("joined", parts, joined(parts.map(\.tensor), width: parts[0].shape[2])) { gradient in
      groups.map { $0.cut(gradient) }
    }
  }

  private func joined(_ parts: [Tensor?], width: Int) -> Tensor {
    let whole = Tensor(zeros: [batch, time, width])
    for (part, group) in zip(parts, groups) { if let part { group.put(part, into: whole) } }
    return whole
  }

  /// Of a state part for each piece, group by group, those that the rows end with: [batch, width].
  func ends(_ states: [Variable], isReversed: Bool) -> Variable {
    let shapes = states.map(\.shape), width = shapes[0][1]
    let result = Tensor(zeros: [batch, width]), ends = groups.map { $0.ends(isReversed: isReversed) }
    for (state, ends) in zip(states, ends) {
      for (number, row) in ends {
        (result.pointer + row * width).update(from: state.tensor.pointer + number * width, count: width)
      }
    }
    return .operation("ends", states, result) { gradient in
      zip(shapes, ends).map { shape, ends in
        let own = Tensor(zeros: shape)
        for (number, row) in ends {
          (own.pointer + number * width).update(from: gradient.pointer + row * width, count: width)
        }
        return own
      }
    }
  }
}

extension RecurrentPass {
  /// The pass over sequences that begin anew from what is learned, not from zeros.
  func run(
    _ x: Variable, pieces: SequencePieces, isReversed: Bool, weights: Weights, given: [Variable]?,
    learned: [Variable], wantsOutputs: Bool, wantsOutputGate: Bool
  ) -> Result {
    let results = zip(pieces.groups, pieces.cut(x)).map { group, x in
      var inner = RecurrentPass(
        description: description, layout: group.layout(isReversed: isReversed), inputs: inputs, units: units,
        hiddenMask: hiddenMask.map(group.ofPieces))
      inner.noise = noise.map(group.cut)
      let initial = learned.enumerated().map { number, learned in
        group.starts(given: given?[number], learned: learned, isReversed: isReversed)
      }
      return inner.run(
        x, weights: weights, initial: initial, wantsOutputs: wantsOutputs, wantsOutputGate: wantsOutputGate)
    }
    func joined(_ part: (Result) -> Variable?) -> Variable? {
      let parts = results.compactMap(part)
      return parts.isEmpty ? nil : pieces.joined(parts).timed(x.timing)
    }
    return Result(
      outputs: joined(\.outputs),
      states: learned.indices.map { number in
        pieces.ends(results.map { $0.states[number] }, isReversed: isReversed)
      },
      outputGate: joined(\.outputGate))
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
