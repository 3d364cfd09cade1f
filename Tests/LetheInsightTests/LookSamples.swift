import LetheInsight

/// Reports of made-up cells that obey c_t = f_t c_{t−1} + i_t u_t, so that the pictures look like real ones.
enum LookSamples {
  /// Repeatable numbers between 0 and 1.
  struct Numbers {
    var state: UInt64
    mutating func next() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 33) / Double(UInt64(1) << 31)
    }
  }

  /// The gates and values of one layer: each unit with a pace of its own, all closing where `closing` is high.
  struct Cell {
    var forget: [[Float]] = []
    var input: [[Float]] = []
    var output: [[Float]] = []
    var candidate: [[Float]] = []
    var cell: [[Float]] = []
    var hidden: [[Float]] = []

    init(steps: Int, units: Int, seed: UInt64, closing: (Int) -> Double, drive: (Int) -> Double) {
      var numbers = Numbers(state: seed)
      let pace = (0..<units).map { _ in numbers.next() }
      let taste = (0..<units).map { _ in numbers.next() * 2 - 1 }
      var memory = [Double](repeating: 0, count: units)
      for step in 0..<steps {
        var rows = [[Float]](repeating: [], count: 6)
        for unit in 0..<units {
          let noise = numbers.next() - 0.5
          let keeps =
            1 - (1 - pace[unit]) * (1 - pace[unit]) * 0.6 - closing(step) * (1 - pace[unit] / 2) * 0.8
          let f = min(max(keeps + noise * 0.08, 0.01), 0.999)
          let i = min(max(0.15 + 0.7 * abs(drive(step) * taste[unit]) + noise * 0.1, 0.01), 0.99)
          let o = min(max(0.3 + 0.5 * pace[unit] * abs(drive(step)) + noise * 0.2, 0.01), 0.99)
          let u = min(max(drive(step) * taste[unit] + noise * 0.5, -1), 1)
          memory[unit] = f * memory[unit] + i * u
          for (index, value) in [f, i, o, u, memory[unit], o * memory[unit]].enumerated() {
            rows[index].append(Float(value))
          }
        }
        forget.append(rows[0])
        input.append(rows[1])
        output.append(rows[2])
        candidate.append(rows[3])
        cell.append(rows[4])
        hidden.append(rows[5])
      }
    }

    var signals: [LookReport.Signal] {
      [
        .init("forget", role: .memory, values: forget), .init("input", role: .gate, values: input),
        .init("output", role: .gate, values: output), .init("candidate", role: .value, values: candidate),
        .init("cell", role: .value, values: cell), .init("hidden", role: .value, values: hidden),
      ]
    }

    /// (f_{k+1}…f_t) i_k u_k of each unit, row t, column k.
    func written(_ unit: Int) -> [[Float]] {
      var rows: [[Float]] = []
      for step in forget.indices {
        var row = (rows.last ?? []).map { $0 * forget[step][unit] }
        row.append(input[step][unit] * candidate[step][unit])
        rows.append(row)
      }
      return rows
    }

    func ledger(layer: String, shown: [Int]) -> LookReport.Ledger {
      let units = forget.first?.count ?? 0
      var sums = forget.indices.map { [Float](repeating: 0, count: $0 + 1) }
      for unit in 0..<units {
        for (step, row) in written(unit).enumerated() {
          for (k, value) in row.enumerated() { sums[step][k] += abs(value) }
        }
      }
      let shares = sums.map { row in
        let total = max(row.reduce(0, +), 1e-9)
        return row.map { $0 / total }
      }
      return .init(
        layer: layer,
        maps: [.init("all units", shares: shares)] + shown.map { .init("unit \($0)", shares: written($0)) })
    }

    func halfLives() -> [Double] {
      (0..<(forget.first?.count ?? 0)).map { unit in
        let mean = forget.reduce(0) { $0 + Double($1[unit]) } / Double(max(forget.count, 1))
        return 0.693 / max(1 - mean, 1e-4)
      }
    }
  }

  /// A sentence read by a small LSTM.
  static func sentence() -> LookReport {
    let text =
      "the film was not bad at all , but the ending is also not great . i would still see it again , "
      + "and i would not say so if the cast were dull ."
    let tokens = text.split(separator: " ").map(String.init)
    var report = LookReport(
      headline: .init(model: "reviews.lethe.safetensors", data: "reviews, test part", row: 12),
      steps: tokens.count)
    report.headline.answers = [
      .init("positive", probability: 0.914), .init("mixed", probability: 0.071),
      .init("negative", probability: 0.015),
    ]
    report.headline.truth = "positive"
    report.headline.facts = [
      .init("Cell", "LSTM, 2 layers of 32 units"), .init("Parameters", "14,211"), .init("Seed", "1"),
    ]
    report.input = .text(tokens: tokens, separator: " ")
    func closing(_ step: Int) -> Double {
      [".", ","].contains(tokens[step]) ? (tokens[step] == "." ? 0.9 : 0.35) : 0
    }
    func drive(_ step: Int) -> Double {
      ["not": -0.9, "bad": -0.7, "great": 0.9, "still": 0.5, "again": 0.6, "dull": -0.8][tokens[step]] ?? 0.12
    }
    let first = Cell(steps: tokens.count, units: 32, seed: 3, closing: { closing($0) * 0.6 }, drive: drive)
    let second = Cell(steps: tokens.count, units: 32, seed: 8, closing: closing, drive: drive)
    report.layers = [.init("lstm.0", signals: first.signals), .init("lstm.1", signals: second.signals)]
    report.ledger = second.ledger(layer: "lstm.1", shown: [4, 11, 19])
    let last = second.ledger(layer: "", shown: []).maps[0].shares.last ?? []
    let parts = last.enumerated().map {
      Double($0.element) * abs(drive($0.offset)) * (tokens[$0.offset] == "dull" ? -9 : 24)
    }
    report.attribution = .init(
      answer: "positive", contributions: parts, remainder: 0.31, total: parts.reduce(0.31, +))
    for (name, cell) in [("lstm.0", first), ("lstm.1", second)] {
      var memory = LookReport.Memory(layer: name, halfLives: cell.halfLives())
      memory.neverClose = [3, 17]
      memory.saturated = [3, 9, 17, 28]
      memory.duplicates = [[5, 21]]
      memory.horizon = 11.4
      memory.basis = "240 rows of the test part"
      report.memories.append(memory)
      let products = cell.forget.indices.map { from in
        (0..<32).reduce(0.0) { sum, unit in
          sum + cell.forget[(from + 1)...].reduce(1.0) { $0 * Double($1[unit]) }
        } / 32
      }
      report.gradients.append(
        .init(
          layer: name, norms: products.enumerated().map { $0.element * (1 + 0.2 * Double($0.offset % 3)) },
          gateProducts: products, plainRate: 0.8))
    }
    report.certificates = [
      .init(
        "forget gate", bound: 0.004...0.9991, observed: 0.01...0.999, isProved: true,
        remark: "for inputs within ±4"),
      .init("|c| of any unit", bound: 0...6.31, observed: 0...4.87, isProved: true),
      .init("longest half-life, in steps", bound: 0...769, observed: 0...692, isProved: true),
      .init(
        "forgets a disturbance to 1 %, in steps", bound: nil, observed: 0...41, isProved: false,
        remark: "not contracting: the closed-loop gain is 1.7, and a network that remembers need not contract"
      ),
    ]
    let closes = tokens.indices.filter { [".", ","].contains(tokens[$0]) }
    report.boundaries = .init(
      scores: tokens.indices.map { closing($0) * 0.85 + 0.04 },
      events: closes.map {
        .init(
          step: $0, pValue: tokens[$0] == "." ? 0.002 : 0.21, units: [4, 11, 30], causes: ["“\(tokens[$0])”"])
      }, trials: 1000)
    report.notes = ["The output gate is left out of the ledger: it reads the memory and does not change it."]
    return report
  }

  /// A picture of 8 × 8 read row by row.
  static func digit() -> LookReport {
    let rows = [
      "..#####.", ".#....#.", "......#.", "...###..", "......#.", "......#.", ".#...##.", "..####..",
    ]
    let pixels = rows.map { row in row.map { Float($0 == "#" ? 0.95 : 0.04) } }
    var report = LookReport(headline: .init(model: "digits", data: "digits, test part", row: 7), steps: 8)
    report.headline.answers = [
      .init("3", probability: 0.981), .init("9", probability: 0.012), .init("5", probability: 0.004),
      .init("8", probability: 0.003),
    ]
    report.headline.truth = "3"
    report.input = .image(pixels: pixels)
    let ink = pixels.map { Double($0.reduce(0, +)) / 8 }
    let cell = Cell(
      steps: 8, units: 64, seed: 21, closing: { ink[$0] < 0.2 ? 0.4 : 0 }, drive: { ink[$0] * 1.4 })
    report.layers = [.init("forgetting gate network", signals: Array(cell.signals.prefix(2)))]
    report.ledger = cell.ledger(layer: "forgetting gate network", shown: [])
    report.attribution = .init(
      answer: "3", contributions: [0.4, -0.3, 0.2, 2.1, 0.3, -0.6, 0.9, 1.2], remainder: -0.1, total: 4.1)
    report.memories = [.init(layer: "forgetting gate network", halfLives: cell.halfLives())]
    return report
  }

  /// A long signal of two channels read by two layers.
  static func signal(steps: Int = 1000, units: Int = 128) -> LookReport {
    func jump(_ step: Int) -> Bool { step % 240 == 120 }
    var report = LookReport(
      headline: .init(model: "level.lethe.safetensors", data: "a level that jumps", row: 3), steps: steps)
    var numbers = Numbers(state: 5)
    var level = 0.0
    var levels: [Double] = []
    var noisy: [Float] = []
    for step in 0..<steps {
      if jump(step) { level = numbers.next() * 4 - 2 }
      levels.append(level)
      noisy.append(Float(level + numbers.next() * 0.8 - 0.4))
    }
    report.input = .series(channels: [
      .init("level, volts", values: noisy), .init("load", values: levels.map { Float(abs($0) * 10) }),
    ])
    for index in 0..<2 {
      let cell = Cell(
        steps: steps, units: units, seed: UInt64(40 + index),
        closing: { jump($0) ? 0.95 : jump($0 - 1) ? 0.5 : 0 },
        drive: { levels[$0] / 2 })
      report.layers.append(.init("lstm.\(index)", signals: cell.signals))
      report.memories.append(.init(layer: "lstm.\(index)", halfLives: cell.halfLives()))
      if index == 1 {
        report.ledger = cell.ledger(layer: "lstm.1", shown: steps > 600 ? [0, 1, 2, 3, 4, 5, 6, 7] : [0])
        report.attribution = .init(
          answer: "next value",
          contributions: (report.ledger?.maps[0].shares.last ?? []).map { Double($0) * level },
          remainder: 0.02, total: level + 0.02)
      }
    }
    var norm = 1.0
    var norms = [1.0]
    for step in 1..<steps {
      norm *= jump(steps - step) ? 0.05 : 0.991
      norms.append(norm)
    }
    report.gradients = [.init(layer: "lstm.1", norms: norms.reversed(), plainRate: 0.95)]
    let jumps = (0..<steps).filter(jump)
    report.boundaries = .init(
      scores: (0..<steps).map { jump($0) ? 0.9 : 0.05 },
      events: jumps.map { .init(step: $0, pValue: 0.001, units: [2, 7], causes: ["level, volts"]) },
      trials: 1000)
    return report
  }

  static let hostile = "</script><script>alert(\"1\")</script> & 'co' \u{1B}[31m\u{202E}\u{2028}😀"

  /// A report full of hostile words and of numbers that are none, in shapes that do not fit each other.
  static func broken() -> LookReport {
    let nan = Float.nan
    var report = LookReport(headline: .init(model: hostile, data: hostile, row: -1), steps: 5)
    report.headline.answers = [.init(hostile, probability: .nan), .init("", probability: 7)]
    report.headline.truth = hostile
    report.headline.facts = [.init(hostile, hostile)]
    report.input = .text(tokens: [hostile, "\n", "", " ", "a\u{0}b", "one too many"], separator: "<")
    report.layers = [
      .init(
        hostile, isReversed: true,
        signals: [
          .init(hostile, role: .memory, values: [[nan, 2], [], [-.infinity, 0.5, 0.25]]),
          .init("", role: .value, values: [[nan], [.infinity], [1e38], [-1e38], [0], [1]]),
          .init("none", role: .gate, values: []),
        ]),
      .init("empty", signals: []),
    ]
    report.ledger = .init(
      layer: hostile,
      maps: [.init(hostile, shares: [[nan], [], [1, 2, 3, 4, 5, 6, 7]]), .init("x", shares: [])],
      initial: [nan])
    report.attribution = .init(
      answer: hostile, contributions: [.nan, .infinity, -1e300, 0, 1], remainder: .nan, total: .infinity)
    var memory = LookReport.Memory(layer: hostile, halfLives: [.nan, .infinity, -1, 0, 1e300])
    memory.horizon = .nan
    memory.basis = hostile
    memory.duplicates = [[], [-1, 7]]
    report.memories = [memory, .init(layer: "", halfLives: [])]
    report.gradients = [
      .init(layer: hostile, norms: [0, -1, .nan, .infinity, 1e-320], gateProducts: [.nan], plainRate: .nan),
      .init(layer: "none", norms: [.nan]),
    ]
    report.certificates = [
      .init(
        hostile, bound: -Double.infinity...Double.infinity, observed: 0...0, isProved: true, remark: hostile),
      .init("broken", bound: 0...1, observed: 0...2, isProved: true),
      .init("point", bound: 1...1, observed: 1...1, isProved: false),
    ]
    report.boundaries = .init(
      scores: [.nan, 3],
      events: [.init(step: 99, pValue: .nan), .init(step: 1, pValue: 0, causes: [hostile])], trials: 0)
    report.notes = [hostile]
    return report
  }
}
