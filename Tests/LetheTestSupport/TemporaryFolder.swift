import Foundation

/// A folder for a test, removed with all it holds when the value goes.
public struct TemporaryFolder: ~Copyable {
  /// Where it is.
  public let path: String

  /// Makes a new folder.
  public init() throws {
    path = FileManager.default.temporaryDirectory.appendingPathComponent("lethe-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// The names in the folder, sorted.
  public func names() throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted()
  }
}
