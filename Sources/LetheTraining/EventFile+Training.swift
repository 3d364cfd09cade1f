import LetheFormats

extension EventFile {
  /// Writes an epoch, and what the recurrent layers did after it, under the step of its number.
  ///
  /// Tags: `loss/train`, `loss/validation`, `accuracy/…`, `learning rate`; and for each layer L of the profile `keep/L/mean`, `p05`,
  /// `p25`, `median`, `p75` and `p95`; `half-life/L/…` likewise, without a mean; `saturation/L/GATE shut` and `GATE open`; and
  /// `gradient/L/lag N` for N = 0, 1, 2, 4, 8 … and the first step. Histograms: `half-life of units/L`, of those that are finite,
  /// and `gradient by lag/L`, whose horizontal axis is the number of steps before the end.
  ///
  /// - Throws: a `LetheError` with the system's reason; the file is as it was.
  public func append(_ record: EpochRecord, _ profile: TrainingProfile? = nil) throws {
    var summary = Summary()
    func add(_ tag: String, _ number: Double?) { if let number { summary.add(tag, number) } }
    add("loss/train", record.loss)
    add("loss/validation", record.valLoss)
    add("accuracy/train", record.accuracy)
    add("accuracy/validation", record.valAccuracy)
    add("learning rate", Double(record.rate))
    for layer in profile?.layers ?? [] {
      func add(_ group: String, _ spread: TrainingProfile.Spread) {
        let quantiles = [
          ("p05", spread.p05), ("p25", spread.p25), ("median", spread.median), ("p75", spread.p75),
          ("p95", spread.p95),
        ]
        for (name, value) in quantiles { summary.add("\(group)/\(layer.label)/\(name)", value) }
      }
      if let keep = layer.keep {
        summary.add("keep/\(layer.label)/mean", keep.mean)
        add("keep", keep)
        add("half-life", TrainingProfile.Spread(of: layer.halfLives))
        summary.add("half-life of units/\(layer.label)", Histogram(of: layer.halfLives))
      }
      for gate in layer.saturation {
        summary.add("saturation/\(layer.label)/\(gate.gate) shut", gate.shut)
        summary.add("saturation/\(layer.label)/\(gate.gate) open", gate.open)
      }
      if let first = layer.gradientByLag.indices.last {
        let doubling = sequence(first: 1) { 2 * $0 }.prefix { $0 < first }
        for lag in Set([0, first] + doubling).sorted() {
          summary.add("gradient/\(layer.label)/lag \(lag)", layer.gradientByLag[lag])
        }
        summary.add("gradient by lag/\(layer.label)", Histogram(profile: layer.gradientByLag))
      }
    }
    try append(summary, step: record.epoch)
  }
}
