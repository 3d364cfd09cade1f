/// Reads markup strictly, as XML does: every tag closed in order, every attribute quoted and given once,
/// every `&` a known entity. A `<!DOCTYPE html>` may come first.
struct MarkupChecker {
  struct Element {
    var name: String
    var attributes: [String: String]
  }

  /// What is wrong, empty for well-formed markup.
  private(set) var errors: [String] = []
  /// The elements, in the order in which they open.
  private(set) var elements: [Element] = []
  /// All text between the tags.
  private(set) var text = ""

  private let characters: [UInt8]
  private var place = 0
  private var open: [String] = []

  init(_ markup: String) {
    var bytes = Array(markup.utf8)
    let doctype = Array("<!DOCTYPE html>".utf8)
    if bytes.starts(with: doctype) { bytes.removeFirst(doctype.count) }
    characters = bytes
    while place < characters.count, errors.count < 5 {
      characters[place] == UInt8(ascii: "<") ? readTag() : readText()
    }
    if !open.isEmpty { errors.append("left open: \(open)") }
  }

  private mutating func readText() {
    let words = take { $0 != UInt8(ascii: "<") }
    checkEntities(words)
    text += words
  }

  private mutating func readTag() {
    place += 1
    if skip("/") {
      let name = readName()
      if open.popLast() != name { errors.append("</\(name)> closes another element") }
      if !skip(">") { errors.append("</\(name) has no end") }
      return
    }
    var element = Element(name: readName(), attributes: [:])
    if element.name.isEmpty { errors.append("a tag without a name at byte \(place)") }
    while place < characters.count, errors.isEmpty {
      let space = take { $0 == UInt8(ascii: " ") }
      if skip("/") {
        elements.append(element)
        if !skip(">") { errors.append("<\(element.name) has no end") }
        return
      }
      if skip(">") {
        elements.append(element)
        open.append(element.name)
        return
      }
      if space.isEmpty { errors.append("no space before an attribute of \(element.name)") }
      let name = readName()
      guard skip("="), skip("\"") else {
        errors.append("attribute \(name) of \(element.name) has no quoted value")
        return
      }
      let value = take { $0 != UInt8(ascii: "\"") }
      if !skip("\"") { errors.append("attribute \(name) has no end") }
      if value.contains("<") { errors.append("attribute \(name) holds a bare <") }
      checkEntities(value)
      if element.attributes.updateValue(value, forKey: name) != nil {
        errors.append("attribute \(name) of \(element.name) given twice")
      }
    }
    if errors.isEmpty { errors.append("<\(element.name) has no end") }
  }

  private mutating func checkEntities(_ words: String) {
    for piece in words.split(separator: "&", omittingEmptySubsequences: false).dropFirst() {
      let known = ["amp;", "lt;", "gt;", "quot;", "#39;"].contains { piece.hasPrefix($0) }
      if !known { errors.append("bare & before \(piece.prefix(10))") }
    }
  }

  private mutating func readName() -> String {
    take { byte in
      (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "-")
        || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
  }

  private mutating func take(while wanted: (UInt8) -> Bool) -> String {
    let start = place
    while place < characters.count, wanted(characters[place]) { place += 1 }
    return String(decoding: characters[start..<place], as: UTF8.self)
  }

  private mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard place < characters.count, characters[place] == UInt8(ascii: character) else { return false }
    place += 1
    return true
  }
}

extension MarkupChecker {
  /// Attributes that hold coordinates and are not numbers throughout.
  var brokenNumbers: [String] {
    let geometry: Set<String> = [
      "x", "y", "width", "height", "cx", "cy", "r", "d", "viewBox", "transform", "font-size", "stroke-width",
    ]
    let allowed = Set("0123456789.-+ MLHVhvqtz%")
    return elements.flatMap { element in
      element.attributes.filter { key, value in
        guard geometry.contains(key) else { return false }
        let bare = value.replacing("translate(", with: "").replacing("rotate(", with: "").replacing(
          ")", with: "")
        return bare.isEmpty || !bare.allSatisfy { allowed.contains($0) }
      }.map { "\(element.name) \($0.key)=\($0.value)" }
    }
  }

  /// How many elements are called `name`.
  func count(_ name: String) -> Int {
    elements.count { $0.name == name }
  }
}
