extension HTMLPage {
  /// The whole page as HTML, which is also well-formed XML after its first line.
  ///
  /// The same page gives the same bytes.
  public func html() -> String {
    var writer = MarkupWriter()
    writer.raw("<!DOCTYPE html>\n")
    writer.element("html", ["lang": "en"]) { writer in
      writer.element("head") { head(into: &$0) }
      writer.raw("\n")
      writer.element("body") { body(into: &$0) }
    }
    writer.raw("\n")
    return writer.text
  }

  private func head(into writer: inout MarkupWriter) {
    writer.leaf("meta", ["charset": "utf-8"])
    writer.leaf("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"])
    writer.leaf("meta", ["name": "color-scheme", "content": "light dark"])
    // The browser itself is told to load nothing, and to run nothing but what carries the page's mark.
    let runs = script == nil ? "" : " script-src 'nonce-lethe';"
    writer.leaf(
      "meta",
      [
        "http-equiv": "Content-Security-Policy",
        "content":
          "default-src 'none';\(runs) style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
      ])
    writer.element("title", text: title)
    writer.element("style") { $0.raw(HTMLPage.style + PlotTheme.css() + addedStyle) }
  }

  private func body(into writer: inout MarkupWriter) {
    writer.element("a", ["class": "skip", "href": "#content"], text: "Skip to the content")
    writer.element("header") { writer in
      writer.element("p", ["class": "mark"]) { writer in
        writer.raw(HTMLPage.river)
        writer.words("Lethe")
      }
      writer.element("h1", text: title)
      if !lead.isEmpty { writer.element("p", ["class": "lead"], text: lead) }
      if !lines.isEmpty {
        writer.element("ul", ["class": "lines"]) { writer in
          for line in lines { writer.element("li", text: line) }
        }
      }
      if sections.count > 1 {
        writer.element("nav", ["aria-label": "Contents"]) { writer in
          for (index, section) in sections.enumerated() {
            writer.element("a", ["href": "#part-\(index + 1)"], text: section.short)
          }
        }
      }
    }
    writer.raw("\n")
    writer.element("main", ["id": "content"]) { writer in
      for (index, section) in sections.enumerated() {
        let name = "part-\(index + 1)"
        writer.element("section", ["id": name, "aria-labelledby": name + "-heading"]) { writer in
          writer.element("h2", ["id": name + "-heading"], text: section.heading)
          for block in section.blocks {
            writer.raw("\n")
            HTMLPage.write(block, into: &writer)
          }
        }
        writer.raw("\n")
      }
    }
    if !footer.isEmpty { writer.element("footer") { $0.element("p", text: footer) } }
    if let script {
      writer.raw(script.markup + "\n")
      writer.element("script", ["type": "application/json", "id": script.dataID]) { $0.raw(script.data) }
      writer.raw("\n")
      writer.element("script", ["nonce": "lethe"]) { $0.raw(script.code) }
    }
  }

  private static func write(_ block: Block, into writer: inout MarkupWriter) {
    switch block {
    case .paragraph(let words): writer.element("p") { write(words, into: &$0) }
    case .note(let words): writer.element("p", ["class": "note"]) { write(words, into: &$0) }
    case .heading(let words): writer.element("h3", text: words)
    case .list(let items):
      writer.element("ul") { writer in
        for item in items { writer.element("li") { write(item, into: &$0) } }
      }
    case .equation(let words): writer.element("p", ["class": "equation"]) { write(words, into: &$0) }
    case .tiles(let tiles): write(tiles, into: &writer)
    case .table(let table): write(table, into: &writer)
    case .figures(let figures):
      writer.element("div", ["class": "figures"]) { writer in
        for figure in figures { write(figure, into: &writer) }
      }
    case .details(let summary, let blocks):
      writer.element("details") { writer in
        writer.element("summary", text: summary)
        for block in blocks { write(block, into: &writer) }
      }
    case .markup(let markup): writer.raw(markup)
    }
  }

  private static func write(_ words: [Inline], into writer: inout MarkupWriter) {
    for inline in words {
      switch inline {
      case .text(let words): writer.words(words)
      case .strong(let words): writer.element("strong", text: words)
      case .emphasis(let words): writer.element("em", text: words)
      case .code(let words): writer.element("code", text: words)
      case .variable(let letter, let below):
        writer.element("var") { writer in
          writer.words(letter)
          if !below.isEmpty { writer.element("sub", text: below) }
        }
      }
    }
  }

  private static func write(_ tiles: [Tile], into writer: inout MarkupWriter) {
    writer.element("dl", ["class": "tiles"]) { writer in
      for tile in tiles {
        writer.element("div") { writer in
          writer.element("dt", text: tile.label)
          writer.element("dd", ["class": "value"], text: tile.value)
          if !tile.note.isEmpty { writer.element("dd", ["class": "aside"], text: tile.note) }
        }
      }
    }
  }

  private static func write(_ table: Table, into writer: inout MarkupWriter) {
    // A wide table scrolls inside its own box, which the keyboard can reach.
    writer.element(
      "div", ["class": "scroll", "role": "region", "aria-label": table.caption, "tabindex": "0"]
    ) { writer in
      writer.element("table") { writer in
        writer.element("caption", text: table.caption)
        writer.element("thead") { writer in
          writer.element("tr") { writer in
            for (column, name) in table.header.enumerated() {
              let isNumber = table.numeric.contains(column)
              writer.element("th", ["scope": "col", "class": isNumber ? "number" : ""], text: name)
            }
          }
        }
        writer.element("tbody") { writer in
          for row in table.rows {
            writer.element("tr") { writer in
              for (column, cell) in row.enumerated() {
                let style = table.numeric.contains(column) ? "number" : ""
                if column == 0 {
                  writer.element("th", ["scope": "row", "class": style], text: cell)
                } else {
                  writer.element("td", ["class": style], text: cell)
                }
              }
            }
          }
        }
      }
    }
  }

  private static func write(_ figure: Figure, into writer: inout MarkupWriter) {
    writer.element("figure") { writer in
      writer.raw(figure.drawing)
      writer.element("figcaption") { writer in
        writer.element("strong", text: figure.title)
        if !figure.caption.isEmpty { writer.words(" " + figure.caption) }
      }
    }
  }

  /// Three lines of a river, each fainter than the one above.
  private static let river = """
    <svg viewBox="0 0 34 22" width="34" height="22" aria-hidden="true" fill="none" stroke="currentColor" \
    stroke-width="2.2" stroke-linecap="round"><path d="M2 5q5-5 10 0t10 0 10 0"/>\
    <path d="M2 11.5q5-5 10 0t10 0 10 0" stroke-opacity=".55"/>\
    <path d="M2 18q5-5 10 0t10 0 10 0" stroke-opacity=".25"/></svg>
    """
}
