import LetheCore
import LetheNN

/// Trains networks of different cells on one task under equal conditions, from several seeds, and tells which does best.
///
/// Equal are the examples (a seed's batches are the same for all cells), the learning rates on offer, the optimiser and the
/// budget. With several rates each cell keeps the one whose median over the seeds is best on the validation examples; the
/// test examples are met once a run, at its end, and choose nothing.
///
/// Runs go seed by seed and within a seed cell by cell, so that a machine that slows down slows all alike.
public struct Comparison: Sendable {
  /// What makes widths comparable.
  public enum Matching: String, Sendable, CaseIterable {
    /// Every network has about as many parameters as one of LSTM.
    case parameters
    /// Every cell has the same width.
    case width
  }

  /// The learning rate unless another is given: what the classic cells learn well with at this size.
  public static let defaultRate: Float = 0.005

  /// What is to be learned.
  public let task: any SequenceTask
  /// Who learns it.
  public let contestants: [Contestant]
  /// For how long, each cell and seed.
  public let budget: ComparisonBudget
  /// How many recurrent layers of the cell lie on top of each other.
  public let layers: Int
  /// The runs start from the seeds 1 to `seeds`.
  public let seeds: Int
  /// The learning rates to try.
  public let rates: [Float]

  /// A comparison of cells; widths follow from that of an LSTM, `hidden`.
  ///
  /// - Throws: `LetheError` for a cell that cannot take the task's input.
  /// - Precondition: there are cells, seeds and rates, and all numbers are above 0.
  public init(
    _ task: some SequenceTask, cells: [CellCatalog.Entry], budget: ComparisonBudget,
    match: Matching = .parameters, hidden: Int = 64, layers: Int = 1, seeds: Int = 3,
    rates: [Float] = [defaultRate]
  ) throws(LetheError) {
    require(
      !cells.isEmpty && hidden > 0 && layers > 0 && seeds > 0 && !rates.isEmpty
        && rates.allSatisfy { $0 > 0 },
      "Comparison: expected cells, and hidden, layers, seeds and rates above 0")
    let lstm = CellCatalog.Entry(name: "lstm", summary: "") { LSTMCell($0) }
    let wanted = try Contestant(lstm, width: hidden, layers: layers, task: task).parameters
    var contestants: [Contestant] = []
    for cell in cells {
      contestants.append(
        match == .width
          ? try Contestant(cell, width: hidden, layers: layers, task: task)
          : try Contestant(cell, parameters: wanted, layers: layers, task: task))
    }
    (self.task, self.contestants, self.budget) = (task, contestants, budget)
    (self.layers, self.seeds, self.rates) = (layers, seeds, rates)
  }

  /// The cells that can take the input of a task, in the order of the catalogue.
  public static func cells(for task: some SequenceTask) -> [CellCatalog.Entry] {
    CellCatalog.all.filter { (try? Contestant($0, width: 8, task: task)) != nil }
  }

  /// How many runs there are.
  public var runs: Int { contestants.count * seeds * rates.count }

  /// Trains them all; when told to stop, the report has the runs that were done.
  ///
  /// - Throws: `LetheError` when a network cannot be made.
  public func run(
    progress: (ComparisonProgress) -> Void = { _ in }, shouldStop: () -> Bool = { false }
  ) throws -> ComparisonReport {
    let (validation, test) = (task.heldOut(.validation), task.heldOut(.test))
    // [contestant][rate]: the results of the seeds so far.
    var results = contestants.map { _ in rates.map { _ in [ComparisonTrial.Result]() } }
    var done = 0, isStopped = false
    all: for seed in 1...seeds {
      for (index, contestant) in contestants.enumerated() {
        for (number, rate) in rates.enumerated() {
          let trial = ComparisonTrial(
            contestant: contestant, task: task, validation: validation, test: test, budget: budget,
            rate: rate,
            seed: UInt64(seed))
          var event = ComparisonProgress(task: task, cell: contestant.cell.name, seed: seed, runs: runs)
          event.done = done
          event.rate = rates.count > 1 ? rate : nil
          let result = try trial.run(
            report: {
              (event.share, event.value) = ($0, $1)
              progress(event)
            }, shouldStop: shouldStop)
          guard let result else {
            isStopped = true
            event.isStopped = true
            progress(event)
            break all
          }
          results[index][number].append(result)
          done += 1
          event.done = done
          event.ended = (result.value, result.steps, result.seconds)
          progress(event)
        }
      }
    }
    return ComparisonReport(self, results, testCount: task.answers(in: test), isComplete: !isStopped)
  }
}

extension Comparison {
  /// What is about to be done and how long it takes, in two lines.
  public var introduction: String {
    let counts = [contestants.count, seeds, rates.count].map { "\($0)" }
    let longest =
      switch budget {
      case .seconds(let seconds):
        ", \(ComparisonText.seconds(seconds * Double(runs))) in all and a little more"
      case .steps: ""
      }
    return """
      \(task.name): \(task.meaning)
      \(counts[0]) cell\(contestants.count == 1 ? "" : "s"), \(counts[1]) seed\(seeds == 1 ? "" : "s")\
      \(rates.count > 1 ? ", \(counts[2]) rates" : ""), \(budget.words) each\(longest)
      """
  }
}
