extension LookReport {
  /// The report for a terminal: sentences, sparklines over the shared time axis, small tables.
  ///
  /// No line is wider than `width` (at least 40) in characters; no control character of the data comes through.
  public func text(width: Int = 80) -> String {
    let page = LookText(report: self, width: max(width, 40))
    return page.lines.joined(separator: "\n") + "\n"
  }
}

extension LookReport {
  /// What there is to know at once, a sentence or two a line.
  public var summary: [String] {
    let words = LookWords(report: self)
    return [words.title, words.lead, words.ledger, words.attribution, memories.first.map(words.memory)]
      .compactMap { $0 }
  }
}

/// The lines of a report in a terminal.
private struct LookText {
  let report: LookReport
  let width: Int

  private var words: LookWords { LookWords(report: report) }
  /// How wide the names are that stand left of the sparklines.
  private var gutter: Int { min(18, width / 4) }
  private var plot: Int { width - gutter - 10 }

  var lines: [String] {
    [
      head, input, gates, ledger, memories, gradients, certificates, boundaries,
      report.notes.flatMap { wrapped("Note: " + $0) },
    ].filter { !$0.isEmpty }.map { $0 + [""] }.flatMap { $0 }.dropLast()
  }

  private var head: [String] {
    let found = report.headline
    var lines = wrapped(words.title) + wrapped(words.lead)
    for answer in found.answers.prefix(6) {
      let share = min(max(LookWords.finite(answer.probability) ?? 0, 0), 1)
      let bar = String(repeating: "█", count: Int((share * Double(min(plot, 40))).rounded()))
      lines.append(row(answer.name, bar, LookWords.share(answer.probability), plot: min(plot, 40)))
    }
    return lines + found.facts.flatMap { wrapped("\($0.name): \($0.value)") }
  }

  private var input: [String] {
    switch report.input {
    case nil: return []
    case .text(let tokens, let separator):
      let shown = tokens.prefix(400).map { LookWords.shown($0, atMost: 60) }
      return ["READ"] + wrapped(shown.joined(separator: separator.isEmpty ? "" : " "))
        + (tokens.count > shown.count
          ? ["… and \(DecimalText.grouped(tokens.count - shown.count)) more"] : [])
    case .image(let pixels):
      return ["READ"]
        + pixels.prefix(64).map { pixels in
          String(
            pixels.prefix(width / 2).flatMap { pixel -> [Character] in
              guard pixel.isFinite else { return [Sparkline.gap, Sparkline.gap] }
              let shade = Array(" ░▒▓█")[Int((min(max(pixel, 0), 1) * 4).rounded())]
              return [shade, shade]
            })
        }
    case .series(let channels):
      return ["READ"] + channels.map { spark($0.name, $0.values.map(Double.init), domain: nil) }
    }
  }

  private var gates: [String] {
    let layers = report.layers.filter { !$0.signals.isEmpty }
    guard !layers.isEmpty else { return [] }
    return layers.flatMap { layer in
      wrapped("GATES, " + layer.name) + wrapped(words.gates(layer))
        + layer.signals.map { signal in
          spark(signal.name, LookWords.meanByStep(signal), domain: signal.role == .value ? nil : 0...1)
        }
    } + [axis] + wrapped("(means over the units, of values the mean of their sizes)")
  }

  private var ledger: [String] {
    var lines = [words.ledger, words.attribution].compactMap { $0 }.flatMap { wrapped($0) }
    if let last = report.ledger?.maps.first?.shares.last {
      lines.append(spark("in memory, end", last.map(Double.init), domain: nil))
    }
    if let found = report.attribution {
      lines.append(spark("adds to answer", found.contributions, domain: nil))
      for step in LookWords.strongest(found.contributions).prefix(5) {
        lines.append(row(words.step(step), LookWords.number(found.contributions[step]), ""))
      }
    }
    return lines.isEmpty ? [] : ["MEMORY"] + lines
  }

  private var memories: [String] {
    let known = report.memories.filter { !$0.halfLives.isEmpty }
    guard !known.isEmpty else { return [] }
    return ["HALF-LIVES"]
      + known.flatMap { memory -> [String] in
        let bars = LookPage.halfLives(memory).bars
        let counts = bars.filter { $0.value > 0 }.map { "\($0.label): \(Int($0.value))" }.joined(
          separator: ", ")
        var lines = wrapped(words.memory(memory)) + wrapped("Units by half-life in steps: " + counts)
        let facts = [
          memory.horizon.map { "horizon \(LookWords.number($0)) \($0 == 1 ? "step" : "steps")" },
          "\(memory.neverClose.count) never close", "\(memory.neverOpen.count) never open",
          "\(memory.saturated.count) saturated", "\(LookWords.count(memory.duplicates.count, "group")) alike",
        ]
        lines += wrapped(facts.compactMap { $0 }.joined(separator: ", "))
        return lines
      }
  }

