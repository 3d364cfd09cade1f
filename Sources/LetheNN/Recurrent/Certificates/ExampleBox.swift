import LetheCore

/// A box around every example that a layer can be given: the interval of each feature, the same at every step or place.
package struct ExampleBox: Sendable {
  /// The shape of one example, as in `build`.
  package var shape: [Int]
  /// For each place of the last dimension.
  package var features: [Interval]

  package init(shape: [Int], features: [Interval]) { (self.shape, self.features) = (shape, features) }

  /// The same interval everywhere.
  package init(shape: [Int], every interval: Interval) {
    self.init(shape: shape, features: Array(repeating: interval, count: max(shape.last ?? 1, 1)))
  }
}

/// A walk through a model that carries a box along and bounds every recurrent layer on the way.
package struct BoxWalk {
  /// What recurrent layers were given, by their names in recordings: path, layer, direction.
  package var recorded: [String: [Interval]] = [:]
  /// States start within this of zero.
  package var startingWithin = 0.0
  /// What was found, in the order of running.
  package private(set) var layers: [RecurrentBounds] = []
  /// Parts that no bounds are known for: what stands behind them has to take any input, or what was recorded.
  package private(set) var notCovered: [String] = []
  private var path: [String] = []

  package init() {}

  static func key(_ path: String, _ layer: Int, _ isReversed: Bool) -> String {
    "\(path)/\(layer)\(isReversed ? "/reverse" : "")"
  }
  package static func key(_ recording: LayerRecording) -> String {
    key(recording.path, recording.layer, recording.isReversed)
  }

  /// What comes out of a layer; `nil` where nothing is known.
  package mutating func through(_ layer: any Layer, _ box: ExampleBox?) -> ExampleBox? {
    if let own = layer as? any BoundedLayer { return own.bounded(box, &self) }
    let name = (path.isEmpty ? "" : path.joined(separator: ".") + " ") + type(of: layer).kind
    // Both directions of a layer stand at one place.
    if !notCovered.contains(name) { notCovered.append(name) }
    return nil
  }

  mutating func inside<R>(_ name: String, _ body: (inout BoxWalk) -> R) -> R {
    path.append(name)
    defer { path.removeLast() }
    return body(&self)
  }

  /// Bounds one recurrent layer in one direction.
  mutating func add(
    _ description: CellDescription, units: Int, parts: [Tensor], initial: [Tensor], inputs: Int,
    input: [Interval]?, layer: Int, isReversed: Bool
  ) -> [Interval] {
    let place = path.joined(separator: ".")
    let recorded = recorded[Self.key(place, layer, isReversed)].flatMap { $0.count == inputs ? $0 : nil }
    let bounds = RecurrentBounds(
      description, units: units, parts: parts, initial: initial,
      input: input ?? recorded ?? Array(repeating: .everything, count: inputs),
      source: input != nil ? .derived : recorded != nil ? .recorded : .anything,
      startingWithin: startingWithin, path: place, layer: layer, isReversed: isReversed)
    layers.append(bounds)
    // Past a sequence's length outputs are 0, as the states are at the start.
    return bounds.states[0].units
  }
}

/// A layer that can say what it makes of a box.
protocol BoundedLayer: Layer {
  /// The shape of an example, where the layer knows it.
  var exampleShape: [Int]? { get }
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox?
}

extension BoundedLayer {
  var exampleShape: [Int]? { nil }
}

extension Layer {
  /// The shape of an example that it takes; `nil` where the layer does not know it by itself.
  package var knownExampleShape: [Int]? { (self as? any BoundedLayer)?.exampleShape }
}

extension Recurrent: BoundedLayer {
  var exampleShape: [Int]? { features > 0 ? [.any, features] : nil }

  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    var input = box.map(\.features)
    var width = features
    for layer in 0..<layers {
      var sides: [[Interval]] = []
      for (direction, isReversed) in ways.enumerated() {
        let own = weights[layer * directions + direction]
        sides.append(
          walk.add(
            description, units: cell.hiddenSize, parts: own.parts.map(\.value),
            initial: own.initial.map(\.value), inputs: width, input: input, layer: layer,
            isReversed: isReversed))
      }
      let both = merge(sides)
      (input, width) = (both, both.count)
    }
    var output = input ?? []
    let shape = box?.shape ?? [.any, features]
    if headSize != nil {
      let x = box?.features ?? Array(repeating: .everything, count: features)
      output = head.bounded(output + x)
    }
    return ExampleBox(shape: (outputs == .all ? [shape[0]] : []) + [output.count], features: output)
  }

}

