import LetheCore
import LetheData
import LetheNN

/// What the recurrent layers of a model do with a few fixed rows: taken after each epoch, it shows how memory changes while a
/// model learns.
///
///     let probe = validation[0..<16]
///     try model.fit(train, validation: validation, options: options) { false } afterEpoch: { model, record in
///       let profile = TrainingProfile(of: model, on: probe, loss: options.loss)
///       print(record.epoch, profile.layers.map { $0.keep?.median ?? 0 })
///     }
///
/// `EventFile.append(_:_:)` writes it for TensorBoard.
public struct TrainingProfile: Sendable, Equatable {
  /// A recurrent layer in one direction.
  public struct Layer: Sendable, Equatable {
    /// Its place in the model; see `LayerRecording.label`.
    public var label: String
    /// The factor keep of c_t = keep_t ⊙ c_{t−1} + write_t (see `LayerRecording.memory`), over rows, steps and units; `nil` for a
    /// cell that has none.
    public var keep: Spread?
    /// For each unit the steps after which half of its memory is left: ln ½ / mean ln |keep| over rows and steps. 0 where a
    /// step keeps nothing, infinite where nothing is lost.
    public var halfLives: [Double]
    /// How many of each gate's values are below 0.05 and above 0.95; candidates have none.
    public var saturation: [Saturation]
    /// The mean |∂loss/∂h_t| over rows and units; the last step walked is first, the step before it second, and so on.
    public var gradientByLag: [Double]
  }

  /// The shares of a gate's values that are all but shut, and all but open.
  public struct Saturation: Sendable, Equatable {
    /// The name of the gate.
    public var gate: String
    /// The share below 0.05.
    public var shut: Double
    /// The share above 0.95.
    public var open: Double
  }

  /// The mean and quantiles of some numbers; the quantiles are some of the numbers themselves.
  public struct Spread: Sendable, Equatable {
    /// The mean.
    public var mean: Double
    /// Above a twentieth of the numbers.
    public var p05: Double
    /// Above a quarter.
    public var p25: Double
    /// Above a half.
    public var median: Double
    /// Above three quarters.
    public var p75: Double
    /// Above all but a twentieth.
    public var p95: Double

    /// The spread of the given numbers, in any order; the cost is that of sorting.
    ///
    /// - Precondition: there is a number.
    public init(of numbers: [Double]) {
      require(!numbers.isEmpty, "Spread: no numbers")
      let sorted = numbers.sorted()
      func quantile(_ share: Double) -> Double { sorted[Int((share * Double(sorted.count - 1)).rounded())] }
      mean = sorted.reduce(0, +) / Double(sorted.count)
      (p05, p25, median) = (quantile(0.05), quantile(0.25), quantile(0.5))
      (p75, p95) = (quantile(0.75), quantile(0.95))
    }
  }

  /// The layers in the order in which they run.
  public var layers: [Layer]

  /// Looks at a model in evaluation mode.
  ///
  /// - Parameters:
  ///   - probe: the rows to look at; a dozen are enough.
  ///   - loss: what the gradient is of.
  ///   - gradientRows: for how many of the rows, from the first on, the gradient is taken.
  /// - Precondition: the model takes such rows, and answers as the loss wants it; `fit` checks that.
  ///
  /// *Cost*: one forward pass of the probe; and for the gradient `Layer.gateGradients`, whose time goes by steps rather than by
  /// rows: some 0.1 ms a step and layer of 64 units. Layers that are not recorded (on the tape, matrix memories) are left out.
  public init(
    of model: some LetheNN.Layer, on probe: Dataset, loss: Loss, gradientRows: Int = 4
  ) {
    let recorded = model.record(probe.inputs, timing: probe.timing).layers
    let lags = Self.gradients(of: model, on: probe[0..<min(gradientRows, probe.count)], loss: loss)
    layers = recorded.enumerated().map { number, recording in
      Layer(recording, gradientByLag: number < lags.count ? lags[number] : [])
    }
  }
}

