import LetheCore
import LetheData
import LetheInsight
import LetheNN

/// LSTMs count: one cell goes up by a step for each a and down for each b, without end; what is learned from short words then
/// holds for long ones. A GRU's state is squashed between −1 and 1 at every step and has no such counter.
///
/// LSTM with and without peepholes and GRU learn three languages (`CountingLanguage`) from words of size 10 or less; what is
/// counted is the largest n up to which every word is right, all letters of it.
struct CounterLab: Lab {
  let name = "counter"
  let claim =
    "An LSTM keeps a count in a cell: in languages that want counting it judges words longer than any it learned from, and "
    + "gets further than a GRU, which has no place for a count."
  let kind = LabKind.empirical

  private static let cells = ["peephole", "lstm", "gru"]
  private static let learned = 10

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let languages: [CountingLanguage] = setup.pick(quick: [.two], full: CountingLanguage.allCases)
    let most = setup.pick(quick: 40, full: 200)
    // [language][cell][seed]
    var runs: [[[Run]]] = []
    for (number, language) in languages.enumerated() {
      let part = progress.part(number, of: languages.count, language.rawValue)
      runs.append(
        try Self.cells.enumerated().map { index, cell in
          try setup.eachSeed(part.part(index, of: Self.cells.count, cell)) { seed, part in
            try learn(language, cell, upTo: most, seed: seed, setup, part)
          }
        })
    }
    var findings: [LabFinding] = []
    for (language, ofCells) in zip(languages, runs) {
      let gru = ofCells[2].map(\.largest)
      for (cell, values) in zip(Self.cells, ofCells) {
        findings.append(
          LabFinding(
            "\(language.rawValue), learned up to \(Self.learned): right up to, of \(most), \(cell)",
            values.map(\.largest), .count, .empirical, cell == "lstm" ? .above(gru, "GRU's") : .none))
        findings.append(
          LabFinding(
            "\(language.rawValue): how closely the best unit follows the count (correlation), \(cell)",
            values.map(\.correlation), .plain, .empirical,
            cell == "lstm" && language != .three ? .atLeast(0.95) : .none))
      }
    }
    let words = zip(languages, runs).map { language, ofCells in
      let sizes = zip(Self.cells, ofCells).map { "\($0) \(LabFinding.text($1.map(\.largest), .count))" }
      return "\(language.rawValue): \(sizes.joined(separator: ", "))"
    }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Learned up to n = \(Self.learned), right up to n, of \(most) tried: \(words.joined(separator: "; "))."
      ], plots: plots(languages, runs))
  }

  private func plots(_ languages: [CountingLanguage], _ runs: [[[Run]]]) -> [LabPlot] {
    let bars = zip(languages, runs).flatMap { language, ofCells in
      zip(Self.cells, ofCells).map {
        BarChart.Bar("\($0) \(language.rawValue)", $1.map(\.largest).median)
      }
    }
    let cells = LineChart(
      title: "The unit that counts", xLabel: "step", yLabel: "its cell",
      series: zip(Self.cells, runs[0]).compactMap { cell, ofSeeds in
        ofSeeds.first.map { LineChart.Series(cell, values: $0.trace) }
      })
    return [
      LabPlot(
        BarChart(title: "How far it holds", yLabel: "largest n that is right, median", bars: bars),
        caption: "Learned from words up to \(Self.learned)."),
      LabPlot(
        cells,
        caption:
          "The unit that follows the count best, on \(languages[0].rawValue) with n = 30, first seed; a GRU's is its h."
      ),
    ]
  }

  private struct Run {
    var largest: Double
    var correlation: Double
    /// The state of the unit that counts, step by step.
    var trace: [Double]
  }

  private func learn(
    _ language: CountingLanguage, _ cell: String, upTo most: Int, seed: UInt64, _ setup: LabSetup,
    _ progress: LabProgress
  ) throws -> Run {
    let memory: any Layer =
      switch cell {
      case "gru": GRU(12, outputs: .all)
      case "lstm": LSTM(10, outputs: .all)
      default: LSTM(LSTMCell(10, recipe: LSTMRecipe(peepholes: true)), outputs: .all)
      }
    let network = Sequential(input: [.any, CountingLanguage.inputs], seed: seed) {
      memory
      Dense(CountingLanguage.outputs)
    }
    var learner = Learner(network, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 400, full: 4000), rate: 0.01)
    let key = RandomKey(seed: seed).child("counter")
    try training.run(setup, progress) { rate, before in
      var draws = Draws(
        key.child(before), count: 16 * CountingLanguage.draws(upTo: Self.learned))
      let words = (0..<16).map { _ in language.word(upTo: Self.learned, &draws) }
      return learner.step(
        CountingLanguage.dataset(language, words), .binaryCrossEntropy, rate: rate)
    }
    let trained = learner.network
    var largest = 0
    while largest < most, isRight(trained, language, largest + 1) {
      try setup.goOn()
      largest += 1
    }
    let (correlation, trace) = counter(trained, language)
    return Run(largest: Double(largest), correlation: correlation, trace: trace)
  }

  private func isRight(_ network: Sequential, _ language: CountingLanguage, _ n: Int) -> Bool {
    let data = CountingLanguage.dataset(language, [language.word(n)])
    guard case .values(let wanted) = data.targets else { return false }
    return zip(network(data.inputs).scalars, wanted.scalars).allSatisfy { ($0 > 0) == ($1 > 0) }
  }

  /// The largest correlation of a unit's state with the count over a word of n = 30, and that unit's states.
  private func counter(_ network: Sequential, _ language: CountingLanguage) -> (Double, [Double]) {
    let word = language.word(30)
    let x = CountingLanguage.dataset(language, [word]).inputs
    func states<Cell>(_ layer: Recurrent<Cell>) -> [[Double]] {
      var state: RecurrentState?
      return (0...word.count).map { t in
        let inputs = CountingLanguage.inputs
        let step = Tensor(Array(x.scalars[t * inputs..<(t + 1) * inputs]), shape: [1, 1, inputs])
        let after = layer.run(Variable(step), from: state).state
        state = after
        return (after.cell.first ?? after.hidden[0]).tensor.scalars.map { Double($0) }
      }
    }
    let all =
      (network.layers[0] as? LSTM).map { states($0) } ?? (network.layers[0] as? GRU).map { states($0) } ?? []
    let count = language.counter(word)
    var best = (correlation: 0.0, trace: [Double]())
    for unit in all.first.map({ Array($0.indices) }) ?? [] {
      let trace = all.map { $0[unit] }
      let r = abs(correlation(trace, count))
      if r > best.correlation { best = (r, trace) }
    }
    return best
  }
}

/// Pearson's correlation of two series; 0 where one does not vary.
func correlation(_ a: [Double], _ b: [Double]) -> Double {
  let count = Double(max(a.count, 1))
  let (meanA, meanB) = (a.reduce(0, +) / count, b.reduce(0, +) / count)
  var (both, first, second) = (0.0, 0.0, 0.0)
  for (x, y) in zip(a, b) {
    both += (x - meanA) * (y - meanB)
    first += (x - meanA) * (x - meanA)
    second += (y - meanB) * (y - meanB)
  }
  return first * second > 0 ? both / (first * second).squareRoot() : 0
}
