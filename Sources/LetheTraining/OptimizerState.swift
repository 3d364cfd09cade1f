import CLetheKernels
import LetheCore
import LetheNN

/// What an optimizer remembers from step to step, of each parameter by name.
///
///     var state = OptimizerState(.adam())
///     let (loss, gradients) = model.gradients { model, tape in … }
///     state.update(&model, gradients: gradients)
public struct OptimizerState: Sendable {
  /// Whose state it is.
  public let optimizer: Optimizer
  private var slots: [String: Slot] = [:]

  /// The state before the first step.
  public init(_ optimizer: Optimizer) { self.optimizer = optimizer }

  /// Takes one step: changes every parameter that has a gradient, in place. Others keep value and state.
  ///
  /// The `rate` is that of this step, `nil` the optimizer's own.
  ///
  /// - Precondition: the gradients are of this model.
  ///
  /// *Cost*: one pass over parameters, gradients and state; nothing is copied unless someone else holds the
  /// same tensor.
  public mutating func update(_ model: inout some Module, gradients: Gradients, rate: Float? = nil) {
    var index = 0
    model.forEachParameter { name, parameter in
      defer { index += 1 }
      guard let gradient = gradients[slot: index] else { return }
      require(
        gradient.shape == parameter.value.shape,
        "update: the gradient of '\(name)' has the shape \(gradient.shape), "
          + "the parameter \(parameter.value.shape)"
      )
      slots[name, default: Slot(optimizer, shape: parameter.value.shape)]
        .step(&parameter.value, gradient, optimizer, rate: rate ?? optimizer.rate)
    }
  }
}

// What a checkpoint keeps.
extension OptimizerState {
  /// The steps each parameter has taken; Adam's correction depends on it.
  package var steps: [String: Int] { slots.mapValues(\.steps) }

  /// The tensors, as `m.weight` or `velocity.weight`, in no certain order.
  package var tensors: [(name: String, tensor: Tensor)] {
    slots.flatMap { name, slot in
      var list: [(name: String, tensor: Tensor)] = []
      if let kind = optimizer.firstSlot { list.append(("\(kind).\(name)", slot.first)) }
      if let kind = optimizer.secondSlot { list.append(("\(kind).\(name)", slot.second)) }
      return list
    }
  }

  /// The state that `steps` and `tensors` describe.
  ///
  /// - Throws: what `tensor` throws when it cannot give a tensor of that name.
  package init(_ optimizer: Optimizer, steps: [String: Int], tensor: (String) throws -> Tensor) rethrows {
    self.init(optimizer)
    for (name, count) in steps.sorted(by: { $0.key < $1.key }) {
      var slot = Slot(optimizer, shape: [0])
      slot.steps = count
      if let kind = optimizer.firstSlot { slot.first = try tensor("\(kind).\(name)") }
      if let kind = optimizer.secondSlot { slot.second = try tensor("\(kind).\(name)") }
      slots[name] = slot
    }
  }
}

extension Optimizer {
  /// What the first tensor of a parameter's state is called; `nil` where there is none.
  fileprivate var firstSlot: String? {
    switch self {
    case .sgd(_, let momentum, _, _), .rmsprop(_, _, let momentum, _, _): momentum == 0 ? nil : "velocity"
    case .adam, .adamW: "m"
    }
  }

  fileprivate var secondSlot: String? {
    switch self {
    case .sgd: nil
    case .rmsprop: "square"
    case .adam, .adamW: "v"
    }
  }
}

/// The state of one parameter. Tensors that the optimizer has no use for are empty.
private struct Slot: Sendable {
  var first: Tensor
  var second: Tensor
  var steps = 0

  init(_ optimizer: Optimizer, shape: [Int]) {
    first = Tensor(zeros: optimizer.firstSlot == nil ? [0] : shape)
    second = Tensor(zeros: optimizer.secondSlot == nil ? [0] : shape)
  }

  mutating func step(_ value: inout Tensor, _ gradient: Tensor, _ optimizer: Optimizer, rate: Float) {
    steps += 1
    switch optimizer {
    case .sgd(_, let momentum, let nesterov, let decay):
      descend(
        &value, gradient,
        lethe_descent(
          rate: rate, momentum: momentum, decay: decay, smoothing: 0, epsilon: 0, nesterov: nesterov))
    case .rmsprop(_, let smoothing, let momentum, let epsilon, let decay):
      descend(
        &value, gradient,
        lethe_descent(
          rate: rate, momentum: momentum, decay: decay, smoothing: smoothing, epsilon: epsilon,
          nesterov: false))
    case .adam(_, let beta1, let beta2, let epsilon, let decay):
      adam(&value, gradient, rate, beta1, beta2, epsilon, decay: decay, decoupled: 0)
    case .adamW(_, let beta1, let beta2, let epsilon, let decay):
      adam(&value, gradient, rate, beta1, beta2, epsilon, decay: 0, decoupled: decay)
    }
  }

  private mutating func descend(_ value: inout Tensor, _ gradient: Tensor, _ rule: lethe_descent) {
    eachPartOf(&value, gradient) { p, u, s, g, count in
      withUnsafePointer(to: rule) { kernels.descent(p, u, s, g, $0, count) }
    }
  }

  private mutating func adam(
    _ value: inout Tensor, _ gradient: Tensor, _ rate: Float, _ beta1: Float, _ beta2: Float,
    _ epsilon: Float, decay: Float, decoupled: Float
  ) {
    let rule = lethe_adam(
      rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      correction1: Float(1 - Elementary.pow(Double(beta1), steps)),
      correction2: Float((1 - Elementary.pow(Double(beta2), steps)).squareRoot()), decay: decay,
      decoupled_decay: decoupled)
    eachPartOf(&value, gradient) { p, m, v, g, count in
      guard let m, let v else { return }
      withUnsafePointer(to: rule) { kernels.adam(p, m, v, g, $0, count) }
    }
  }

  /// Calls `body` for even parts, on several threads where that pays, with pointers to the parameter, the
  /// state (`nil` where there is none) and the gradient.
  private mutating func eachPartOf(
    _ value: inout Tensor, _ gradient: Tensor,
    _ body: (
      UnsafeMutablePointer<Float>, UnsafeMutablePointer<Float>?, UnsafeMutablePointer<Float>?,
      UnsafePointer<Float>, Int64
    ) -> Void
  ) {
    value.withUnsafeMutableBuffer { p in
      first.withUnsafeMutableBuffer { a in
        second.withUnsafeMutableBuffer { b in
          gradient.withUnsafeBuffer { g in
            guard let p = p.baseAddress, let g = g.baseAddress else { return }
            let a = a.isEmpty ? nil : a.baseAddress
            let b = b.isEmpty ? nil : b.baseAddress
            eachPart(gradient.count) { range in
              let i = range.lowerBound
              body(p + i, a.map { $0 + i }, b.map { $0 + i }, g + i, Int64(range.count))
            }
          }
        }
      }
    }
  }
}
