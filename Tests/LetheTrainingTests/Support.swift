import Foundation
import Lethe

/// Two parameters and no layer: gradients are what a test wants them to be.
struct Free: Module {
  var weight: Parameter
  var bias: Parameter

  init(weight: Tensor, bias: Tensor = Tensor([0])) {
    self.weight = Parameter(weight)
    self.bias = Parameter(bias)
  }

  mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("weight", &weight)
    visitor.visit("bias", &bias)
  }

  /// Gradients with `slope` for the weight, and none for the bias.
  func gradients(alongWeight slope: Tensor) -> Gradients {
    gradients { model, tape in
      let weight = tape.constant(Tensor([0])).with(model.weight)
      return (weight * tape.constant(slope)).sum()
    }.gradients
  }
}

extension Tensor {
  /// The bits of every scalar: equal for equal NaN too, and different for 0 and −0.
  var bits: [UInt32] { scalars.map(\.bitPattern) }
}

/// A path for a file of one test; the file goes with the value.
final class TemporaryFile {
  let path: String

  init() { path = FileManager.default.temporaryDirectory.appendingPathComponent("lethe-\(UUID()).test").path }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// Exclusive or: four rows, two classes.
let xor = Dataset(
  inputs: Tensor([0, 0, 0, 1, 1, 0, 1, 1], shape: [4, 2]), targets: .classes([0, 1, 1, 0], count: 2))

/// A small reader of digits with state, dropout and a head.
let digitReader = Sequential(input: [8, 8, 1], seed: 2) {
  Rows()
  LSTM(6)
  Dropout(0.3)
  Dense(10, activation: .softmax)
}

/// A model whose output is its input times one number.
struct Scale: Model {
  var factor: Parameter

  init(_ value: Float = 1) { factor = Parameter(Tensor([value])) }

  mutating func visitParameters(_ visitor: inout ParameterVisitor) { visitor.visit("factor", &factor) }

  func callAsFunction(_ x: Variable) -> Variable { x * x.with(factor) }
}

extension Module {
  /// The bits of every parameter.
  var bits: [[UInt32]] { parameters.map(\.value.bits) }
}

extension History {
  /// What of a history does not depend on the clock.
  var withoutSeconds: History {
    var copy = self
    for i in epochs.indices { copy.epochs[i].seconds = 0 }
    return copy
  }
}
