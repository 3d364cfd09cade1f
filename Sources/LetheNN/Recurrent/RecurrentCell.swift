import LetheCore

/// A kind of cell: its gates and how they start. `Recurrent` gives it layers, directions, lengths and the time loop.
public protocol RecurrentCell: Sendable, Codable {
  /// Its name in model files.
  static var kind: String { get }
  /// The width of its state.
  var hiddenSize: Int { get }
  /// The width of h, the output: `hiddenSize`, unless the cell projects it to less.
  var outputSize: Int { get }
  /// What the engine must know of it.
  var description: CellDescription { get }
  /// How the input bias starts, gate by gate in the order of `description.gates`; the recurrent bias starts at 0.
  /// Described cells say it in their description.
  var biasInitializers: [Initializer] { get }
  /// Throws for options that contradict each other; called before `description` is asked for.
  func check() throws(LetheError)
}

extension RecurrentCell {
  public func check() throws(LetheError) {}
  public var outputSize: Int { hiddenSize }
  public var biasInitializers: [Initializer] { description.biasInitializers }
}

/// Which outputs a recurrent layer gives.
public enum RecurrentOutputs: String, Sendable, Codable {
  /// Those of every step: [batch, time, directions · hidden].
  case all
  /// The final hidden states: [batch, directions · hidden].
  case last
}

/// How the outputs of the two directions become one.
public enum DirectionMerge: String, Sendable, Codable {
  /// Side by side, forward first.
  case concat
  /// Added up.
  case sum
  /// Their mean.
  case mean
  /// Multiplied, unit by unit.
  case product

  /// Both sides, forward first, as one.
  func callAsFunction(_ sides: [Variable]) -> Variable {
    switch self {
    case .concat: .concatenated(sides)
    case .sum: sides[0] + sides[1]
    case .mean: 0.5 * (sides[0] + sides[1])
    case .product: sides[0] * sides[1]
    }
  }
}

/// The state of a recurrent layer between two calls: a value, to keep, copy, save or start again from.
///
/// One entry for each layer and direction, in PyTorch's order: layer 0 forward, layer 0 backward, layer 1 forward, …
/// *Shapes*: each [batch, hidden], h of a projected cell [batch, output]. A missing state means zeros.
public struct RecurrentState {
  /// h.
  public var hidden: [Variable]
  /// c, for cells that have one; cells with more states have all but h here, those of a layer side by side.
  public var cell: [Variable]
  /// What attention has seen, for a layer that attends instead of carrying numbers on: a constant. Other layers stop at one.
  public var attention: AttentionCache?

  /// A state of the given parts.
  public init(hidden: [Variable], cell: [Variable] = [], attention: AttentionCache? = nil) {
    self.hidden = hidden
    self.cell = cell
    self.attention = attention
  }

  /// Stops where a layer that carries numbers on is given a cache of attention.
  func requireNumbersAlone(_ place: String) {
    require(attention == nil, "\(place): expected a state of numbers, got one with a cache of attention")
  }

  /// Stops where a layer that attends is given numbers.
  func requireCacheAlone(_ place: String) {
    require(
      hidden.isEmpty && cell.isEmpty,
      "\(place): expected a state with a cache alone, got hidden or cell parts too")
  }

  /// The same numbers as constants, so that no gradient flows further back (truncated backpropagation).
  public var detached: RecurrentState {
    RecurrentState(
      hidden: hidden.map { Variable($0.tensor) }, cell: cell.map { Variable($0.tensor) },
      attention: attention)
  }
}
