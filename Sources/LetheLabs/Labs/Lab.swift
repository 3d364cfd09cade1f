import LetheCore
import LetheInsight

/// An experiment on one claim about gates: it makes or reads its data, trains, measures, and says whether the claim held.
///
///     let result = try VanishLab().run(LabSetup(isQuick: true))
///     print(result.verdict, result.lines)
///
/// Equal set-ups give equal results on every machine and any number of threads.
public protocol Lab: Sendable {
  /// Its name on the command line.
  var name: String { get }
  /// What is claimed, in a sentence or two.
  var claim: String { get }
  /// What sort of claim it is, in the main.
  var kind: LabKind { get }
  /// The folder inside `LabSetup.data` that it reads; `nil` where it makes its data.
  var dataFolder: String? { get }

  /// Does the experiment.
  ///
  /// - Throws: `LabInterruption` when the set-up told it to stop; `LetheError` for data that cannot be read.
  func run(_ setup: LabSetup, progress: LabProgress) throws -> LabResult
}

extension Lab {
  public var dataFolder: String? { nil }

  /// Does the experiment in silence.
  ///
  /// - Throws: as the other one.
  public func run(_ setup: LabSetup) throws -> LabResult { try run(setup, progress: .silent) }
}

/// What sort of claim is made.
public enum LabKind: String, Sendable, Codable, CaseIterable {
  /// Two things are the same but for rounding. A failure is a defect.
  case identity
  /// Something never passes a limit that can be proved. A failure is a defect.
  case bound
  /// Something is mostly so. That it is not is a finding.
  case empirical
}

/// How a laboratory is run.
public struct LabSetup: Sendable {
  /// Whether a form that takes seconds is enough; it has fewer cases and shorter training, and shows less.
  public var isQuick: Bool
  /// Training starts from the seeds 1 to `seeds`.
  public var seeds: Int
  /// The folder of data sets, for laboratories that read some.
  public var data: String?
  /// The folder that laboratories which make more than a result, such as a model, write it to; `nil`: they keep nothing.
  public var output: String?
  /// Asked often; once it says yes the laboratory ends.
  public var shouldStop: @Sendable () -> Bool

  /// A set-up; of the quick form from 2 seeds, of the full one from 3, unless it is said.
  ///
  /// - Precondition: there is a seed.
  public init(
    isQuick: Bool = false, seeds: Int? = nil, data: String? = nil, output: String? = nil,
    shouldStop: @escaping @Sendable () -> Bool = { false }
  ) {
    require(seeds ?? 1 > 0, "LabSetup: expected seeds above 0, got \(seeds ?? 0)")
    (self.isQuick, self.seeds, self.data) = (isQuick, seeds ?? Self.seeds(isQuick: isQuick), data)
    self.output = output
    self.shouldStop = shouldStop
  }

  /// How many seeds there are unless it is said.
  public static func seeds(isQuick: Bool) -> Int { isQuick ? 2 : 3 }

  /// One of two, by the form.
  func pick<T>(quick: T, full: T) -> T { isQuick ? quick : full }

  /// What `body` gives for each seed, with the share of the progress that is a seed's.
  func eachSeed<T>(_ progress: LabProgress, _ body: (UInt64, LabProgress) throws -> T) throws -> [T] {
    try (1...seeds).map { seed in
      try goOn()
      return try body(UInt64(seed), progress.part(seed - 1, of: seeds, "seed \(seed)"))
    }
  }

  /// - Throws: `LabInterruption` when it is time to stop.
  func goOn() throws { if shouldStop() { throw LabInterruption() } }
}

/// A laboratory ended because it was told to.
public struct LabInterruption: Error {
  /// The one there is.
  public init() {}
}

/// Where a laboratory reports how far it is.
public struct LabProgress {
  private let report: (_ share: Double, _ doing: String) -> Void
  private var start = 0.0
  private var width = 1.0
  private var name = ""

  /// Reports to a function the share that is done, and what is being done.
  public init(_ report: @escaping (_ share: Double, _ doing: String) -> Void) { self.report = report }

  /// Reports nothing.
  public static var silent: LabProgress { LabProgress { _, _ in } }

  /// One of several equal parts, from 0.
  func part(_ index: Int, of count: Int, _ name: String = "") -> LabProgress {
    var part = self
    part.start += width * Double(index) / Double(max(count, 1))
    part.width /= Double(max(count, 1))
    part.name = [self.name, name].filter { !$0.isEmpty }.joined(separator: ", ")
    part(0)
    return part
  }

  /// So much of this part is done.
  func callAsFunction(_ share: Double) { report(start + width * min(max(share, 0), 1), name) }
}

extension LabProgress {
  /// Draws `2/12 vanish · 45% · seed 1, lstm` on standard error where that is a terminal; `end` wipes it.
  public static func automatic() -> (start: (_ title: String) -> LabProgress, end: () -> Void) {
    let status = StatusLine()
    return (
      { title in
        LabProgress { share, doing in
          let parts = [title, DecimalText.percent(share, 0), doing].filter { !$0.isEmpty }
          status.show(parts.joined(separator: status.separator), isEnd: false)
        }
      }, { status.clear() }
    )
  }
}
