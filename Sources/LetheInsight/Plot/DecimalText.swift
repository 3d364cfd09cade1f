/// Numbers as decimal text: the same bytes on every machine, without Foundation or a locale.
package enum DecimalText {
  /// What stands for a number that is not one.
  package static let missing = "n/a"

  /// `value` with exactly `decimals` digits after the point, halves rounded away from zero.
  ///
  /// A NaN or an infinity gives ``missing``; a value too large for sixteen digits gives Swift's own text.
  package static func fixed(_ value: Double, _ decimals: Int) -> String {
    guard value.isFinite else { return missing }
    let places = min(max(decimals, 0), 12)
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    let scaled = (value.magnitude * scale).rounded(.toNearestOrAwayFromZero)
    guard scaled < 9e15 else { return "\(value)" }
    let sign = value < 0 && scaled > 0 ? "-" : ""
    let digits = String(Int64(scaled))
    guard places > 0 else { return sign + digits }
    let padding = max(0, places + 1 - digits.utf8.count)
    let padded = String(repeating: "0", count: padding) + digits
    return sign + padded.dropLast(places) + "." + padded.suffix(places)
  }

  /// `value` with at most `decimals` digits after the point and no zeros at the end: `1.50` becomes `1.5`.
  package static func short(_ value: Double, _ decimals: Int = 2) -> String {
    let text = fixed(value, decimals)
    guard text.contains("."), !text.contains("e") else { return text }
    var kept = Substring(text)
    while kept.last == "0" { kept = kept.dropLast() }
    if kept.last == "." { kept = kept.dropLast() }
    return String(kept)
  }

  /// A share between 0 and 1 as a percentage: `0.9722` with one decimal becomes `97.2%`.
  package static func percent(_ share: Double, _ decimals: Int = 1) -> String {
    share.isFinite ? fixed(share * 100, decimals) + "%" : missing
  }

  /// `value` with a comma between groups of three digits: `12345` becomes `12,345`.
  package static func grouped(_ value: Int) -> String {
    let digits = String(value.magnitude)
    var result = value < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.utf8.count - index) % 3 == 0 { result += "," }
      result.append(digit)
    }
    return result
  }
}
