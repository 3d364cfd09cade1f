import LetheCore
import LetheFormats

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Text with brackets, as tokens, and what is open at each of them.
struct BracketText {
  /// Brackets in pairs, then the rest; all that is neither bracket, letter, digit nor in the list is the last.
  static let tokens = ["(", ")", "[", "]", "{", "}", "a", "0", " ", "\n", ";", "."]
  /// What may close next: nothing, or one of three.
  static let answers = ["", ")", "]", "}"]

  /// A bracket that closes one before it.
  struct Pair {
    /// Where it closes.
    var end: Int
    /// Tokens from one to the other.
    var distance: Int
    /// Its number among the answers.
    var answer: Int32
  }

  let ids: [Int]
  /// After each token, what closes the innermost open bracket.
  private(set) var labels: [Int32] = []
  /// After each token, how many brackets are open.
  private(set) var depths: [Int] = []
  private(set) var pairs: [Pair] = []

  /// A text; what closes without having been opened in it counts as no bracket.
  init(_ ids: [Int]) {
    self.ids = ids
    var open: [(start: Int, answer: Int32)] = []
    for (t, id) in ids.enumerated() {
      if id < 6 {
        let answer = Int32(id / 2 + 1)
        if id.isMultiple(of: 2) {
          open.append((t, answer))
        } else if let last = open.last, last.answer == answer {
          open.removeLast()
          pairs.append(Pair(end: t, distance: t - last.start, answer: answer))
        }
      }
      labels.append(open.last?.answer ?? 0)
      depths.append(open.count)
    }
  }

  /// Nested blocks of all sizes, up to `depth` in each other, in one block from end to end.
  init(length: Int, depth: Int = 6, key: RandomKey) {
    var draws = Draws(key, count: 6 * length + 8), ids: [Int] = []
    // Letters are the most common, then spaces.
    let fillers = [6, 6, 6, 6, 6, 7, 8, 8, 8, 9, 10, 11]
    func block(_ size: Int, _ level: Int) {
      let opener = 2 * draws.below(3)
      ids.append(opener)
      var left = size - 2
      while left > 0 {
        if level < depth, left >= 2, draws.below(6) == 0 {
          // As many blocks of 2 to 3 tokens as of 512 to 1023.
          let scale = 1 + draws.below((left + 1).bitWidth - (left + 1).leadingZeroBitCount - 1)
          let size = min(1 << scale + draws.below(1 << scale), left)
          block(size, level + 1)
          left -= size
        } else {
          ids.append(fillers[draws.below(fillers.count)])
          left -= 1
        }
      }
      ids.append(opener + 1)
    }
    block(length, 1)
    self.init(ids)
  }

  /// The tokens of a text's bytes.
  static func ids(_ bytes: some Sequence<UInt8>) -> [Int] {
    bytes.map { byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): 6
      case UInt8(ascii: "0")...UInt8(ascii: "9"): 7
      default:
        tokens.firstIndex { $0.utf8.elementsEqual(CollectionOfOne(byte)) } ?? tokens.count - 1
      }
    }
  }

  /// The text itself.
  var text: String { ids.map { Self.tokens[$0] }.joined() }

  /// The texts of a folder by the names of their files; every third one is for tests.
  ///
  /// - Throws: `LetheError` where there are fewer than three.
  static func folder(_ path: String) throws -> (train: [BracketText], test: [BracketText]) {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    let names = all.filter { $0.hasSuffix(".txt") }.sorted()
    guard names.count >= 3 else {
      throw LetheError(
        path, "holds too few texts", expected: "three files .txt or more", found: "\(names.count)",
        advice: "name another folder with --data")
    }
    let texts = try names.map { name in
      let bytes = try FileBytes.read("\(path)/\(name)", limit: 16 << 20)
      if bytes.isEmpty { throw LetheError("\(path)/\(name)", "is empty", expected: "a text") }
      return BracketText(ids(bytes))
    }
    func part(_ isTest: Bool) -> [BracketText] {
      texts.enumerated().filter { ($0.offset % 3 == 2) == isTest }.map(\.element)
    }
    return (part(false), part(true))
  }
}
