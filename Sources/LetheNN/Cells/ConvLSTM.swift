import LetheCore

/// LSTM over images: its products are convolutions, its states images.
///
///     i, f, u, o = convolutions of X_t and H_{t−1}, summed with a bias, through σ, σ, tanh, σ
///     C_t = f ⊙ C_{t−1} + i ⊙ u        H_t = o ⊙ tanh(C_t)
///
///     SteppedRecurrent(ConvLSTMCell(filters: 16, 3), outputs: .all)       // over [time, height, width, channels]
///
/// Strides are 1 and sizes kept. Peepholes are left out, as in Keras. *Shapes*: x [batch, time, height, width, channels] →
/// [batch, time, height, width, filters]. *State*: H and C, [batch, height · width · filters]. It runs on the tape.
/// *Source*: Shi et al. 2015, arXiv 1506.04214, eq. 3.
public struct ConvLSTMCell: SteppedCell {
  public static let kind = "conv_lstm"
  /// The channels of its states.
  public var filters: Int
  /// The height and width of its kernels.
  public var kernel: Int
  /// What the bias of the forget gate starts at.
  public var forgetBias: Float

  private(set) var image: [Int] = []  // height, width, channels; once built
  private var input = Conv2D(1, 1)
  private var hidden = Conv2D(1, 1)

  /// A cell of so many filters with square kernels.
  public init(filters: Int, _ kernel: Int, forgetBias: Float = 1) {
    (self.filters, self.kernel, self.forgetBias) = (filters, kernel, forgetBias)
  }

  enum CodingKeys: String, CodingKey {
    case filters, kernel
    case forgetBias = "forget_bias"
  }

  public var stateSizes: [Int] { Array(repeating: image.prefix(2).reduce(filters, *), count: 2) }
  public var outputShape: [Int] { Array(image.prefix(2)) + [filters] }

  public mutating func build(input shape: [Int]) throws(LetheError) {
    guard shape.count == 3, shape.allSatisfy({ (1...1 << 14).contains($0) }), (1...1 << 12).contains(filters)
    else {
      throw LetheError(
        Self.kind, "cannot be built", expected: "[time, height, width, channels] and filters above 0",
        found: "\(shape), \(filters) filters")
    }
    image = shape
    input = Conv2D(4 * filters, kernel)
    hidden = Conv2D(4 * filters, kernel, usesBias: false)
    _ = try input.build(input: shape)
    _ = try hidden.build(input: [shape[0], shape[1], filters])
    input.bias = Parameter(
      shape: [4 * filters], .stacked([.zeros, .constant(forgetBias), .zeros, .zeros]))
  }

  public mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("conv_ih", &input)
    visitor.visit("conv_hh", &hidden)
  }

  public func step(_ x: Variable, _ states: [Variable]) -> [Variable] {
    let batch = x.shape[0], flat = stateSizes[0]
    let images = x.reshaped([batch] + image)
    let before = x.alongside(states[0]).reshaped([batch] + outputShape)
    let s = input(images) + hidden(before)
    func gate(_ number: Int) -> Variable { s.columns(number * filters..<(number + 1) * filters) }
    let c =
      gate(1).sigmoid() * x.alongside(states[1]).reshaped([batch] + outputShape) + gate(0).sigmoid()
      * gate(2).tanh()
    return [(gate(3).sigmoid() * c.tanh()).reshaped([batch, flat]), c.reshaped([batch, flat])]
  }
}
