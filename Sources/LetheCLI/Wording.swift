import Lethe

/// Numbers in the words of the commands.
enum Wording {
  /// `99.16% (356 of 359)`.
  static func share(_ share: Double?, of count: Int) -> String {
    guard let share else { return DecimalText.missing }
    let right = Int((share * Double(count)).rounded())
    return "\(DecimalText.percent(share, 2)) (\(DecimalText.grouped(right)) of \(DecimalText.grouped(count)))"
  }

  /// `0.0312`.
  static func loss(_ loss: Double?) -> String { loss.map { DecimalText.fixed($0, 4) } ?? DecimalText.missing }

  /// A word of a command line as a shell reads it back.
  static func quoted(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
        UInt8(ascii: "/"), UInt8(ascii: "="), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "+"):
        true
      default: byte >= 0x80
      }
    }
    if plain && !word.isEmpty { return word }
    return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }
}
