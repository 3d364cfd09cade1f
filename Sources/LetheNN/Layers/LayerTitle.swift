/// How a layer walks along a sequence.
package enum WalkDirection: String {
  case forward, backward, both
}

extension Layer {
  /// How it walks along a sequence; `nil` where it does not walk, or where layers inside do, each in its own way.
  package var direction: WalkDirection? {
    if self is Bidirectional { return .both }
    guard let layer = self as? any RecurrentLayer else { return nil }
    return layer.isBidirectional ? .both : layer.isReversed ? .backward : .forward
  }

  /// Its kind, its direction unless that is forward, and whether it runs on the tape: `lstm, backward`,
  /// `bidirectional matrix_memory`, `conv_lstm, on the tape`.
  package var title: String {
    var words = type(of: self).kind
    if let both = self as? Bidirectional {
      words += " " + type(of: both.forward).kind
    } else {
      switch direction {
      case .both: words += ", both directions"
      case .backward: words += ", backward"
      case .forward, nil: break
      }
    }
    return words + (runsOnTape ? ", on the tape" : "")
  }
}
