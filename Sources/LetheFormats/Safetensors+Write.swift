import LetheCore

extension Safetensors {
  /// The bytes of the file.
  ///
  /// Tensors are F32 and sorted by name, byte by byte in UTF-8, and so are the notes: equal contents give
  /// equal bytes, in whatever order they were added.
  ///
  /// - Precondition: names differ, and none is `__metadata__`.
  ///
  /// *Cost*: one copy of every tensor; `write(to:)` makes none.
  public func encoded() -> [UInt8] {
    let sorted = sortedTensors()
    var bytes = Self.header(sorted, metadata)
    bytes.reserveCapacity(bytes.count + sorted.reduce(0) { $0 + 4 * $1.tensor.count })
    for (_, tensor) in sorted {
      tensor.withUnsafeBuffer { bytes.append(contentsOf: UnsafeRawBufferPointer($0)) }
    }
    return bytes
  }

  /// Writes the bytes of `encoded()` to a file, whole or not at all; see `FileBytes.writeAtomically`.
  ///
  /// - Precondition: names differ, and none is `__metadata__`.
  /// - Throws: a `LetheError` with the system's reason; what was at `path` is still there.
  public func write(to path: String) throws {
    let sorted = sortedTensors()
    try FileBytes.writeAtomically(to: path) { write in
      try Self.header(sorted, metadata).withUnsafeBytes(write)
      for (_, tensor) in sorted {
        try tensor.withUnsafeBuffer { try write(UnsafeRawBufferPointer($0)) }
      }
    }
  }

  private func sortedTensors() -> [(name: String, tensor: Tensor)] {
    var names: Set = ["__metadata__"]
    for (name, _) in tensors {
      require(
        names.insert(name).inserted, "Safetensors: the name \(quoted(name)) is taken, a tensor cannot have it"
      )
    }
    return tensors.sorted { Self.precedes($0.name, $1.name) }
  }

  private static func precedes(_ a: String, _ b: String) -> Bool {
    a.utf8.lexicographicallyPrecedes(b.utf8)
  }

  /// The length and the header, with spaces up to a multiple of 8.
  private static func header(
    _ tensors: [(name: String, tensor: Tensor)], _ metadata: [String: String]
  ) -> [UInt8] {
    var fields: [String] = []
    if !metadata.isEmpty {
      let notes = metadata.sorted { precedes($0.key, $1.key) }.map { "\(json($0.key)):\(json($0.value))" }
      fields.append("\"__metadata__\":{\(notes.joined(separator: ","))}")
    }
    var offset = 0
    for (name, tensor) in tensors {
      let end = offset + 4 * tensor.count
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      fields.append(
        "\(json(name)):{\"dtype\":\"F32\",\"shape\":[\(shape)],\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var text = Array("{\(fields.joined(separator: ","))}".utf8)
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
  }

  /// A string in JSON: quotes, backslashes and control characters escaped, the rest as it is.
  private static func json(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        result += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
