/// The sections whose panels share the time axis.
extension LookPage {
  mutating func inputSection() -> HTMLPage.Section? {
    guard let input = report.input, report.steps > 0 else { return nil }
    var blocks: [HTMLPage.Block] = []
    switch input {
    case .text(let tokens, let separator):
      blocks.append(.markup(flow(tokens, separator)))
    case .image(let pixels):
      let wide = pixels.map(\.count).max() ?? 0
      guard wide > 0 else { return nil }
      // Time runs to the right here, so the picture lies on its side: a column for each of its rows.
      let turned = (0..<wide).map { x in
        pixels.map { x < $0.count ? Double($0[x]) : .nan }
      }
      let map = add(
        LevelMap(turned, low: 0, high: 1, colorMap: .ink), label: "pixel",
        groups: (0..<wide).map { "pixel \($0 + 1) of its row" })
      blocks.append(
        LookPage.stack { writer in
          row(
            "the picture", note: "read from top to bottom", style: "picture",
            label: "the rows of the picture over time", map: map, into: &writer,
            gutter: { writer in
              writer.element("div", ["class": "upright"]) { writer in
                writer.raw(GateCard.picture(of: pixels, label: "the picture, upright", steps: report.steps))
                writer.element("i", ["class": "band"]) { _ in }
              }
            }, plot: { LookPage.canvas(rows: wide, height: 152, into: &$0) })
          ticks(into: &writer)
        })
    case .series(let channels):
      let numbers = channels.map { channel in
        add(line: axis.means(channel.values.map(Double.init)), name: channel.name)
      }
      blocks.append(
        LookPage.stack { writer in
          for (index, channel) in channels.enumerated() {
            let values = axis.means(channel.values.map(Double.init))
            let ticks = AxisTicks(covering: AxisTicks.range(of: values) ?? 0...1, about: 2)
            row(
              channel.name, line: numbers[index], label: "\(channel.name) over time", into: &writer
            ) { writer in
              drawing(height: 72, into: &writer) {
                LookPage.line(values, on: ticks.bounds, into: &$0)
              }
              LookPage.levels(zip(ticks.values, ticks.labels).map { (ticks.fraction($0), $1) }, into: &writer)
            }
          }
          ticks(into: &writer)
        })
    }
    return HTMLPage.Section("What it read", short: "Input", blocks: blocks)
  }

  /// The tokens as running text, each shaded by what it adds to the answer.
  private func flow(_ tokens: [String], _ separator: String) -> String {
    let limit = 6000
    let shown = tokens.prefix(min(report.steps, limit))
    let weights = report.attribution?.contributions ?? []
    let size = weights.filter(AxisTicks.isDrawable).map(\.magnitude).max() ?? 0
    var writer = MarkupWriter()
    writer.element("div", ["class": "stack tokens"]) { writer in
      for (step, token) in shown.enumerated() {
        var style = "t"
        if size > 0, step < weights.count, AxisTicks.isDrawable(weights[step]) {
          let level = Int((weights[step].magnitude / size * 6).rounded())
          if level > 0 { style += weights[step] < 0 ? " n\(level)" : " p\(level)" }
        }
        let words = LookWords.shown(token, atMost: 200)
        writer.element("span", ["class": style, "data-step": String(step)], text: words)
        writer.words(token.contains("\n") ? "\n" : separator)
      }
      if tokens.count > limit { writer.words(" … and \(DecimalText.grouped(tokens.count - limit)) more") }
    }
    if size > 0 {
      writer.element("p", ["class": "aside"]) { writer in
        writer.words("Shaded by what a token adds to the answer: ")
        writer.element("span", ["class": "t p5"], text: "for it")
        writer.words(", ")
        writer.element("span", ["class": "t n5"], text: "against it")
        writer.words(". Point at a token to see the network at that step.")
      }
    }
    return writer.text
  }

  mutating func gateSection() -> HTMLPage.Section? {
    var layers = report.layers
    for index in layers.indices { layers[index].signals.removeAll { GateMemory(keep: $0.values).units == 0 } }
    layers.removeAll { $0.signals.isEmpty }
    guard !layers.isEmpty, report.steps > 0 else { return nil }
    var blocks: [HTMLPage.Block] = [.markup(LookPage.legend)]
    for (index, layer) in layers.enumerated() {
      let caption = words.gates(layer)
      blocks.append(.heading(layer.name))
      if !caption.isEmpty { blocks.append(.paragraph([.text(caption)])) }
      blocks.append(gates(of: layer, isSpoken: index == layers.count - 1))
    }
    blocks.append(.details("The means of all gates as a table", [.table(meansTable(layers))]))
    return HTMLPage.Section("What its gates did", short: "Gates", blocks: blocks)
  }

