import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct RecurrentStreamTests {
  func check<Cell: RecurrentCell>(_ layer: Recurrent<Cell>) {
    let x = numbers("x", [1, 9, 5])
    let whole = layer.run(Variable(x))
    var stream = layer.stream()
    for t in 0..<9 {
      let y = stream.step(Array(x.scalars[t * 5..<t * 5 + 5]))
      #expect(
        y.map(\.bitPattern) == whole.output.tensor.scalars[t * y.count..<(t + 1) * y.count].map(\.bitPattern))
      if t == 3 {
        // A copy is a fork: what it does leaves the other alone.
        var fork = stream
        _ = fork.step([9, 9, 9, 9, 9])
      }
    }
    for (a, b) in zip(stream.state.hidden + stream.state.cell, whole.state.hidden + whole.state.cell) {
      #expect(sameBits(a.tensor, b.tensor))
    }
    // The state of a stream starts a whole sequence, and the other way round.
    var other = layer.stream()
    other.state = whole.state
    #expect(other.step([1, 2, 3, 4, 5]) == stream.step([1, 2, 3, 4, 5]))
    other.reset()
    #expect(other.step(Array(x.scalars[0..<5])) == Array(whole.output.tensor.scalars[0..<other.outputSize]))
  }

  @Test func streamsAreWholeSequences() {
    check(LSTM(inputSize: 5, hiddenSize: 21, layers: 2))
    check(GRU(inputSize: 5, hiddenSize: 35))
    check(GRU(inputSize: 5, hiddenSize: 18, layers: 2, reset: .before))
    check(RNN(inputSize: 5, hiddenSize: 70))
  }

  @Test func stepsAllocateNothing() {
    var stream = LSTM(inputSize: 5, hiddenSize: 21).stream()
    let x: [Float] = [1, 2, 3, 4, 5]
    x.withUnsafeBufferPointer { x in
      stream.step(x)
      let before = MemoryUse.takenHere
      for _ in 0..<1000 { stream.step(x) }
      #expect(MemoryUse.takenHere == before)
    }
  }
}
