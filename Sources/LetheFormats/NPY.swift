import LetheCore

/// One array in the format of numpy's `.npy` files.
///
/// A file is a magic number, a version, the length of a header, the header (element type, order and shape, as Python
/// writes a dictionary), and the elements.
///
///     try NPY.write(gates, to: "gates.npy")            // numpy.load("gates.npy")
///     let images = try NPY.read("images.npy")
///
/// *Source*: `numpy.lib.format`, versions 1 to 3.
public enum NPY {
  /// Reads a file.
  ///
  /// `<f4` is read as it is; `<f8`, `<f2`, `<i4`, `<i8` and `|u1` become the nearest `Float`; every other element type is an
  /// error. Arrays in Fortran's order are turned round.
  ///
  /// - Throws: a `LetheError` that names the file, what was expected, and what is there.
  ///
  /// *Cost*: one copy of the file, and the tensor.
  public static func read(_ path: String) throws -> Tensor {
    try decoded(FileBytes.read(path, limit: 1 << 34), name: path)
  }

  /// Reads a file that is in memory; `name` is what errors call it.
  ///
  /// - Throws: as `read`.
  public static func decoded(_ bytes: [UInt8], name: String) throws -> Tensor {
    try bytes.withUnsafeBytes { try decoded($0, name: name) }
  }

  /// The bytes of the file: version 1.0, `<f4`, C order.
  public static func encoded(_ tensor: Tensor) -> [UInt8] {
    tensor.withUnsafeBuffer { header(tensor.shape) + UnsafeRawBufferPointer($0) }
  }

  /// Writes the bytes of `encoded` to a file, whole or not at all; see `FileBytes.writeAtomically`.
  ///
  /// - Throws: a `LetheError` with the system's reason; what was at `path` is still there.
  public static func write(_ tensor: Tensor, to path: String) throws {
    try FileBytes.writeAtomically(to: path) { write in
      try header(tensor.shape).withUnsafeBytes(write)
      try tensor.withUnsafeBuffer { try write(UnsafeRawBufferPointer($0)) }
    }
  }

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)

  /// What stands before the elements; as long as a multiple of 64, so that they are aligned.
  static func header(_ shape: [Int]) -> [UInt8] {
    let sizes = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = Array("{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }".utf8)
    let start = magic.count + 4
    text += [UInt8](repeating: 0x20, count: 63 - (start + text.count) % 64) + [0x0a]
    return magic + [1, 0, UInt8(text.count & 0xff), UInt8(text.count >> 8)] + text
  }

  /// The array that the bytes are, all of them.
  static func decoded(_ bytes: UnsafeRawBufferPointer, name: String) throws -> Tensor {
    guard bytes.count >= 10, bytes.starts(with: magic) else {
      throw LetheError(name, "is no npy file", expected: "a file that begins with \\x93NUMPY")
    }
    guard (1...3).contains(bytes[6]) else {
      throw LetheError(
        "\(name): byte 6", "the version is unknown", expected: "1, 2 or 3", found: "\(bytes[6])")
    }
    // The length has two bytes in version 1, four in the others.
    let start = bytes[6] == 1 ? 10 : 12
    let length = bytes.count < start ? 0 : bytes[8..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard bytes.count >= start, length <= min(bytes.count - start, 1 << 20) else {
      throw LetheError(
        "\(name): byte 8", "the header's length cannot be right",
        expected: "at most \(min(max(bytes.count - start, 0), 1 << 20))", found: "\(length)",
        advice: "the file is cut short, or no npy file")
    }
    let header = try NPYHeader(Array(bytes[start..<start + length]), name: name)
    let data = UnsafeRawBufferPointer(rebasing: bytes[(start + length)...])
    let size = header.count * header.kind.size
    guard data.count == size else {
      throw LetheError(
        name, "the elements do not fill the file", expected: "\(size) bytes for the shape \(header.shape)",
        found: "\(data.count)", advice: data.count < size ? "the file is cut short" : nil)
    }
    let inOrder = try Tensor(shape: header.isFortran ? header.shape.reversed() : header.shape) { to in
      try Safetensors.convert(header.kind, to: to, from: 0) { buffer, offset in
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: data[offset..<offset + buffer.count]))
      }
    }
    return header.isFortran ? inOrder.turned() : inOrder
  }
}

