#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif
import LetheCore

/// A file of numbers and histograms by step, which TensorBoard draws.
///
///     let events = try EventFile(folder: "runs/first")
///     var summary = EventFile.Summary()
///     summary.add("loss/train", 0.31)
///     summary.add("keep/layer 0", EventFile.Histogram(of: gates))
///     try events.append(summary, step: 3)                          // tensorboard --logdir runs
///
/// A record is in the file as soon as `append` returns. One that fails half way, on a full disk say, is taken back, so that the
/// file can always be read and later records follow in their place.
///
/// *Source*: TensorFlow's `event.proto` and `summary.proto`, and the frame of `record_writer.h`: length, checksum of the length,
/// data, checksum of the data, the checksums CRC-32C, rotated by 15 bits and moved by 0xa282ead8.
public final class EventFile {
  /// Where the file is: `FOLDER/events.out.tfevents.SECONDS.HOST.lethe`.
  public let path: String
  private let file: OutputFile
  /// The bytes of whole records.
  private var length = 0

  /// A new file in a folder that is there; several in one folder are drawn as one run.
  ///
  /// - Throws: a `LetheError` with the system's reason.
  public convenience init(folder: String) throws {
    let seconds = "\(Int(Self.now))"
    let padded = String(repeating: "0", count: max(0, 10 - seconds.count)) + seconds
    let stem =
      folder + (folder.hasSuffix("/") ? "" : "/") + "events.out.tfevents.\(padded).\(Self.host).lethe"
    // Another run may have begun in the same second.
    for attempt in 0..<1000 {
      let path = attempt == 0 ? stem : "\(stem).\(attempt)"
      if let file = try OutputFile(new: path, blame: path) {
        try self.init(file, path)
        return
      }
    }
    throw LetheError(stem, "is there a thousand times", advice: "choose another folder")
  }

  private init(_ file: consuming OutputFile, _ path: String) throws {
    self.path = path
    self.file = file
    var event = ProtobufMessage()
    event.append(1, Self.now)
    event.append(3, text: "brain.Event:2")
    do {
      try append(event)
    } catch {
      unlink(path)
      throw error
    }
  }

  /// Writes a record: what was measured at a step, and when it was, in seconds since 1970; now, if nothing is said.
  ///
  /// - Throws: a `LetheError` with the system's reason; the file is as it was.
  public func append(_ summary: Summary, step: Int, at time: Double? = nil) throws {
    var event = ProtobufMessage()
    event.append(1, time ?? Self.now)
    event.append(2, whole: step)
    event.append(5, summary.message)
    try append(event)
  }

  private func append(_ event: ProtobufMessage) throws {
    let frame = Self.frame(event.bytes)
    do {
      try frame.withUnsafeBytes { try file.write($0) }
    } catch {
      file.truncate(to: length)
      throw error
    }
    length += frame.count
  }

  /// A record with its length and checksums.
  private static func frame(_ data: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = []
    frame.reserveCapacity(data.count + 16)
    frame.append(little: UInt64(data.count))
    frame.append(little: masked(CRC32.castagnoli.checksum(frame)))
    frame += data
    frame.append(little: masked(CRC32.castagnoli.checksum(data)))
    return frame
  }

  private static func masked(_ sum: UInt32) -> UInt32 { (sum >> 15 | sum << 17) &+ 0xa282_ead8 }

  private static var now: Double {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// The machine's name, of letters that any file system takes.
  private static var host: String {
    var name = [CChar](repeating: 0, count: 256)
    let failed = gethostname(&name, 255)
    let text = name.prefix { $0 != 0 }.prefix(64).map { letter -> UInt8 in
      switch UInt8(bitPattern: letter) {
      case let byte
      where (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte):
        byte
      case 0x2e: 0x2e
      default: 0x2d
      }
    }
    return failed != 0 || text.isEmpty ? "localhost" : String(decoding: text, as: UTF8.self)
  }
}

extension EventFile {
  /// What was measured at one step, under tags; the part of a tag before its first slash is the group it is drawn in.
  public struct Summary: Sendable {
    fileprivate var message = ProtobufMessage()

    /// Nothing yet.
    public init() {}

