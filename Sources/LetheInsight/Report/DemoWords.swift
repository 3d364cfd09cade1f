/// The sentences of a ``DemoReport``.
enum DemoWords {
  static let lead = """
    A small recurrent network read images of digits from top to bottom, a strip at a time, and had to say at \
    the end which digit it was. This page tells how well that went, and what its gates did on the way.
    """

  static let footer = """
    Written by lethe demo. This page is one file: it loads nothing, runs no script, and can be kept, mailed \
    and printed.
    """

  static let loss = """
    The mean over the images of an epoch; lower is better. Training still falling while validation rises \
    means learning by heart.
    """

  static let confusion = """
    A row for each true digit, a column for each answer, counts in the cells. Blue: right. Orange: wrong, \
    on a scale of its own, so that a single error shows.
    """

  static let errors = "How many test images of each digit got another answer."

  static let gate: [HTMLPage.Block] = [
    .paragraph([
      """
      The network carries a small memory from strip to strip: one number for each of its units. Before a \
      unit adds something new, its
      """,
      " ", .emphasis("gate"),
      """
       picks how much of the old number stays. At 1 all of it stays, at 0 it is gone, and in between it \
      fades. Nobody sets a gate by hand: it is computed anew at every step, with weights that were learned.
      """,
    ]),
    .equation([
      .variable("c", below: "t"), " = ", .variable("f", below: "t"), " ⊙ ", .variable("c", below: "t−1"),
      " + ", .variable("i", below: "t"), " ⊙ ", .variable("u", below: "t"),
    ]),
    .paragraph([
      .variable("c", below: ""), " is the memory after step ", .variable("t", below: ""), ", ",
      .variable("u", below: ""), " what is new, ", .variable("i", below: ""),
      " how much of that is let in, and ", .variable("f", below: ""),
      " the gate shown below: how much of the old is kept. The circle multiplies unit by unit.",
    ]),
  ]

  static let reading: [[HTMLPage.Inline]] = [
    [
      .strong("Seen"),
      """
      : the image. Time runs downward, and thin seams part one step from the next. A row of the other \
      pictures belongs to the strip beside it.
      """,
    ],
    [
      .strong("Keeps"),
      """
      : the gate. A column is a unit; a strong colour keeps the old memory while this strip is read, a faint \
      one lets it go. Units stand in the order of their mean over all images here, the same on every card, \
      so columns can be compared from card to card.
      """,
    ],
    [.strong("Mean"), ": the mean of that row of gate values over the units."],
    [
      .strong("Left at the end"),
      """
      : the image again, each strip as faint as the gates leave what it added: the product of all later gate \
      values, averaged over the units. The last strip is always whole.
      """,
    ],
    [
      "A faint row means that the strips ", .emphasis("above"),
      """
       were let go while this one was read, not that this one was. The first row of a gate changes nothing: \
      the memory is still empty then.
      """,
    ],
  ]

  static let limits: [[HTMLPage.Inline]] = [
    [
      .strong("Kept is not used."),
      " A unit may carry a number to the end that the answer never depends on.",
    ],
    [
      .strong("Faded is not lost."),
      """
       Where gates and new content also look at the last output, an early strip can act on later ones along \
      that road. The faded image leaves it out.
      """,
    ],
    [
      .strong("A gate does not know pixels."),
      """
       It scales a number that already mixes everything read so far. That it is high on a strip with ink \
      does not say that the ink is what was kept.
      """,
    ],
    [
      .strong("A mean hides its parts."),
      " Half of the units at 1 and half at 0 give the same bar as all of them at one half.",
    ],
    [
      .strong("A few images are an illustration."),
      """
       To test a claim, change the input: blank a strip, swap two, and see whether the answer moves.
      """,
    ],
  ]

  static let byStep = """
    The mean over all units and all images above. At a dip the units keep less of what came before it.
    """

  /// What the spread of gate `values` comes to.
  static func spread(_ values: [Double]) -> String {
    let numbers = values.filter(\.isFinite)
    guard !numbers.isEmpty else { return "" }
    let count = Double(numbers.count)
    let high = DecimalText.percent(Double(numbers.count { $0 >= 0.9 }) / count, 0)
    let low = DecimalText.percent(Double(numbers.count { $0 <= 0.1 }) / count, 0)
    let mean = DecimalText.fixed(GateMemory.mean(numbers), 2)
    return """
      \(DecimalText.grouped(numbers.count)) values from the images above: \(high) at 0.9 or more, \
      \(low) at 0.1 or less, mean \(mean).
      """
  }
}
