import LetheCore

/// Some rows of the batch and what a pass holds of them, from the first step to the last.
///
/// Bands have nothing in common but the weights, and each sums up weight gradients of its own, which are then added up in
/// order. So a thread takes a band and meets the others at the end; where threads and bands do not fit, threads
/// share a band's rows or units (`RecurrentPass.shares`) and meet, backward, in every chunk.
final class Band {
  var pass: RecurrentPass
  let work: RecurrentPass.Work

  init(_ pass: RecurrentPass, _ layout: SequenceLayout, _ work: (RecurrentPass) -> RecurrentPass.Work) {
    var own = pass
    own.layout = layout
    self.pass = own
    self.work = work(own)
  }
}

extension RecurrentPass {
  /// The rows of a chunk in a backward pass. Weight gradients sum a chunk's rows in order, last chunk first, so they depend on
  /// shapes only: 256 rows of gates stay in L2; where the sums themselves are larger than that, they should pass
  /// through memory seldom.
  var backwardRows: Int { inputs + units < 512 ? 256 : 1024 }

  /// The layouts of bands. How many there are depends on shapes and lengths alone, or bits would depend on threads. One,
  /// where units see each other: a step then reads all recurrent weights, for as many rows as there are.
  var bandLayouts: [SequenceLayout] {
    // A power of two, so that threads get equal numbers; eight rows of the batch and a chunk each on average; sums of 32 MB
    // in all at most.
    let sums = blocks * 16 * slots * (inputs + 1)
    let most = min(batch / 8, rows / backwardRows, 16, (1 << 23) / max(sums, 1))
    if description.looksBack || isSmall || most < 2 { return [layout] }
    return layout.bands(1 << (Int.bitWidth - 1 - most.leadingZeroBitCount))
  }

  /// Settles how many threads share a band, for the threads of this moment. One, and each thread takes whole bands, where these
  /// are of about one size and not many threads idle in the last round.
  @discardableResult func share(_ bands: [Band]) -> Int {
    let threads = max(1, Parallel.threads), count = bands.count, rounds = (count + threads - 1) / threads
    var own = threads
    if count > 1 && (bands.map(\.pass.rows).max() ?? 0) * count <= rows + rows / 2 {
      own = 4 * count >= 3 * rounds * threads ? 1 : max(2, (threads + count - 1) / count)
    }
    for band in bands { band.pass.threads = own }
    return own
  }
}
