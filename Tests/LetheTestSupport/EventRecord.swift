/// A record of an event file, read by a decoder that shares nothing with the writer.
public struct EventRecord {
  /// Seconds since 1970.
  public var time = 0.0
  /// The step.
  public var step: Int64 = 0
  /// What the first record says.
  public var version: String?
  /// Numbers by tag.
  public var scalars: [String: Float] = [:]
  /// Histograms by tag: single numbers by field, limits and counts.
  public var histograms: [String: (fields: [Int: Double], limits: [Double], counts: [Double])] = [:]

  /// What is wrong with a file.
  public struct Broken: Error {
    var what: String
  }

  /// Every record of a file.
  public static func all(in bytes: [UInt8]) throws -> [EventRecord] {
    var rest = bytes[...]
    var events: [EventRecord] = []
    while !rest.isEmpty {
      let head = try take(8, &rest)
      try check(head, try take(4, &rest))
      let data = try take(Int(number(head)), &rest)
      try check(data, try take(4, &rest))
      events.append(try EventRecord(data))
    }
    return events
  }

  private init(_ data: ArraySlice<UInt8>) throws {
    for (field, value) in try Self.fields(data) {
      switch field {
      case 1: time = Double(bitPattern: Self.number(value))
      case 2: step = Int64(bitPattern: Self.number(value))
      case 3: version = String(decoding: value, as: UTF8.self)
      case 5:
        for (field, one) in try Self.fields(value) {
          guard field == 1 else { throw Broken(what: "field \(field) of a summary") }
          var tag = ""
          for (field, part) in try Self.fields(one) {
            switch field {
            case 1: tag = String(decoding: part, as: UTF8.self)
            case 2: scalars[tag] = Float(bitPattern: UInt32(Self.number(part)))
            case 5:
              var histogram: (fields: [Int: Double], limits: [Double], counts: [Double]) = ([:], [], [])
              for (field, numbers) in try Self.fields(part) {
                let doubles = stride(from: 0, to: numbers.count, by: 8).map {
                  Double(bitPattern: Self.number(numbers.dropFirst($0).prefix(8)))
                }
                switch field {
                case 1...5: histogram.fields[field] = doubles[0]
                case 6: histogram.limits = doubles
                case 7: histogram.counts = doubles
                default: throw Broken(what: "field \(field) of a histogram")
                }
              }
              histograms[tag] = histogram
            default: throw Broken(what: "field \(field) of a value")
            }
          }
        }
      default: throw Broken(what: "field \(field) of an event")
      }
    }
  }

  /// The fields of a message; whole numbers as eight bytes.
  private static func fields(_ data: ArraySlice<UInt8>) throws -> [(Int, ArraySlice<UInt8>)] {
    var rest = data
    var fields: [(Int, ArraySlice<UInt8>)] = []
    func varint() throws -> UInt64 {
      var number: UInt64 = 0
      for shift in stride(from: UInt64(0), to: 64, by: 7) {
        let byte = try take(1, &rest).first ?? 0
        number |= UInt64(byte & 0x7f) << shift
        if byte < 0x80 { return number }
      }
      throw Broken(what: "a varint of more than ten bytes")
    }
    while !rest.isEmpty {
      let key = try varint()
      switch key & 7 {
      case 0:
        let number = try varint()
        fields.append((Int(key >> 3), (0..<8).map { UInt8(number >> (8 * $0) & 0xff) }[...]))
      case 1: fields.append((Int(key >> 3), try take(8, &rest)))
      case 2:
        let length = Int(try varint())
        fields.append((Int(key >> 3), try take(length, &rest)))
      case 5: fields.append((Int(key >> 3), try take(4, &rest)))
      default: throw Broken(what: "wire type \(key & 7)")
      }
    }
    return fields
  }

  private static func take(_ count: Int, _ rest: inout ArraySlice<UInt8>) throws -> ArraySlice<UInt8> {
    guard count <= rest.count else { throw Broken(what: "cut short") }
    defer { rest = rest.dropFirst(count) }
    return rest.prefix(count)
  }

  private static func number(_ bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
  }

  /// The masked checksum of some bytes, bit by bit.
  private static func check(_ bytes: ArraySlice<UInt8>, _ stored: ArraySlice<UInt8>) throws {
    var sum: UInt32 = .max
    for byte in bytes {
      sum ^= UInt32(byte)
      for _ in 0..<8 { sum = sum & 1 == 1 ? sum >> 1 ^ 0x82f6_3b78 : sum >> 1 }
    }
    sum = ~sum
    let masked = (sum >> 15 | sum << 17) &+ 0xa282_ead8
    if UInt64(masked) != number(stored) { throw Broken(what: "a checksum") }
  }
}
