/// A number of every unit at every step, while a cell is being described: see `CellBuilder`.
public struct Signal {
  let id: CellGraph.ID
  let cell: CellBuilder

  fileprivate static func combine(_ operation: CellGraph.Binary, _ a: Signal, _ b: Signal) -> Signal {
    Signal(id: a.cell.graph.binary(operation, a.id, a.cell.own(b)), cell: a.cell)
  }
  fileprivate func applying(_ operation: CellGraph.Unary) -> Signal {
    Signal(id: cell.graph.unary(operation, id), cell: cell)
  }
  fileprivate func constant(_ value: Float) -> Signal { Signal(id: cell.graph.constant(value), cell: cell) }

  /// Sum, unit by unit.
  public static func + (a: Signal, b: Signal) -> Signal { combine(.add, a, b) }
  /// Difference.
  public static func - (a: Signal, b: Signal) -> Signal { combine(.subtract, a, b) }
  /// Product, unit by unit.
  public static func * (a: Signal, b: Signal) -> Signal { combine(.multiply, a, b) }
  /// Quotient.
  public static func / (a: Signal, b: Signal) -> Signal { combine(.divide, a, b) }
  /// A number plus a signal.
  public static func + (a: Float, b: Signal) -> Signal { b.constant(a) + b }
  /// A signal plus a number.
  public static func + (a: Signal, b: Float) -> Signal { a + a.constant(b) }
  /// A number minus a signal.
  public static func - (a: Float, b: Signal) -> Signal { b.constant(a) - b }
  /// A signal minus a number.
  public static func - (a: Signal, b: Float) -> Signal { a - a.constant(b) }
  /// A number times a signal.
  public static func * (a: Float, b: Signal) -> Signal { b.constant(a) * b }
  /// A signal times a number.
  public static func * (a: Signal, b: Float) -> Signal { a * a.constant(b) }
  /// A number divided by a signal.
  public static func / (a: Float, b: Signal) -> Signal { b.constant(a) / b }
  /// A signal divided by a number.
  public static func / (a: Signal, b: Float) -> Signal { a / a.constant(b) }
  /// A signal with its sign changed.
  public static prefix func - (a: Signal) -> Signal { a.applying(.negate) }
}

/// σ(x) = 1 / (1 + e⁻ˣ).
public func sigmoid(_ x: Signal) -> Signal { x.applying(.sigmoid) }
/// tanh x.
public func tanh(_ x: Signal) -> Signal { x.applying(.tanh) }
/// max(x, 0).
public func relu(_ x: Signal) -> Signal { x.applying(.relu) }
/// eˣ.
public func exp(_ x: Signal) -> Signal { x.applying(.exp) }
/// The natural logarithm.
public func log(_ x: Signal) -> Signal { x.applying(.log) }
/// √x.
public func sqrt(_ x: Signal) -> Signal { x.applying(.sqrt) }
/// |x|.
public func abs(_ x: Signal) -> Signal { x.applying(.abs) }
/// The larger of two; the gradient goes to the first where they are equal.
public func max(_ a: Signal, _ b: Signal) -> Signal { .combine(.max, a, b) }
/// The smaller of two; the gradient goes to the first where they are equal.
public func min(_ a: Signal, _ b: Signal) -> Signal { .combine(.min, a, b) }
/// x within bounds; beyond them no gradient passes.
public func clamp(_ x: Signal, _ low: Float, _ high: Float) -> Signal {
  min(max(x, x.constant(low)), x.constant(high))
}
/// clamp(slope x + offset, 0, 1), which reaches 0 and 1 exactly.
public func hardSigmoid(_ x: Signal, slope: Float = 1 / 6, offset: Float = 0.5) -> Signal {
  x.applying(.hardSigmoid(slope: slope, offset: offset))
}
/// 1 where x > 0, else 0, with the derivative taken as 1: a straight-through estimator (Bengio, Léonard & Courville
/// 2013, arXiv 1308.3432).
public func hardStep(_ x: Signal) -> Signal { x.applying(.hardStep) }
/// `a` where the condition is above 0, else `b`; no gradient reaches the condition.
public func select(_ condition: Signal, _ a: Signal, _ b: Signal) -> Signal {
  Signal(id: a.cell.graph.select(a.cell.own(condition), a.id, a.cell.own(b)), cell: a.cell)
}
/// The mean over all units of a row: one number, which every unit sees.
///
///     let d = x - mean(x), n = d / sqrt(mean(d * d) + 1e-5)      // x normalised
///
/// *Cost*: whatever is made of it waits until all units of the row are known.
public func mean(_ x: Signal) -> Signal { Signal(id: x.cell.graph.mean(x.id), cell: x.cell) }
/// log(1 + eˣ), without overflow.
public func softplus(_ x: Signal) -> Signal { x.applying(.softplus) }
/// log σ(x), without overflow.
public func logSigmoid(_ x: Signal) -> Signal { -softplus(-x) }
/// What a gate does with its sum.
public func gate(_ x: Signal, _ activation: GateActivation) -> Signal {
  switch activation {
  case .sigmoid: sigmoid(x)
  case .hardSigmoid(let slope, let offset): hardSigmoid(x, slope: slope, offset: offset)
  }
}
