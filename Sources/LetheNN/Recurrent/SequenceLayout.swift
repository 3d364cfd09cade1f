import CLetheKernels
import LetheCore

/// How a batch of sequences lies in the engine: its real steps only, step by step, longest sequence first.
///
/// Direction, lengths and resets are settled here, by a map from the engine's rows to those of the caller's
/// `[batch, time]`; the kernels always walk forward over the first rows of a shrinking batch.
struct SequenceLayout {
  let batch: Int
  /// Steps of the caller's tensors, and of the longest sequence.
  let time: Int
  let steps: Int
  /// Engine batch row → caller's batch row.
  let order: [Int32]
  /// The length of each engine batch row.
  let lengths: [Int]
  /// The engine's first row of each step; one more at the end: the number of rows.
  let firstRow: [Int64]
  /// Engine row → row of `[batch · time]`.
  let map: [Int32]
  /// For each engine row, whether the state is zero before it.
  let resets: [UInt8]?

  var rows: Int { Int(firstRow[steps]) }
  /// Whether every step has all rows, so that each step's input state is simply the output of the one before.
  var isEven: Bool { rows == steps * batch }

  init(batch: Int, time: Int, timing: Timing?, isReversed: Bool) {
    timing?.check(batch: batch, time: time)
    let given = timing?.lengths, resets = timing?.resets
    // Longest first; equal lengths keep their order.
    let sorted = given.map { given in (0..<batch).sorted { (-given[$0], $0) < (-given[$1], $1) } }
    let order = sorted ?? Array(0..<batch)
    let lengths = order.map { given?[$0] ?? time }
    let steps = lengths.first ?? 0
    var firstRow: [Int64] = [0]
    var active = batch
    for t in 0..<steps {
      while active > 0 && lengths[active - 1] <= t { active -= 1 }
      firstRow.append(firstRow[t] + Int64(active))
    }
    /// The caller's step that an engine batch row is at after `t` steps.
    func at(_ row: Int, _ t: Int) -> Int { isReversed ? lengths[row] - 1 - t : t }
    let map = [Int32](unsafeUninitializedCapacity: Int(firstRow[steps])) { map, count in
      for t in 0..<steps {
        for row in 0..<Int(firstRow[t + 1] - firstRow[t]) {
          map[count] = Int32(order[row] * time + at(row, t))
          count += 1
        }
      }
    }
    var flags: [UInt8] = []
    if let resets {
      for t in 0..<steps {
        for row in 0..<Int(firstRow[t + 1] - firstRow[t]) {
          // Backward in time, what starts anew at a step is cut off from the step before it.
          let own = resets[order[row]], step = at(row, t)
          flags.append((isReversed ? step + 1 < lengths[row] && own[step + 1] : own[step]) ? 1 : 0)
        }
      }
    }
    (self.batch, self.time, self.steps) = (batch, time, steps)
    self.order = order.map { Int32($0) }
    (self.lengths, self.firstRow, self.map) = (lengths, firstRow, map)
    self.resets = flags.contains(1) ? flags : nil
  }

  /// The layouts of neighbouring batch rows, at most `count` bands with about as many steps each, over the same tensors.
  func bands(_ count: Int) -> [SequenceLayout] { shares(count).map { SequenceLayout(self, $0) } }

  /// Some batch rows of a layout.
  private init(_ whole: SequenceLayout, _ own: Range<Int>) {
    batch = own.count
    time = whole.time
    order = Array(whole.order[own])
    lengths = Array(whole.lengths[own])
    steps = lengths.first ?? 0
    var firstRow: [Int64] = [0], map: [Int32] = [], resets: [UInt8] = []
    map.reserveCapacity(own.count * steps)
    for t in 0..<steps {
      let rows = whole.rows(of: t..<t + 1)
      let from = rows.lowerBound + own.lowerBound, to = min(rows.upperBound, rows.lowerBound + own.upperBound)
      map += whole.map[from..<to]
      if let all = whole.resets { resets += all[from..<to] }
      firstRow.append(Int64(map.count))
    }
    (self.firstRow, self.map) = (firstRow, map)
    self.resets = resets.contains(1) ? resets : nil
  }

