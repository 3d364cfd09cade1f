import LetheCore

/// Layers whose input is added to their output: y = x + f(x).
///
///     Residual { LSTM(64, outputs: .all) }        // over an input of 64 features
///
/// *Shapes*: those of the layers inside, which have to give back the shape they take.
/// *Source*: He, Zhang, Ren & Sun 2016; between recurrent layers: Wu et al. 2016, arXiv 1609.08144.
public struct Residual: Layer {
  public static let kind = "residual"
  /// f.
  public var inner: Sequential

  /// Layers to be built inside `Sequential`.
  public init(@LayerBuilder _ layers: () -> [any Layer]) { inner = Sequential(layers: layers()) }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let output = try inner.build(input: input)
    guard output == input else {
      throw LetheError(
        Self.kind, "its layers change the shape", expected: "\(input)", found: "\(output)",
        advice: "make them as wide as their input, or use DenseConnection")
    }
    return output
  }

  public var inside: [any Layer] { inner.layers }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("inner", &inner) }

  public func callAsFunction(_ x: Variable) -> Variable { x + inner(x) }

  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    x + observer.inside("inner") { inner.observed(x, by: observer) }
  }
}

/// Layers whose input is put beside their output: y = [x, f(x)].
///
/// *Shapes*: x [..., width] → [..., width + width of f]. *Source*: Huang, Liu, van der Maaten & Weinberger 2017.
public struct DenseConnection: Layer {
  public static let kind = "dense_connection"
  /// f.
  public var inner: Sequential

  /// Layers to be built inside `Sequential`.
  public init(@LayerBuilder _ layers: () -> [any Layer]) { inner = Sequential(layers: layers()) }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    let output = try inner.build(input: input)
    guard let width = input.last, let more = output.last, output.dropLast() == input.dropLast(),
      width > 0, more > 0, (width | more) < 1 << 24
    else {
      throw LetheError(
        Self.kind, "its layers change more than the width, or are too wide",
        expected: "\(input.dropLast()) and any sensible width", found: "\(output)",
        advice: "recurrent layers inside need outputs: .all")
    }
    return input.dropLast() + [width + more]
  }

  public var inside: [any Layer] { inner.layers }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("inner", &inner) }

  public func callAsFunction(_ x: Variable) -> Variable { .concatenated([x, inner(x)]) }

  public func observed(_ x: Variable, by observer: Observer) -> Variable {
    .concatenated([x, observer.inside("inner") { inner.observed(x, by: observer) }])
  }
}

/// Layers applied to every step alone, such as a convolution to every frame.
///
/// *Shapes*: x [batch, time, …] → [batch, time, …], each step as an example of its own.
public struct TimeDistributed: Layer {
  public static let kind = "time_distributed"
  /// What is applied.
  public var inner: Sequential

  /// Layers to be built inside `Sequential`.
  public init(@LayerBuilder _ layers: () -> [any Layer]) { inner = Sequential(layers: layers()) }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count > 1 else {
      throw LetheError(Self.kind, "cannot take this input", expected: "[time, …]", found: "\(input)")
    }
    return [input[0]] + (try inner.build(input: Array(input.dropFirst())))
  }

  public var inside: [any Layer] { inner.layers }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("inner", &inner) }

  public func callAsFunction(_ x: Variable) -> Variable {
    require(x.shape.count > 2, "\(Self.kind): expected [batch, time, …], got \(x.shape)")
    let steps = x.reshaped([x.shape[0] * x.shape[1]] + x.shape.dropFirst(2)).timed(nil)
    let y = inner(steps)
    return y.reshaped(Array(x.shape.prefix(2)) + y.shape.dropFirst()).timed(x.timing)
  }
}

/// Each step beside the ones before it: [x_t, x_{t−1}, … x_{t−k+1}], zeros before a sequence begins.
///
/// A linear layer behind it is a causal convolution of width k; a `QRNNCell` behind it is the paper's.
/// *Shapes*: x [batch, time, features] → [batch, time, k · features].
public struct TimeWindow: Layer {
  public static let kind = "time_window"
  /// k.
  public var steps: Int

  /// A window of so many steps, the present one among them.
  public init(_ steps: Int) { self.steps = steps }

  public mutating func build(input: [Int]) throws(LetheError) -> [Int] {
    guard input.count == 2, (1..<1 << 24).contains(input[1]), (1...1024).contains(steps) else {
      throw LetheError(
        Self.kind, "cannot be built", expected: "[time, features] and 1 to 1024 steps",
        found: "\(input), \(steps) steps")
    }
    return [input[0], steps * input[1]]
  }

  public func callAsFunction(_ x: Variable) -> Variable {
    require(x.shape.count == 3, "\(Self.kind): expected [batch, time, features], got \(x.shape)")
    var parts = [x]
    for _ in 1..<max(steps, 1) { parts.append(parts[parts.count - 1].previousStep(from: nil)) }
    return .concatenated(parts)
  }
}
