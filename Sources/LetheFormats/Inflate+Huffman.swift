/// A canonical Huffman code, given by the length of each symbol's word.
///
/// *Source*: RFC 1951, section 3.2.2.
struct Huffman: ~Copyable {
  /// How many bits the table looks at; longer words are rare.
  static let tableBits = 10

  /// `symbol << 4 | length` for each pattern of the next bits; 0 where the word is longer, or none.
  let table: UnsafeMutablePointer<UInt16>
  /// How many words there are of each length.
  let counts: [Int]
  /// The symbols in the order of their words.
  let symbols: [UInt16]

  /// The code, or `nil` if the lengths leave words over or ask for too many.
  ///
  /// As zlib has it, words may be left over if there is at most one word, of one bit, unless `needsAll`.
  init?(_ lengths: ArraySlice<UInt8>, needsAll: Bool = false) {
    var counts = [Int](repeating: 0, count: 16)
    for length in lengths { counts[Int(length)] += 1 }
    counts[0] = 0
    var left = 1
    for length in 1...15 {
      left = 2 * left - counts[length]
      if left < 0 { return nil }
    }
    if left > 0 && (needsAll || counts.dropFirst(2).contains { $0 > 0 }) { return nil }

    var words = [Int](repeating: 0, count: 16)
    var places = [Int](repeating: 0, count: 16)
    for length in 1..<15 {
      words[length + 1] = (words[length] + counts[length]) << 1
      places[length + 1] = places[length] + counts[length]
    }
    var symbols = [UInt16](repeating: 0, count: lengths.count)
    let table = UnsafeMutablePointer<UInt16>.allocate(capacity: 1 << Self.tableBits)
    table.initialize(repeating: 0, count: 1 << Self.tableBits)
    for (symbol, length) in lengths.enumerated() where length > 0 {
      let length = Int(length)
      symbols[places[length]] = UInt16(symbol)
      places[length] += 1
      let word = words[length]
      words[length] += 1
      if length > Self.tableBits { continue }
      // Words are written with their highest bit first, so the table is indexed by the word reversed.
      var reversed = 0
      for bit in 0..<length where word >> bit & 1 == 1 { reversed |= 1 << (length - 1 - bit) }
      for pattern in stride(from: reversed, to: 1 << Self.tableBits, by: 1 << length) {
        table[pattern] = UInt16(symbol << 4 | length)
      }
    }
    self.table = table
    self.counts = counts
    self.symbols = symbols
  }

  deinit { table.deallocate() }
}
