import LetheCore
import LetheNN

/// One proved statement about a recurrent layer, for a table: between which numbers something stays.
///
/// It holds for every sequence of any length whose inputs lie in the range, in evaluation mode, for the engine's floats. It
/// does not say that the range covers the data that will come, that the bound is reached (bounds are loose where many things
/// have to be at their worst at once), or that an answer is right.
public struct Certificate: Sendable {
  /// What a statement is about.
  public enum Subject: Sendable, Equatable {
    /// The values of a gate or candidate.
    case gate(String)
    /// The values of a state.
    case state(String)
    /// The time in which a unit's memory can lose no more than half, in steps.
    case longestHalfLife
    /// How many times as far apart as before a step can leave two runs on the same input: ρ in a weighted norm.
    case contraction
    /// Steps until any disturbance is within 0.001 again.
    case settling
    /// How far outputs of two runs can be apart, for each unit by which their inputs differ.
    case gain
  }
  /// What it is about.
  public let subject: Subject
  /// Between which numbers it stays, for all units; infinite ends: no bound on that side.
  public let bound: Interval
  /// What was seen in the recordings, if there are any and the subject shows in them.
  public let observed: Interval?
  /// Whether there is a proof; `false` means that this argument finds none.
  public let isProved: Bool
  /// The statement in words.
  public let text: String

  /// What it is about, in a few words.
  public var what: String {
    switch subject {
    case .gate(let name): "gate \(name)"
    case .state(let name): "state \(name)"
    case .longestHalfLife: "longest half-life"
    case .contraction: "contraction"
    case .settling: "settling"
    case .gain: "closed-loop gain"
    }
  }
  /// Whether what was seen is within the bound; a half-life is bounded by its equation, and floats of gates near 1 may be off.
  public var isKept: Bool { subject == .longestHalfLife || observed.map { bound.contains($0) } ?? true }
}

/// What is proved of one recurrent layer in one direction.
public struct LayerCertificate: Sendable {
  /// The bounds, unit by unit.
  public let bounds: RecurrentBounds
  /// The statements.
  public let statements: [Certificate]
  /// Whether recorded inputs of this layer lie outside the range that is spoken of: what was seen is then not covered.
  public let hasInputsOutside: Bool

  /// The layer in words.
  public var name: String { bounds.name }
  /// What the input is taken to be, in words.
  public var source: String {
    let all = bounds.input.joined
    switch bounds.source {
    case .derived:
      return "input in \(CertificateWords.range(all)), from the stated range of the model's input"
    case .recorded:
      return "input in \(CertificateWords.range(all)), the range that this layer's input had in recorded data"
    case .anything: return "any input at all: no range is known here"
    }
  }

  /// The statement about something.
  public subscript(subject: Certificate.Subject) -> Certificate? {
    statements.first { $0.subject == subject }
  }
}

/// What is proved of a model: layer by layer, in the order of running.
public struct Certificates: Sendable {
  /// The recurrent layers.
  public let layers: [LayerCertificate]
  /// Parts that the argument does not cover: convolutions, layer norms, matrix memories, attention, stepped cells.
  public let notCovered: [String]

  /// All of it as text.
  public var table: String {
    var lines: [String] = []
    for layer in layers {
      lines.append("\(layer.name), \(layer.bounds.units) units; \(layer.source)")
      if layer.hasInputsOutside {
        lines.append("  (some recorded inputs lie outside: what was seen there is not covered)")
      }
      let width = layer.statements.map(\.what.count).max() ?? 0
      for statement in layer.statements {
        let seen = statement.observed.map { "; seen \(CertificateWords.range($0))" } ?? ""
        let space = String(repeating: " ", count: width - statement.what.count)
        lines.append("  \(statement.what)\(space)  \(statement.text)\(seen)")
      }
    }
    if !notCovered.isEmpty { lines.append("not covered: " + notCovered.joined(separator: ", ")) }
    return lines.joined(separator: "\n")
  }
}

/// What the numbers of an input are said to be.
public enum InputRange: Sendable, Equatable {
  /// All features.
  case every(ClosedRange<Float>)
  /// Feature by feature.
  case features([ClosedRange<Float>])
}

extension Layer {
  /// Proves bounds for every recurrent layer, for inputs within a range: each gate's interval, the memory's bound, the longest
  /// half-life, and whether disturbances die away.
  ///
  ///     |c_t| ≤ f̄ᵗ |c_0| + w̄ (1 − f̄ᵗ) / (1 − f̄)      and max(|c_0|, ū) where c' = f c + (1 − f) u
  ///
  /// The range is carried through Dense, Embedding, reshaping, residual and recurrent layers; behind anything else a layer's
  /// input is taken to be as in the recordings, widened on both sides by `margin` times its width, or, without recordings,
  /// to be anything. Where an Embedding comes first the range does not matter. See docs/insight/certificates.md.
  /// - Parameters:
  ///   - recordings: what the model did on data, to show beside the bounds.
  ///   - startingWithin: how far from 0 the states may be at the start.
  /// - Throws: `LetheError` when there are not as many ranges as features.
  /// *Cost*: for each layer some hundred matrix-vector products in doubles.
  public func certificates(
    inputRange: InputRange, observing recordings: [Recording] = [], margin: Float = 0,
    startingWithin: Float = 0
  ) throws(LetheError) -> Certificates {
    func interval(_ range: ClosedRange<Float>) -> Interval {
      Interval(Double(range.lowerBound), Double(range.upperBound))
    }
    let known = knownExampleShape
    let box: ExampleBox
    switch inputRange {
    case .every(let range):
      guard let known else {
        throw LetheError(
          "certificates", "cannot know the number of features",
          expected: "a built model, or ranges feature by feature")
      }
      box = ExampleBox(shape: known, every: interval(range))
    case .features(let ranges):
      if let known, known.last != .any, known.last != ranges.count {
        throw LetheError(
          "certificates", "has another number of ranges than the input has features",
          expected: "\(known.last ?? 0)", found: "\(ranges.count)")
      }
      box = ExampleBox(shape: known ?? [.any, ranges.count], features: ranges.map(interval))
    }
    var walk = BoxWalk()
    walk.startingWithin = Double(startingWithin)
    let layers = recordings.flatMap(\.layers)
    for recording in layers {
      let own = CertificateWords.ranges(of: recording.input)
      let key = BoxWalk.key(recording)
      walk.recorded[key] = walk.recorded[key].map { zip($0, own).map { $0.union($1) } } ?? own
    }
    walk.recorded = walk.recorded.mapValues { ranges in
      ranges.map { range in
        let more = Interval(-Double(margin), Double(margin)) * Interval(range.width)
        return range + more
      }
    }
    _ = walk.through(self, box)
    return Certificates(
      layers: walk.layers.map { bounds in
        let own = layers.filter {
          $0.path == bounds.path && $0.layer == bounds.layer && $0.isReversed == bounds.isReversed
        }
        return LayerCertificate(
          bounds: bounds, statements: CertificateWords.statements(bounds, own),
          hasInputsOutside: own.contains {
            zip(CertificateWords.ranges(of: $0.input), bounds.input).contains { !$1.contains($0) }
          })
      }, notCovered: walk.notCovered)
  }
}
