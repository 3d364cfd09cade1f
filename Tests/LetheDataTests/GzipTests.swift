import Lethe
import Testing

@Suite struct GzipTests {
  @Test(arguments: GzipFixture.all)
  func undoesWhatPythonDid(_ fixture: GzipFixture) throws {
    let content = try Gzip.decompress(fixture.file, name: "f", limit: 70_000)
    #expect(content == fixture.content)
  }

  @Test func membersFollowEachOther() throws {
    let files = GzipFixture.all + GzipFixture.all.reversed()
    let content = try Gzip.decompress(files.flatMap(\.file), name: "f", limit: 1 << 20)
    #expect(content == files.flatMap(\.content))
  }

  @Test func matchesStayWithinTheirMember() {
    // Three a's by a match, with nothing before it in its own member: fixed block, length 3, distance 1.
    let reaching: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0x03, 0x02, 0, 0, 0, 0, 0, 3, 0, 0, 0]
    let error = #expect(throws: LetheError.self) {
      try Gzip.decompress(GzipFixture.run.file + reaching, name: "f", limit: 1 << 20)
    }
    #expect(error?.problem == "a match reaches back before the start")
  }

  @Test func everyPartOfTheHeaderIsSkipped() throws {
    let plain = GzipFixture.fixed.file
    var header: [UInt8] = [0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 1, 2, 3, 4, 0, 255]
    header += [3, 0, 7, 8, 9] + Array("digits\0".utf8) + Array("no comment\0".utf8)
    let sum = CRC32.zip.checksum(header)
    let check = [UInt8(sum & 0xff), UInt8(sum >> 8 & 0xff)]
    #expect(
      try Gzip.decompress(header + check + plain.dropFirst(10), name: "f", limit: 1000)
        == GzipFixture.fixed.content)
    let error = #expect(throws: LetheError.self) {
      try Gzip.decompress(header + [check[0] ^ 1, check[1]] + plain.dropFirst(10), name: "f", limit: 1000)
    }
    #expect(error?.problem == "the header's checksum is wrong")
    for count in 10..<header.count {
      #expect(throws: LetheError.self) {
        try Gzip.decompress(Array(header.prefix(count)), name: "f", limit: 1000)
      }
    }
  }

  @Test func checksumIsTheOneOfTheStandard() {
    // The check value that catalogues of checksums give for CRC-32.
    #expect(CRC32.zip.checksum(Array("123456789".utf8)) == 0xcbf4_3926)
    #expect(CRC32.zip.checksum([]) == 0)
  }

  @Test(arguments: GzipFixture.all)
  func limitIsKept(_ fixture: GzipFixture) throws {
    let size = fixture.content.count
    #expect(try Gzip.decompress(fixture.file, name: "f", limit: size).count == size)
    for limit in [0, 1, size / 2, size - 1] where limit >= 0 && limit < size {
      let error = #expect(throws: LetheError.self) {
        try Gzip.decompress(fixture.file, name: "f", limit: limit)
      }
      #expect(
        error?.description == "f: the content is too large; expected at most \(limit) bytes, found more")
    }
  }

  @Test(arguments: GzipFixture.all)
  func everyTruncationIsRefused(_ fixture: GzipFixture) {
    for count in 0..<fixture.file.count {
      #expect(throws: LetheError.self) {
        try Gzip.decompress(Array(fixture.file.prefix(count)), name: "f", limit: 1 << 20)
      }
    }
    #expect(throws: LetheError.self) { try Gzip.decompress(fixture.file + [0], name: "f", limit: 1 << 20) }
  }

  /// The checksum sees every change: a damaged file throws, or the damage was in a part that says nothing.
  @Test(arguments: GzipFixture.all)
  func everyFlippedBitThrowsOrChangesNothing(_ fixture: GzipFixture) {
    for position in fixture.file.indices {
      for change: UInt8 in [1, 2, 4, 8, 16, 32, 64, 128, 255] {
        var damaged = fixture.file
        damaged[position] ^= change
        do {
          let content = try Gzip.decompress(damaged, name: "f", limit: 1 << 20)
          #expect(content == fixture.content, "byte \(position), change \(change)")
        } catch {
          #expect(error is LetheError, "byte \(position), change \(change)")
        }
      }
    }
  }

  /// Deflate data behind a good header, and what the error has to say.
  static let bad: [(data: [UInt8], error: String)] = [
    ([], "f: byte 10: the file is cut short in the block"),
    ([0x07], "f: byte 11: the type of the block is not defined"),
    ([0x01, 5, 0, 0, 0], "the length of a stored block and its complement disagree"),
    ([0x01, 5, 0, 0xfa, 0xff, 1, 2], "f: byte 17: the file is cut short in the stored block"),
    // Fixed blocks whose first symbol is 286, 287; a match with distance symbol 30; one before the start.
    ([0x1b, 0x03, 0, 0], "a length's symbol is not defined"),
    ([0x1b, 0x07, 0, 0], "a length's symbol is not defined"),
    ([0x03, 0x3e, 0, 0], "a distance's symbol is not defined"),
    ([0x03, 0x02, 0, 0], "a match reaches back before the start; found 1 bytes back of 0"),
    // Dynamic blocks: 287 literals; 31 distances; all lengths of the code's code 0; too many of length 1.
    ([0xf5, 0x00, 0, 0], "a block's code has too many symbols"),
    ([0x05, 0x1e, 0, 0], "a block's code has too many symbols"),
    ([0x05, 0x00, 0, 0, 0, 0, 0, 0], "the code of a block's code is none"),
    ([0x05, 0x00, 0x92, 0x04, 0, 0, 0, 0], "the code of a block's code is none"),
  ]

  @Test(arguments: bad.indices)
  func isNamed(_ index: Int) {
    let header: [UInt8] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3]
    let error = #expect(throws: LetheError.self) {
      try Gzip.decompress(header + Self.bad[index].data, name: "f", limit: 1000)
    }
    #expect(
      error?.description.contains(Self.bad[index].error) == true, "\(error?.description ?? "nothing")")
  }

  @Test func wrongHeadersChecksumsAndSizesAreNamed() {
    func problem(_ change: (inout [UInt8]) -> Void) -> String? {
      var file = GzipFixture.fixed.file
      change(&file)
      let error = #expect(throws: LetheError.self) { try Gzip.decompress(file, name: "f", limit: 1000) }
      return error.map { "\($0.place): \($0.problem)" }
    }
    let end = GzipFixture.fixed.file.count
    #expect(problem { $0[0] = 0 } == "f: byte 0: the first byte of a gzip member is wrong")
    #expect(problem { $0[2] = 7 } == "f: byte 2: the compression method of a gzip member is wrong")
    #expect(problem { $0[3] = 0x80 } == "f: byte 3: flags are set that nobody defined")
    #expect(problem { $0[end - 8] ^= 1 } == "f: byte \(end - 8): the checksum is wrong")
    #expect(problem { $0[end - 4] ^= 1 } == "f: byte \(end - 4): the content has the wrong size")
    #expect(problem { $0 = [] } == "f: byte 0: the file is cut short in the first byte of a gzip member")
  }
}
