import CLetheKernels
import LetheCore

extension RecurrentPass {
  /// Whether there is too little to do for more than one thread.
  var isSmall: Bool { rows * units * units * slots < 1 << 20 }

  /// What one thread does: some rows of the batch; or, where units do not see each other, some panels of at most four
  /// blocks of them, with all rows.
  struct Share {
    var rows: Range<Int>
    var panels: Range<Int>
    var blocks: Range<Int>
    var isOfUnits: Bool

    func fill(_ arguments: inout lethe_recurrent) {
      guard isOfUnits else { return }
      arguments.panel0 = Int64(panels.lowerBound)
      arguments.panel1 = Int64(panels.upperBound)
    }
  }

  /// The threads' shares; one where there is little to do. Panels that do not come out even are shared where there are many.
  var shares: [Share] {
    let panels = (blocks + 3) / 4
    let threads = isSmall ? 1 : threads
    let isEven = panels % threads == 0 || panels >= 4 * threads || panels >= threads && batch < threads
    if description.looksBack || isSmall || !isEven {
      return layout.shares(max(1, min(threads, batch))).map {
        Share(rows: $0, panels: 0..<panels, blocks: 0..<blocks, isOfUnits: false)
      }
    }
    return (0..<threads).map { index in
      let own = panels * index / threads..<panels * (index + 1) / threads
      let first = blocks * own.lowerBound / panels, last = blocks * own.upperBound / panels
      return Share(rows: 0..<batch, panels: own, blocks: first..<last, isOfUnits: true)
    }
  }

  /// The product of some rows. A batch that cannot be split leaves its long products to all threads.
  func multiply(_ product: lethe_product, _ runs: [SequenceLayout.Run], width: Int, isAlone: Bool) {
    for run in runs {
      let own = product.over(run)
      let grain = isAlone ? max(6, (1 << 18) / max(width * blocks * slots * 16, 1)) : run.rows
      Parallel.split(run.rows, grain: grain, threads: threads) { part in
        var p = own
        kernels.product(&p, Int64(part.lowerBound), Int64(part.upperBound), 0, p.panelCount)
      }
    }
  }

  /// Calls `body` for the steps at once or, where a batch that cannot be split leaves threads idle and a step is worth a
  /// hand-over between them, step by step with the units shared out.
  func eachStep(
    _ steps: Range<Int>, _ arguments: lethe_recurrent, isAlone: Bool, isReversed: Bool,
    _ body: (inout lethe_recurrent, Range<Int>) -> Void
  ) {
    let panels = (blocks + 3) / 4
    let parts =
      isAlone && description.looksBack && description.stages.count == 1 ? min(threads, panels) : 1
    if parts < 2 || batch * units * units * slots < 1 << 18 {
      var whole = arguments
      return body(&whole, steps)
    }
    for index in 0..<steps.count {
      let t = isReversed ? steps.upperBound - 1 - index : steps.lowerBound + index
      Parallel.run(parts, threads: threads) { part in
        var own = arguments
        own.panel0 = Int64(panels * part / parts)
        own.panel1 = Int64(panels * (part + 1) / parts)
        body(&own, t..<t + 1)
      }
    }
  }
}
