/// The picture of one image and of the gates that were at work while it was read.
struct GateCard {
  /// The image and the gates.
  let example: DemoReport.Example
  /// The name of the true class.
  let truth: String
  /// The name of the class the network gave.
  let answer: String
  /// The gates of all cards, in the order in which they are drawn.
  let kinds: [DemoReport.GateKind]

  /// Writes the card; a wide one takes a whole row where there is room.
  func write(wide: Bool, into writer: inout MarkupWriter) {
    let isWrong = example.trueClass != example.predictedClass
    writer.element("figure", ["class": wide ? "card wide" : "card"]) { writer in
      writer.element("figcaption") { writer in
        writer.element("span") { writer in
          writer.element("strong", text: truth)
          writer.words(", read as ")
          writer.element("strong", ["class": isWrong ? "wrong" : ""], text: answer)
          writer.words(", " + DecimalText.percent(example.probability) + " sure")
        }
        if isWrong { writer.element("span", ["class": "flag"], text: "misread") }
      }
      for kind in kinds {
        for gate in example.gates where kind.holds(gate) { writeStrip(gate, kind.units, into: &writer) }
      }
    }
  }

  private func writeStrip(_ gate: DemoReport.Gate, _ order: [Int], into writer: inout MarkupWriter) {
    let memory = GateMemory(keep: gate.keep)
    let steps = gate.keep.count
    let means = memory.meanByStep
    let shares = gate.shares
    // One gate is named once, above all cards.
    if kinds.count > 1 {
      writer.element("p", ["class": "gate"]) { writer in
        writer.element("strong", text: gate.name)
        writer.words(" " + gate.role.deed)
      }
    }
    writer.element("div", ["class": "strip"]) { writer in
      column("seen ↓", "seen", into: &writer) {
        $0.raw(
          GateCard.picture(of: example.image, label: "the image of \(truth), as it was read", steps: steps))
      }
      column("keeps, \(memory.units) units", "keeps", into: &writer) {
        $0.raw(heat(gate, order, means))
      }
      column("mean", "means", into: &writer) { writeMeans(means, into: &$0) }
      column(gate.role.outcome, "outcome", into: &writer) {
        $0.raw(
          GateCard.picture(
            of: GateCard.faded(example.image, by: shares),
            label: "\(gate.role.outcomeInWords); by step: \(GateCard.list(shares))", steps: steps))
      }
    }
  }

  private func column(
    _ heading: String, _ style: String, into writer: inout MarkupWriter,
    _ content: (inout MarkupWriter) -> Void
  ) {
    writer.element("div", ["class": style]) { writer in
      writer.element("p", text: heading)
      content(&writer)
    }
  }

  /// The gate itself: a row for each step, a column for each unit.
  private func heat(_ gate: DemoReport.Gate, _ order: [Int], _ means: [Double]) -> String {
    let levels = gate.keep.map { row in
      order.map { unit -> Int? in
        unit < row.count && row[unit].isFinite ? ColorMap.level(at: Double(row[unit])) : nil
      }
    }
    return GateCard.bands(
      columns: max(order.count, 1), rows: max(levels.count, 1), seams: levels.count,
      label: "\(gate.name); mean by step: \(GateCard.list(means))"
    ) { writer in
      CellGrid(levels: levels, colorMap: .sequential).draw(into: &writer)
      for (step, mean) in means.enumerated() {
        writer.element(
          "rect",
          ["y": String(step), "width": String(max(order.count, 1)), "height": "1", "fill-opacity": "0"]
        ) { $0.element("title", text: "step \(step + 1): mean \(DecimalText.fixed(mean, 3))") }
      }
    }
  }

  /// A bar and a number for the mean of each step.
  private func writeMeans(_ means: [Double], into writer: inout MarkupWriter) {
    writer.element("div", ["class": "bars"]) { writer in
      writer.raw(
        GateCard.bands(columns: 1, rows: max(means.count, 1), seams: 0, label: "") { writer in
          for (step, mean) in means.enumerated() where mean.isFinite {
            let y = DecimalText.short(Double(step) + 0.28)
            writer.leaf("rect", ["class": "track", "y": y, "width": "1", "height": "0.44"])
            writer.toned(PlotTheme.series[0]) {
              $0.leaf(
                "rect",
                [
                  "y": y, "width": DecimalText.short(min(max(mean, 0), 1), 3), "height": "0.44",
                  "fill": "currentColor",
                ])
            }
          }
        })
      if means.count <= 10 {
        writer.element("ol") { writer in
          for mean in means { writer.element("li", text: DecimalText.fixed(mean, 2)) }
        }
      }
    }
  }

  /// An image as pixels, with a thin seam between the rows of one step and the next.
  static func picture(of image: [[Float]], label: String, steps: Int = 0) -> String {
    let levels = image.map { row in row.map { $0.isFinite ? ColorMap.level(at: Double($0)) : nil } }
    return bands(
      columns: max(image.map(\.count).max() ?? 0, 1), rows: max(image.count, 1), seams: steps, label: label
    ) {
      CellGrid(levels: levels, colorMap: .ink).draw(into: &$0)
    }
  }

