import Lethe

/// A fixture file of `Tests/Fixtures`; scripts/make_fixtures.py makes them and is named, with the versions it ran
/// with, in each file's metadata.
public struct Fixture {
  private let file: Safetensors
  private let name: String

  /// Reads `Tests/Fixtures/<name>.safetensors`.
  public init(_ name: String, testFile: String = #filePath) throws {
    let tests = testFile.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(
      separator: "/")
    file = try Safetensors(contentsOf: "\(tests)/Fixtures/\(name).safetensors")
    self.name = name
  }

  /// The tensor of a name; a missing one is an error of the fixture.
  public subscript(_ tensor: String) -> Tensor {
    guard let value = file[tensor] else { preconditionFailure("fixture \(name) has no tensor '\(tensor)'") }
    return value
  }

  /// The tensor of a name, if there is one.
  public func optional(_ tensor: String) -> Tensor? { file[tensor] }

  /// Every name.
  public var names: [String] { file.tensors.map(\.name) }

  /// The values of the metadata.
  public var metadata: [String: String] { file.metadata }
}
