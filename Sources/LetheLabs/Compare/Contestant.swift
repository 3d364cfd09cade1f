import LetheCore
import LetheNN

/// One kind of cell at one width, in a network for a task: recurrent layers and a Dense read-out of the last output, or of
/// every step's where the task asks at every step.
///
/// A cell that takes its input unit by unit gets a Dense layer before it, and so do matrix memories and forgetting attention.
public struct Contestant: Sendable {
  /// The kind of cell.
  public let cell: CellCatalog.Entry
  /// Its units.
  public let width: Int
  /// The trainable numbers of the whole network.
  public let parameters: Int
  /// The numbers that are kept of a sequence from step to step; where they grow, after the longest one to learn from.
  public let stateSize: Int
  private let layers: [any Layer]
  private let input: [Int]

  /// A cell of so many units, in so many layers.
  ///
  /// - Throws: `LetheError` when the cell cannot take the task's input.
  public init(
    _ entry: CellCatalog.Entry, width: Int, layers count: Int = 1, task: some SequenceTask
  ) throws(LetheError) {
    let description = entry.cell?(width).description
    if let description, description.scalars > 0 {
      throw LetheError(
        "the cell '\(entry.name)'", "wants a column of scores or times beside its input",
        expected: "a task that has one", found: "'\(task.name)'", advice: "leave this cell out")
    }
    let stack = (1...count).map { entry.layer(width, $0 < count || task.answersEachStep ? .all : .last) }
    cell = entry
    self.width = width
    stateSize = stack.reduce(0) { $0 + $1.stateSize(after: task.length) }
    layers =
      (entry.needsDenseBefore ? [Dense(width)] : []) + stack + [
        Dense(task.outputSize)
      ]
    input = [.any, task.inputSize]
    parameters = try Self.parameters(of: layers, input: input)
  }

  /// A cell of that width at which its network has as many parameters as asked for, as nearly as can be.
  ///
  /// - Throws: as the other one.
  public init(
    _ entry: CellCatalog.Entry, parameters wanted: Int, layers: Int = 1, task: some SequenceTask
  ) throws(LetheError) {
    var low = try Contestant(entry, width: 1, layers: layers, task: task), high = low
    while high.parameters < wanted && high.width < 1 << 16 {
      low = high
      high = try Contestant(entry, width: 2 * high.width, layers: layers, task: task)
    }
    while high.width > low.width + 1 {
      let middle = try Contestant(entry, width: (low.width + high.width) / 2, layers: layers, task: task)
      if middle.parameters < wanted { low = middle } else { high = middle }
    }
    self = high.parameters - wanted < wanted - low.parameters ? high : low
  }

  /// A fresh network.
  func network(seed: UInt64) throws(LetheError) -> Sequential {
    try Sequential(input: input, layers: layers, seed: seed)
  }

  /// Counted from declared shapes: nothing is filled.
  private static func parameters(of layers: [any Layer], input: [Int]) throws(LetheError) -> Int {
    var (shape, count) = (input, 0)
    for layer in layers {
      var layer = layer
      shape = try layer.build(input: shape)
      layer.forEachParameter { _, parameter in count += parameter.shape.reduce(1, *) }
    }
    return count
  }
}