extension TrainingProfile.Layer {
  fileprivate init(_ recording: LayerRecording, gradientByLag: [Double]) {
    label = recording.label
    self.gradientByLag = gradientByLag
    let rows = 0..<recording.input.shape[0]
    let memories = rows.compactMap { recording.memory(row: $0) }
    let all = memories.flatMap { $0.kept.joined() }
    keep = all.isEmpty ? nil : TrainingProfile.Spread(of: all)
    halfLives = MemoryTrace.halfLives(of: memories)
    saturation = recording.openings.compactMap { gate in
      var (shut, open, count) = (0, 0, 0)
      for values in rows.compactMap({ recording.steps(gate, row: $0) }).joined() {
        count += values.count
        for value in values {
          if value < 0.05 { shut += 1 }
          if value > 0.95 { open += 1 }
        }
      }
      if count == 0 { return nil }
      return TrainingProfile.Saturation(
        gate: gate, shut: Double(shut) / Double(count), open: Double(open) / Double(count))
    }
  }
}

// MARK: - Gradients

extension TrainingProfile {
  /// The mean |∂loss/∂h| of each recorded layer in the order in which they run, by steps before the end, of each row's own loss.
  private static func gradients(of model: some LetheNN.Layer, on rows: Dataset, loss: Loss) -> [[Double]] {
    // Rows of different lengths go one by one.
    let groups = rows.lengths == nil ? [rows] : (0..<rows.count).map { rows[$0..<$0 + 1].cut() }
    var sums: [[Double]] = [], counts: [[Double]] = []
    for group in groups where group.count > 0 && !(group.inputs.shape.contains(0)) {
      // No change is asked for, so none can be refused.
      guard
        let found = try? model.gateGradients(group.inputs, of: { loss.afterActivation(of: model, $0, group) })
      else { continue }
      for (number, own) in found.gradients.filter({ $0.name == "hidden" }).enumerated() {
        if number == sums.count {
          sums.append([])
          counts.append([])
        }
        // The loss is a mean over the group's rows; each row's own is so many times as large.
        let (batch, time, units) = (own.values.shape[0], own.values.shape[1], own.values.shape[2])
        let missing = max(0, time - sums[number].count)
        sums[number] += [Double](repeating: 0, count: missing)
        counts[number] += [Double](repeating: 0, count: missing)
        let values = own.values.scalars
        for t in 0..<time {
          let lag = own.isReversed ? t : time - 1 - t
          for row in 0..<batch {
            let start = (row * time + t) * units
            for value in values[start..<start + units] {
              sums[number][lag] += Double(value.magnitude) * Double(group.count)
            }
          }
          counts[number][lag] += Double(batch * units)
        }
      }
    }
    return zip(sums, counts).map { zip($0, $1).map { $1 > 0 ? $0 / $1 : 0 } }
  }
}

extension Dataset {
  /// A row by itself, without the steps past its length.
  fileprivate func cut() -> Dataset {
    guard let length = lengths?.first, inputs.shape.count > 1, length < inputs.shape[1] else {
      return Dataset(inputs: inputs, targets: targets)
    }
    let width = inputs.count / inputs.shape[1]
    let kept = Tensor(
      Array(inputs.scalars.prefix(length * width)), shape: [1, length] + inputs.shape.dropFirst(2))
    return Dataset(inputs: kept, targets: targets)
  }
}

extension Loss {
  /// The loss of what a model gives, its last activation included; of the targets as many as there are answers.
  fileprivate func afterActivation(of model: some Model, _ output: Variable, _ rows: Dataset) -> Variable {
    let end = (model as? any LogitsModel)?.finalActivation ?? .linear
    // y and 1 − y as the probabilities of two classes.
    if self == .binaryCrossEntropy && end == .sigmoid {
      let yes = output.reshaped([output.tensor.count, 1])
      let wanted =
        switch rows.targets {
        case .classes(let labels, _): labels.prefix(output.tensor.count).map { Float($0) }
        case .values(let values): Array(values.scalars.prefix(output.tensor.count))
        }
      return LetheNN.probabilityCrossEntropy(
        .concatenated([yes, 1 - yes]), Tensor(wanted.flatMap { [$0, 1 - $0] }, shape: [wanted.count, 2]))
    }
    let kind = self == .categoricalCrossEntropy && end == .softmax ? .probabilityCrossEntropy : self
    switch rows.targets {
    case .classes(let labels, _):
      let width = kind == .binaryCrossEntropy ? 1 : max(output.shape.last ?? 1, 1)
      return kind(output, Array(labels.prefix(output.tensor.count / width)))
    case .values(let values):
      return kind(output, Tensor(Array(values.scalars.prefix(output.tensor.count)), shape: output.shape))
    }
  }
}
