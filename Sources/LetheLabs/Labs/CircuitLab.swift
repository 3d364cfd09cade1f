import LetheCore
import LetheInsight
import LetheNN

/// A gene circuit as a gated cell: what degrades is forgotten, what is produced is written.
///
///     c_t = f ⊙ c_{t−1} + p ⊙ σ(W ln c_{t−1} + b)
///
/// σ(−n ln c + n ln K) is Hill's function 1 / (1 + (c / K)ⁿ) of a repressor, so that the input gate is the promoter.
struct GeneCircuitCell: RecurrentCell {
  static let kind = "gene_circuit"
  var hiddenSize: Int

  enum CodingKeys: String, CodingKey { case hiddenSize = "hidden_size" }

  var description: CellDescription {
    CellDescription("gene circuit") { cell in
      let f = sigmoid(cell.vector("keep", .constant(3)))
      let promoter = sigmoid(cell.gate("promoter", sees: [.input, .signal(log(cell.hidden))]))
      return f * cell.hidden + exp(cell.vector("production", .constant(-2))) * promoter
    }
  }
}

/// A toggle switch and a repressilator are simulated; the cell is fitted to what was seen of them, with 1 % noise, and its
/// gates are compared with the true rates.
///
/// dc/dt = β / (1 + (r / K)ⁿ) − δ c, with r the repressor: f should be e^(−δ Δt), W should be −n at the repressor and 0
/// elsewhere. *Source*: Gardner, Cantor & Collins 2000; Elowitz & Leibler 2000 (proteins only).
struct CircuitLab: Lab {
  let name = "circuit"
  let claim =
    "In a gene circuit degradation is the forget gate and production the input gate: fitted to what was seen of a toggle "
    + "switch and a repressilator, the gates give the true rates back within 10%, and who represses whom."
  let kind = LabKind.empirical

  private struct Circuit {
    var name: String
    var degradation: [Double]
    var production: [Double]
    /// n, and who represses each gene.
    var steepness: Double
    var repressors: [Int]

    var system: DynamicalSystem {
      let circuit = self
      return DynamicalSystem(name: name) { c in
        c.indices.map { gene in
          let repressor = max(c[circuit.repressors[gene]], 1e-9)
          return circuit.production[gene] / (1 + Elementary.pow(repressor, circuit.steepness))
            - circuit.degradation[gene] * c[gene]
        }
      }
    }
  }

  private static let circuits = [
    Circuit(
      name: "toggle switch", degradation: [1, 0.6], production: [4, 3], steepness: 2.5, repressors: [1, 0]),
    Circuit(
      name: "repressilator", degradation: [1, 0.8, 1.2], production: [8, 6, 10], steepness: 4,
      repressors: [2, 0, 1]),
  ]
  private static let step = 0.025
  /// Steps that the cell runs on from a state it was given: one unit of time.
  private static let window = 40

  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult {
    var findings: [LabFinding] = []
    var words: [String] = []
    var plots: [LabPlot] = []
    let circuits = setup.pick(quick: Array(Self.circuits.suffix(1)), full: Self.circuits)
    for (number, circuit) in circuits.enumerated() {
      let part = progress.part(number, of: circuits.count, circuit.name)
      let fits = try setup.eachSeed(part) { seed, part in
        try fit(circuit, seed: seed, setup, part)
      }
      func worst(_ found: KeyPath<Fit, [Double]>, _ truth: [Double]) -> [Double] {
        fits.map { fit in zip(fit[keyPath: found], truth).map { abs($0 / $1 - 1) }.max() ?? .nan }
      }
      let steep = circuit.degradation.map { _ in circuit.steepness }
      let degradation = worst(\.degradation, circuit.degradation)
      let production = worst(\.production, circuit.production)
      let steepness = worst(\.steepness, steep)
      for (what, values) in [
        ("degradation rates, from f", degradation), ("production rates, from i", production),
        ("Hill exponents, from W", steepness),
      ] {
        findings.append(
          LabFinding(
            "\(circuit.name): \(what), worst relative error", values, .share, .empirical, .atMost(0.1)))
      }
      findings.append(
        LabFinding(
          "\(circuit.name): the largest weight where nothing represses, over n",
          fits.map { $0.others / circuit.steepness }, .plain, .empirical, .atMost(0.1)))
      words.append(
        "\(circuit.name): degradation \(LabFinding.text(degradation, .share)), production "
          + "\(LabFinding.text(production, .share)), Hill exponents \(LabFinding.text(steepness, .share))")
      plots += Self.plots(circuit, fits)
    }
    return LabResult(
      self, setup, findings: findings,
      seen: ["Worst relative errors of the rates: \(words.joined(separator: "; "))."], plots: plots)
  }