  /// The engine row that holds the last step of an engine batch row; `nil` for an empty sequence.
  func lastRow(_ row: Int) -> Int? { lengths[row] == 0 ? nil : Int(firstRow[lengths[row] - 1]) + row }

  /// Ranges of batch rows with about as many steps each.
  func shares(_ count: Int) -> [Range<Int>] { evenShares(of: lengths, count) }

  /// The steps in chunks of at most `most` rows, or of one step where that has more.
  func chunks(rows most: Int) -> [Range<Int>] {
    var chunks: [Range<Int>] = []
    var start = 0
    for t in 0..<steps where t + 1 == steps || firstRow[t + 2] - firstRow[start] > most {
      chunks.append(start..<t + 1)
      start = t + 1
    }
    return chunks
  }

  /// The rows of some steps.
  func rows(of steps: Range<Int>) -> Range<Int> {
    Int(firstRow[steps.lowerBound])..<Int(firstRow[steps.upperBound])
  }

  /// Rows at even distances: `count` groups of `width` neighbours, the first at `first`, their starts `apart` rows
  /// apart.
  struct Run {
    var first: Int
    var width: Int
    var count = 1
    var apart = 0
    var rows: Int { width * count }
    /// The groups as ranges of rows.
    var groups: [Range<Int>] { (0..<count).map { first + $0 * apart..<first + $0 * apart + width } }
  }

  /// The rows that a share of the batch has in some steps, as few runs as possible.
  func runs(_ steps: Range<Int>, _ share: Range<Int>) -> [Run] {
    if share == 0..<batch {
      return [Run(first: Int(firstRow[steps.lowerBound]), width: rows(of: steps).count)]
    }
    var runs: [Run] = []
    for t in steps {
      let first = Int(firstRow[t]) + share.lowerBound, active = rows(of: t..<t + 1).count
      let width = min(active, share.upperBound) - share.lowerBound
      if width <= 0 { break }
      if let last = runs.last, last.width == width,
        last.count == 1 || last.first + last.count * last.apart == first
      {
        runs[runs.count - 1].apart = (first - last.first) / last.count
        runs[runs.count - 1].count += 1
      } else {
        runs.append(Run(first: first, width: width))
      }
    }
    return runs
  }

  /// Copies the rows of a tensor [batch, time, columns] to `target` [block][row][16], blocks `block` floats apart; row
  /// 0 of the engine is at `target`. With `blocks`, these alone.
  func gather(
    _ tensor: Tensor, columns: Int, _ runs: [Run], into target: UnsafeMutablePointer<Float>, block: Int,
    blocks: Range<Int>? = nil
  ) {
    let (first, count) = part(blocks, of: columns)
    eachGroup(runs) { map, rows in
      kernels.gather_blocks(
        target + first * block, block, tensor.pointer + first * 16, map, Int64(count), Int64(columns),
        Int64(rows.lowerBound), Int64(rows.upperBound))
    }
  }

  /// The first of some blocks, and the columns they hold.
  private func part(_ blocks: Range<Int>?, of columns: Int) -> (first: Int, count: Int) {
    guard let blocks else { return (0, columns) }
    return (blocks.lowerBound, max(0, min(columns, blocks.upperBound * 16) - blocks.lowerBound * 16))
  }

  /// The inverse of `gather`.
  func scatter(
    _ source: UnsafePointer<Float>, block: Int, _ runs: [Run], into tensor: Tensor, columns: Int,
    blocks: Range<Int>? = nil
  ) {
    let (first, count) = part(blocks, of: columns)
    eachGroup(runs) { map, rows in
      kernels.scatter_blocks(
        tensor.pointer + first * 16, source + first * block, block, map, Int64(count), Int64(columns),
        Int64(rows.lowerBound), Int64(rows.upperBound))
    }
  }

