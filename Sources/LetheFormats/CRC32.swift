/// Checksums of 32 bits by division of polynomials, bits reflected, as most formats have them.
package struct CRC32: Sendable {
  /// Of gzip, zip and PNG.
  package static let zip = CRC32(polynomial: 0xedb8_8320)
  /// Castagnoli's, of TFRecord and iSCSI (RFC 3720, appendix B.4).
  package static let castagnoli = CRC32(polynomial: 0x82f6_3b78)

  /// Eight tables of 256: table k carries a byte over k further zero bytes.
  private let tables: [UInt32]

  private init(polynomial: UInt32) {
    var tables = [UInt32](repeating: 0, count: 8 * 256)
    for i in 0..<256 {
      tables[i] = (0..<8).reduce(UInt32(i)) { sum, _ in sum & 1 == 1 ? polynomial ^ (sum >> 1) : sum >> 1 }
    }
    for i in 256..<8 * 256 { tables[i] = tables[i - 256] >> 8 ^ tables[Int(tables[i - 256] & 0xff)] }
    self.tables = tables
  }

  /// The checksum of all the bytes, eight at a time; of those that `sum` is of and these behind them.
  package func checksum(_ bytes: UnsafeRawBufferPointer, after sum: UInt32 = 0) -> UInt32 {
    tables.withUnsafeBufferPointer { tables in
      var sum = ~sum
      var i = 0
      while i + 8 <= bytes.count {
        let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: i, as: UInt64.self)) ^ UInt64(sum)
        sum = 0
        for k in 0..<8 { sum ^= tables[(7 - k) << 8 | Int(word >> (8 * k) & 0xff)] }
        i += 8
      }
      while i < bytes.count {
        sum = tables[Int((sum ^ UInt32(bytes[i])) & 0xff)] ^ sum >> 8
        i += 1
      }
      return ~sum
    }
  }

  /// The checksum of all the bytes.
  package func checksum(_ bytes: [UInt8]) -> UInt32 { bytes.withUnsafeBytes { checksum($0) } }
}
