import LetheCore

/// Named arrays in one file as `numpy.savez` writes it: a zip archive of npy files.
///
///     try NPZ(model.record(x)).write(to: "gates.npz")         // numpy.load("gates.npz")["0.layer0.forward.forget"]
///     let images = try NPZ(contentsOf: "digits.npz")["images"]
///
/// Arrays are stored without compression; equal arrays in equal order give equal bytes.
/// *Source*: PKWARE's APPNOTE.TXT 6.3, sections 4.3 to 4.4; `numpy.lib.format`. The zip64 form is neither written nor read, so a
/// file holds less than 4 GiB.
public struct NPZ: Sendable {
  /// The arrays in the order of the file; their names are without `.npy`.
  public var tensors: [(name: String, tensor: Tensor)] = []

  /// No arrays.
  public init() {}

  /// The array of the given name; setting `nil` removes it, setting a new name appends.
  ///
  /// *Cost*: a walk through the list.
  public subscript(name: String) -> Tensor? {
    get { tensors.first { $0.name == name }?.tensor }
    set {
      let index = tensors.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let tensor?): tensors[index].tensor = tensor
      case (let index?, nil): tensors.remove(at: index)
      case (nil, let tensor?): tensors.append((name, tensor))
      case (nil, nil): break
      }
    }
  }

  /// The bytes of the file.
  ///
  /// - Precondition: names differ.
  /// - Throws: a `LetheError` when there is more than such a file can hold.
  ///
  /// *Cost*: one copy of every array; `write(to:)` makes none.
  public func encoded() throws -> [UInt8] {
    try check("the archive")
    var bytes: [UInt8] = []
    try emit { bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Writes the bytes of `encoded()` to a file, whole or not at all; see `FileBytes.writeAtomically`.
  ///
  /// - Precondition: names differ.
  /// - Throws: as `encoded()`, or a `LetheError` with the system's reason; what was at `path` is still there.
  public func write(to path: String) throws {
    try check(path)
    try FileBytes.writeAtomically(to: path) { write in try emit { try write($0) } }
  }

  private static func fileName(_ name: String) -> [UInt8] { Array((name + ".npy").utf8) }

  private func check(_ place: String) throws(LetheError) {
    var names: Set<String> = []
    var size = 22
    for (name, tensor) in tensors {
      require(names.insert(name).inserted, "NPZ: the name \(quoted(name)) is taken")
      let file = Self.fileName(name)
      if file.count > 0xffff {
        throw LetheError(
          place, "the name \(quoted(name)) is too long", expected: "at most 65,531 bytes",
          found: "\(name.utf8.count)")
      }
      size += 76 + 2 * file.count + NPY.header(tensor.shape).count + 4 * tensor.count
    }
    if size >= 0xffff_ffff || tensors.count >= 0xffff {
      throw LetheError(
        place, "there is too much for one archive", expected: "below 65,535 arrays and 4 GiB",
        found: "\(tensors.count) arrays, \(size) bytes", advice: "record fewer gates or rows")
    }
  }

  /// Hands over the bytes in order: each array behind its local header, then the directory.
  private func emit(_ write: (UnsafeRawBufferPointer) throws -> Void) throws {
    var directory: [UInt8] = []
    var offset = 0
    for (name, tensor) in tensors {
      let header = NPY.header(tensor.shape), file = Self.fileName(name)
      let size = UInt32(header.count + 4 * tensor.count)
      let sum = tensor.withUnsafeBuffer {
        CRC32.zip.checksum(UnsafeRawBufferPointer($0), after: CRC32.zip.checksum(header))
      }
      // Version 2.0, names in UTF-8, stored; midnight of 1980-01-01, the first that the format knows.
      var common: [UInt8] = []
      for field: UInt16 in [20, 0x0800, 0, 0, 0x21] { common.append(little: field) }
      for field in [sum, size, size] { common.append(little: field) }
      for field in [UInt16(file.count), 0] { common.append(little: field) }

      var local: [UInt8] = []
      local.append(little: ZipSignature.local)
      local += common + file + header
      try local.withUnsafeBytes(write)
      try tensor.withUnsafeBuffer { try write(UnsafeRawBufferPointer($0)) }

      directory.append(little: ZipSignature.entry)
      directory.append(little: 20 as UInt16)
      directory += common + [UInt8](repeating: 0, count: 10)  // no comment, disk 0, no attributes
      directory.append(little: UInt32(offset))
      directory += file
      offset += local.count + 4 * tensor.count
    }
    let size = directory.count
    directory.append(little: ZipSignature.end)
    for field in [0, 0, UInt16(tensors.count), UInt16(tensors.count)] { directory.append(little: field) }
    for field in [UInt32(size), UInt32(offset)] { directory.append(little: field) }
    directory.append(little: 0 as UInt16)
    try directory.withUnsafeBytes(write)
  }
}

/// What the parts of a zip archive begin with.
enum ZipSignature {
  static let local: UInt32 = 0x0403_4b50
  static let entry: UInt32 = 0x0201_4b50
  static let end: UInt32 = 0x0605_4b50
}

extension [UInt8] {
  /// Appends a number, lowest byte first.
  mutating func append(little number: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
  }
}
