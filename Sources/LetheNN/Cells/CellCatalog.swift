/// Every kind of cell by name, for commands, comparisons and the laws.
public struct CellCatalog: Sendable {
  /// One kind of cell.
  public struct Entry: Sendable {
    /// Its name on the command line.
    public let name: String
    /// What it is, in a few words.
    public let summary: String
    /// A layer of the given width that gives every step's output or the last, not built yet.
    public let layer: @Sendable (Int, RecurrentOutputs) -> any RecurrentLayer
    /// The cell in that layer; `nil` where the layer is no `Recurrent`.
    public let cell: (@Sendable (Int) -> any RecurrentCell)?
    /// Whether some gate is trained straight through, so that its gradient is no derivative.
    public var isStraightThrough = false
    /// Whether it reads features better than raw numbers: its products have no bias, so that an input and its opposite look
    /// alike to it.
    public var wantsDenseBefore = false

    /// Whether it takes its input unit by unit, so that input and layer are of one width.
    package var isAsWideAsItsInput: Bool { cell?(8).description.takesItsInput ?? false }

    /// Whether a dense layer belongs before it where features are not its own: it is as wide as its input, or wants one.
    package var needsDenseBefore: Bool { isAsWideAsItsInput || wantsDenseBefore }

    /// A kind of cell of your own, for `lethe`-like commands of your own.
    public init(
      name: String, summary: String, isStraightThrough: Bool = false,
      cell: @escaping @Sendable (Int) -> any RecurrentCell
    ) {
      @Sendable func layer(_ cell: some RecurrentCell, _ outputs: RecurrentOutputs) -> any RecurrentLayer {
        Recurrent(cell, outputs: outputs)
      }
      (self.name, self.summary, self.isStraightThrough, self.cell) = (name, summary, isStraightThrough, cell)
      self.layer = { layer(cell($0), $1) }
    }

    /// A kind of layer of your own.
    public init(
      name: String, summary: String, wantsDenseBefore: Bool = false,
      layer: @escaping @Sendable (Int, RecurrentOutputs) -> any RecurrentLayer
    ) {
      (self.name, self.summary, self.layer, cell) = (name, summary, layer, nil)
      self.wantsDenseBefore = wantsDenseBefore
    }
  }

