/// Colours for the cells of a ``HeatMap``, with one row of colours for light pages and one for dark ones.
///
/// Lightness changes in one direction from the quiet end to the loud one, so the maps
/// survive colour blindness and a black-and-white printer. The quiet end is the colour of the page:
/// little is pale, much is strong, in both themes.
public enum ColorMap: String, Sendable, CaseIterable, Codable {
  /// From the page's own colour to a deep blue (light) or a bright one (dark).
  case sequential
  /// From an orange extreme over the page's own colour to a blue one.
  case diverging
  /// From paper to ink, for pictures.
  case ink

  /// How many colours a map has; an odd number, so that a diverging map has a middle.
  package static let levels = 33

  /// The level for a place between 0 and 1, or nil for NaN.
  package static func level(at fraction: Double) -> Int? {
    guard !fraction.isNaN else { return nil }
    return Int((min(max(fraction, 0), 1) * Double(levels - 1)).rounded())
  }

  /// The class an element of `level` carries; the theme's rules give it a colour.
  package func className(_ level: Int) -> String {
    "\(prefix)\(level)"
  }

  /// The colour of `level` as `#rrggbb`.
  package func hex(_ level: Int, dark: Bool) -> String {
    let stops = dark ? darkStops : lightStops
    let place = Double(level) / Double(ColorMap.levels - 1) * Double(stops.count - 1)
    let index = min(max(Int(place), 0), stops.count - 2)
    let share = place - Double(index)
    var text = "#"
    for shift in [16, 8, 0] {
      let from = Double(stops[index] >> shift & 0xFF)
      let to = Double(stops[index + 1] >> shift & 0xFF)
      let digits = String(Int((from + (to - from) * share).rounded()), radix: 16)
      text += (digits.utf8.count < 2 ? "0" : "") + digits
    }
    return text
  }

  /// The colour for words on a cell of `level`: black or white, whichever contrasts more (4.4 to 1 at least).
  package func words(on level: Int) -> PlotTheme.Tone {
    let onLight = isLoud(level, dark: false) ? PlotTheme.white : PlotTheme.black
    let onDark = isLoud(level, dark: true) ? PlotTheme.black : PlotTheme.white
    return PlotTheme.wordTones.first { $0.light == onLight && $0.dark == onDark } ?? PlotTheme.ink
  }

  /// Whether a cell of `level` stands out of its page so far that words need the colour of the page.
  private func isLoud(_ level: Int, dark: Bool) -> Bool {
    switch self {
    case .sequential: level >= (dark ? 15 : 20)
    case .ink: level >= (dark ? 14 : 19)
    case .diverging: dark ? !(9...24).contains(level) : !(4...27).contains(level)
    }
  }

  private var prefix: String {
    switch self {
    case .sequential: "lq"
    case .diverging: "ld"
    case .ink: "li"
    }
  }

  private var lightStops: [Int] {
    switch self {
    case .sequential: [0xF4F1E9, 0xCFE1E3, 0x95C2CE, 0x549BB6, 0x22719A, 0x134B74, 0x0A2A49]
    case .diverging:
      [0x8A3A06, 0xC8601A, 0xE79A57, 0xF4CFA8, 0xF7F4EE, 0xBCD8E0, 0x7AAFC6, 0x2F7BA3, 0x124C75]
    case .ink: [0xF4F1E9, 0x1D2730]
    }
  }

  private var darkStops: [Int] {
    switch self {
    case .sequential: [0x1E2A31, 0x1F4355, 0x23647F, 0x3489A5, 0x5FB1C6, 0x9AD6DF, 0xDDF6F4]
    case .diverging:
      [0xFFC894, 0xF0994F, 0xB96A27, 0x6B4426, 0x202B32, 0x204B61, 0x2F7B9B, 0x62B0CB, 0xB4E3EC]
    case .ink: [0x1E2A31, 0xF1EEE6]
    }
  }
}
