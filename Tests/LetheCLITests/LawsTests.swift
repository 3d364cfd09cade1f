import LetheTestSupport
import Testing

@Suite struct LawsTests {
  @Test func everyLineIsACellAndALaw() throws {
    let result = try LetheProgram.run(["laws", "peephole", "fgn", "--steps", "1000", "--json"])
    #expect(result.status == 0)
    #expect(result.lines.count == 13 + 13)
    for line in result.lines {
      for word in ["\"cell\":\"", "\"law\":\"", "\"max_difference\":", "\"tolerance\":", "\"ok\":true"] {
        #expect(line.contains(word), "\(line)")
      }
    }
    #expect(result.lines.contains { $0.contains("\"law\":\"isa\"") })
  }

  @Test func anUnknownCellIsNamed() throws {
    let result = try LetheProgram.run(["laws", "lsmt"])
    #expect(result.status == 64)
    #expect(result.errors.contains("no cell 'lsmt'") && result.errors.contains("lstm"))
  }

  @Test func everyLawIsExplained() throws {
    let result = try LetheProgram.run(["laws", "--list"])
    #expect(result.status == 0)
    #expect(result.lines.count == 13)
  }
}
