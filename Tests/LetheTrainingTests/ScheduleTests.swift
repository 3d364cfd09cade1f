import Lethe
import Testing

@Suite struct ScheduleTests {
  /// The rates of chosen steps in 10 epochs of 10 steps, from a base rate of 1.
  private func rates(_ schedule: Schedule, _ steps: [Int], reductions: Int = 0) -> [Float] {
    steps.map { schedule.rate(1, step: $0, stepsPerEpoch: 10, epochs: 10, reductions: reductions) }
  }

  @Test func constantStays() { #expect(rates(.constant, [0, 50, 99]) == [1, 1, 1]) }

  @Test func stepsFallWithEpochs() {
    #expect(rates(.step(every: 3, factor: 0.5), [0, 29, 30, 59, 60, 99]) == [1, 1, 0.5, 0.5, 0.25, 0.125])
  }

  @Test func cosineFallsToItsEnd() {
    let found = rates(.cosine(to: 0.1), [0, 25, 50, 75, 100])
    let expected: [Float] = [
      1, 0.1 + 0.9 * (1 + 0.70710677) / 2, 0.55, 0.1 + 0.9 * (1 - 0.70710677) / 2, 0.1,
    ]
    for (a, b) in zip(found, expected) { #expect(abs(a - b) < 1e-6) }
  }

  @Test func warmupRisesInALine() {
    #expect(rates(.constant(warmup: 4), [0, 1, 2, 3, 4]) == [0.25, 0.5, 0.75, 1, 1])
    // After it the cosine has all of its course still before it.
    #expect(rates(.cosine(warmup: 20), [9, 19, 20, 100]) == [0.5, 1, 1, 0])
    #expect(abs(rates(.cosine(warmup: 20), [60])[0] - 0.5) < 1e-6)
  }

  @Test func theRateScalesTheBase() {
    #expect(Schedule.step(every: 1, factor: 0.5).rate(0.004, step: 1, stepsPerEpoch: 1, epochs: 2) == 0.002)
  }

  @Test func plateausReduce() {
    let schedule = Schedule.plateau(factor: 0.5, patience: 2)
    #expect(rates(schedule, [0, 99], reductions: 3) == [0.125, 0.125])
    var state = PlateauState()
    var reductions: [Int] = []
    for (i, loss) in [3.0, 2, 2, 2.5, 1, .nan, 1, 1, 1].enumerated() {
      state.observe(loss, epoch: i + 1, schedule: schedule)
      reductions.append(state.reductions)
    }
    #expect(reductions == [0, 0, 0, 1, 1, 1, 2, 2, 3])
  }

  @Test(arguments: [
    (Schedule.constant(warmup: -1), "schedule: warmup"), (.step(every: 0), "schedule: every"),
    (.step(every: 1, factor: 0), "schedule: factor"), (.cosine(to: 1.5), "schedule: to"),
    (.plateau(patience: 0), "schedule: patience"), (.plateau(factor: 1), "schedule: factor"),
  ])
  func numbersOutOfRangeAreNamed(_ schedule: Schedule, _ place: String) {
    #expect { try schedule.validated() } throws: { ($0 as? LetheError)?.place == place }
  }

  @Test func goodNumbersPass() throws {
    for schedule in [
      Schedule.constant, .step(every: 1, factor: 1), .cosine(to: 0, warmup: 3), .plateau(patience: 1),
    ] {
      try schedule.validated()
    }
  }
}
