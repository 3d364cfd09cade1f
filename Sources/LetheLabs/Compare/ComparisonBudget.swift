/// How long each network is trained.
public enum ComparisonBudget: Sendable, Equatable {
  /// So many seconds of training steps; making examples and looking at results is not counted.
  case seconds(Double)
  /// So many steps; the result then has the same bits for any number of threads.
  case steps(Int)

  /// A time in words, such as `60s`, `2m`, `1.5h` or `500ms`; `nil` for anything else, and outside 1 ms … 24 h.
  public init?(time: String) {
    let units: [(name: String, seconds: Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600)]
    guard let unit = units.first(where: { time.hasSuffix($0.name) }) else { return nil }
    let digits = time.dropLast(unit.name.count)
    guard digits.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }), let number = Double(digits) else {
      return nil
    }
    let seconds = number * unit.seconds
    guard (0.001...86_400).contains(seconds) else { return nil }
    self = .seconds(seconds)
  }

  /// The share of it that is used up.
  func share(steps: Int, seconds: Double) -> Double {
    switch self {
    case .seconds(let all): seconds / all
    case .steps(let all): Double(steps) / Double(all)
    }
  }

  /// It in words: `10 s`, `2000 steps`.
  public var words: String {
    switch self {
    case .seconds(let seconds): ComparisonText.seconds(seconds)
    case .steps(let steps): "\(steps) step\(steps == 1 ? "" : "s")"
    }
  }
}
