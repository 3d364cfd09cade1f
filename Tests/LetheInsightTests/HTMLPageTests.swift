import LetheInsight
import Testing

@Suite struct HTMLPageTests {
  private let hostile = "<script>alert(\"1\")</script> & 'co'"

  private var page: HTMLPage {
    var page = HTMLPage(title: hostile, lead: hostile)
    page.lines = [hostile]
    page.footer = hostile
    let table = HTMLPage.Table(
      caption: hostile, header: [hostile, "n"], rows: [[hostile, "1"], ["short"]], numeric: [1])
    let chart = LineChart(title: hostile, series: [.init("a", values: [1, 2])])
    page.sections = [
      HTMLPage.Section(
        hostile, short: hostile,
        blocks: [
          .paragraph([.text(hostile), .strong(hostile), .emphasis(hostile), .code(hostile)]),
          .note(["plain"]), .heading(hostile), .list([[.text(hostile)], ["two"]]),
          .equation([.variable(hostile, below: hostile), .variable("x", below: "")]),
          .tiles([.init(hostile, hostile, note: hostile), .init("a", "b")]), .table(table),
          .figures([
            .init(hostile, caption: hostile, drawing: chart.svg(width: 200, height: 100, placement: .page))
          ]),
          .details(hostile, [.paragraph([.text(hostile)])]), .markup("<hr/>"),
        ]),
      HTMLPage.Section("Second", short: "2", blocks: []),
    ]
    return page
  }

  @Test func everyBlockIsWellFormedAndEscaped() {
    let checker = MarkupChecker(page.html())
    #expect(checker.errors.isEmpty)
    #expect(checker.count("script") == 0)
    for name in ["figure", "figcaption", "table", "caption", "details", "summary", "dl", "nav", "hr", "var"] {
      #expect(checker.count(name) > 0, "\(name)")
    }
    #expect(page.html() == page.html())
  }

  @Test func headingsAndLinksLeadSomewhere() {
    let elements = MarkupChecker(page.html()).elements
    #expect(elements.count { $0.name == "h1" } == 1)
    let names = elements.compactMap { $0.attributes["id"] }
    #expect(Set(names).count == names.count)
    let links = elements.compactMap { $0.attributes["href"] }
    #expect(links.count == 3)
    for link in links { #expect(link.hasPrefix("#") && names.contains(String(link.dropFirst()))) }
    for label in elements.compactMap({ $0.attributes["aria-labelledby"] }) { #expect(names.contains(label)) }
  }

  @Test func tableCellsNameTheirRowsAndColumns() {
    let elements = MarkupChecker(page.html()).elements
    #expect(elements.count { $0.attributes["scope"] == "col" } == 2)
    #expect(elements.count { $0.attributes["scope"] == "row" } == 2)
    #expect(elements.count { $0.attributes["class"] == "number" } == 2)
    #expect(elements.contains { $0.attributes["tabindex"] == "0" && $0.attributes["role"] == "region" })
  }

  @Test func oneSectionNeedsNoContents() {
    var page = page
    page.sections.removeLast()
    #expect(MarkupChecker(page.html()).count("nav") == 0)
  }

  @Test func addedStyleIsAdded() {
    var page = page
    page.addedStyle = ".mine{color:red}"
    #expect(page.html().contains(".mine{color:red}</style>"))
  }
}
