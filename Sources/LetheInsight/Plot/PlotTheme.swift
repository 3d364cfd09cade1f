/// Where the text of an SVG will stand.
public enum SVGPlacement: Sendable {
  /// A file of its own: with a name space, a background, its title and its own style.
  case file
  /// Inside a page that carries ``PlotTheme/css(_:)``: nothing that the page already has.
  case page
}

/// The colours of charts in light and dark.
///
/// Every coloured element carries a class and, beside it, the light colour as a plain attribute. A browser
/// follows the class through the style sheet; a viewer that knows no CSS still shows the light chart.
public enum PlotTheme {
  /// A colour with a name: what the style sheet calls it, and its value in each theme.
  package struct Tone: Sendable {
    package let name: String
    package let light: String
    package let dark: String
  }

  /// Words and axes.
  package static let ink = Tone(name: "lp-ink", light: "#1d2730", dark: "#e7ebec")
  /// Words of less weight.
  package static let muted = Tone(name: "lp-muted", light: "#586670", dark: "#a3b0b7")
  /// Grid lines.
  package static let grid = Tone(name: "lp-grid", light: "#e4e0d6", dark: "#2e3a42")
  /// What a chart lies on.
  package static let paper = Tone(name: "lp-paper", light: "#fffefb", dark: "#182127")

  package static let black = "#0b1014"
  package static let white = "#ffffff"

  /// Words on coloured cells: each pair of black and white.
  package static let wordTones = [
    Tone(name: "lp-w0", light: black, dark: white), Tone(name: "lp-w1", light: white, dark: black),
    Tone(name: "lp-w2", light: black, dark: black), Tone(name: "lp-w3", light: white, dark: white),
  ]

  /// One colour for each series, told apart by people with any kind of colour vision; reused from the start.
  package static let series = [
    Tone(name: "lp-c0", light: "#125f8c", dark: "#6fbbe0"),
    Tone(name: "lp-c1", light: "#c45a14", dark: "#f0a05c"),
    Tone(name: "lp-c2", light: "#2d8570", dark: "#74cdb4"),
    Tone(name: "lp-c3", light: "#7d5596", dark: "#c7a3dc"),
    Tone(name: "lp-c4", light: "#8c7305", dark: "#dcc45c"),
    Tone(name: "lp-c5", light: "#5d6871", dark: "#a9b4ba"),
  ]

  /// Dashes beside the colours, so that lines differ in print too.
  package static let dashes = ["", "6 4", "2 4", "9 3 2 3", "12 4", "4 2"]

  /// The style sheet of all charts, with the colour maps named.
  ///
  /// A page that holds charts made for ``SVGPlacement/page`` includes it once.
  public static func css(_ maps: [ColorMap] = ColorMap.allCases) -> String {
    let tones = [ink, muted, grid, paper] + wordTones + series
    var css = ""
    for tone in tones { css += ".lethe-plot .\(tone.name){color:\(tone.light)}" }
    for map in maps { css += rules(map, dark: false) }
    css += "@media screen and (prefers-color-scheme:dark){"
    for tone in tones { css += ".lethe-plot .\(tone.name){color:\(tone.dark)}" }
    for map in maps { css += rules(map, dark: true) }
    return css + "}"
  }

  private static func rules(_ map: ColorMap, dark: Bool) -> String {
    var css = ""
    for level in 0..<ColorMap.levels {
      css += ".lethe-plot .\(map.className(level)){fill:\(map.hex(level, dark: dark))}"
    }
    return css
  }

  /// The outer element of a chart around what `draw` writes, in the coordinates `width` by `height`;
  /// a file has a margin of 12 around them.
  package static func svg(
    width: Double, height: Double, label: String, placement: SVGPlacement, maps: [ColorMap] = [],
    _ draw: (inout MarkupWriter) -> Void
  ) -> String {
    let w = DecimalText.short(width)
    let h = DecimalText.short(height)
    let wide = DecimalText.short(width + 24)
    let high = DecimalText.short(height + 24)
    var writer = MarkupWriter()
    writer.element(
      "svg",
      [
        "xmlns": placement == .file ? "http://www.w3.org/2000/svg" : "", "class": "lethe-plot",
        "viewBox": placement == .file ? "-12 -12 \(wide) \(high)" : "0 0 \(w) \(h)", "width": w, "height": h,
        "role": "img",
        "aria-label": label, "font-size": "12",
        "font-family": placement == .file ? "system-ui, 'Segoe UI', Helvetica, Arial, sans-serif" : "",
      ]
    ) { writer in
      if placement == .file {
        writer.element("style") { $0.raw(css(maps)) }
        writer.element("g", ["class": paper.name, "color": paper.light]) {
          // Far larger than the drawing, so that it also lies under the margin.
          $0.leaf(
            "rect", ["x": "-\(w)", "y": "-\(h)", "width": "300%", "height": "300%", "fill": "currentColor"])
        }
      }
      draw(&writer)
    }
    return writer.text
  }
}

extension MarkupWriter {
  /// A group whose `currentColor` is `tone`.
  package mutating func toned(_ tone: PlotTheme.Tone, _ content: (inout MarkupWriter) -> Void) {
    element("g", ["class": tone.name, "color": tone.light], content)
  }

  /// Words at a point of a chart; `anchor` is `start`, `middle` or `end`.
  package mutating func label(
    _ words: String, x: Double, y: Double, anchor: String = "start", size: Double = 12, bold: Bool = false
  ) {
    element(
      "text",
      [
        "x": DecimalText.short(x), "y": DecimalText.short(y),
        "text-anchor": anchor == "start" ? "" : anchor, "fill": "currentColor",
        "font-size": size == 12 ? "" : DecimalText.short(size), "font-weight": bold ? "600" : "",
      ], text: words)
  }

  /// A straight line of a chart in the current colour.
  package mutating func line(x1: Double, y1: Double, x2: Double, y2: Double, width: Double = 1) {
    let from = "\(DecimalText.short(x1)) \(DecimalText.short(y1))"
    let to = "\(DecimalText.short(x2)) \(DecimalText.short(y2))"
    leaf(
      "path",
      [
        "d": "M\(from)L\(to)",
        "stroke": "currentColor", "stroke-width": DecimalText.short(width), "fill": "none",
      ])
  }
}
