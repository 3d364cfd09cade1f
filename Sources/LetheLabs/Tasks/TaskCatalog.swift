import LetheCore

/// The tasks by name, for commands.
public struct TaskCatalog: Sendable {
  /// One task, not made yet.
  public struct Entry: Sendable {
    /// Its name.
    public let name: String
    /// The lengths it can be asked for, and the one it has otherwise; `nil` where the data say it. Of some it is another
    /// number than the steps: see their initialisers.
    public let lengths: (range: ClosedRange<Int>, default: Int)?
    /// Whether it reads files.
    public let readsFiles: Bool
    private let make: @Sendable (_ length: Int, _ folder: String) throws -> any SequenceTask

    init(
      _ name: String, lengths: (range: ClosedRange<Int>, default: Int)? = nil, readsFiles: Bool = false,
      make: @escaping @Sendable (_ length: Int, _ folder: String) throws -> any SequenceTask
    ) {
      (self.name, self.lengths, self.readsFiles, self.make) = (name, lengths, readsFiles, make)
    }

    /// The task, with sequences of the given length and files of the given folder where it wants them.
    ///
    /// - Precondition: the length is within `lengths`.
    /// - Throws: `LetheError` when its files cannot be read.
    public func task(length: Int? = nil, folder: String = "") throws -> any SequenceTask {
      if let length, let lengths {
        require(
          lengths.range.contains(length), "\(name): expected a length in \(lengths.range), got \(length)")
      }
      return try make(length ?? lengths?.default ?? 0, folder)
    }
  }

  /// All of them.
  public static let all = [
    Entry("recall", lengths: (2...10_000, 50)) { length, _ in RecallTask(length: length) },
    Entry("adding", lengths: (2...10_000, 100)) { length, _ in AddingTask(length: length) },
    Entry("parity", lengths: (3...256, 40)) { length, _ in ParityTask(length: length) },
    Entry("order", lengths: (10...10_000, 50)) { length, _ in OrderTask(length: length) },
    Entry("reber", lengths: (8...10_000, 40)) { length, _ in ReberTask(length: length) },
    Entry("reber-continual", lengths: (12...10_000, 150)) { length, _ in ReberTask(continual: length) },
    Entry("anbn", lengths: (2...50, 10)) { length, _ in CountingTask(letters: 2, most: length) },
    Entry("anbncn", lengths: (2...50, 10)) { length, _ in CountingTask(letters: 3, most: length) },
    Entry("copying", lengths: (4...10_000, 64)) { length, _ in CopyTask(.selective(steps: length)) },
    Entry("copy-memory", lengths: (1...10_000, 100)) { length, _ in CopyTask(.memory(wait: length)) },
    Entry("spikes", lengths: (10...10_000, 150)) { length, _ in SpikesTask(length: length) },
    regular(.evenPairs), regular(.cycle), regular(.modular),
    digits(.rows), digits(.pixels), digits(.means), digits(.permutedMeans),
    mnist(.rows), mnist(.pixels), mnist(.means), mnist(.permutedMeans),
  ]

  private static func regular(_ language: RegularTask.Language) -> Entry {
    Entry(language.rawValue, lengths: (3...256, 40)) { length, _ in RegularTask(language, most: length) }
  }

  private static func digits(_ reading: ImageRowsTask.Reading) -> Entry {
    Entry(ImageRowsTask.name(reading, "digits")) { _, _ in ImageRowsTask.digits(reading) }
  }

  private static func mnist(_ reading: ImageRowsTask.Reading) -> Entry {
    Entry(ImageRowsTask.name(reading, "mnist"), readsFiles: true) { _, folder in
      try ImageRowsTask.mnist(directory: folder, reading)
    }
  }

  /// The task of that name, if there is one.
  public static func entry(_ name: String) -> Entry? { all.first { $0.name == name } }
}
