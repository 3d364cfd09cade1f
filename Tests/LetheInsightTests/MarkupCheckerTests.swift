import LetheInsight
import Testing

/// The checker must be able to fail, or it proves nothing.
@Suite struct MarkupCheckerTests {
  @Test(arguments: [
    "<a><b></a></b>", "<a>", "</a>", "<a b=c/>", "<a b=\"1\" b=\"2\"/>", "<a>x & y</a>", "<a b=\"<\"/>",
    "<a b=\"1\"c=\"2\"/>", "<a>&nbsp;</a>", "<a", "<>x</>",
  ])
  func rejects(_ markup: String) {
    #expect(!MarkupChecker(markup).errors.isEmpty)
  }

  @Test func accepts() {
    let checker = MarkupChecker("<!DOCTYPE html><a b=\"&lt;1\">x &amp; y<c/></a>")
    #expect(checker.errors.isEmpty)
    #expect(checker.elements.map(\.name) == ["a", "c"])
    #expect(checker.text == "x &amp; y")
  }

  @Test(arguments: ["nan", "inf", "1e20", "M1 nan"])
  func findsBrokenNumbers(_ value: String) {
    #expect(MarkupChecker("<path d=\"\(value)\"/>").brokenNumbers.count == 1)
  }

  @Test func writerEscapes() {
    let hostile = "<script>alert('1' & \"2\")</script>\u{0}\u{1B}\u{FFFF}"
    var writer = MarkupWriter()
    writer.element("p", ["title": hostile], text: hostile)
    let checker = MarkupChecker(writer.text)
    #expect(checker.errors.isEmpty)
    #expect(checker.elements.count == 1)
    #expect(!writer.text.unicodeScalars.contains { $0.value < 32 || $0.value == 0xFFFF })
    #expect(
      MarkupWriter.escaped(hostile)
        == "&lt;script&gt;alert(&#39;1&#39; &amp; &quot;2&quot;)&lt;/script&gt;\u{FFFD}\u{FFFD}\u{FFFD}")
    #expect(MarkupWriter.escaped("Zürich, 水, 👋🏽") == "Zürich, 水, 👋🏽")
  }
}
