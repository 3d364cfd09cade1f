import LetheCore
import LetheFormats

/// An array of bytes with a shape, from a file of the format that MNIST came in.
///
/// A file is two zero bytes, the element type, the number of dimensions, each dimension in four bytes,
/// highest first, and the elements in row-major order; or all of that compressed by gzip, which its content
/// tells.
///
/// *Source*: the description at <http://yann.lecun.com/exdb/mnist/>.
public struct IDX: Sendable, Equatable {
  /// The size of each dimension, outermost first.
  public var shape: [Int]
  /// The elements in row-major order.
  public var bytes: [UInt8]

  /// Reads a file, compressed or not.
  ///
  /// - Throws: a `LetheError` that names the file and what is wrong with it: no IDX file, elements other than
  ///   unsigned bytes, more than 8 dimensions, cut short, bytes left over, or above `limit` bytes in all.
  ///
  /// *Cost*: see `Gzip.decompress` and `FileBytes.read`.
  public init(contentsOf path: String, limit: Int = 1 << 30) throws {
    try self.init(bytes: FileBytes.read(path, limit: limit), name: path, limit: limit)
  }

  /// Reads a file that is in memory; `name` is what errors call it.
  ///
  /// - Throws: as `init(contentsOf:limit:)`.
  public init(bytes file: [UInt8], name: String, limit: Int = 1 << 30) throws {
    var file = file
    if Gzip.isGzip(file) { file = try Gzip.decompress(file, name: name, limit: limit) }
    guard file.count >= 4, file[0] == 0, file[1] == 0 else {
      let head = file.prefix(4).map { String($0, radix: 16) }.joined(separator: " ")
      throw LetheError(
        "\(name): byte 0", "is no IDX file", expected: "0 0 8 and the number of dimensions",
        found: file.isEmpty ? "nothing" : "\(head) in hexadecimal")
    }
    guard file[2] == 8 else {
      throw LetheError(
        "\(name): byte 2", "the elements are no unsigned bytes", expected: "type 0x08",
        found: Self.typeName(file[2]))
    }
    let rank = Int(file[3])
    guard (1...8).contains(rank) else {
      throw LetheError(
        "\(name): byte 3", "the number of dimensions cannot be right", expected: "1 to 8", found: "\(rank)")
    }
    let start = 4 + 4 * rank
    guard file.count >= start else {
      throw LetheError(
        name, "the header is cut short", expected: "\(start) bytes", found: "\(file.count)")
    }
    shape = (1...rank).map { i in file[4 * i..<4 * i + 4].reduce(0) { $0 << 8 | Int($1) } }
    var size = 1
    for dimension in shape {
      let (product, overflow) = size.multipliedReportingOverflow(by: max(dimension, 1))
      if overflow { throw LetheError(name, "the shape \(shape) is too large") }
      size = product
    }
    if shape.contains(0) { size = 0 }
    guard file.count - start == size else {
      throw LetheError(
        name, file.count - start < size ? "the file is cut short" : "there are bytes after the elements",
        expected: "\(size) elements for the shape \(shape)", found: "\(file.count - start)")
    }
    file.removeFirst(start)
    bytes = file
  }

  private static func typeName(_ type: UInt8) -> String {
    let code = "0x" + (type < 16 ? "0" : "") + String(type, radix: 16, uppercase: true)
    switch type {
    case 0x09: return "\(code), signed bytes"
    case 0x0b: return "\(code), 16-bit integers"
    case 0x0c: return "\(code), 32-bit integers"
    case 0x0d: return "\(code), floats"
    case 0x0e: return "\(code), doubles"
    default: return "\(code), which is no type"
    }
  }
}
