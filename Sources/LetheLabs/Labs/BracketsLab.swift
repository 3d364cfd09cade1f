import LetheCore
import LetheData
import LetheFormats
import LetheInsight
import LetheNN

/// Does an opening bracket still matter a thousand tokens later?
///
/// RNN, GRU and LSTM of about as many weights read generated text with three kinds of brackets, up to six in each other, and say
/// after every token what would close next. They are asked right before each closing bracket, by the distance to its opening.
/// With the data folder, an LSTM learns the same of masked C files, and is asked in files it has not seen.
struct BracketsLab: Lab {
  let name = "brackets"
  let claim =
    "An LSTM still knows which bracket is open after 1,000 tokens, better than an RNN and a GRU of its size; some of its units "
    + "count the depth."
  let kind = LabKind.empirical
  let dataFolder: String? = "brackets"

  private static let cells = ["RNN", "GRU", "LSTM"]
  /// From a distance on.
  private static let bins = [1, 10, 100, 1000]

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    let files = try setup.data.map { try BracketText.folder($0 + "/brackets") }
    let test = (0..<setup.pick(quick: 8, full: 128)).map { row in
      BracketText(length: 1400, key: RandomKey(seed: 0).child("brackets").child(row))
    }
    var runs: [[Run]] = [], onFiles: [Run] = [], unseen: [Run] = []
    let parts = Self.cells.count + (files == nil ? 0 : 1)
    for (number, cell) in Self.cells.enumerated() {
      runs.append(
        try setup.eachSeed(progress.part(number, of: parts, cell)) { seed, part in
          let steps = setup.pick(quick: 250, full: 6000), key = RandomKey(seed: seed).child("brackets")
          let trained = try learn(cell, seed: seed, steps: steps, setup, part) {
            Self.generated(key.child($0))
          }
          if cell == "LSTM", let files { unseen.append(try asked(trained, files.test, setup)) }
          if cell == "LSTM", seed == 1, let output = setup.output { try save(trained, in: output) }
          return try asked(trained, test, setup)
        })
    }
    if let files {
      onFiles = try setup.eachSeed(progress.part(parts - 1, of: parts, "C files")) { seed, part in
        let key = RandomKey(seed: seed).child("files")
        let trained = try learn("LSTM", seed: seed, steps: setup.pick(quick: 60, full: 3000), setup, part) {
          step in
          Self.windows(files.train, key.child(step))
        }
        return try asked(trained, files.test, setup)
      }
    }
    return result(setup, runs, onFiles, unseen, files?.test ?? [])
  }

  private func result(
    _ setup: LabSetup, _ runs: [[Run]], _ onFiles: [Run], _ unseen: [Run], _ files: [BracketText]
  )
    -> LabResult
  {
    let far = Self.bins.count - 1
    let names = ["1 to 9", "10 to 99", "100 to 999", "1,000 and more"]
    var findings: [LabFinding] = []
    for (cell, ofCell) in zip(Self.cells, runs) {
      for bin in Self.bins.indices {
        let values = ofCell.map { $0.right[bin] }
        var expected = LabFinding.Expectation.none
        if cell == "LSTM", bin == far { expected = .atLeast(0.9) }
        findings.append(
          LabFinding(
            "\(cell): closed rightly, \(names[bin]) tokens away", values, .share, .empirical, expected))
      }
    }
    for (other, cell) in Self.cells.dropLast().enumerated() {
      findings.append(
        LabFinding(
          "LSTM, \(names[far]) tokens away, beside the \(cell)", runs[2].map { $0.right[far] }, .share,
          .empirical,
          .above(runs[other].map { $0.right[far] }, "\(cell)'s")))
    }
    findings.append(
      LabFinding(
        "LSTM: the largest |correlation| of a cell with depth", runs[2].map(\.depth), .plain, .empirical,
        .atLeast(0.7)))
    for bin in Self.bins.indices where !onFiles.isEmpty {
      let pairs = files.flatMap { $0.pairs.filter { Self.bin($0.distance) == bin } }
      let curly = Double(pairs.count { $0.answer == 3 }) / Double(max(pairs.count, 1))
      if pairs.isEmpty { continue }
      findings += [
        LabFinding(
          "C files, \(names[bin]) tokens away (\(pairs.count) pairs, \(LabFinding.text(curly, .share)) curly): closed rightly",
          onFiles.map { $0.right[bin] }, .share, .empirical, .none),
        LabFinding(
          "the same by the LSTM that never saw C", unseen.map { $0.right[bin] }, .share, .empirical, .none),
      ]
    }
    let text = { (cell: Int) in LabFinding.text(runs[cell].map { $0.right[far] }, .share) }
    let units = runs[2].map { run in
      run.units.prefix(3).map { "\($0.unit) (\(LabFinding.text($0.correlation, .plain)))" }.joined(
        separator: ", ")
    }
    var chart = LineChart(
      title: "Closed rightly, by distance", xLabel: "decimal logarithm of the distance, from",
      yLabel: "right",
      series: Self.cells.enumerated().map { index, name in
        LineChart.Series(
          name,
          points: Self.bins.indices.map { bin in
            LineChart.Point(x: Double(bin), y: runs[index].map { $0.right[bin] }.median)
          })
      })
    chart.yIsShare = true
    var plots = [LabPlot(chart, caption: "Generated text, medians over the seeds; one of three by chance.")]
    if let run = runs[2].first {
      plots.append(
        LabPlot(
          LineChart(
            title: "A unit that follows the depth", xLabel: "token", yLabel: "cell, and depth",
            series: [
              LineChart.Series("cell", values: run.curve), LineChart.Series("depth", values: run.depths),
            ]),
          caption: "The LSTM of the first seed over the start of a text."))
    }
    return LabResult(
      self, setup, findings: findings,
      seen: [
        "Brackets 1,000 tokens and more away are closed rightly by the LSTM in \(text(2)), by the GRU in \(text(1)), by the RNN in "
          + "\(text(0)).",
        "Units of the LSTM that follow the depth, seed by seed, with their correlations: \(units.joined(separator: "; ")).",
      ] + (files.isEmpty ? ["C files were not tried: no --data."] : []), plots: plots)
  }

  // MARK: Learning

  /// About 4,000 tokens, in rows of one of four lengths.
  private static func rows(_ key: RandomKey) -> (count: Int, length: Int) {
    let length = [16, 64, 256, 1024][Int(key.words(1)[0] >> 30)]
    return (4096 / length, length)
  }

  private static func generated(_ key: RandomKey) -> [BracketText] {
    let (count, length) = rows(key)
    return (0..<count).map { BracketText(length: length, key: key.child($0)) }
  }

  /// Pieces of files; what was open before a piece is unknown in it.
  private static func windows(_ files: [BracketText], _ key: RandomKey) -> [BracketText] {
    let (count, length) = rows(key)
    var draws = Draws(key.child("places"), count: count)
    let all = files.reduce(0) { $0 + $1.ids.count }
    return (0..<count).map { _ in
      var place = draws.below(all)
      for file in files {
        if place < file.ids.count {
          let start = max(min(place, file.ids.count - length), 0)
          let own = file.ids[start..<min(start + length, file.ids.count)]
          return BracketText(own + Array(repeating: 8, count: length - own.count))
        }
        place -= file.ids.count
      }
      return BracketText(Array(repeating: 8, count: length))
    }
  }

  private func learn(
    _ cell: String, seed: UInt64, steps: Int, _ setup: LabSetup, _ progress: LabProgress,
    _ texts: (Int) -> [BracketText]
  ) throws -> Sequential {
    // Each about 6,500 weights.
    let memory: any Layer =
      switch cell {
      case "RNN": RNN(72, outputs: .all)
      case "GRU": GRU(38, outputs: .all)
      default: LSTM(32, outputs: .all)
      }
    let network = Sequential(input: [.any], seed: seed) {
      Embedding(BracketText.tokens.count, 16)
      memory
      Dense(BracketText.answers.count, activation: .softmax)
    }
    var learner = Learner(network, seed: seed)
    try LabTraining(steps: steps, rate: 0.01).run(setup, progress) { rate, before in
      let batch = texts(before)
      let x = Tensor(batch.flatMap { $0.ids.map { Float($0) } }, shape: [batch.count, batch[0].ids.count])
      return learner.step(rate: rate) { network, tape in
        crossEntropy(network.logits(tape.constant(x)), batch.flatMap(\.labels))
      }
    }
    return learner.network
  }

  private func save(_ network: Sequential, in folder: String) throws {
    func list(_ names: [String]) -> String {
      let quoted = names.map { "\"" + $0.replacing("\n", with: "\\n") + "\"" }
      return "[" + quoted.joined(separator: ",") + "]"
    }
    let notes = ["lethe.tokens": list(BracketText.tokens), "lethe.classes": list(BracketText.answers)]
    let place = LabFolder(folder)
    try ModelFile(network, metadata: notes).write(to: place.file("brackets.lethe.safetensors"))
    let sample = BracketText(length: 400, key: RandomKey(seed: 0).child("sample"))
    try FileBytes.writeAtomically([Array(sample.text.utf8)], to: place.file("brackets.txt"))
  }

  // MARK: Asking

  private struct Run {
    /// By distance; NaN where there was none.
    var right: [Double]
    /// The units that follow the depth best, and how well.
    var units: [(unit: Int, correlation: Double)] = []
    var depth: Double { abs(units.first?.correlation ?? .nan) }
    /// The best unit over the start of a text, and the depth there.
    var curve: [Double] = []
    var depths: [Double] = []
  }

  private static func bin(_ distance: Int) -> Int { bins.lastIndex { $0 <= distance } ?? 0 }

  private func asked(_ network: Sequential, _ texts: [BracketText], _ setup: LabSetup) throws -> Run {
    var (right, count) = ([Double](repeating: 0, count: 4), [Double](repeating: 0, count: 4))
    var cells: [[Double]] = [], depths: [Double] = []
    for (number, text) in texts.enumerated() {
      try setup.goOn()
      let x = Tensor(text.ids.map { Float($0) }, shape: [1, text.ids.count])
      let isLookedAt = number < 8
      let recording = network.record(x) { isLookedAt && $0 == "cell" }
      let answers = recording.output.argmax
      for pair in text.pairs {
        count[Self.bin(pair.distance)] += 1
        if answers[pair.end - 1] == Int(pair.answer) { right[Self.bin(pair.distance)] += 1 }
      }
      if isLookedAt, let steps = recording.layers[0].steps("cell", row: 0) {
        cells += steps.map { $0.map { Double($0) } }
        depths += text.depths.map { Double($0) }
      }
    }
    var run = Run(right: zip(right, count).map { $0 / $1 })
    run.units = (0..<(cells.first?.count ?? 0)).map { unit in
      (unit, Statistics.correlation(cells.map { $0[unit] }, depths))
    }.sorted { abs($0.correlation) > abs($1.correlation) }
    if let best = run.units.first {
      run.curve = cells.prefix(200).map { $0[best.unit] }
      run.depths = Array(depths.prefix(200))
    }
    return run
  }
}
