import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct FileBytesTests {
  @Test func readsWhatWasWritten() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    for size in [0, 1, 65_535, 65_536, 200_000] {
      let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 * 7) }
      try FileBytes.writeAtomically([Array(bytes.prefix(100)), Array(bytes.dropFirst(100))], to: path)
      #expect(try FileBytes.read(path, limit: size) == bytes)
      #expect(try folder.names() == ["file"])
    }
  }

  @Test(.enabled(if: access(".", W_OK) == 0, "the present folder cannot be written"))
  func aPlainNameIsInThePresentFolder() throws {
    let name = "lethe-test-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: name) }
    try FileBytes.writeAtomically([[1, 2, 3]], to: name)
    #expect(try FileBytes.read(name, limit: 3) == [1, 2, 3])
  }

  @Test func limitIsKept() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try FileBytes.writeAtomically([[1, 2, 3]], to: path)
    let error = #expect(throws: LetheError.self) { try FileBytes.read(path, limit: 2) }
    #expect(error?.description == "\(path): the file is too large; expected at most 2 bytes, found 3")
  }

  @Test(.enabled(if: FileBytes.exists("/dev/zero"), "the system has no /dev/zero"))
  func endlessFileStopsAtTheLimit() {
    #expect(throws: LetheError.self) { try FileBytes.read("/dev/zero", limit: 100_000) }
  }

  @Test(.enabled(if: FileBytes.exists("/proc/self/status"), "the system has no /proc"))
  func fileThatHidesItsSizeIsRead() throws {
    #expect(try FileBytes.read("/proc/self/status", limit: 100_000).count > 0)
  }

  @Test func missingFileAndFolderAreNamed() throws {
    let folder = try TemporaryFolder()
    let missing = folder.path + "/none"
    let error = #expect(throws: LetheError.self) { try FileBytes.read(missing, limit: 1) }
    #expect(error?.place == missing)
    #expect(error?.problem == "cannot be opened: No such file or directory")
    let directory = #expect(throws: LetheError.self) { try FileBytes.read(folder.path, limit: 1) }
    #expect(directory?.description == "\(folder.path): is a directory; expected a file")
    #expect(throws: LetheError.self) { try FileBytes.read("", limit: 1) }
  }

  @Test func writingNowhereLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/none/file"
    let error = #expect(throws: LetheError.self) { try FileBytes.writeAtomically([[1]], to: path) }
    #expect(error?.place == path)
    #expect(error?.problem == "cannot be written: No such file or directory")
    #expect(throws: LetheError.self) { try FileBytes.writeAtomically([[1]], to: folder.path) }
    #expect(throws: LetheError.self) { try FileBytes.writeAtomically([[1]], to: "") }
    try FileBytes.writeAtomically([[1]], to: folder.path + "/file")
    let below = #expect(throws: LetheError.self) {
      try FileBytes.writeAtomically([[1]], to: folder.path + "/file/below")
    }
    #expect(below?.advice == "a part of the path is a file, not a folder")
    #expect(try folder.names() == ["file"])
  }

  @Test(.enabled(if: getuid() != 0, "the superuser may write everywhere"))
  func unwritableFolderIsNamed() throws {
    let folder = try TemporaryFolder()
    chmod(folder.path, 0o500)
    defer { chmod(folder.path, 0o700) }
    let error = #expect(throws: LetheError.self) {
      try FileBytes.writeAtomically([[1]], to: folder.path + "/file")
    }
    #expect(error?.problem == "cannot be written: Permission denied")
  }

  @Test(.enabled(if: FileBytes.exists("/dev/full"), "the system has no /dev/full"))
  func fullDiskIsNamed() {
    let error = #expect(throws: LetheError.self) { try FileBytes.writeAtomically([[1]], to: "/dev/full") }
    #expect(
      error?.description
        == "/dev/full: cannot be written: No space left on device; free some space, or choose another disk")
  }

  @Test func failureHalfWayKeepsTheOldBytes() throws {
    struct Stop: Error {}
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    try FileBytes.writeAtomically([[1, 2]], to: path)
    #expect(throws: Stop.self) {
      try FileBytes.writeAtomically(to: path) { write in
        try [UInt8](repeating: 9, count: 100_000).withUnsafeBytes(write)
        throw Stop()
      }
    }
    #expect(try FileBytes.read(path, limit: 10) == [1, 2])
    #expect(try folder.names() == ["file"])
  }

  @Test func aLinkToNothingStays() throws {
    let folder = try TemporaryFolder()
    let link = folder.path + "/link"
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "gone")
    #expect(throws: LetheError.self) { try FileBytes.writeAtomically([[1]], to: link) }
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "gone")
  }

  @Test func linksAndPermissionsStay() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/file"
    let link = folder.path + "/link"
    try FileBytes.writeAtomically([[1]], to: path)
    chmod(path, 0o600)
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "file")
    try FileBytes.writeAtomically([[2]], to: link)
    #expect(try FileBytes.read(path, limit: 10) == [2])
    #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == "file")
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? NSNumber
    #expect(mode?.intValue == 0o600)
  }

  @Test func devicesAreWrittenNotReplaced() throws {
    try FileBytes.writeAtomically([[1, 2, 3]], to: "/dev/null")
    #expect(try FileBytes.read("/dev/null", limit: 10) == [])
  }
}