  private mutating func gates(of layer: LookReport.Layer, isSpoken: Bool) -> HTMLPage.Block {
    let key = layer.signals.first { $0.role == .memory } ?? layer.signals[0]
    let order = GateMemory.order(of: [GateMemory(keep: key.values)])
    let panels = layer.signals.map { signal -> (map: LevelMap, number: Int, line: Int, means: [Double]) in
      let units = GateMemory(keep: signal.values).units
      // A signal with units of its own keeps their order.
      let ranks = units == order.count ? order : Array(0..<units)
      let map = LevelMap(signal, order: ranks, limit: mostRows, axis: axis)
      let groups = TimeAxis(steps: units, atMost: mostRows)
      let names = (0..<groups.columns).map { row in
        let members = groups.steps(of: row).map { ranks[$0] }
        return members.count == 1 ? "unit \(members[0])" : "units " + LookWords.units(members, atMost: 4)
      }
      let means = LookWords.meanByStep(signal)
      let number = add(map, label: signal.name, groups: names)
      return (map, number, add(line: axis.means(means), name: signal.name, isSpoken: isSpoken), means)
    }
    let units = LookWords.count(order.count, "unit")
    let joined = order.count > mostRows ? ", neighbours averaged" : ""
    return LookPage.stack { writer in
      for (signal, panel) in zip(layer.signals, panels) {
        let means = axis.means(panel.means)
        let high = signal.role == .value ? AxisTicks.range(of: means)?.upperBound ?? 1 : 1
        row(
          signal.name, note: signal.role == .memory ? "keeps" : signal.role == .value ? "size" : "",
          line: panel.line, style: "gate",
          label: "\(signal.name) of \(units) over time, mean \(LookWords.number(mean(panel.means)))",
          map: panel.number, into: &writer
        ) { writer in
          LookPage.canvas(rows: panel.map.rows, into: &writer)
          drawing(height: 34, style: "mean", into: &writer) {
            LookPage.line(means, on: 0...max(high * 1.05, 1e-12), into: &$0)
          }
        }
      }
      ticks(into: &writer)
      writer.element("p", ["class": "aside"]) { writer in
        writer.words(
          """
          Rows: \(units), sorted by the mean of \(key.name)\(joined). Line and number: their mean, \
          of values their mean size
          """)
        if axis.joinsSteps {
          writer.words(". \(DecimalText.grouped(report.steps)) steps in \(axis.columns) columns, averaged")
        }
        writer.words(".")
      }
    }
  }

  private func meansTable(_ layers: [LookReport.Layer]) -> HTMLPage.Table {
    let short = TimeAxis(steps: report.steps, atMost: 50)
    let signals = layers.flatMap { layer in layer.signals.map { (layer.name, $0) } }
    let means = signals.map { short.means(LookWords.meanByStep($0.1)) }
    let header = signals.map { layers.count > 1 ? "\($0.0) \($0.1.name)" : $0.1.name }
    return HTMLPage.Table(
      caption: short.joinsSteps ? "Means over the units and over the steps of a row" : "Means over the units",
      header: ["Step"] + header,
      rows: (0..<short.columns).map { row in
        let name = words.column(short.steps(of: row))
        return [name] + means.map { DecimalText.fixed($0[row], 3) }
      }, numeric: Set(1..<signals.count + 1))
  }

  /// What the colours stand for.
  private static var legend: String {
    func bar(_ map: ColorMap) -> String {
      GateCard.bands(columns: ColorMap.levels, rows: 1, seams: 0, label: "") {
        CellGrid(levels: [Array(0..<ColorMap.levels)], colorMap: map).draw(into: &$0)
      }
    }
    var writer = MarkupWriter()
    for (low, map, high) in [
      ("0, closed", ColorMap.sequential, "1, open"), ("negative", .diverging, "positive"),
    ] {
      writer.element("p", ["class": "legend"]) { writer in
        writer.element("b", text: low)
        writer.raw(bar(map))
        writer.words(high)
      }
    }
    return writer.text
  }