extension Tensor {
  /// The dimensions in the other order: what Fortran's order is to C's.
  fileprivate func turned() -> Tensor {
    let sizes = Array(shape.reversed())
    // In the result's order of dimensions: how far the next element of each is.
    var strides = [Int](repeating: 1, count: sizes.count)
    for i in strides.indices.dropFirst() { strides[i] = strides[i - 1] * sizes[i - 1] }
    return Tensor(shape: sizes) { to in
      withUnsafeBuffer { from in
        var index = [Int](repeating: 0, count: sizes.count)
        var place = 0
        for i in to.indices {
          to[i] = from[place]
          for k in index.indices.reversed() {
            index[k] += 1
            place += strides[k]
            if index[k] < sizes[k] { break }
            place -= index[k] * strides[k]
            index[k] = 0
          }
        }
      }
    }
  }
}

/// The header of an npy file, checked.
struct NPYHeader {
  var kind: SafetensorsKind = .F32
  var isFortran = false
  var shape: [Int] = []
  /// The product of the shape.
  var count = 1

  private static let kinds: [String: SafetensorsKind] = [
    "<f4": .F32, "<f8": .F64, "<f2": .F16, "<i4": .I32, "<i8": .I64, "|u1": .U8,
  ]
  private let name: String
  private let text: [UInt8]
  private var position = 0

  init(_ text: [UInt8], name: String) throws {
    self.name = name
    self.text = text
    var fields: Set<String> = []
    try expect("{")
    while !skip("}") {
      let field = try quotedText()
      guard fields.insert(field).inserted else { throw error("the field \(quoted(field)) occurs twice") }
      try expect(":")
      switch field {
      case "descr": kind = try elementType()
      case "fortran_order": isFortran = try truth()
      case "shape": shape = try sizes()
      default: throw error("the field \(quoted(field)) is unknown")
      }
      if skip(",") { continue }
      try expect("}")
      break
    }
    skipSpaces()
    guard position == text.count else { throw unexpected("spaces up to the header's end") }
    for field in ["descr", "fortran_order", "shape"] where !fields.contains(field) {
      throw error("the field '\(field)' is missing")
    }
    // Empty dimensions count as 1, so that no partial product overflows either.
    let most = shape.reduce(Optional(8)) { product, size in
      product.flatMap {
        let (value, overflows) = $0.multipliedReportingOverflow(by: max(size, 1))
        return overflows ? nil : value
      }
    }
    guard most != nil, shape.count <= 64 else { throw error("the shape \(shape.prefix(64)) is too large") }
    count = shape.reduce(1, *)
  }

  private mutating func elementType() throws -> SafetensorsKind {
    skipSpaces()
    let expected = Self.kinds.keys.sorted().joined(separator: ", ")
    if position < text.count, text[position] == UInt8(ascii: "[") {
      throw LetheError(
        "\(name): descr", "the elements are records", expected: expected, found: "a list of fields")
    }
    let type = try quotedText()
    guard let kind = Self.kinds[type] else {
      throw LetheError(
        "\(name): descr", "the element type cannot be read", expected: expected, found: quoted(type))
    }
    return kind
  }

  private mutating func truth() throws -> Bool {
    if skip("True") { return true }
    if skip("False") { return false }
    throw unexpected("True or False")
  }

  private mutating func sizes() throws -> [Int] {
    var sizes: [Int] = []
    try expect("(")
    while !skip(")") {
      skipSpaces()
      let digits = text[position...].prefix { (0x30...0x39).contains($0) }
      guard !digits.isEmpty else { throw unexpected("a whole number") }
      guard let size = Int(String(decoding: digits, as: UTF8.self)) else {
        throw error("a size of the shape is too large")
      }
      sizes.append(size)
      position += digits.count
      if skip(",") { continue }
      try expect(")")
      break
    }
    return sizes
  }

  private mutating func quotedText() throws -> String {
    skipSpaces()
    guard position < text.count, [UInt8(ascii: "'"), UInt8(ascii: "\"")].contains(text[position]),
      let end = text[(position + 1)...].firstIndex(of: text[position])
    else { throw unexpected("a text in quotes") }
    defer { position = end + 1 }
    return String(decoding: text[(position + 1)..<end], as: UTF8.self)
  }

  private mutating func skipSpaces() {
    while position < text.count, [0x20, 0x09, 0x0a].contains(text[position]) { position += 1 }
  }

  private mutating func skip(_ word: StaticString) -> Bool {
    skipSpaces()
    let wanted = word.withUTF8Buffer { Array($0) }
    guard text[position...].starts(with: wanted) else { return false }
    position += wanted.count
    return true
  }

  private mutating func expect(_ word: StaticString) throws {
    if !skip(word) { throw unexpected("\(word)") }
  }

  private func error(_ problem: String) -> LetheError { LetheError("\(name): the header", problem) }

  private func unexpected(_ expected: String) -> LetheError {
    LetheError(
      "\(name): the header", "cannot be read at its byte \(position)", expected: expected,
      found: position < text.count
        ? quoted(String(decoding: text[position...].prefix(12), as: UTF8.self)) : "its end")
  }
}