  private func eachGroup(_ runs: [Run], _ body: (UnsafePointer<Int32>, Range<Int>) -> Void) {
    map.withUnsafeBufferPointer { map in
      guard let map = map.baseAddress else { return }
      for rows in runs.flatMap(\.groups) { body(map, rows) }
    }
  }

  /// A tensor [batch, time, columns] whose real steps `scatter` will write; the steps past a sequence's length are zero.
  func scattered(columns: Int) -> Tensor {
    let shape = [batch, time, columns]
    return rows == batch * time ? Tensor.uninitialized(shape) : Tensor(zeros: shape)
  }

  /// Writes a state [batch, units] (`nil`: zeros) as [block][batch][16], blocks `block` floats apart.
  func packState(_ state: Tensor?, units: Int, into target: UnsafeMutablePointer<Float>, block: Int) {
    let blocks = (units + 15) / 16
    guard let state else {
      for j in 0..<blocks { (target + j * block).update(repeating: 0, count: batch * 16) }
      return
    }
    order.withUnsafeBufferPointer { order in
      guard let order = order.baseAddress else { return }
      kernels.gather_blocks(
        target, block, state.pointer, order, Int64(units), Int64(units), 0, Int64(batch))
    }
  }

  /// Writes the state that [block][batch][16] holds to the rows of a tensor [batch, units].
  func unpackState(_ source: UnsafePointer<Float>, units: Int, block: Int, into tensor: Tensor) {
    order.withUnsafeBufferPointer { order in
      guard let order = order.baseAddress else { return }
      kernels.scatter_blocks(
        tensor.pointer, source, block, order, Int64(units), Int64(units), 0, Int64(batch))
    }
  }

  /// Writes the state after each sequence's last step, from the states of all rows, to the rows of a tensor [batch,
  /// units]; `initial` where there was no step.
  func finalState(
    _ source: UnsafePointer<Float>, units: Int, block: Int, initial: Tensor?, into tensor: Tensor
  ) {
    for row in 0..<batch {
      let to = tensor.pointer + Int(order[row]) * units
      if let last = lastRow(row) {
        for at in stride(from: 0, to: units, by: 16) {
          (to + at).update(from: source + at / 16 * block + last * 16, count: min(16, units - at))
        }
      } else if let initial {
        to.update(from: initial.pointer + Int(order[row]) * units, count: units)
      } else {
        to.update(repeating: 0, count: units)
      }
    }
  }
}

extension Timing {
  /// Stops with what was expected where lengths or resets do not fit a batch.
  func check(batch: Int, time: Int) {
    if let lengths {
      require(
        lengths.count == batch && lengths.allSatisfy { $0 >= 0 && $0 <= time },
        "lengths: expected \(batch) numbers in 0...\(time), got \(lengths)")
    }
    if let resets {
      require(
        resets.count == batch && resets.allSatisfy { $0.count == time },
        "resets: expected \(batch) rows of \(time), got \(resets.count) rows of \(resets.map(\.count))")
    }
  }
}

extension Range<Int> {
  /// Part `index` of `count` even ones, as a run of rows.
  func part(_ index: Int, of count: Int) -> SequenceLayout.Run {
    let first = lowerBound + self.count * index / count
    return .init(first: first, width: lowerBound + self.count * (index + 1) / count - first)
  }
}

/// Cuts sequences of the given lengths into at most `count` neighbouring ranges with about as many steps each. A sequence
/// counts one step more than it has, so that empty ones are shared out too.
package func evenShares(of lengths: [Int], _ count: Int) -> [Range<Int>] {
  let all = lengths.reduce(0, +) + lengths.count
  var shares: [Range<Int>] = []
  var start = 0, done = 0
  for (row, length) in lengths.enumerated() {
    done += length + 1
    let goal = all * (shares.count + 1) / count
    if (done >= goal && shares.count < count - 1) || row == lengths.count - 1 {
      shares.append(start..<row + 1)
      start = row + 1
    }
  }
  return shares
}