  private struct Fit {
    var degradation: [Double]
    var production: [Double]
    /// −W at the repressor.
    var steepness: [Double]
    /// The largest |W| elsewhere.
    var others: Double
    /// The first gene from one start: true, and by the fitted cell alone.
    var truth: [Double]
    var own: [Double]
  }

  private func fit(
    _ circuit: Circuit, seed: UInt64, _ setup: LabSetup, _ progress: LabProgress
  ) throws -> Fit {
    let genes = circuit.degradation.count, key = RandomKey(seed: seed).child(circuit.name)
    // Short runs from many starts: on its attractor a circuit tells little of its rates.
    let (count, length) = (setup.pick(quick: 50, full: 200), 160)
    let starts = key.child("starts").uniform(shape: [count, genes], in: -1.5..<1.5).scalars
    let noise = key.child("noise").normal(shape: [count, length, genes], deviation: 0.01).scalars
    var seen: [Float] = []
    for row in 0..<count {
      try setup.goOn()
      let start = (0..<genes).map { Elementary.exp(Double(starts[row * genes + $0])) }
      let path = circuit.system.path(from: start, count: length, every: Self.step).joined()
      for (at, value) in path.enumerated() {
        seen.append(Float(value * (1 + Double(noise[row * length * genes + at]))))
      }
    }
    let layer = Recurrent(
      GeneCircuitCell(hiddenSize: genes), inputSize: 1, outputs: .all, key: key.child("weights"))
    var learner = Learner(layer, seed: seed)
    let training = LabTraining(steps: setup.pick(quick: 2000, full: 10_000), rate: 0.03)
    let (batch, window) = (64, Self.window)
    let nothing = Tensor(zeros: [batch, window, 1])
    try training.run(setup, progress) { rate, before in
      var draws = Draws(key.child("batches").child(before), count: 2 * batch)
      var (first, then) = ([Float](), [Float]())
      for _ in 0..<batch {
        let at = (draws.below(count) * length + draws.below(length - window)) * genes
        first += seen[at..<at + genes]
        then += seen[at + genes..<at + (window + 1) * genes]
      }
      let start = Tensor(first, shape: [batch, genes])
      let logs = then.map { Float(Elementary.log(Double($0))) }
      let targets = Tensor(logs, shape: [batch, window, genes])
      return learner.step(rate: rate) { layer, tape in
        let state = RecurrentState(hidden: [tape.constant(start)])
        // The noise is a share of what is there.
        return meanSquaredError(layer.run(tape.constant(nothing), from: state).output.log(), targets)
      }
    }
    return read(learner.network, circuit)
  }

  private func read(_ layer: Recurrent<GeneCircuitCell>, _ circuit: Circuit) -> Fit {
    let genes = circuit.degradation.count
    let parameters = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value.scalars) })
    let weights = parameters["weight_hh_l0"].map { $0.map { Double($0) } } ?? []
    let keep = parameters["keep_l0"].map { $0.map { 1 / (1 + Elementary.exp(-Double($0))) } } ?? []
    let rates = parameters["production_l0"].map { $0.map { Elementary.exp(Double($0)) } } ?? []
    let degradation = keep.map { -Elementary.log($0) / Self.step }
    // A rate that is constant over a step adds (1 − e^(−δ Δt)) / δ of itself.
    let production = zip(rates, zip(keep, degradation)).map { $0 * $1.1 / (1 - $1.0) }
    var (steepness, others) = ([Double](), 0.0)
    for gene in 0..<genes {
      for other in 0..<genes {
        let weight = weights[gene * genes + other]
        if other == circuit.repressors[gene] {
          steepness.append(-weight)
        } else {
          others = max(others, abs(weight))
        }
      }
    }
    let start = (0..<genes).map { $0 == 0 ? 2 : 0.5 }
    let truth = circuit.system.path(from: start, count: 800, every: Self.step)
    let state = RecurrentState(hidden: [Variable(Tensor(start.map { Float($0) }, shape: [1, genes]))])
    let own = layer.run(Variable(Tensor(zeros: [1, 799, 1])), from: state).output.tensor.scalars
    return Fit(
      degradation: degradation, production: production, steepness: steepness, others: others,
      truth: truth.map { $0[0] }, own: [start[0]] + (0..<799).map { Double(own[$0 * genes]) })
  }

  private static func plots(_ circuit: Circuit, _ fits: [Fit]) -> [LabPlot] {
    guard let fit = fits.first else { return [] }
    func line(_ name: String, _ values: [Double]) -> LineChart.Series {
      LineChart.Series(
        name, points: values.enumerated().map { LineChart.Point(x: Double($0) * step, y: $1) })
    }
    return [
      LabPlot(
        LineChart(
          title: "\(circuit.name): the first gene", xLabel: "time", yLabel: "concentration",
          series: [line("true", fit.truth), line("fitted", fit.own)]),
        caption: "From a start that was not learned from; the fitted cell runs alone. First seed.")
    ]
  }
}
