/// What went wrong with the world outside: a file, a flag, a request.
///
/// It prints as one line that says where, what, what was expected, what was found, and what to do.
/// Broken contracts inside a process (a wrong shape, say) are preconditions, not errors.
public struct LetheError: Error, Sendable, CustomStringConvertible {
  /// The file, flag or field the problem is in; `images.gz: byte 16`, say.
  public var place: String
  /// What is wrong, as a clause: `the header is cut short`.
  public var problem: String
  /// What would have been right.
  public var expected: String?
  /// What was there.
  public var found: String?
  /// What the reader can do about it.
  public var advice: String?

  /// Makes an error; `place` and `problem` are always known, the rest where it helps.
  public init(
    _ place: String, _ problem: String, expected: String? = nil, found: String? = nil, advice: String? = nil
  ) {
    self.place = place
    self.problem = problem
    self.expected = expected
    self.found = found
    self.advice = advice
  }

  /// The whole error in one line.
  public var description: String {
    var line = "\(place): \(problem)"
    if let expected { line += "; expected \(expected)" }
    if let found { line += expected == nil ? "; found \(found)" : ", found \(found)" }
    if let advice { line += "; \(advice)" }
    return line
  }
}
