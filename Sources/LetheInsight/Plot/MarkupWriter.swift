/// Writes XML-shaped text (SVG, and HTML that is also well-formed), escaping every text and attribute.
package struct MarkupWriter {
  /// What has been written so far.
  package private(set) var text = ""

  /// An empty text.
  package init() {}

  /// `<name …>content</name>`.
  package mutating func element(
    _ name: String, _ attributes: KeyValuePairs<String, String> = [:],
    _ content: (inout MarkupWriter) -> Void
  ) {
    start(name, attributes)
    text += ">"
    content(&self)
    text += "</\(name)>"
  }

  /// `<name …>words</name>`, the words escaped.
  package mutating func element(
    _ name: String, _ attributes: KeyValuePairs<String, String> = [:], text words: String
  ) {
    element(name, attributes) { $0.words(words) }
  }

  /// `<name …/>`.
  package mutating func leaf(_ name: String, _ attributes: KeyValuePairs<String, String> = [:]) {
    start(name, attributes)
    text += "/>"
  }

  /// Text, escaped.
  package mutating func words(_ words: String) {
    text += MarkupWriter.escaped(words)
  }

  /// Markup that is already well-formed and already escaped.
  package mutating func raw(_ markup: String) {
    text += markup
  }

  private mutating func start(_ name: String, _ attributes: KeyValuePairs<String, String>) {
    text += "<" + name
    for (key, value) in attributes where !value.isEmpty {
      text += " " + key + "=\"" + MarkupWriter.escaped(value) + "\""
    }
  }

  /// `words` with the five reserved characters replaced, and shown as U+FFFD what XML forbids and what
  /// would turn the direction of the words around it.
  package static func escaped(_ words: String) -> String {
    var result = ""
    result.reserveCapacity(words.utf8.count)
    for scalar in words.unicodeScalars {
      switch scalar {
      case "&": result += "&amp;"
      case "<": result += "&lt;"
      case ">": result += "&gt;"
      case "\"": result += "&quot;"
      case "'": result += "&#39;"
      case "\t", "\n": result.unicodeScalars.append(scalar)
      case "\u{0}"..."\u{1F}", "\u{7F}"..."\u{9F}", "\u{202A}"..."\u{202E}", "\u{2066}"..."\u{2069}",
        "\u{FFFE}", "\u{FFFF}":
        result += "\u{FFFD}"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result
  }
}
