import LetheCore
import LetheFormats

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A folder of results: `NAME.json` for each laboratory.
///
/// Infinite numbers are the strings "inf" and "-inf" there, NaN is "nan".
public struct LabFolder: Sendable {
  /// Where it is.
  public let path: String
  /// A result with its drawings is some hundred kilobytes.
  private static let limit = 64 << 20

  /// A folder that exists.
  public init(_ path: String) { self.path = path }

  /// The file of a name in it.
  public func file(_ name: String) -> String { path.hasSuffix("/") ? path + name : "\(path)/\(name)" }

  /// Keeps a result; one of the same laboratory is replaced.
  ///
  /// - Throws: `LetheError` with the system's reason.
  public func save(_ result: LabResult) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let bytes = try Array(encoder.encode(result)) + [UInt8(ascii: "\n")]
    try FileBytes.writeAtomically([bytes], to: file(result.name + ".json"))
  }

  /// The results of the laboratories there are, in the order of the catalogue.
  ///
  /// - Throws: `LetheError` for a file that cannot be read or is no result.
  public func load() throws -> [LabResult] {
    try LabCatalog.all.compactMap { lab in
      let path = file(lab.name + ".json")
      guard FileBytes.exists(path) else { return nil }
      let bytes = try FileBytes.read(path, limit: Self.limit)
      let decoder = JSONDecoder()
      decoder.nonConformingFloatDecodingStrategy = .convertFromString(
        positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
      guard let result = try? decoder.decode(LabResult.self, from: Data(bytes)), result.name == lab.name
      else {
        throw LetheError(
          path, "is no result of the laboratory '\(lab.name)'",
          expected: "what this version of 'lethe lab run' wrote",
          advice: "run 'lethe lab run \(lab.name)' again")
      }
      return result
    }
  }
}