    /// Adds a number; infinite ones and NaN are drawn as such.
    public mutating func add(_ tag: String, _ number: Double) {
      var value = ProtobufMessage()
      value.append(1, text: tag)
      value.append(2, Float(number))
      message.append(1, value)
    }

    /// Adds a histogram.
    public mutating func add(_ tag: String, _ histogram: Histogram) {
      var value = ProtobufMessage()
      value.append(1, text: tag)
      value.append(5, histogram.message)
      message.append(1, value)
    }
  }

  /// How many numbers lie between which edges.
  public struct Histogram: Sendable, Equatable {
    /// The lowest edge.
    public let least: Double
    /// The upper edge of each bucket, ascending.
    public let limits: [Double]
    /// What lies below each limit and not below the one before.
    public let counts: [Double]
    private var number = 0.0, sum = 0.0, squares = 0.0

    /// Finite numbers in buckets of equal width between the least and the greatest; others are left out.
    public init(of numbers: some Sequence<Double>, buckets: Int = 30) {
      require(buckets > 0, "Histogram: \(buckets) buckets")
      let numbers = numbers.filter(\.isFinite)
      let least = numbers.min() ?? 0, most = numbers.max() ?? 0
      let width = (most - least) / Double(buckets)
      self.least = least
      if !(width > 0) {
        (limits, counts) = ([most], [Double(numbers.count)])
      } else {
        limits = (1..<buckets).map { least + width * Double($0) } + [most]
        var counts = [Double](repeating: 0, count: buckets)
        for number in numbers { counts[min(Int((number - least) / width), buckets - 1)] += 1 }
        self.counts = counts
      }
      number = Double(numbers.count)
      for x in numbers { (sum, squares) = (sum + x, squares + x * x) }
    }

    /// Amounts side by side, one for each whole number from 0 on: a profile drawn as a histogram.
    public init(profile: [Double]) {
      least = -0.5
      limits = profile.isEmpty ? [0.5] : profile.indices.map { Double($0) + 0.5 }
      counts = profile.isEmpty ? [0] : profile
      for (i, amount) in profile.enumerated() {
        let x = Double(i)
        (number, sum, squares) = (number + amount, sum + x * amount, squares + x * x * amount)
      }
    }

    fileprivate var message: ProtobufMessage {
      var message = ProtobufMessage()
      for (field, x) in [(1, least), (2, limits.last ?? least), (3, number), (4, sum), (5, squares)] {
        message.append(field, x)
      }
      message.append(6, packed: limits)
      message.append(7, packed: counts)
      return message
    }
  }
}

/// The bytes of a message in protocol buffers' wire format: fields by number, one behind the other.
///
/// *Source*: <https://protobuf.dev/programming-guides/encoding/>.
private struct ProtobufMessage: Sendable {
  private(set) var bytes: [UInt8] = []

  private enum Wire: Int { case varint = 0, bits64 = 1, length = 2, bits32 = 5 }

  private mutating func begin(_ field: Int, _ wire: Wire) {
    append(varint: UInt64(field << 3 | wire.rawValue))
  }

  private mutating func append(varint number: UInt64) {
    var rest = number
    while rest >= 0x80 {
      bytes.append(UInt8(rest & 0x7f) | 0x80)
      rest >>= 7
    }
    bytes.append(UInt8(rest))
  }

  mutating func append(_ field: Int, whole number: Int) {
    begin(field, .varint)
    append(varint: UInt64(bitPattern: Int64(number)))
  }

  mutating func append(_ field: Int, _ number: Double) {
    begin(field, .bits64)
    bytes.append(little: number.bitPattern)
  }

  mutating func append(_ field: Int, _ number: Float) {
    begin(field, .bits32)
    bytes.append(little: number.bitPattern)
  }

  private mutating func append(_ field: Int, block: [UInt8]) {
    begin(field, .length)
    append(varint: UInt64(block.count))
    bytes += block
  }

  mutating func append(_ field: Int, text: String) { append(field, block: Array(text.utf8)) }

  mutating func append(_ field: Int, _ message: ProtobufMessage) { append(field, block: message.bytes) }

  mutating func append(_ field: Int, packed numbers: [Double]) {
    var block: [UInt8] = []
    for number in numbers { block.append(little: number.bitPattern) }
    append(field, block: block)
  }
}
