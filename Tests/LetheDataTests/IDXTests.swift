import Lethe
import LetheTestSupport
import Testing

@Suite struct IDXTests {
  /// An array of shape [2, 3] and what is in it.
  static let small: [UInt8] = [0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]

  @Test func readsShapeAndBytes() throws {
    let array = try IDX(bytes: Self.small, name: "f")
    #expect(array.shape == [2, 3])
    #expect(array.bytes == [1, 2, 3, 4, 5, 255])
    let large = try IDX(bytes: [0, 0, 8, 1, 0, 0, 1, 2] + [UInt8](repeating: 7, count: 258), name: "f")
    #expect(large.shape == [258])
    #expect(
      try IDX(bytes: [0, 0, 8, 1, 0, 0, 0, 0], name: "f") == IDX(bytes: [0, 0, 8, 1, 0, 0, 0, 0], name: "g"))
  }

  @Test func contentDecidesOnCompression() throws {
    // Stored blocks, as level 0 writes them; the checksum is ours, which GzipTests compares to the standard's.
    let size = UInt8(Self.small.count)
    let sum = CRC32.zip.checksum(Self.small)
    let tail = (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * $0)) } + [size, 0, 0, 0]
    let file = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, size, 0, ~size, 0xff] + Self.small + tail
    let folder = try TemporaryFolder()
    for (name, bytes) in [("plain.gz", Self.small), ("compressed", file)] {
      let path = folder.path + "/" + name
      try FileBytes.writeAtomically([bytes], to: path)
      #expect(try IDX(contentsOf: path) == IDX(bytes: Self.small, name: "f"))
    }
    #expect(throws: LetheError.self) { try IDX(contentsOf: folder.path + "/compressed", limit: 17) }
  }

  static let bad: [(file: [UInt8], error: String)] = [
    ([], "f: byte 0: is no IDX file; expected 0 0 8 and the number of dimensions, found nothing"),
    ([0, 0, 8], "is no IDX file; expected 0 0 8 and the number of dimensions, found 0 0 8 in hexadecimal"),
    ([0x89, 0x50, 0x4e, 0x47], "found 89 50 4e 47 in hexadecimal"),
    (
      [0, 0, 0x0d, 1, 0, 0, 0, 0],
      "the elements are no unsigned bytes; expected type 0x08, found 0x0D, floats"
    ),
    ([0, 0, 9, 1], "found 0x09, signed bytes"), ([0, 0, 0x77, 1], "found 0x77, which is no type"),
    ([0, 0, 8, 0], "f: byte 3: the number of dimensions cannot be right; expected 1 to 8, found 0"),
    ([0, 0, 8, 9], "expected 1 to 8, found 9"),
    ([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0], "the header is cut short; expected 12 bytes, found 11"),
    (Array(small.dropLast()), "the file is cut short; expected 6 elements for the shape [2, 3], found 5"),
    (small + [0], "there are bytes after the elements; expected 6 elements for the shape [2, 3], found 7"),
    ([0, 0, 8, 2] + [UInt8](repeating: 255, count: 8), "the shape [4294967295, 4294967295] is too large"),
    ([0, 0, 8, 1, 255, 255, 255, 255], "expected 4294967295 elements"),
    ([0, 0, 8, 3, 0, 0, 0, 0] + [UInt8](repeating: 255, count: 8), "is too large"),
  ]

  @Test(arguments: bad.indices)
  func isNamed(_ index: Int) {
    let error = #expect(throws: LetheError.self) { try IDX(bytes: Self.bad[index].file, name: "f") }
    #expect(
      error?.description.contains(Self.bad[index].error) == true, "\(error?.description ?? "nothing")")
  }

  @Test func damageThrowsOrReads() {
    for count in Self.small.indices {
      #expect(throws: LetheError.self) { try IDX(bytes: Array(Self.small.prefix(count)), name: "f") }
    }
    for position in Self.small.indices {
      for change in 1...UInt8.max {
        var damaged = Self.small
        damaged[position] ^= change
        do {
          _ = try IDX(bytes: damaged, name: "f")
        } catch {
          #expect(error is LetheError)
        }
      }
    }
  }
}
