/// The record of one computation, from which its gradients follow (reverse-mode differentiation).
///
/// A tape lives for one training step and is not shared between threads. Operations on `Variable`s add one node each;
/// a whole recurrent layer is one node. Without a tape nothing is recorded.
public final class Tape {
  struct Node {
    let name: String
    let inputs: [Int32]
    let outputs: Range<Int>
    let pullback: ([Tensor?]) -> [Tensor?]
  }

  /// Whether layers that behave differently in training (dropout) should.
  public let isTraining: Bool
  /// Where this step's random numbers come from.
  public let key: RandomKey
  /// The first operation whose result held a number that is not finite, with `checksValues`.
  public private(set) var firstNonFinite: String?

  private let isRecording: Bool
  private let checksValues: Bool
  private var nodes: [Node] = []
  private var valueCount = 0
  private var leaves: [Int32] = []  // parameter slot -> value, or -1
  private var draws = 0
  private var path: [String] = []

  /// A tape. `records: false` keeps nothing, for evaluation that needs a key; `checksValues` looks for
  /// numbers that are not finite after every operation, which is slow.
  public init(
    key: RandomKey = RandomKey(seed: 0), isTraining: Bool = true, records: Bool = true,
    checksValues: Bool = false
  ) {
    self.key = key
    self.isTraining = isTraining
    self.isRecording = records
    self.checksValues = checksValues
  }

  /// A value with no gradient.
  public func constant(_ tensor: Tensor, timing: Timing? = nil) -> Variable {
    Variable(tensor, id: -1, tape: self, timing: timing)
  }

  /// A value whose gradient `gradients(of:)` reports.
  public func watched(_ tensor: Tensor, timing: Timing? = nil) -> Variable {
    defer { valueCount += 1 }
    return Variable(tensor, id: Int32(valueCount), tape: self, timing: timing)
  }

  /// The value of the model's parameter number `slot`, one for all of its uses; negative slots are constants.
  package func leaf(slot: Int, _ tensor: Tensor) -> Variable {
    guard isRecording, slot >= 0 else { return constant(tensor) }
    while leaves.count <= slot { leaves.append(-1) }
    if leaves[slot] < 0 {
      leaves[slot] = Int32(valueCount)
      valueCount += 1
    }
    return Variable(tensor, id: leaves[slot], tape: self, timing: nil)
  }

  /// Random numbers for the next operation that wants some.
  package func nextKey() -> RandomKey {
    defer { draws += 1 }
    return key.child(draws)
  }

  /// Runs `body` with a name that errors and checks report.
  public func named<R>(_ name: @autoclosure () -> String, _ body: () throws -> R) rethrows -> R {
    path.append(name())
    defer { path.removeLast() }
    return try body()
  }

  /// Adds an operation.
  ///
  /// - Parameters:
  ///   - name: what errors call it.
  ///   - inputs: the values it depends on.
  ///   - outputs: its results.
  ///   - pullback: from the gradient of each output (`nil`: zero) to that of each input (`nil`: zero).
  /// - Returns: one variable for each output.
  public func record(
    _ name: String, inputs: [Variable], outputs: [Tensor], pullback: @escaping ([Tensor?]) -> [Tensor?]
  ) -> [Variable] {
    require(
      inputs.allSatisfy { $0.id < 0 || $0.tape === self },
      "\(name): an input belongs to another tape; take its tensor, or RecurrentState.detached")
    if checksValues, firstNonFinite == nil, !outputs.allSatisfy(\.isFinite) {
      firstNonFinite = (path + [name]).joined(separator: " › ")
    }
    guard isRecording, inputs.contains(where: { $0.id >= 0 }) else { return outputs.map { constant($0) } }
    let range = valueCount..<valueCount + outputs.count
    valueCount = range.upperBound
    nodes.append(Node(name: name, inputs: inputs.map(\.id), outputs: range, pullback: pullback))
    return zip(outputs, range).map { Variable($0, id: Int32($1), tape: self, timing: nil) }
  }

  /// The gradients of a scalar with respect to every watched value and parameter it depends on.
  ///
  /// It uses the tape up: what was saved for the backward pass is let go on the way.
  ///
  /// - Precondition: `loss` holds one number and was computed on this tape.
  public func gradients(of loss: Variable) -> Gradients {
    require(
      loss.tensor.count == 1,
      "gradients(of:): expected one number, got a tensor of shape \(loss.tensor.shape)")
    return gradients(of: [(loss, Tensor(repeating: 1, shape: loss.tensor.shape))])
  }

  /// The gradients of Σ ⟨value, cotangent⟩.
  public func gradients(of seeds: [(value: Variable, cotangent: Tensor)]) -> Gradients {
    var values = [Tensor?](repeating: nil, count: valueCount)
    require(
      seeds.allSatisfy { $0.value.id < 0 || $0.value.tape === self },
      "gradients(of:): a value belongs to another tape")
    for (value, cotangent) in seeds where value.id >= 0 {
      require(
        cotangent.shape == value.tensor.shape,
        "gradients(of:): a cotangent of shape \(cotangent.shape) for a value of shape \(value.tensor.shape)")
      values[Int(value.id)].accumulate(cotangent)
    }
    while let node = nodes.popLast() {
      let outputs = node.outputs.map { values[$0] }
      for index in node.outputs { values[index] = nil }
      if outputs.allSatisfy({ $0 == nil }) { continue }
      let inputs = node.pullback(outputs)
      require(
        inputs.count == node.inputs.count,
        "\(node.name): its pullback gave \(inputs.count) gradients for \(node.inputs.count) inputs")
      for (id, gradient) in zip(node.inputs, inputs) where id >= 0 {
        if let gradient { values[Int(id)].accumulate(gradient) }
      }
    }
    return Gradients(values: values, leaves: leaves)
  }
}

extension Optional where Wrapped == Tensor {
  mutating func accumulate(_ gradient: Tensor) {
    guard var sum = take() else {
      self = gradient
      return
    }
    require(
      sum.shape == gradient.shape, "gradients of shapes \(sum.shape) and \(gradient.shape) meet at one value")
    sum.add(gradient)
    self = sum
  }
}

/// What `Tape.gradients(of:)` found.
public struct Gradients: Sendable {
  private let values: [Tensor?]
  private var parameters: [Tensor?]

  fileprivate init(values: [Tensor?], leaves: [Int32]) {
    parameters = leaves.map { $0 < 0 ? nil : values[Int($0)] }
    var watched = values
    for id in leaves where id >= 0 { watched[Int(id)] = nil }
    self.values = watched
  }

  /// The gradient of a watched value; `nil` where the result does not depend on it.
  public subscript(_ variable: Variable) -> Tensor? {
    variable.id >= 0 && Int(variable.id) < values.count ? values[Int(variable.id)] : nil
  }

  /// The gradient of a parameter of the model the tape was made for; `nil` where the result does not depend on it.
  package subscript(slot slot: Int) -> Tensor? {
    get { slot < parameters.count ? parameters[slot] : nil }
    set { parameters[slot] = newValue }
  }

  package var slotCount: Int { parameters.count }
}