  /// All of them, the classic ones first.
  public static let all: [Entry] = [
    Entry(name: "rnn", summary: "plain recurrent network") { RNNCell($0) },
    Entry(name: "lstm", summary: "long short-term memory") { LSTMCell($0) },
    Entry(name: "lstm_described", summary: "the same from its equations, to compare the two") {
      DescribedLSTMCell(hiddenSize: $0)
    },
    Entry(name: "gru", summary: "gated recurrent unit, reset after the product") { GRUCell($0) },
    Entry(name: "gru_before", summary: "gated recurrent unit, reset before the product") {
      GRUCell($0, reset: .before)
    },
    recipe("nfg", "LSTM of 1997, no forget gate", LSTMRecipe(forgetGate: false)),
    recipe("nig", "LSTM without input gate", LSTMRecipe(inputGate: false)),
    recipe("nog", "LSTM without output gate", LSTMRecipe(outputGate: false)),
    recipe("niaf", "LSTM without input activation", LSTMRecipe(inputActivation: false)),
    recipe("noaf", "LSTM without output activation", LSTMRecipe(outputActivation: false)),
    recipe("coupled", "LSTM with i = 1 − f", LSTMRecipe(writing: .coupled)),
    recipe("budget", "LSTM with f + i ≤ 1", LSTMRecipe(writing: .budget)),
    recipe("peephole", "LSTM whose gates see the cell", LSTMRecipe(peepholes: true)),
    recipe("fgr", "LSTM whose gates see the gates of the step before", LSTMRecipe(fullGateRecurrence: true)),
    recipe("clipped", "LSTM with its cell in bounds", LSTMRecipe(clip: .cell(3))),
    Entry(name: "hard", summary: "LSTM whose gates reach 0 and 1") {
      LSTMCell($0, gateActivation: .hardSigmoid())
    },
    recipe(
      "hard_forget", "LSTM with a forget gate of 0 or 1", LSTMRecipe(hardForget: true), straightThrough: true),
    Entry(name: "mgu", summary: "minimal gated unit") { MGUCell($0) },
    Entry(name: "janet", summary: "LSTM with the forget gate only") { JANETCell($0) },
    Entry(name: "ligru", summary: "GRU without reset, relu candidate") { LiGRUCell($0) },
    Entry(name: "indrnn", summary: "each unit sees only itself") { IndRNNCell($0) },
    Entry(name: "augru", summary: "GRU with an attention score") { AUGRUCell($0) },
    Entry(name: "gru_d", summary: "GRU whose state decays over uneven steps") { DecayGRUCell($0) },
    Entry(name: "time_lstm", summary: "LSTM that forgets by time, not by steps") { TimeAwareLSTMCell($0) },
    Entry(name: "layer_norm", summary: "LSTM with normalised sums and cell") { LayerNormLSTMCell($0) },
    Entry(name: "projected", summary: "LSTM whose h is half as wide as its cell") {
      ProjectedLSTMCell($0, outputSize: ($0 + 1) / 2)
    },
    Entry(name: "slstm", summary: "exponential gates with a normaliser") { SLSTMCell($0) },
    Entry(name: "sru", summary: "simple recurrent unit") { SRUCell($0) },
    Entry(name: "qrnn", summary: "quasi-recurrent network") { QRNNCell($0) },
    Entry(name: "mingru", summary: "GRU whose gate does not look back") { MinGRUCell($0) },
    Entry(name: "minlstm", summary: "LSTM whose gates do not look back") { MinLSTMCell($0) },
    Entry(name: "rglru", summary: "real-gated linear recurrent unit") { RGLRUCell($0) },
    Entry(name: "hgrn", summary: "hierarchically gated recurrent network") { HGRNCell($0, lowerBound: 0.2) },
    Entry(name: "fgn_cell", summary: "Forgetting Gate Network as printed, with recall") {
      ForgettingGateCell($0, recall: .previousMemory, outputGate: .twice)
    },
    Entry(name: "fgn_program", summary: "Forgetting Gate Network as its program computes it") {
      ForgettingGateCell($0, update: .program)
    },
    Entry(name: "fgn_hard", summary: "Forgetting Gate Network with f of 0 or 1", isStraightThrough: true) {
      ForgettingGateCell($0, isHard: true)
    },
    recipe(
      "zoneout", "LSTM that keeps old states by chance", LSTMRecipe(zoneout: .init(hidden: 0.1, cell: 0.2))),
    Entry(name: "lstm_bias0", summary: "LSTM whose forget bias starts at 0") { LSTMCell($0, forgetBias: 0) },
    Entry(name: "lstm_bias5", summary: "LSTM whose forget bias starts at 5") { LSTMCell($0, forgetBias: 5) },
    Entry(name: "lstm_chrono", summary: "LSTM that starts with half-lives up to a lag of 100 steps") {
      LSTMCell($0, longestLag: 100)
    },
    Entry(name: "lstm_halflives", summary: "LSTM that starts with half-lives spread from 1 to 100 steps") {
      LSTMCell($0, halfLives: 1...100)
    },
    Entry(name: "ema", summary: "exponential moving average") { EMACell($0) },
    Entry(name: "leaky", summary: "leaky integrator") { LeakyCell($0) },
    memory("mlstm", "matrix memory of xLSTM, exponential gates", .mLSTM),
    memory("gla", "gated linear attention", .gatedLinearAttention),
    memory("hgrn2", "HGRN with a matrix for a state", .hgrn2(lowerBound: 0.1)),
    memory("deltanet", "Gated DeltaNet, eigenvalues from 0 to 1", .gatedDeltaNet()),
    memory(
      "deltanet_negative", "Gated DeltaNet, eigenvalues from -1 to 1",
      .gatedDeltaNet(negativeEigenvalues: true)),
    Entry(name: "attentive", summary: "LSTM whose forget gate attends to its last outputs, on the tape") {
      SteppedRecurrent(AttentiveLSTMCell($0), outputs: $1)
    },
    Entry(name: "fox", summary: "softmax attention with a forget gate", wantsDenseBefore: true) {
      ForgettingAttention($0, heads: 4, headSize: ($0 + 3) / 4, outputs: $1, pruning: 1e-6)
    },
    Entry(name: "fgn", summary: "Forgetting Gate Network, the demo's") {
      ForgettingGateNetwork($0, outputs: $1)
    },
    Entry(name: "fgn_recall", summary: "the same as printed, o twice, with recall") {
      ForgettingGateNetwork($0, outputs: $1, recall: .previousMemory, outputGate: .twice)
    },
  ]

  /// Four heads; keys are half as long as values, as in GLA and Gated DeltaNet.
  private static func memory(_ name: String, _ summary: String, _ rule: MatrixMemory.Rule) -> Entry {
    Entry(name: name, summary: summary, wantsDenseBefore: true) { width, outputs in
      MatrixMemory(
        width, rule: rule, heads: 4, keySize: (width + 7) / 8, valueSize: (width + 3) / 4, outputs: outputs)
    }
  }

  private static func recipe(
    _ name: String, _ summary: String, _ recipe: LSTMRecipe, straightThrough: Bool = false
  ) -> Entry {
    Entry(name: name, summary: summary, isStraightThrough: straightThrough) { LSTMCell($0, recipe: recipe) }
  }

  /// The cell of that name, if there is one.
  public static func entry(_ name: String) -> Entry? { all.first { $0.name == name } }
}

/// LSTM as anybody would write it who has no C: what a described cell costs beside a built-in one.
struct DescribedLSTMCell: RecurrentCell {
  static let kind = "lstm_described"
  var hiddenSize: Int

  var description: CellDescription {
    CellDescription("described LSTM") { cell in
      let c = cell.state("cell")
      let i = sigmoid(cell.gate("input"))
      let f = sigmoid(cell.gate("forget", bias: .constant(1)))
      let u = tanh(cell.gate("candidate"))
      let o = sigmoid(cell.gate("output"))
      let next = f * c + i * u
      cell.update(c, to: next)
      return o * tanh(next)
    }
  }
}