extension DirectionMerge {
  /// Both sides, forward first, as one; or the only one.
  fileprivate func callAsFunction(_ sides: [[Interval]]) -> [Interval] {
    if sides.count == 1 { return sides[0] }
    let pairs = zip(sides[0], sides[1])
    switch self {
    case .concat: return sides[0] + sides[1]
    case .sum: return pairs.map { ($0 + $1).single }
    case .mean: return pairs.map { (Interval(0.5) * ($0 + $1).single).single }
    case .product: return pairs.map { ($0 * $1).single }
    }
  }
}

extension Bidirectional: BoundedLayer {
  var exampleShape: [Int]? { forward.knownExampleShape }

  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    let sides = [walk.through(forward, box), walk.through(backward, box)].compactMap { $0 }
    guard sides.count == 2 else { return nil }
    let features = merge(sides.map(\.features))
    return ExampleBox(shape: sides[0].shape.dropLast() + [features.count], features: features)
  }
}

extension ForgettingGateNetwork: BoundedLayer {
  var exampleShape: [Int]? { memory.exampleShape }

  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    guard let inner = walk.inside("memory", { memory.bounded(box, &$0) }) else { return nil }
    let x = box?.features ?? Array(repeating: .everything, count: inner.features.count)
    let m = inner.features
    let z = recall == .previousMemory ? recallMap.bounded(m) : []
    let keep =
      box == nil ? Array(repeating: Interval(0, 1), count: m.count) : gate.bounded(x)
    var y: [Interval] = []
    for unit in m.indices {
      let f = keep[unit]
      // With the output gate twice: within 0...1 times m, which holds 0.
      var value = (f * (outputGate == .twice ? m[unit].union(.zero) : m[unit])).single
      if !z.isEmpty { value = (value + ((Interval(1) - f).single * z[unit]).single).single }
      y.append(value.union(.zero))
    }
    return ExampleBox(shape: (outputs == .all ? [inner.shape[0]] : []) + [y.count], features: y)
  }
}

extension Dense: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    guard let box else { return nil }
    let y = bounded(box.features)
    return ExampleBox(shape: box.shape.dropLast() + [y.count], features: y)
  }

  func bounded(_ x: [Interval]) -> [Interval] {
    var sum = CellBox.Sum(units: units)
    sum.add(weight.value.pointer, columns: x.count, x)
    if usesBias { sum.add(bias.value.pointer) }
    return sum.intervals.map { x in
      switch activation {
      case .linear: x
      case .relu: x.relu
      case .tanh: x.tanh
      case .sigmoid: x.sigmoid
      case .hardSigmoid: CellGraph.Unary.hardSigmoid(slope: 1 / 6, offset: 0.5).value(x)
      // Shares of 1; their sum in floats may be a little less than the largest of them.
      case .softmax: Interval(0, 1 + 0x1p-20)
      }
    }
  }
}

extension Embedding: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    let table = weight.value.scalars
    let columns = (0..<width).map { column in
      // Steps past a sequence's length are 0.
      stride(from: column, to: table.count, by: width).reduce(Interval.zero) {
        $0.union(Interval(Double(table[$1])))
      }
    }
    return ExampleBox(shape: (box?.shape ?? [.any]) + [width], features: columns)
  }
}

extension Dropout: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? { box }
}

extension Flatten: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    guard let box, box.shape.allSatisfy({ $0 > 0 }) else { return nil }
    let copies = box.shape.dropLast().reduce(1, *)
    let features = (0..<copies).flatMap { _ in box.features }
    return ExampleBox(shape: [features.count], features: features)
  }
}

extension Rows: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    guard let box else { return nil }
    let copies = box.shape.dropFirst().dropLast().reduce(1, *)
    let features = (0..<copies).flatMap { _ in box.features }
    return ExampleBox(shape: [box.shape[0], features.count], features: features)
  }
}

extension TimeWindow: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    guard let box else { return nil }
    let before = box.features.map { $0.union(.zero) }
    let features = box.features + (1..<max(steps, 1)).flatMap { _ in before }
    return ExampleBox(shape: [box.shape[0], features.count], features: features)
  }
}

extension Residual: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    let inside = walk.inside("inner") { inner.bounded(box, &$0) }
    guard let box, let inside else { return nil }
    return ExampleBox(shape: box.shape, features: zip(box.features, inside.features).map { ($0 + $1).single })
  }
}

extension DenseConnection: BoundedLayer {
  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    let inside = walk.inside("inner") { inner.bounded(box, &$0) }
    guard let box, let inside else { return nil }
    let all = box.features + inside.features
    return ExampleBox(shape: box.shape.dropLast() + [all.count], features: all)
  }
}

extension Sequential: BoundedLayer {
  var exampleShape: [Int]? { outputs.isEmpty ? nil : input }

  func bounded(_ box: ExampleBox?, _ walk: inout BoxWalk) -> ExampleBox? {
    layers.enumerated().reduce(box) { box, entry in
      walk.inside("\(entry.offset)") { $0.through(entry.element, box) }
    }
  }
}
