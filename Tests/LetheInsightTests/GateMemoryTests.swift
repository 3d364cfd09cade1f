import LetheInsight
import Testing

@Suite struct GateMemoryTests {
  private let memory = GateMemory(keep: [[0.9, 0.1], [0.5, 1], [0.25, 0.75]])

  @Test func means() {
    #expect(memory.units == 2)
    #expect(zip(memory.meanByStep, [0.5, 0.75, 0.5]).allSatisfy { abs($0 - $1) < 1e-7 })
    #expect(abs(memory.meanByUnit[0] - 0.55) < 1e-7)
    #expect(abs(memory.meanByUnit[1] - 1.85 / 3) < 1e-7)
  }

  @Test func whatIsLeftIsTheProductOfTheLaterGates() {
    // First step: 0.5 · 0.25 and 1 · 0.75; second: 0.25 and 0.75; last: whole. The first gate plays no part.
    #expect(memory.leftAtEnd == [0.4375, 0.5, 1])
    #expect(GateMemory(keep: [[0], [1], [1]]).leftAtEnd == [1, 1, 1])
    #expect(GateMemory(keep: [[1], [0], [1]]).leftAtEnd == [0, 1, 1])
    #expect(GateMemory(keep: []).leftAtEnd == [])
  }

  @Test func missingValuesAreLeftOut() {
    let broken = GateMemory(keep: [[.nan, 0.5], [.nan, .nan], [0.5]])
    #expect(broken.meanByStep[0] == 0.5)
    #expect(broken.meanByStep[1].isNaN)
    #expect(broken.leftAtEnd == [0.75, 0.75, 1])
  }

  @Test func unitsAreOrderedByTheirMeanOverAllGates() {
    let first = GateMemory(keep: [[0.9, 0.1, 0.5, .nan]])
    let second = GateMemory(keep: [[0.3, 0.3, 0.1, .nan]])
    #expect(GateMemory.order(of: [first]) == [1, 2, 0, 3])
    #expect(GateMemory.order(of: [first, second]) == [1, 2, 0, 3])
    #expect(GateMemory.order(of: [GateMemory(keep: [[0.5, 0.5, 0.2]])]) == [2, 0, 1])
    #expect(GateMemory.order(of: []) == [])
  }
}
