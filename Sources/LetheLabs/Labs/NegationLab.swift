import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// Hold, flip, reset: an LSTM reads sentences and says of each word of feeling whether it is meant well, *not* included.
///
/// "the plot was not bad but also not great ." — *not* turns what follows around, a second one turns it back; *but* and the full
/// stop end its reach. The unit whose cell follows best whether words are turned around is looked for in the recording; whether it
/// is the one that does it is asked by changing it alone on the way.
struct NegationLab: Lab {
  let name = "negation"
  let claim =
    "One unit of a small LSTM flips on 'not', stays over the words after it, and resets at the full stop: changing that unit alone "
    + "turns the answers around, changing another does not."
  let kind = LabKind.empirical
  private static let units = 6

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let runs = try setup.eachSeed(progress) { seed, part in try learn(seed: seed, setup, part) }
    func finding(_ what: String, _ value: KeyPath<Run, Double>, _ expectation: LabFinding.Expectation = .none)
      -> LabFinding
    { LabFinding(what, runs.map { $0[keyPath: value] }, .share, .empirical, expectation) }
    let findings = [
      finding("right answers at words of feeling", \.accuracy, .atLeast(0.99)),
      LabFinding(
        "the unit: |correlation| of its cell with 'turned around'", runs.map(\.correlation), .plain,
        .empirical,
        .atLeast(0.9)),
      LabFinding(
        "the next best unit: the same", runs.map(\.secondCorrelation), .plain, .empirical, .none),
      LabFinding(
        "flip: its jump at 'not' over that at other words", runs.map(\.jump), .plain, .empirical, .atLeast(3)),
      finding("hold: its forget gate at other words, turned around", \.hold, .atLeast(0.9)),
      finding("reset: what a full stop leaves of the flip", \.left, .atMost(0.2)),
      finding("answers turned around when the unit does not hear 'not'", \.deaf, .atLeast(0.9)),
      finding("answers turned around when the unit is set as after 'not'", \.set, .atLeast(0.9)),
      finding(
        "answers of the next sentence turned around when the unit does not hear the full stop", \.unreset,
        .atLeast(0.9)),
      finding(
        "answers turned around when the unit least like it does not hear 'not'", \.control, .atMost(0.1)),
    ]
    func text(_ value: KeyPath<Run, Double>, _ format: LabFinding.Format = .share) -> String {
      LabFinding.text(runs.map { $0[keyPath: value] }, format)
    }
    let words = NegationText.sample
    var chart = LineChart(
      title: "The unit over a sentence", xLabel: "word", yLabel: "cell, from plain (0) to turned around (1)",
      series: runs.enumerated().map { LineChart.Series("seed \($0 + 1)", values: $1.curve, from: 1) })
    chart.xIsWhole = true
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "The unit found follows the negation with |r| \(text(\.correlation, .plain)); when it alone does not hear 'not', "
          + "\(text(\.deaf)) of the answers turn around, against \(text(\.control)) for the unit least like it; when it does not "
          + "hear the full stop, \(text(\.unreset)) of those in the next sentence."
      ],
      plots: [LabPlot(chart, caption: "“\(words.joined(separator: " "))”")])
  }

  private struct Run {
    var accuracy = 0.0
    var correlation = 0.0
    var secondCorrelation = 0.0
    var jump = 0.0
    var hold = 0.0
    var left = 0.0
    var deaf = 0.0
    var set = 0.0
    var unreset = 0.0
    var control = 0.0
    var curve: [Double] = []
  }

  private func learn(seed: UInt64, _ setup: LabSetup, _ progress: LabProgress) throws -> Run {
    let network = Sequential(input: [.any], seed: seed) {
      Embedding(NegationText.vocabulary.count, 8)
      LSTM(Self.units, outputs: .all)
      Dense(3)
    }
    var learner = Learner(network, seed: seed)
    let key = RandomKey(seed: seed).child("negation")
    let training = LabTraining(steps: setup.pick(quick: 2500, full: 10_000), rate: 0.01)
    try training.run(setup, progress) { rate, before in
      let text = NegationText(32, words: 48, key: key.child(before))
      return learner.step(text.data, .categoricalCrossEntropy, rate: rate)
    }
    return try look(
      at: learner.network, NegationText(setup.pick(quick: 64, full: 256), words: 48, key: RandomKey(seed: 0)))
  }

  // MARK: The unit

  private func look(at network: Sequential, _ text: NegationText) throws -> Run {
    let recording = network.record(text.data.inputs)
    let (answers, memory) = (recording.output.argmax, recording.layers[0])
    guard let cells = memory["cell"]?.scalars, let forget = memory["forget"]?.scalars else {
      stop("negation: the recording is not complete")
    }
    let (units, count) = (Self.units, text.words.count)
    var run = Run()
    let felt = (0..<count).filter { text.labels[$0] < 2 }
    run.accuracy = Double(felt.count { answers[$0] == Int(text.labels[$0]) }) / Double(felt.count)

    let flags = text.isTurned.map { $0 ? 1.0 : 0.0 }
    func cell(_ at: Int, _ unit: Int) -> Double { Double(cells[at * units + unit]) }
    let correlations = (0..<units).map { unit in
      abs(Statistics.correlation((0..<count).map { cell($0, unit) }, flags))
    }
    let order = (0..<units).sorted { correlations[$0] > correlations[$1] }
    let unit = order[0]
    (run.correlation, run.secondCorrelation) = (correlations[unit], correlations[order[1]])
    func mean(_ places: [Int], _ value: (Int) -> Double) -> Double { Statistics.mean(places.map(value)) }
    let plain = mean((0..<count).filter { !text.isTurned[$0] }) { cell($0, unit) }
    let turned = mean((0..<count).filter { text.isTurned[$0] }) { cell($0, unit) }
    // Places with a word before them in the same row.
    let inner = (0..<count).filter { $0 % text.time > 0 }
    let step = { (at: Int) in abs(cell(at, unit) - cell(at - 1, unit)) }
    let others = inner.filter { !NegationText.isMark(text.words[$0]) }
    run.jump = mean(inner.filter { text.words[$0] == NegationText.not }, step) / mean(others, step)
    run.hold = mean(others.filter { text.isTurned[$0] }) { Double(forget[$0 * units + unit]) }
    let stops = inner.filter { text.words[$0] == NegationText.fullStop && text.isTurned[$0 - 1] }
    run.left = mean(stops) { (cell($0, unit) - plain) / (turned - plain) }
    (run.deaf, run.set, run.unreset) = try surgery(network, unit: unit, turned: Float(turned))
    run.control = try surgery(network, unit: order[units - 1], turned: Float(turned)).deaf

    let ids = NegationText.sample.map { word in NegationText.vocabulary.firstIndex(of: word) ?? 0 }
    let sample = network.record(Tensor(ids.map { Float($0) }, shape: [1, ids.count])).layers[0]
    run.curve = (sample.steps("cell", row: 0) ?? []).map { (Double($0[unit]) - plain) / (turned - plain) }
    return run
  }

  // MARK: Surgery

  /// The share of right answers that a change of one unit turns around.
  private func surgery(_ network: Sequential, unit: Int, turned: Float) throws -> (
    deaf: Double, set: Double, unreset: Double
  ) {
    let rows = 64, negation = 3, feeling = 10, end = 11, next = 15
    var draws = Draws(RandomKey(seed: 0).child("surgery"), count: rows * 17)
    // Sixteen words: three, *not*, six, feeling, full stop, three, feeling.
    var words = (0..<rows).flatMap { _ in
      (0..<16).map { place in
        switch place {
        case negation: NegationText.not
        case end: NegationText.fullStop
        case feeling, next: NegationText.feelings[draws.below(NegationText.feelings.count)]
        default: NegationText.fillers[draws.below(NegationText.fillers.count)]
        }
      }
    }
    func answers(_ changes: [Intervention], at place: Int) throws -> [Int] {
      let x = Tensor(words.map { Float($0) }, shape: [rows, 16])
      let all = try network.operated(x, changes).output.argmax
      return (0..<rows).map { all[$0 * 16 + place] }
    }
    func turnedAround(_ changes: [Intervention], at place: Int) throws -> Double {
      let (before, after) = (try answers([], at: place), try answers(changes, at: place))
      return Double(zip(before, after).count { $0 < 2 && $1 == 1 - $0 }) / Double(rows)
    }
    /// The unit neither writes nor forgets at a step.
    func deaf(_ step: Int) -> [Intervention] {
      [("input", Float(0)), ("forget", 1)].map {
        Intervention($0, .set($1), units: [unit], steps: step..<step + 1)
      }
    }
    let unheard = try turnedAround(deaf(negation), at: feeling)
    let unreset = try turnedAround(deaf(end), at: next)
    for row in 0..<rows { words[row * 16 + negation] = NegationText.fillers[0] }
    let set = Intervention("cell", .set(turned), units: [unit], steps: negation..<negation + 1)
    return (unheard, try turnedAround([set], at: feeling), unreset)
  }
}

