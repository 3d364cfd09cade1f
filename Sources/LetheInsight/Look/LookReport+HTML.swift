extension LookReport {
  /// The report as one page that needs no network and no other file.
  ///
  /// It paints its heat maps by a script of its own, moves one cursor through all panels by pointer, touch and
  /// keys, and opens at a step that its address names (`#step=12`). Every text is escaped, in the script's data too.
  ///
  /// - Cost: up to 2.7 megabytes for the gates and 0.08 for each view of the ledger. Rows of more than 1,500 steps
  ///   share columns, and units share rows where all gates together have more than two million cells; the
  ///   page says so.
  public func html() -> String {
    var look = LookPage(self)
    var page = HTMLPage(title: look.words.title, lead: look.words.lead)
    page.addedStyle = LookPage.style
    let sections: [HTMLPage.Section?] = [
      look.answerSection, look.inputSection(), look.gateSection(), look.ledgerSection(), look.memorySection,
      look.gradientSection(), look.certificateSection, look.boundarySection(), look.noteSection,
    ]
    page.sections = sections.compactMap { $0 }
    page.footer =
      "Written by lethe look. This page is one file: it loads nothing, and can be kept, mailed and printed."
    page.script = .init(code: LookPage.script, data: look.data, dataID: "look-data", markup: LookPage.player)
    return page.html()
  }
}
