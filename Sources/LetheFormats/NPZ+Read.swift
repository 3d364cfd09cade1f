import LetheCore

extension NPZ {
  /// Reads a file; its arrays may be stored or deflated (`numpy.savez`, `numpy.savez_compressed`). Types of elements are those of
  /// `NPY.read`.
  ///
  /// - Throws: a `LetheError` that names the file and the array, what was expected, and what is there.
  ///
  /// *Cost*: one copy of the file, the tensors, and one copy of the largest compressed array. What a file says of its sizes
  /// is compared with what is there before memory is asked for; a compressed array can be 1,032 times as large as its bytes.
  public init(contentsOf path: String) throws {
    try self.init(bytes: FileBytes.read(path, limit: 0xffff_ffff), name: path)
  }

  /// Reads a file that is in memory; `name` is what errors call it.
  ///
  /// - Throws: as `init(contentsOf:)`.
  public init(bytes: [UInt8], name: String) throws {
    self.init()
    var names: Set<String> = []
    try bytes.withUnsafeBytes { bytes in
      for entry in try ZipDirectory(bytes, name: name).entries {
        guard entry.name.hasSuffix(".npy") else {
          throw LetheError(
            "\(name): \(quoted(entry.name))", "is no array", expected: "a name that ends in .npy")
        }
        let own = String(entry.name.dropLast(4))
        guard names.insert(own).inserted else {
          throw LetheError(name, "the array \(quoted(own)) is there twice")
        }
        tensors.append((own, try entry.array(in: bytes, "\(name): array \(quoted(own))")))
      }
    }
  }
}

/// The directory of a zip archive: what the archive holds and where, checked against its size.
private struct ZipDirectory {
  struct Entry {
    var name: String
    var isDeflated: Bool
    var checksum: UInt32
    var size: Int
    /// The bytes as they are in the archive.
    var range: Range<Int>

    /// The array in the entry.
    func array(in bytes: UnsafeRawBufferPointer, _ place: String) throws -> Tensor {
      let stored = UnsafeRawBufferPointer(rebasing: bytes[range])
      if !isDeflated { return try checked(stored, place) }
      return try stored.withMemoryRebound(to: UInt8.self) { input in
        var inflater = Inflater(input, name: place, limit: size)
        try inflater.inflate()
        return try checked(UnsafeRawBufferPointer(inflater.content), place)
      }
    }

    private func checked(_ content: UnsafeRawBufferPointer, _ place: String) throws -> Tensor {
      if content.count != size {
        throw LetheError(
          place, "the size is wrong", expected: "\(size) bytes", found: "\(content.count)",
          advice: "the file is damaged")
      }
      let found = CRC32.zip.checksum(content)
      if found != checksum {
        throw LetheError(
          place, "the checksum is wrong", expected: "0x" + String(checksum, radix: 16),
          found: "0x" + String(found, radix: 16), advice: "the file is damaged")
      }
      return try NPY.decoded(content, name: place)
    }
  }

  private(set) var entries: [Entry] = []
  private let bytes: UnsafeRawBufferPointer
  private let name: String

  init(_ bytes: UnsafeRawBufferPointer, name: String) throws {
    (self.bytes, self.name) = (bytes, name)
    let end = try findEnd()
    let fields = (0..<4).map { word16(end + 4 + 2 * $0) }
    let (count, size, start) = (fields[3], word32(end + 12), word32(end + 16))
    if count == 0xffff || size == 0xffff_ffff || start == 0xffff_ffff {
      throw LetheError(name, "is of the zip64 form", expected: "below 65,535 arrays and 4 GiB")
    }
    guard fields[0] == 0, fields[1] == 0, fields[2] == count, start <= end, size == end - start else {
      throw broken("the end of the directory does not fit the file", at: end)
    }
    var (place, dataLeft) = (start, start)
    for _ in 0..<count {
      let entry = try entry(at: place, end: end, directory: start)
      // Entries that share their bytes could stand for more than there is.
      dataLeft -= entry.entry.range.count
      if dataLeft < 0 { throw broken("the arrays are larger than the archive", at: place) }
      entries.append(entry.entry)
      place = entry.next
    }
    if place != end { throw broken("the directory has another size than its entries", at: place) }
  }

  /// Where the end record begins: it is last, but for a comment of the length it says.
  private func findEnd() throws -> Int {
    var place = bytes.count - 22
    let least = max(0, place - 0xffff)
    while place >= least {
      if word32(place) == ZipSignature.end, place + 22 + word16(place + 20) == bytes.count { return place }
      place -= 1
    }
    throw LetheError(
      name, "is no npz file: a zip archive's end is not there",
      advice: "the file is cut short, or no npz file")
  }

  private func entry(at place: Int, end: Int, directory: Int) throws -> (entry: Entry, next: Int) {
    guard place + 46 <= end, word32(place) == ZipSignature.entry else {
      throw broken("an entry of the directory is missing", at: place)
    }
    let flags = word16(place + 8), method = word16(place + 10)
    let stored = word32(place + 20), size = word32(place + 24)
    let nameLength = word16(place + 28)
    let next = place + 46 + nameLength + word16(place + 30) + word16(place + 32)
    guard next <= end else { throw broken("an entry reaches beyond the directory", at: place) }
    let text = UnsafeRawBufferPointer(rebasing: bytes[place + 46..<place + 46 + nameLength])
    guard let own = String(validating: text, as: UTF8.self) else {
      throw broken("a name is no valid UTF-8", at: place + 46)
    }
    func refuse(_ problem: String, expected: String? = nil, found: String? = nil) -> LetheError {
      LetheError("\(name): \(quoted(own))", problem, expected: expected, found: found)
    }
    if flags & 1 != 0 { throw refuse("is encrypted") }
    guard method == 0 || method == 8 else {
      throw refuse(
        "is compressed in a way that cannot be read", expected: "0 (stored) or 8 (deflated)",
        found: "\(method)")
    }
    if stored == 0xffff_ffff || size == 0xffff_ffff {
      throw refuse("is of the zip64 form", expected: "below 4 GiB")
    }
    let local = word32(place + 42)
    guard local + 30 <= directory, word32(local) == ZipSignature.local else {
      throw refuse("is not where the directory says", found: "byte \(local)")
    }
    let start = local + 30 + word16(local + 26) + word16(local + 28)
    guard start <= directory, stored <= directory - start, method == 8 || stored == size else {
      throw refuse(
        "has a size that cannot be right", expected: "at most \(max(directory - start, 0)) bytes",
        found: "\(stored), for \(size) of content")
    }
    return (
      Entry(
        name: own, isDeflated: method == 8, checksum: UInt32(word32(place + 16)), size: size,
        range: start..<start + stored), next
    )
  }

  private func word16(_ place: Int) -> Int {
    Int(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
  }

  private func word32(_ place: Int) -> Int {
    Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt32.self)))
  }

  private func broken(_ problem: String, at place: Int) -> LetheError {
    LetheError("\(name): byte \(place)", problem, advice: "the file is damaged")
  }
}
