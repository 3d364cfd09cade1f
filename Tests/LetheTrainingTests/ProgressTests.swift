import Foundation
import Lethe
import Testing

@Suite struct ProgressTests {
  private func batch(_ rows: Int, loss: Double = 0.04321, accuracy: Double? = 0.987) -> TrainingEvent {
    .batchEnded(
      BatchRecord(
        epoch: 3, epochs: 10, batch: 1, batches: 10, step: 1, rowsDone: rows, rows: 1000, batchLoss: 9,
        loss: loss, accuracy: accuracy, gradientNorm: 1, rate: 0.001))
  }

  private let began = TrainingEvent.epochBegan(epoch: 3, of: 10, rows: 1000, rowsDone: 0)

  @Test func barShowsWhereTrainingIs() {
    var meter = ProgressMeter(style: .bar(width: 100), isUnicode: true)
    #expect(meter.text(for: began, at: 5) == nil)
    #expect(
      meter.text(for: batch(625), at: 5.125)
        == "epoch 3/10 ━━━━━━━━━━━━━━━───────── 62 % · 5,000 rows/s · loss 0.04321 · accuracy 98.7 %"
        + " · 1 s left"
    )
  }

  @Test func barHasHalfSteps() {
    var meter = ProgressMeter(style: .bar(width: 100), isUnicode: true)
    _ = meter.text(for: began, at: 0)
    let text = meter.text(for: batch(520, accuracy: nil), at: 10) ?? ""
    #expect(text.hasPrefix("epoch 3/10 ━━━━━━━━━━━━──────────── 52 % · 52 rows/s · loss 0.04321 · 10 s left"))
    let next = meter.text(for: batch(530, accuracy: nil), at: 20) ?? ""
    #expect(next.hasPrefix("\repoch 3/10 ━━━━━━━━━━━━╸─────────── 53 %"))
  }

  @Test func withoutUnicodeAllIsASCII() {
    var meter = ProgressMeter(style: .bar(width: 100), isUnicode: false)
    _ = meter.text(for: began, at: 0)
    #expect(
      meter.text(for: batch(500), at: 1)
        == "epoch 3/10 [===========>          ] 50 % | 500 rows/s | loss 0.04321 | accuracy 98.7 % | 1 s left"
    )
    let end = meter.text(for: .epochEnded(EpochRecord(epoch: 1, loss: 1, seconds: 1, rate: 1), of: 2), at: 2)
    #expect(end?.allSatisfy(\.isASCII) == true)
  }

  @Test func narrowLinesLeaveThingsOut() {
    for width in 1...120 {
      var meter = ProgressMeter(style: .bar(width: width), isUnicode: true)
      _ = meter.text(for: began, at: 0)
      let text = meter.text(for: batch(10), at: 1) ?? ""
      #expect(text.count < width)
    }
    var meter = ProgressMeter(style: .bar(width: 40), isUnicode: true)
    _ = meter.text(for: began, at: 0)
    #expect(meter.text(for: batch(500), at: 1) == "epoch 3/10 ━━━━──── 50 % · loss 0.04321")
  }

  @Test func barIsDrawnTenTimesASecond() {
    var meter = ProgressMeter(style: .bar(width: 80), isUnicode: true)
    _ = meter.text(for: began, at: 0)
    let drawn = (0..<1000).filter { meter.text(for: batch(1), at: Double($0) / 500) != nil }
    #expect(drawn.count <= 20)
    #expect(drawn.count >= 18)
  }

  @Test func shorterLinesCoverLongerOnes() {
    var meter = ProgressMeter(style: .bar(width: 100), isUnicode: true)
    _ = meter.text(for: began, at: 0)
    let long = meter.text(for: batch(625), at: 1) ?? ""
    let record = EpochRecord(
      epoch: 3, loss: 0.5, accuracy: 0.9, valLoss: 0.25, valAccuracy: 0.95, seconds: 12.34, rate: 0.1)
    let text = meter.text(for: .epochEnded(record, of: 10), at: 2) ?? ""
    let line = "epoch 3/10 · loss 0.5000 · accuracy 90.0 % · val loss 0.2500 · val accuracy 95.0 % · 12.3 s"
    #expect(text == "\r" + line + String(repeating: " ", count: max(long.count - line.count, 0)) + "\n")
    #expect(meter.text(for: .ended(History()), at: 3) == nil)
  }

  @Test func theLineEndsWhereTrainingEndsInside() {
    var meter = ProgressMeter(style: .bar(width: 100), isUnicode: true)
    _ = meter.text(for: began, at: 0)
    _ = meter.text(for: batch(625), at: 1)
    #expect(meter.text(for: .ended(History()), at: 3) == "\n")
  }

  @Test func textGoesWhereItShould() throws {
    for progress in [TrainingProgress.lines, TrainingProgress.bar] {
      let file = TemporaryFile()
      #expect(FileManager.default.createFile(atPath: file.path, contents: nil))
      let handle = try #require(FileHandle(forWritingAtPath: file.path))
      var model = Scale()
      let data = Dataset(inputs: Tensor([1], shape: [1, 1]), targets: .values(Tensor([2], shape: [1, 1])))
      try model.fit(data, epochs: 2, loss: .meanSquaredError, progress: progress(handle.fileDescriptor))
      try handle.close()
      let text = try String(contentsOfFile: file.path, encoding: .utf8)
      #expect(text.contains("epoch 1/2"))
      #expect(text.contains("epoch 2/2"))
      #expect(text.count { $0 == "\n" } == 2)
    }
  }

  @Test func linesAreOneAnEpoch() {
    var meter = ProgressMeter(style: .lines, isUnicode: true)
    #expect(meter.text(for: began, at: 0) == nil)
    #expect(meter.text(for: batch(625), at: 1) == nil)
    let record = EpochRecord(epoch: 1, loss: 1234.5, seconds: 75, rate: 0.1)
    #expect(meter.text(for: .epochEnded(record, of: 2), at: 2) == "epoch 1/2 · loss 1235 · 1 min 15 s\n")
    #expect(meter.text(for: .ended(History()), at: 3) == nil)
  }

  @Test(arguments: [
    (0.0, "0.000"), (0.043214, "0.04321"), (2.302585, "2.303"), (12.3456, "12.35"), (0.00012345, "0.0001235"),
    (0.0000123, "1.230e-05"), (123456.7, "123457"), (1.5e12, "1.500e+12"), (-0.5, "-0.5000"),
    (.infinity, "inf"), (.nan, "nan"),
  ])
  func lossesHaveFourDigits(_ loss: Double, _ text: String) {
    var meter = ProgressMeter(style: .lines, isUnicode: true)
    let record = EpochRecord(epoch: 1, loss: loss, seconds: 3, rate: 0.1)
    #expect(meter.text(for: .epochEnded(record, of: 2), at: 2) == "epoch 1/2 · loss \(text) · 3 s\n")
  }

  @Test(arguments: [
    (0.4213, "0.42 s"), (9.996, "10.0 s"), (59.96, "1 min 0 s"), (125.4, "2 min 5 s"), (4321.0, "1 h 12 min"),
  ])
  func durationsReadWell(_ seconds: Double, _ text: String) {
    var meter = ProgressMeter(style: .lines, isUnicode: true)
    let record = EpochRecord(epoch: 1, loss: 1, seconds: seconds, rate: 0.1)
    #expect(meter.text(for: .epochEnded(record, of: 2), at: 2) == "epoch 1/2 · loss 1.000 · \(text)\n")
  }
}
