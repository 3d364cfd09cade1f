import LetheCore

extension Safetensors {
  /// Reads a file.
  ///
  /// F32 is read as it is. F64, F16, BF16, I32, I64 and U8 become the nearest `Float`; every other element
  /// type is an error.
  ///
  /// - Throws: a `LetheError` that names the file and the tensor or field, what was expected, and what is
  ///   there.
  ///
  /// *Cost*: F32 goes from the file into the tensors' own memory, with no copy in between.
  public init(contentsOf path: String) throws {
    let file = try InputFile(path)
    if file.size == 0 {
      // A pipe cannot be read out of order.
      self = try Safetensors(bytes: FileBytes.read(path, limit: 1 << 34), name: path)
    } else {
      self = try Safetensors(name: path, size: file.size) { buffer, offset in
        if try file.fill(buffer, at: offset) < buffer.count {
          throw LetheError(path, "the file became shorter while it was read", advice: "read it again")
        }
      }
    }
  }

  /// Reads a file that is in memory; `name` is what errors call it.
  ///
  /// - Throws: as `init(contentsOf:)`.
  public init(bytes: [UInt8], name: String) throws {
    self = try bytes.withUnsafeBytes { source in
      try Safetensors(name: name, size: source.count) { buffer, offset in
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: source[offset..<offset + buffer.count]))
      }
    }
  }

  /// Fills a buffer with the bytes that begin at an offset of the file.
  typealias Source = (UnsafeMutableRawBufferPointer, Int) throws -> Void

  private init(name: String, size: Int, source: Source) throws {
    guard size >= 8 else {
      throw LetheError(
        name, "is no safetensors file: it has no header", expected: "8 bytes or more", found: "\(size)")
    }
    var length: UInt64 = 0
    try withUnsafeMutableBytes(of: &length) { try source($0, 0) }
    let limit = min(size - 8, 100_000_000)
    guard length <= limit else {
      throw LetheError(
        "\(name): byte 0", "the header's length cannot be right", expected: "at most \(limit)",
        found: "\(length)", advice: "the file is cut short, or no safetensors file")
    }
    let header = try [UInt8](unsafeUninitializedCapacity: Int(length)) { buffer, count in
      try source(UnsafeMutableRawBufferPointer(buffer), 8)
      count = buffer.count
    }
    var reader = SafetensorsHeader(header, name: name)
    try reader.read()
    let start = 8 + header.count
    let entries = try Self.inOrder(reader.entries, size: size - start, name: name)
    metadata = reader.metadata
    tensors = []
    tensors.reserveCapacity(entries.count)
    for entry in entries {
      let tensor = try Tensor(shape: entry.shape) { buffer in
        let bytes = start + entry.range.lowerBound
        if buffer.isEmpty { return }
        if entry.kind == .F32 { return try source(UnsafeMutableRawBufferPointer(buffer), bytes) }
        try Self.convert(entry.kind, to: buffer, from: bytes, source)
      }
      tensors.append((entry.name, tensor))
    }
  }

  /// The entries in the order of their bytes, which have to fill the file without gap or overlap.
  private static func inOrder(
    _ entries: [SafetensorsEntry], size: Int, name: String
  ) throws -> [SafetensorsEntry] {
    let sorted = entries.enumerated().sorted { a, b in
      (a.element.range.lowerBound, a.element.range.upperBound, a.offset)
        < (b.element.range.lowerBound, b.element.range.upperBound, b.offset)
    }.map(\.element)
    var end = 0
    for entry in sorted {
      if entry.range.lowerBound != end || entry.range.upperBound > size {
        let problem =
          entry.range.upperBound > size
          ? "the bytes reach beyond the \(size) bytes of data"
          : entry.range.lowerBound < end
            ? "the bytes overlap another tensor's" : "there is a gap before the bytes"
        throw LetheError(
          "\(name): tensor \(quoted(entry.name)), data_offsets", problem, expected: "a start at \(end)",
          found: "[\(entry.range.lowerBound), \(entry.range.upperBound)]")
      }
      end = entry.range.upperBound
    }
    if end != size {
      throw LetheError(
        name, "the tensors do not fill the file", expected: "\(end) bytes of data", found: "\(size)")
    }
    return sorted
  }

  /// Reads elements that are no `Float` piece by piece.
  static func convert(
    _ kind: SafetensorsKind, to buffer: UnsafeMutableBufferPointer<Float>, from offset: Int, _ source: Source
  ) throws {
    let piece = 8192
    try withUnsafeTemporaryAllocation(byteCount: piece * kind.size, alignment: 8) { scratch in
      for first in stride(from: 0, to: buffer.count, by: piece) {
        let count = min(piece, buffer.count - first)
        let bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(count * kind.size)])
        try source(bytes, offset + first * kind.size)
        func each<T>(_ type: T.Type, _ float: (T) -> Float) {
          for i in 0..<count {
            buffer[first + i] = float(bytes.load(fromByteOffset: i * kind.size, as: type))
          }
        }
        switch kind {
        case .F32: each(Float.self) { $0 }
        case .F64: each(Double.self) { Float($0) }
        case .F16: each(UInt16.self, float(half:))
        case .BF16: each(UInt16.self) { Float(bitPattern: UInt32($0) << 16) }
        case .I32: each(Int32.self) { Float($0) }
        case .I64: each(Int64.self) { Float($0) }
        case .U8: each(UInt8.self) { Float($0) }
        }
      }
    }
  }

  /// The value of an IEEE 754 binary16, exactly.
  static func float(half bits: UInt16) -> Float {
    let sign = UInt32(bits & 0x8000) << 16
    let magnitude = UInt32(bits & 0x7fff) << 13
    if magnitude >= 0x0f80_0000 { return Float(bitPattern: sign | 0x7f80_0000 | magnitude) }
    // 2^112 is the difference of the two exponent biases; subnormals come out right as well.
    let value = Float(bitPattern: magnitude) * 0x1p112
    return Float(bitPattern: sign | value.bitPattern)
  }
}
