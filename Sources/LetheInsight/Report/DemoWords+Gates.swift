/// What a page says of its gates: only of those it shows.
extension DemoWords {
  private static let f = HTMLPage.Inline.variable("f", below: "t")
  private static let k = HTMLPage.Inline.variable("k", below: "t")
  private static let m = HTMLPage.Inline.variable("m", below: "t")
  private static let z = HTMLPage.Inline.variable("z", below: "t")

  private static func letter(_ name: String) -> HTMLPage.Inline { .variable(name, below: "") }

  /// What the gates are and do.
  static func gates(_ roles: Set<DemoReport.Gate.Role>) -> [HTMLPage.Block] {
    var blocks: [HTMLPage.Block] = [
      .paragraph([
        """
        The network carries a small memory from strip to strip, one number for each of its units, and after \
        each strip it gives a reading of that memory. A
        """,
        " ", .emphasis("gate"),
        """
         is a number between 0 and 1 for each unit that something else is multiplied with: at 1 all of it \
        passes, at 0 nothing. Nobody sets a gate by hand. It is computed anew at every step, with weights that \
        were learned. In equations a circle, ⊙, multiplies unit by unit.
        """,
      ])
    ]
    if roles.contains(.readOut) { blocks += readOut }
    if roles.contains(.memory) { blocks += memory }
    if roles.count == 2 { blocks.append(.note(apart)) }
    return blocks
  }

  private static let readOut: [HTMLPage.Block] = [
    .heading("The gate layer, f: what goes into the answer"),
    .equation([
      .variable("y", below: "t"), " = ", f, " ⊙ ", m, " + (1 − ", f, ") ⊙ ", z,
    ]),
    .paragraph([
      m, " is the reading after strip ", letter("t"), ", ", .variable("y", below: "t"),
      " what is passed on towards the answer, and ", z,
      " what stands in for a reading that is dropped: in this network nothing, 0. The gate layer ", f,
      """
       is computed from what arrives at that step alone, without the memory. Near 1 the reading goes out as it is; \
      near 0 it is dropped from the output of that step. The memory itself is not touched.
      """,
    ]),
  ]

  private static let memory: [HTMLPage.Block] = [
    .heading("The memory’s forget gate, k: what stays in mind"),
    .equation([
      .variable("c", below: "t"), " = ", k, " ⊙ ", .variable("c", below: "t−1"), " + ",
      .variable("i", below: "t"), " ⊙ ", .variable("u", below: "t"),
    ]),
    .paragraph([
      .variable("c", below: "t"), " is the memory after strip ", letter("t"), ", ",
      .variable("u", below: "t"), " what is new, ", .variable("i", below: "t"),
      " how much of that is let in, and ", k,
      " how much of the old memory is kept. (Books call this gate ", letter("f"),
      " as a rule; here it is ", letter("k"),
      ", for keep.) Near 1 the old stays; near 0 it is gone from the memory, and in between it fades.",
    ]),
  ]

  private static let apart: [HTMLPage.Inline] = [
    .strong("Two gates, two kinds of forgetting. "), "Near 0, ", letter("f"), " hides ", .emphasis("this"),
    " strip’s reading and no more: the next reading may draw on the same memory. Near 0, ", letter("k"),
    " wipes from the memory what all strips ", .emphasis("before"),
    " left there: no later reading finds it. Each gate has weights of its own.",
  ]

  /// How to read the pictures.
  static func reading(_ roles: Set<DemoReport.Gate.Role>) -> [[HTMLPage.Inline]] {
    var items: [[HTMLPage.Inline]] = [
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
        : the gate. A column is a unit; a strong colour is near 1, a faint one near 0. Units stand in the order \
        of their mean over all images here, the same on every card, so columns of one gate can be compared from \
        card to card.
        """,
      ],
      [.strong("Mean"), ": the mean of that row of gate values over the units."],
    ]
    if roles.contains(.readOut) {
      items.append([
        .strong("As read"), " (gate layer): the image again, each strip as faint as the mean of ", f,
        " at its step. A faint strip: of the reading made there, little goes into the answer.",
      ])
    }
    if roles.contains(.memory) {
      items.append([
        .strong("Left at the end"),
        """
         (memory): the image again, each strip as faint as the gates leave what it added: the product of all \
        later values of
        """,
        " ", k, ", averaged over the units. The last strip is always whole.",
      ])
      items.append([
        "In the picture of the memory’s gate a faint row means that the strips ", .emphasis("above"),
        """
         were let go while this one was read, not that this one was. Its first row changes nothing: the memory \
        is still empty then.
        """,
      ])
    }
    return items
  }

  /// What the pictures do not prove.
  static func limits(_ roles: Set<DemoReport.Gate.Role>) -> [[HTMLPage.Inline]] {
    var items: [[HTMLPage.Inline]] = [
      [
        .strong("Kept is not used."),
        " What passes a gate may be small, or the answer may not depend on it at all.",
      ]
    ]
    if roles.contains(.readOut) {
      items.append([
        .strong("Dropped is not unseen."),
        """
         The memory takes in every strip, whatever the gate layer does. What a strip left there can come out \
        with a later reading, from which “as read” does not drop it.
        """,
      ])
    }
    if roles.contains(.memory) {
      items.append([
        .strong("Faded is not lost."),
        """
         The memory’s gates and its new content also look at the last reading, so an early strip can act on later \
        ones along that road. The faded image leaves it out.
        """,
      ])
    }
    if roles.count == 2 {
      items.append([
        .strong("The end is not the only way out."),
        """
         The outputs of all strips go into the answer. What fades before the last strip may have been read, and \
        used, long before.
        """,
      ])
    }
    items += [
      [
        .strong("A gate does not know pixels."),
        """
         It scales numbers that mix many of them: a reading draws on all strips so far, and layers below the \
        memory blend each strip with its neighbours. That a gate is high on a strip with ink does not say that \
        the ink is what was kept.
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
    return items
  }

  /// What to see in the means by step.
  static func byStep(_ roles: Set<DemoReport.Gate.Role>) -> String {
    var words = "The mean over all units and all images above."
    if roles.contains(.readOut) {
      words += " A dip of the gate layer: less of the reading made at this step goes into the answer."
    }
    if roles.contains(.memory) {
      words += " A dip of the memory’s gate: less of what came before this step stays."
    }
    return words
  }

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

/// The words beside a gate of each role.
extension DemoReport.Gate.Role {
  /// What it decides, in a few words.
  var deed: String {
    switch self {
    case .readOut: "what of this strip’s reading goes out"
    case .memory: "what stays of the strips before"
    }
  }

  /// What stands under the values of the gate.
  var axis: String {
    switch self {
    case .readOut: "gate value: 0 drops the reading, 1 passes it"
    case .memory: "gate value: 0 lets the memory go, 1 keeps it"
    }
  }

  /// What stands above the faded image.
  var outcome: String {
    switch self {
    case .readOut: "as read"
    case .memory: "left at the end"
    }
  }

  /// What the faded image is, for those who cannot see it.
  var outcomeInWords: String {
    switch self {
    case .readOut: "the image, each row as faint as the mean of the gate there"
    case .memory: "the image, each row as faint as the later gates leave it"
    }
  }
}

extension DemoReport.Gate {
  /// How faint the image is drawn beside the gate, for each step.
  var shares: [Double] {
    let values = GateMemory(keep: keep)
    return switch role {
    case .readOut: values.meanByStep
    case .memory: values.leftAtEnd
    }
  }
}