  /// `image` with each row made fainter by the share of its step in `shares`.
  static func faded(_ image: [[Float]], by shares: [Double]) -> [[Float]] {
    guard !shares.isEmpty else { return image }
    return image.enumerated().map { row, pixels in
      let share = shares[row * shares.count / image.count]
      return pixels.map { $0 * Float(share) }
    }
  }

  private static func list(_ numbers: [Double]) -> String {
    numbers.map { DecimalText.fixed($0, 2) }.joined(separator: ", ")
  }

  /// A drawing that stretches over its place, cut by `seams` minus one lines into steps of equal height.
  static func bands(
    columns: Int, rows: Int, seams: Int, label: String, _ draw: (inout MarkupWriter) -> Void
  ) -> String {
    var writer = MarkupWriter()
    writer.element(
      "svg",
      [
        "class": "lethe-plot", "viewBox": "0 0 \(columns) \(rows)", "preserveAspectRatio": "none",
        "role": label.isEmpty ? "" : "img", "aria-label": label, "aria-hidden": label.isEmpty ? "true" : "",
      ]
    ) { writer in
      draw(&writer)
      guard seams > 1 else { return }
      var path = ""
      for seam in 1..<seams {
        path += "M0 \(DecimalText.short(Double(seam * rows) / Double(seams), 3))h\(columns)"
      }
      writer.leaf("path", ["class": "seam", "d": path])
    }
    return writer.text
  }

  /// What the colours stand for, behind the name of the gate if there is only one.
  static func writeLegend(_ name: String, into writer: inout MarkupWriter) {
    writer.element("p", ["class": "legend"]) { writer in
      if !name.isEmpty { writer.element("strong", text: name) }
      writer.words(" 0, drops ")
      writer.raw(
        bands(columns: ColorMap.levels, rows: 1, seams: 0, label: "") {
          CellGrid(levels: [Array(0..<ColorMap.levels)], colorMap: .sequential).draw(into: &$0)
        })
      writer.words(" 1, keeps")
    }
  }

  /// The rules for cards and for the strip of misread images.
  static let style = """
    .cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,28rem),1fr));gap:1.25rem;\
    margin:0 0 1.5rem}
    .card{--tall:7rem;--bars:5rem}
    .card figcaption{display:flex;justify-content:space-between;align-items:baseline;margin:0 0 .6rem}
    .card figcaption strong{font:600 1.35rem/1.2 var(--serif)}
    .wrong,.card figcaption .wrong{color:var(--warn)}
    .flag{padding:.05rem .6rem;border:1px solid currentColor;border-radius:1rem;color:var(--warn);\
    font-size:.78rem}
    .gate{margin:.9rem 0 .3rem;font-size:.8rem;line-height:1.3;color:var(--muted)}
    .gate strong{margin-right:.4rem;color:var(--ink)}
    .strip{display:grid;grid-template-columns:var(--tall) minmax(0,1fr) var(--bars) var(--tall);gap:.75rem}
    .strip p{margin:0 0 .3rem;color:var(--muted);font-size:.75rem;line-height:1.2;white-space:nowrap}
    .strip svg,.misread svg,.legend svg{display:block;width:100%;height:var(--tall)}
    .seam{fill:none;stroke:var(--card);stroke-width:1.5px;vector-effect:non-scaling-stroke}
    .track{fill:var(--empty)}
    .bars{display:grid;grid-template-columns:1fr 1.7rem;gap:.35rem;height:var(--tall)}
    .bars ol{display:grid;grid-auto-rows:1fr;align-items:center;margin:0;padding:0;list-style:none;\
    font-size:.72rem;line-height:1;text-align:right}
    .bars li{margin:0}
    .legend{display:flex;flex-wrap:wrap;align-items:center;gap:.2rem .6rem;margin-top:1.8rem;\
    font-size:.85rem;color:var(--muted)}
    .legend strong{color:var(--ink);margin-right:.6rem}
    .legend svg{width:9rem;height:.8rem}
    main .misread{display:grid;grid-template-columns:repeat(auto-fill,minmax(6.2rem,1fr));gap:.8rem;\
    max-width:none;padding:0;list-style:none}
    .misread li{margin:0;padding:.7rem;background:var(--card);border:1px solid var(--rule);border-radius:10px}
    .misread svg{height:auto;aspect-ratio:1}
    .misread p{margin:.5rem 0 0;font-size:.85rem;line-height:1.4}
    @media (min-width:62rem){.wide{--tall:14rem;--bars:9rem;grid-column:1/-1}.wide .strip{gap:1.25rem}\
    .wide .bars{grid-template-columns:1fr 2.2rem}.wide ol,.wide .strip p{font-size:.85rem}}
    @media (max-width:36rem){.card{--tall:5.3rem;--bars:1.9rem}.strip{gap:.5rem}.strip p{font-size:.68rem}\
    .bars{grid-template-columns:1fr}.bars ol{display:none}.legend strong{flex-basis:100%}\
    .gate strong{display:block}}
    @media print{.cards{grid-template-columns:1fr 1fr}.legend{break-after:avoid}}

    """
}
