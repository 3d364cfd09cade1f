import LetheNN
import Testing

@Suite struct EvenSharesTests {
  /// One row too many on one thread made two threads no quicker than one at a batch of 8.
  @Test(arguments: [1, 2, 28, 784]) func equalSequencesAreSharedEqually(time: Int) {
    for (batch, count) in [(8, 2), (16, 2), (32, 4), (20, 5)] {
      let shares = evenShares(of: Array(repeating: time, count: batch), count)
      #expect(shares.map(\.count) == Array(repeating: batch / count, count: count))
    }
  }

  @Test func everyRowIsInOneShare() {
    let lengths = [90, 70, 33, 32, 20, 11, 7, 3, 1, 0, 0]
    for count in 1...15 {
      let shares = evenShares(of: lengths, count)
      #expect(shares.count <= count && shares.flatMap { Array($0) } == Array(lengths.indices))
    }
    let halves = evenShares(of: lengths, 2).map { lengths[$0].reduce(0, +) }
    #expect(abs(halves[0] - halves[1]) <= 90)
    #expect(evenShares(of: [], 3).isEmpty)
  }
}