  mutating func ledgerSection() -> HTMLPage.Section? {
    guard report.steps > 0 else { return nil }
    let ledger = report.ledger.flatMap { $0.maps.isEmpty ? nil : $0 }
    guard ledger != nil || report.attribution != nil else { return nil }
    var blocks = [words.ledger, words.attribution].compactMap { $0 }.map {
      HTMLPage.Block.paragraph([.text($0)])
    }
    let coarse = TimeAxis(steps: report.steps, atMost: LookPage.mostLedgerColumns)
    let numbers = (ledger?.maps ?? []).map {
      add(LevelMap(ledger: $0.shares, axis: coarse), label: "ledger of " + $0.name)
    }
    let contributions = report.attribution.map {
      add(line: axis.sums($0.contributions), name: "adds to the answer", isSpoken: true)
    }
    blocks.append(
      LookPage.stack { writer in
        if let ledger {
          writeLedger(ledger, numbers, coarse, into: &writer)
        }
        if let attribution = report.attribution {
          let values = axis.sums(attribution.contributions)
          let range = AxisTicks.range(of: values + [0]) ?? 0...1
          let ticks = AxisTicks(covering: range, about: 3)
          row(
            "the answer", note: "rests on", line: contributions,
            label: "what each step adds to the logit of \(attribution.answer)", into: &writer
          ) { writer in
            drawing(height: 110, into: &writer) { LookPage.bars(values, on: ticks.bounds, into: &$0) }
            LookPage.levels(zip(ticks.values, ticks.labels).map { (ticks.fraction($0), $1) }, into: &writer)
          }
        }
        ticks(into: &writer)
        if ledger != nil, coarse.joinsSteps {
          writer.element(
            "p", ["class": "aside"],
            text: "\(DecimalText.grouped(report.steps)) steps in \(coarse.columns) columns of the ledger: "
              + "shares add up over steps of writing and are averaged over steps of reading.")
        }
      })
    if let table = attributionTable {
      blocks.append(.details("The strongest steps as a table", [.table(table)]))
    }
    return HTMLPage.Section("What is in memory, and since when", short: "Memory", blocks: blocks)
  }

  private func writeLedger(
    _ ledger: LookReport.Ledger, _ numbers: [Int], _ coarse: TimeAxis, into writer: inout MarkupWriter
  ) {
    row(
      "the ledger", note: "of " + ledger.layer, style: "ledger",
      label: "share of the memory at each step of reading, across, by the step of writing, down",
      map: numbers[0], into: &writer,
      gutter: { writer in
        if numbers.count > 1 {
          writer.element("label") { writer in
            writer.words("memory of ")
            writer.element("select", ["id": "ledger-view"]) { writer in
              for (map, number) in zip(ledger.maps, numbers) {
                writer.element(
                  "option", ["value": String(number)], text: LookWords.shown(map.name, atMost: 40))
              }
            }
          }
        }
        writer.element("p", ["class": "aside"]) { writer in
          writer.words("Across: read at this step. Down: written at that step. A long streak is kept long.")
        }
      },
      plot: { writer in
        LookPage.canvas(rows: coarse.columns, height: coarse.columns < 12 ? 224 : 320, into: &writer)
        for step in LookPage.marks(report.steps, about: 6).dropFirst() where step * 50 < report.steps * 47 {
          let top = DecimalText.short((Double(step) - 0.5) / Double(report.steps) * 100)
          writer.element("span", ["class": "written", "style": "top:\(top)%", "aria-hidden": "true"]) {
            writer in
            if step == LookPage.marks(report.steps, about: 6)[1] { writer.element("em", text: "written at ") }
            writer.words(DecimalText.grouped(step))
          }
        }
      })
    row(
      "in memory", note: "at the cursor, by step of writing", style: "profile",
      label: "what is in memory at the cursor, by the step that wrote it", into: &writer
    ) { writer in
      drawing(height: 64, id: "profile", into: &writer) { writer in
        let last = coarse.columns - 1
        let map = LevelMap(ledger: ledger.maps[0].shares, axis: coarse)
        let shares = (0..<coarse.columns).map { map.value(map.cells[$0 * map.columns + last]) }
        let scale = Double(axis.columns) / Double(coarse.columns)
        let size = max(AxisTicks.range(of: shares)?.upperBound ?? 0, 1e-12)
        var path = ""
        for (row, share) in shares.enumerated() where AxisTicks.isDrawable(share) && share > 0 {
          let x = DecimalText.short(Double(row) * scale)
          let y = DecimalText.short(100 - 94 * share / size)
          path += "M\(x) 100V\(y)h\(DecimalText.short(scale))V100z"
        }
        writer.toned(PlotTheme.series[2]) {
          $0.leaf("path", ["id": "profile-bars", "d": path.isEmpty ? "M0 0" : path, "fill": "currentColor"])
        }
      }
    }
  }

  private var attributionTable: HTMLPage.Table? {
    guard let found = report.attribution else { return nil }
    let order = LookWords.strongest(found.contributions).prefix(12)
    guard !order.isEmpty else { return nil }
    var rows = order.map { [words.step($0), LookWords.number(found.contributions[$0])] }
    let others = LookWords.strongest(found.contributions).dropFirst(12).reduce(0) {
      $0 + found.contributions[$1]
    }
    if found.contributions.count > order.count { rows.append(["all other steps", LookWords.number(others)]) }
    rows.append(["what no step explains", LookWords.number(found.remainder)])
    rows.append(["the logit", LookWords.number(found.total)])
    return HTMLPage.Table(
      caption: "What adds up to the logit of “\(found.answer)”", header: ["Written at", "Adds"], rows: rows,
      numeric: [1])
  }
}
