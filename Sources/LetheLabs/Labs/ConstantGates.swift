import LetheCore
import LetheNN

/// An LSTM without recurrent weights, whose gates are constants: the leaky integrator inside.
///
///     c_t = f ⊙ c_{t−1} + i ⊙ tanh(40 x_t)        o = 1
///
/// *Shapes*: x [batch, time, 1].
struct ConstantGates {
  /// The layer.
  let layer: LSTM
  /// The gates as floats have them.
  let forget: [Double]
  let input: [Double]

  /// One unit for each pair of gates; with `input: nil` the input gate is 1 where x is 1 and closed where x is 0.
  init(forget: [Double], input: [Double]?, activation: GateActivation = .sigmoid) {
    let units = forget.count
    func many(_ value: Float) -> [Float] { Array(repeating: value, count: units) }
    // σ(±40) is 1 and, beside a candidate of 0, nothing.
    let inputBias = input.map { $0.map(Self.bias) } ?? many(-40)
    let layer = LSTM(inputSize: 1, hiddenSize: units, outputs: .last, gateActivation: activation).with([
      "weight_ih_l0": many(input == nil ? 80 : 0) + many(0) + many(40) + many(0),
      "weight_hh_l0": Array(repeating: 0, count: 4 * units * units),
      "bias_ih_l0": inputBias + forget.map(Self.bias) + many(0) + many(40),
      "bias_hh_l0": Array(repeating: 0, count: 4 * units),
    ])
    let gates = layer.gateValues(Variable(Tensor(repeating: 1, shape: [1, 1, 1])))
    self.layer = layer
    self.forget = gates["forget"].map { $0.scalars.map { Double($0) } } ?? []
    self.input = gates["input"].map { $0.scalars.map { Double($0) } } ?? []
  }

  private static func bias(_ gate: Double) -> Float { gate < 1 ? Float(logit(gate)) : 40 }

  /// The cells after each step, [step][unit], from zero.
  func cells(_ x: some Sequence<Float>, _ setup: LabSetup) throws -> [[Double]] {
    var state: RecurrentState?
    return try x.map { x in
      try setup.goOn()
      let after = layer.run(Variable(Tensor([x], shape: [1, 1, 1])), from: state).state
      state = after
      return after.cell[0].tensor.scalars.map { Double($0) }
    }
  }
}
