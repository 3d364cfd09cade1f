import LetheCore

/// Undoes deflate: reads bits from a buffer and appends to its content.
///
/// Names follow RFC 1951. Bits come from `bits`, lowest first; those above `bitCount` are bytes that will be
/// loaded again, or zeros behind the end.
package struct Inflater: ~Copyable {
  /// How many bytes there are so far.
  package private(set) var count = 0

  private let input: UnsafeBufferPointer<UInt8>
  private let name: String
  private let limit: Int
  private var loaded = 0
  private var bits: UInt64 = 0
  private var bitCount = 0
  private var output: UnsafeMutablePointer<UInt8>
  private var capacity: Int

  /// The longest match, and the seven bytes that copying by eights may write behind it.
  private static let reserve = 258 + 7

  package init(_ input: UnsafeBufferPointer<UInt8>, name: String, limit: Int) {
    self.input = input
    self.name = name
    self.limit = min(max(limit, 0), 1 << 48)
    capacity = min(max(4 * input.count, 4096), self.limit) + 2 * Self.reserve
    output = .allocate(capacity: capacity)
  }

  deinit { output.deallocate() }

  /// What has been decompressed; valid until more is.
  package var content: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: output, count: count) }

  /// The byte of the input that the next bit is in.
  package var position: Int { loaded - bitCount / 8 }

  /// The error for a byte of the input; the present one unless said otherwise.
  package func error(
    _ problem: String, at position: Int? = nil, expected: String? = nil, found: String? = nil
  ) -> LetheError {
    LetheError(
      "\(name): byte \(position ?? self.position)", problem, expected: expected, found: found,
      advice: "the file is damaged, or of another format")
  }

  /// Decompresses blocks up to the last one, and goes to the next whole byte.
  package mutating func inflate() throws {
    let first = count
    var isLast = false
    while !isLast {
      isLast = try take(1, "block") == 1
      switch try take(2, "block") {
      case 0: try copyStored()
      case 1: try inflateFixed(from: first)
      case 2: try inflateDynamic(from: first)
      default: throw error("the type of the block is not defined")
      }
    }
    drop(bitCount & 7)
    try checkLimit()
  }

  // MARK: Bits

  /// Loads until there are 56 bits or more, or all that are left.
  @inline(__always)
  private mutating func refill() {
    if loaded + 8 <= input.count {
      let word = UnsafeRawBufferPointer(input).loadUnaligned(fromByteOffset: loaded, as: UInt64.self)
      bits |= UInt64(littleEndian: word) << UInt64(bitCount)
      loaded += (63 - bitCount) >> 3
      bitCount |= 56
    } else {
      while bitCount < 56 && loaded < input.count {
        bits |= UInt64(input[loaded]) << UInt64(bitCount)
        loaded += 1
        bitCount += 8
      }
    }
  }

  @inline(__always)
  private mutating func drop(_ n: Int) {
    bits >>= UInt64(n)
    bitCount -= n
  }

  /// The next `n` bits, 16 at most.
  @inline(__always)
  package mutating func take(_ n: Int, _ what: String) throws -> Int {
    if bitCount < n {
      refill()
      if bitCount < n { throw cutShort(what) }
    }
    let value = Int(bits & ((1 << UInt64(n)) - 1))
    drop(n)
    return value
  }

  /// The next 32 bits.
  package mutating func take32(_ what: String) throws -> UInt32 {
    let low = try take(16, what)
    return UInt32(try take(16, what)) << 16 | UInt32(low)
  }

  private func cutShort(_ what: String) -> LetheError {
    error("the file is cut short in the \(what)", at: input.count)
  }

  /// The next symbol of a code.
  @inline(__always)
  private mutating func symbol(_ code: borrowing Huffman) throws -> Int {
    let entry = code.table[Int(bits & ((1 << UInt64(Huffman.tableBits)) - 1))]
    let length = Int(entry & 15)
    if length == 0 || length > bitCount { return try longSymbol(code) }
    drop(length)
    return Int(entry >> 4)
  }

  /// The next symbol, found bit by bit; for codes too long for the table.
  private mutating func longSymbol(_ code: borrowing Huffman) throws -> Int {
    var word = 0
    var first = 0
    var index = 0
    for length in 1...15 {
      word |= try take(1, "compressed data")
      let count = code.counts[length]
      if word - first < count { return Int(code.symbols[index + word - first]) }
      index += count
      first = (first + count) << 1
      word <<= 1
    }
    throw error("these bits are no symbol of the block's code")
  }

  // MARK: Blocks

  private mutating func copyStored() throws {
    drop(bitCount & 7)
    let length = try take(16, "length of a stored block")
    let complement = try take(16, "length of a stored block")
    if length != ~complement & 0xffff {
      throw error("the length of a stored block and its complement disagree")
    }
    loaded = position
    bits = 0
    bitCount = 0
    if length > input.count - loaded { throw cutShort("stored block") }
    try makeRoom(length)
    if length > 0, let start = input.baseAddress {
      (output + count).update(from: start + loaded, count: length)
    }
    count += length
    loaded += length
  }

  private mutating func inflateFixed(from first: Int) throws {
    var lengths = [UInt8](repeating: 8, count: 288)
    for i in 144..<256 { lengths[i] = 9 }
    for i in 256..<280 { lengths[i] = 7 }
    guard let literals = Huffman(lengths[...]), let distances = Huffman([UInt8](repeating: 5, count: 32)[...])
    else { throw error("the fixed code is broken") }
    try inflateBlock(literals, distances, from: first)
  }

  private mutating func inflateDynamic(from first: Int) throws {
    let literalCount = try take(5, "code of a block") + 257
    let distanceCount = try take(5, "code of a block") + 1
    let lengthCount = try take(4, "code of a block") + 4
    if literalCount > 286 || distanceCount > 30 { throw error("a block's code has too many symbols") }
    var lengths = [UInt8](repeating: 0, count: 19)
    let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
    for i in order.prefix(lengthCount) { lengths[i] = UInt8(try take(3, "code of a block")) }
    guard let code = Huffman(lengths[...], needsAll: true) else {
      throw error("the code of a block's code is none")
    }
    lengths = []
    while lengths.count < literalCount + distanceCount {
      refill()
      let value = try symbol(code)
      if value < 16 {
        lengths.append(UInt8(value))
        continue
      }
      guard let repeated = value == 16 ? lengths.last : 0 else {
        throw error("a block's code repeats nothing")
      }
      let times =
        switch value {
        case 16: try take(2, "code of a block") + 3
        case 17: try take(3, "code of a block") + 3
        default: try take(7, "code of a block") + 11
        }
      lengths += repeatElement(repeated, count: times)
    }
    if lengths.count > literalCount + distanceCount { throw error("a block's code has too many lengths") }
    if lengths[256] == 0 { throw error("a block's code has no end of block") }
    guard let literals = Huffman(lengths[..<literalCount]), let distances = Huffman(lengths[literalCount...])
    else { throw error("a block's code is none: its lengths are too many or too few") }
    try inflateBlock(literals, distances, from: first)
  }

  /// Decompresses up to the end of a block; matches reach back to `first`, where the member began.
  private mutating func inflateBlock(
    _ literals: borrowing Huffman, _ distances: borrowing Huffman, from first: Int
  ) throws {
    while true {
      if capacity - count < Self.reserve { try makeRoom(Self.reserve) }
      // 56 bits are enough for a length, a distance, and the extra bits of both.
      refill()
      let value = try symbol(literals)
      if value < 256 {
        output[count] = UInt8(truncatingIfNeeded: value)
        count += 1
        continue
      }
      if value == 256 { return }
      if value > 285 { throw error("a length's symbol is not defined") }
      let length = try Self.length(value - 257, &self)
      let slot = try symbol(distances)
      if slot > 29 { throw error("a distance's symbol is not defined") }
      let distance = try Self.distance(slot, &self)
      if distance > count - first {
        throw error(
          "a match reaches back before the start", found: "\(distance) bytes back of \(count - first)")
      }
      copyMatch(length, distance)
    }
  }

  /// Lengths 3 to 10 one by one, then four slots for each number of extra bits, and 258 on its own.
  @inline(__always)
  private static func length(_ slot: Int, _ bits: inout Inflater) throws -> Int {
    if slot < 8 { return slot + 3 }
    if slot == 28 { return 258 }
    let extra = (slot >> 2) - 1
    return try 3 + ((4 + (slot & 3)) << extra) + bits.take(extra, "compressed data")
  }

  /// Distances 1 to 4 one by one, then two slots for each number of extra bits.
  @inline(__always)
  private static func distance(_ slot: Int, _ bits: inout Inflater) throws -> Int {
    if slot < 4 { return slot + 1 }
    let extra = (slot >> 1) - 1
    return try 1 + ((2 + (slot & 1)) << extra) + bits.take(extra, "compressed data")
  }

  /// Repeats what is `distance` back; the source may run into what is being written.
  @inline(__always)
  private mutating func copyMatch(_ length: Int, _ distance: Int) {
    let to = output + count
    let from = to - distance
    if distance >= 8 {
      for i in stride(from: 0, to: length, by: 8) {
        let word = UnsafeRawPointer(from + i).loadUnaligned(as: UInt64.self)
        UnsafeMutableRawPointer(to + i).storeBytes(of: word, as: UInt64.self)
      }
    } else {
      for i in 0..<length { to[i] = from[i] }
    }
    count += length
  }

  // MARK: Room

  private func checkLimit() throws {
    if count > limit {
      throw LetheError(name, "the content is too large", expected: "at most \(limit) bytes", found: "more")
    }
  }

  private mutating func makeRoom(_ more: Int) throws {
    if capacity - count >= more { return }
    try checkLimit()
    // The limit is checked in steps, so content passes it by no more than a match or a stored block.
    let larger = max(min(2 * capacity, limit), count + more) + Self.reserve
    let room = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
    room.update(from: output, count: count)
    output.deallocate()
    output = room
    capacity = larger
  }
}
