import LetheTestSupport
import Foundation
import LetheTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The built executable `lethe`, run as a user runs it.
enum LetheProgram {
  /// What a run left behind.
  struct Outcome {
    var status: Int32
    var output: String
    var errors: String

    /// The lines of standard output.
    var lines: [Substring] { output.split(separator: "\n") }
    /// The lines of standard error.
    var errorLines: [Substring] { errors.split(separator: "\n") }

    /// Each line of standard output as a JSON object.
    func objects() throws -> [[String: Any]] {
      try lines.map { line in
        let value = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(value as? [String: Any], "no JSON object: \(line)")
      }
    }
  }

  /// A run that goes on in the background.
  final class Running {
    let process: Process
    private let folder: TemporaryFolder

    fileprivate init(_ process: Process, _ folder: consuming TemporaryFolder) {
      self.process = process
      self.folder = folder
    }

    /// Waits until standard output or standard error has a whole line that holds `text`.
    func wait(for text: String) throws {
      let end = Date(timeIntervalSinceNow: 120)
      while true {
        let seen = try folder.text("output") + folder.text("errors")
        if seen.split(separator: "\n").contains(where: { $0.contains(text) }), seen.last == "\n" { return }
        try #require(process.isRunning, "ended before '\(text)': \(seen)")
        try #require(Date() < end, "no '\(text)' within two minutes: \(seen)")
        usleep(2000)
      }
    }

    /// Waits for the end.
    func outcome() throws -> Outcome {
      process.waitUntilExit()
      let status = process.terminationStatus
      return Outcome(
        status: process.terminationReason == .uncaughtSignal ? 128 + status : status,
        output: try folder.text("output"), errors: try folder.text("errors"))
    }
  }

  /// Where the executable is: beside the tests.
  static func path() throws -> String {
    let arguments = CommandLine.arguments
    let bundle = arguments.firstIndex(of: "--test-bundle-path").flatMap {
      arguments.indices.contains($0 + 1) ? arguments[$0 + 1] : nil
    }
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent(".build")
    var starts = [bundle, arguments.first].compactMap { $0 }.map { URL(fileURLWithPath: $0) }
    #if DEBUG
      starts.append(root.appendingPathComponent("debug/tests"))
    #else
      starts.append(root.appendingPathComponent("release/tests"))
    #endif
    for start in starts {
      var folder = start
      // On macOS the tests are some folders down in their bundle.
      for _ in 0..<4 {
        folder = folder.deletingLastPathComponent()
        let path = folder.appendingPathComponent("lethe").path
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), !isFolder.boolValue {
          return path
        }
      }
    }
    throw Missing(looked: starts.map(\.path))
  }

  struct Missing: Error {
    let looked: [String]
  }

  /// Starts a run.
  static func start(
    _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:],
    program: String? = nil
  ) throws -> Running {
    let streams = try TemporaryFolder()
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try program ?? path())
    process.arguments = arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder ?? streams.path)
    var variables = ProcessInfo.processInfo.environment
    variables["LETHE_ISA"] = nil
    process.environment = variables.merging(environment) { $1 }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try streams.newFile("output")
    process.standardError = try streams.newFile("errors")
    try process.run()
    return Running(process, streams)
  }

  /// Runs it to its end.
  static func run(
    _ arguments: [String], in folder: String? = nil, environment: [String: String] = [:]
  ) throws -> Outcome {
    try start(arguments, in: folder, environment: environment).outcome()
  }

  /// Runs a line of a shell, in which `$LETHE` is the executable.
  static func shell(_ line: String, in folder: String) throws -> Outcome {
    try start(["-c", line], in: folder, environment: ["LETHE": path()], program: "/bin/sh").outcome()
  }
}

extension TemporaryFolder {
  /// The path of a name in the folder.
  func file(_ name: String) -> String { "\(path)/\(name)" }

  /// The bytes of a file.
  func bytes(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  /// The text of a file.
  func text(_ name: String) throws -> String { String(decoding: try bytes(name), as: UTF8.self) }

  /// Writes a file.
  func write(_ bytes: [UInt8], to name: String) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
  }

  fileprivate func newFile(_ name: String) throws -> FileHandle {
    try write([], to: name)
    return try FileHandle(forWritingTo: URL(fileURLWithPath: file(name)))
  }
}

/// The words for a training that takes a moment.
func tinyTraining(_ more: String...) -> [String] {
  ["train", "digits", "--model", "rnn", "--hidden", "8", "--json"] + more
}