  private var gradients: [String] {
    let flows = report.gradients.filter { AxisTicks.range(of: $0.norms) != nil }
    guard !flows.isEmpty else { return [] }
    return ["GRADIENT, on a scale of powers of ten"]
      + flows.flatMap { flow -> [String] in
        let lines = LookPage.lines(of: flow).map { ($0.name, $0.values.map(LineChart.decade)) }
        let range = AxisTicks.range(of: lines.prefix(1).flatMap { $0.1 })
        return wrapped(words.gradient(flow)) + lines.map { spark($0.0, $0.1, domain: range, value: false) }
      }
  }

  private var certificates: [String] {
    guard !report.certificates.isEmpty else { return [] }
    return ["CERTIFICATES"] + wrapped(words.certificates)
      + report.certificates.flatMap { certificate -> [String] in
        let verdict =
          certificate.isProved ? (LookWords.holds(certificate) ? "proved" : "BROKEN") : "not proved"
        let bound = LookWords.interval(certificate.bound, isBound: true)
        let seen = LookWords.interval(certificate.observed)
        let parts = [
          bound.isEmpty ? "" : "bound " + bound, seen.isEmpty ? "" : "seen " + seen, certificate.remark,
        ]
        return wrapped(
          "\(verdict): \(certificate.what); " + parts.filter { !$0.isEmpty }.joined(separator: "; "))
      }
  }

  private var boundaries: [String] {
    guard let found = report.boundaries else { return [] }
    return ["BOUNDARIES"] + wrapped(words.boundaries(found)) + [spark("closing", found.scores, domain: 0...1)]
      + found.events.prefix(20).map { event in
        let p = LookPage.pValue(event.pValue, trials: found.trials)
        return cut(
          "  \(plain(words.step(event.step))), p \(p)  \(plain(event.causes.joined(separator: ", ")))", width)
      }
  }

  // MARK: lines

  /// A name, a sparkline, and the value at its end.
  private func spark(
    _ name: String, _ values: [Double], domain: ClosedRange<Double>?, value: Bool = true
  ) -> String {
    let last = value ? values.last.map { LookWords.number($0) } ?? "" : ""
    return row(name, Sparkline.text(values, width: plot, domain: domain), last)
  }

  private var axis: String {
    let columns = min(report.steps, plot)
    let last = DecimalText.grouped(report.steps)
    return row("step", "1" + String(repeating: " ", count: max(0, columns - 1 - last.count)) + last, "")
  }

  private func row(_ name: String, _ middle: String, _ end: String, plot room: Int? = nil) -> String {
    let name = cut(plain(name), gutter)
    let pad = String(repeating: " ", count: max(0, gutter - LookText.width(of: name)))
    let fill = String(repeating: " ", count: max(0, (room ?? 0) - middle.count))
    return cut(name + pad + " " + middle + fill + (end.isEmpty ? "" : " " + end), width)
  }

  private func plain(_ words: String) -> String {
    LookWords.shown(words, atMost: .max)
  }

  private func cut(_ words: String, _ limit: Int) -> String {
    guard LookText.width(of: words) > limit else { return words }
    var kept = ""
    var size = 1
    for character in words {
      size += LookText.width(of: String(character))
      if size > limit { break }
      kept.append(character)
    }
    return kept + "…"
  }

  /// `words` broken at spaces into lines that fit.
  private func wrapped(_ words: String) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in plain(words).split(separator: " ") {
      var word = String(word)
      if !line.isEmpty, LookText.width(of: line) + 1 + LookText.width(of: word) <= width {
        line += " " + word
        continue
      }
      if !line.isEmpty { lines.append(line) }
      while LookText.width(of: word) > width {
        let head = cut(word, width)
        lines.append(head)
        word = String(word.dropFirst(head.count - 1))
      }
      line = word
    }
    if !line.isEmpty { lines.append(line) }
    return lines
  }

  /// How many places words take in a terminal: two for each character of East Asian scripts and each picture.
  static func width(of words: String) -> Int {
    words.reduce(0) { sum, character in
      let first = character.unicodeScalars.first?.value ?? 0
      let isWide =
        (0x1100...0x115F).contains(first) || (0x2E80...0xA4CF).contains(first)
        || (0xAC00...0xD7A3).contains(first) || (0xF900...0xFAFF).contains(first)
        || (0xFE30...0xFE6F).contains(first) || (0xFF00...0xFF60).contains(first)
        || (0x1F300...0x1FAFF).contains(first)
      return sum + (isWide ? 2 : 1)
    }
  }
}