/// Sentences of a small grammar, with what each word of feeling means.
private struct NegationText {
  static let vocabulary = [
    ".", "but", "not", "good", "great", "fine", "bad", "awful", "dull", "the", "plot", "film", "was", "very",
    "and", "also",
    "quite", "so", "it",
  ]
  static let (fullStop, but, not) = (0, 1, 2)
  static let feelings = Array(3..<9)
  static let fillers = Array(9..<19)
  static let sample = "the plot was not so very bad but also not great . it was good .".split(separator: " ")
    .map(String.init)
  static func isMark(_ word: Int) -> Bool { word <= not }

  let time: Int
  /// Row by row.
  private(set) var words: [Int] = []
  /// After each word, whether what follows is turned around.
  private(set) var isTurned: [Bool] = []
  /// 0: meant ill, 1: meant well, 2: no word of feeling.
  private(set) var labels: [Int32] = []

  init(_ rows: Int, words time: Int, key: RandomKey) {
    self.time = time
    var draws = Draws(key, count: rows * (4 * time + 64))
    for row in 1...rows {
      var turned = false
      func filler() -> Int { Self.fillers[draws.below(Self.fillers.count)] }
      while words.count < row * time {
        // A clause: some words, perhaps *not*, more words, a feeling; perhaps more of it; then *but* or a full stop.
        var clause = (0..<1 + draws.below(4)).map { _ in filler() }
        repeat {
          if draws.below(5) < 3 { clause.append(Self.not) }
          clause += (0..<draws.below(7)).map { _ in filler() }
          clause.append(Self.feelings[draws.below(Self.feelings.count)])
        } while draws.below(10) < 3 && clause.count < time
        clause.append(draws.below(5) < 2 ? Self.but : Self.fullStop)
        for word in clause.prefix(row * time - words.count) {
          if word == Self.not { turned.toggle() }
          if word == Self.but || word == Self.fullStop { turned = false }
          words.append(word)
          isTurned.append(turned)
          let isFeeling = (3..<9).contains(word)
          labels.append(isFeeling ? ((word < 6) != turned ? 1 : 0) : 2)
        }
      }
    }
  }

  var data: Dataset {
    Dataset(
      inputs: Tensor(words.map { Float($0) }, shape: [words.count / time, time]),
      targets: .classes(labels, count: 3))
  }
}
