import Lethe
import LetheNN
import LetheTestSupport
import Testing

extension AttentionTests {
  /// As a recurrent layer its state is the cache.
  @Test(arguments: prunings) func theCacheIsAState(_ pruning: Float?) {
    let layer: any RecurrentLayer = layer(pruning)
    let first = layer.run(Variable(steps(x, 0..<5)), from: nil)
    #expect(first.state.hidden.isEmpty && first.state.cell.isEmpty)
    let second = layer.run(Variable(steps(x, 5..<9)), from: first.state.detached)
    let whole = layer.run(Variable(x), from: RecurrentState(hidden: []))
    #expect(sameBits(second.output.tensor, steps(whole.output.tensor, 5..<9)))
    #expect(second.state.attention == whole.state.attention)
    #expect(self.layer(pruning).run(Variable(x), from: nil).state.attention == whole.state.attention)
    // Two heads that keep a key and a value of 11 numbers and a sum.
    #expect(layer.stateSizes.isEmpty && layer.stateSize(after: 6) == 6 * 2 * 23)
  }

  /// Layers that carry numbers on stop at a state with a cache instead of ignoring it.
  @Test func otherLayersTakeNoCache() async {
    await #expect(processExitsWith: .failure) { withCache(LSTM(inputSize: 3, hiddenSize: 4)) }
    await #expect(processExitsWith: .failure) {
      withCache(ForgettingGateNetwork(inputSize: 3, hiddenSize: 4))
    }
    await #expect(processExitsWith: .failure) { withCache(attentive()) }
    await #expect(processExitsWith: .failure) { withCache(memory()) }
    await #expect(processExitsWith: .failure) {
      var stream = LSTM(inputSize: 3, hiddenSize: 4).stream()
      stream.state = cached(stream.state)
    }
    await #expect(processExitsWith: .failure) {
      var stream = ForgettingGateNetwork(inputSize: 3, hiddenSize: 4).stream()
      stream.state = cached(stream.state)
    }
    await #expect(processExitsWith: .failure) {
      var stream = attentive().stream()
      stream.state = cached(stream.state)
    }
    await #expect(processExitsWith: .failure) {
      var stream = memory().stream()
      stream.state = cached(stream.state)
    }
  }

  /// Nor does attention take numbers; its stream goes on from a state as from its cache.
  @Test func attentionTakesNoNumbers() async {
    var stream = layer().stream(), fork = stream
    _ = stream.step(steps(x, 0..<1, row: 0).scalars)
    fork.state = stream.state
    #expect(fork.cache == stream.cache && fork.cacheSize == 1)
    fork.state = RecurrentState(hidden: [])
    #expect(fork.cacheSize == 0)
    await #expect(processExitsWith: .failure) {
      var stream = ForgettingAttention(inputSize: 3, hiddenSize: 4, headSize: 2).stream()
      stream.state = LSTM(inputSize: 3, hiddenSize: 4).emptyState(batch: 1)
    }
  }

  /// The same states without a cache are taken.
  @Test func otherLayersTakeTheirNumbers() {
    for layer: any RecurrentLayer in [LSTM(inputSize: 3, hiddenSize: 4), attentive(), memory()] {
      let state = layer.run(Variable(numbers("first", [2, 3, 3])), from: nil).state
      #expect(layer.run(Variable(numbers("next", [2, 1, 3])), from: state).output.shape == [2, 1, 4])
    }
  }
}

private func attentive() -> SteppedRecurrent<AttentiveLSTMCell> {
  SteppedRecurrent(AttentiveLSTMCell(4), inputSize: 3)
}

private func memory() -> MatrixMemory {
  MatrixMemory(inputSize: 3, hiddenSize: 4, rule: .mLSTM, keySize: 2, valueSize: 2)
}

/// The state with a cache beside its numbers.
private func cached(_ state: RecurrentState) -> RecurrentState {
  var state = state
  state.attention = AttentionCache(batch: 1, heads: 1, headSize: 2)
  return state
}

/// One step from a state that is the layer's own but for the cache.
private func withCache(_ layer: some RecurrentLayer) {
  let x = Variable(Tensor(zeros: [1, 1, 3]))
  _ = layer.run(x, from: cached(layer.run(x, from: nil).state))
}
