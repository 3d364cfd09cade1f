import Foundation
import Lethe
import LetheTestSupport
import Testing

/// Event files, read by a decoder that shares nothing with the writer.
@Suite struct EventFileTests {
  @Test func checksumsAreThoseOfRFC3720() {
    // Appendix B.4.
    let vectors: [(bytes: [UInt8], sum: UInt32)] = [
      ([UInt8](repeating: 0, count: 32), 0x8a91_36aa), ([UInt8](repeating: 0xff, count: 32), 0x62a8_ab43),
      (Array(0..<32), 0x46dd_794e), (Array((0..<32).reversed()), 0x113f_db5c),
      (Array("123456789".utf8), 0xe306_9283), ([], 0),
    ]
    for (bytes, sum) in vectors {
      #expect(CRC32.castagnoli.checksum(bytes) == sum)
      for split in bytes.indices {
        let first = CRC32.castagnoli.checksum(Array(bytes[..<split]))
        let whole = Array(bytes[split...]).withUnsafeBytes { CRC32.castagnoli.checksum($0, after: first) }
        #expect(whole == sum)
      }
    }
  }

  @Test func recordsAreWhatTheFormatWants() throws {
    let folder = try TemporaryFolder()
    let file = try EventFile(folder: folder.path)
    let name = try #require(try folder.names().first)
    #expect(file.path == "\(folder.path)/\(name)")
    let parts = name.split(separator: ".")
    #expect(parts.prefix(3) == ["events", "out", "tfevents"] && parts.last == "lethe")
    #expect(parts[3].count == 10 && abs((Double(parts[3]) ?? 0) - Date().timeIntervalSince1970) < 120)

    var summary = EventFile.Summary()
    summary.add("loss/train", 0.25)
    summary.add("größe", -.infinity)
    summary.add("h", EventFile.Histogram(of: [1, 2, 2.5, 5, .nan, .infinity], buckets: 4))
    try file.append(summary, step: 300, at: 1234.5)
    var later = EventFile.Summary()
    later.add("loss/train", 0.125)
    try file.append(later, step: -1)

    let events = try EventRecord.all(in: FileBytes.read(file.path, limit: 1 << 20))
    #expect(events.map(\.version) == ["brain.Event:2", nil, nil])
    #expect(events.map(\.step) == [0, 300, -1])
    #expect(events[1].time == 1234.5)
    #expect(abs(events[2].time - Date().timeIntervalSince1970) < 120)
    #expect(events[1].scalars == ["loss/train": 0.25, "größe": -.infinity])
    #expect(events[2].scalars == ["loss/train": 0.125])
    let histogram = try #require(events[1].histograms["h"])
    #expect(histogram.fields == [1: 1, 2: 5, 3: 4, 4: 10.5, 5: 36.25])
    #expect(histogram.limits == [2, 3, 4, 5])
    #expect(histogram.counts == [1, 2, 0, 1])
  }

  @Test func histogramsOfFewNumbers() {
    let same = EventFile.Histogram(of: [3, 3, 3])
    #expect(same.least == 3 && same.limits == [3] && same.counts == [3])
    let none = EventFile.Histogram(of: [Double.nan])
    #expect(none.limits == [0] && none.counts == [0])
    let profile = EventFile.Histogram(profile: [0.5, 0.25])
    #expect(profile.least == -0.5 && profile.limits == [0.5, 1.5] && profile.counts == [0.5, 0.25])
    let many = EventFile.Histogram(of: (0..<1000).map { Double($0) / 7 })
    #expect(many.limits.count == 30 && many.counts.reduce(0, +) == 1000)
    #expect(many.counts.allSatisfy { (32...35).contains($0) })
  }

  @Test func filesOfTheSameSecondAreTwo() throws {
    let folder = try TemporaryFolder()
    let files = try (0..<3).map { _ in try EventFile(folder: folder.path + "/") }
    #expect(Set(files.map(\.path)).count == 3)
    #expect(try folder.names().count == 3)
  }

  @Test func aFolderThatCannotBeWrittenIsAnError() throws {
    let folder = try TemporaryFolder()
    #expect(throws: LetheError.self) { try EventFile(folder: folder.path + "/none") }
    try FileBytes.writeAtomically([[1]], to: folder.path + "/file")
    #expect(throws: LetheError.self) { try EventFile(folder: folder.path + "/file") }
  }
}
