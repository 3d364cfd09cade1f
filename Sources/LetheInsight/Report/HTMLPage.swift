/// A page that is one file: text, tables, figures and key numbers with their style inside.
///
/// The page loads nothing and runs nothing but its own ``script``, and says so to the browser. It follows the reader's light or dark
/// theme, fits a phone, and prints. Every text is escaped; only ``Block/markup(_:)`` and a figure's drawing
/// are taken as they are.
public struct HTMLPage: Sendable, Equatable {
  /// A stretch of text inside a paragraph.
  public enum Inline: Sendable, Equatable, ExpressibleByStringLiteral {
    /// Plain words.
    case text(String)
    /// Words that carry weight.
    case strong(String)
    /// Words in another voice, such as a term at its first use.
    case emphasis(String)
    /// What a machine reads or writes.
    case code(String)
    /// A letter of an equation, with what stands below it.
    case variable(String, below: String)

    /// Plain words.
    public init(stringLiteral value: String) {
      self = .text(value)
    }
  }

  /// A number that the reader should see first.
  public struct Tile: Sendable, Equatable {
    /// What it is.
    public var label: String
    /// The number, with its unit.
    public var value: String
    /// What it rests on.
    public var note: String

    /// A tile.
    public init(_ label: String, _ value: String, note: String = "") {
      self.label = label
      self.value = value
      self.note = note
    }
  }

  /// Rows under a header.
  public struct Table: Sendable, Equatable {
    /// What the table holds.
    public var caption: String
    /// The names of the columns.
    public var header: [String]
    /// The rows; the first cell of each names it.
    public var rows: [[String]]
    /// The columns set flush right, as numbers are.
    public var numeric: Set<Int>

    /// A table.
    public init(caption: String, header: [String], rows: [[String]], numeric: Set<Int> = []) {
      self.caption = caption
      self.header = header
      self.rows = rows
      self.numeric = numeric
    }
  }

  /// A drawing and what it shows.
  public struct Figure: Sendable, Equatable {
    /// What it is, in a few words.
    public var title: String
    /// What to see in it.
    public var caption: String
    /// The drawing: SVG made for ``SVGPlacement/page``. It is not escaped.
    public var drawing: String

    /// A figure.
    public init(_ title: String, caption: String, drawing: String) {
      self.title = title
      self.caption = caption
      self.drawing = drawing
    }
  }

  /// One thing in a section.
  public indirect enum Block: Sendable, Equatable {
    /// A paragraph.
    case paragraph([Inline])
    /// A remark, set apart.
    case note([Inline])
    /// A smaller heading.
    case heading(String)
    /// Points of equal rank.
    case list([[Inline]])
    /// An equation on a line of its own.
    case equation([Inline])
    /// Key numbers side by side.
    case tiles([Tile])
    /// A table.
    case table(Table)
    /// Figures, side by side where there is room.
    case figures([Figure])
    /// Blocks that open when the reader asks for them.
    case details(String, [Block])
    /// Markup that is well-formed and safe already. It is not escaped.
    case markup(String)
  }

  /// A part of the page under a heading.
  public struct Section: Sendable, Equatable {
    /// Its heading.
    public var heading: String
    /// Its word in the list of contents.
    public var short: String
    /// What is in it.
    public var blocks: [Block]

    /// A section.
    public init(_ heading: String, short: String, blocks: [Block]) {
      self.heading = heading
      self.short = short
      self.blocks = blocks
    }
  }

  /// What a page runs: its own code, on its own data.
  public struct Script: Sendable, Equatable {
    /// JavaScript without `<` and `&`, so that the page stays well-formed. It is not escaped.
    public var code: String
    /// JSON without `<` and `&`, which the page holds for the code. It is not escaped.
    public var data: String
    /// The identifier of the element that holds the data.
    public var dataID: String
    /// What the code needs on the page besides the sections; not escaped.
    public var markup: String

    /// A script.
    public init(code: String, data: String, dataID: String, markup: String = "") {
      self.code = code
      self.data = data
      self.dataID = dataID
      self.markup = markup
    }
  }

  /// The title of the page.
  public var title: String
  /// What the page is about, in a sentence.
  public var lead: String
  /// Short lines under the lead.
  public var lines: [String] = []
  /// The sections, in order.
  public var sections: [Section] = []
  /// What stands at the very end.
  public var footer = ""
  /// Rules for markup of the page's own, put behind the style of the page. They are not escaped.
  public var addedStyle = ""
  /// What the page runs; without it the browser is told to run nothing.
  public var script: Script?

  /// A page without sections.
  public init(title: String, lead: String = "") {
    self.title = title
    self.lead = lead
  }
}
