import LetheCore
import LetheFormats

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Files and folders that a command is going to write, looked at before the work starts.
enum OutputPath {
  /// Makes sure that a file can be written there, without writing or changing anything.
  ///
  /// - Throws: `LetheError` with the system's reason.
  static func check(_ path: String) throws {
    struct Enough: Error {}
    if path.isEmpty { throw LetheError("the output file", "has no name") }
    var status = stat()
    if stat(path, &status) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) {
      return  // a device or a pipe: opening it twice would tell its reader that all has been said
    }
    if path.hasSuffix("/") { throw LetheError(path, "is the name of a folder", expected: "that of a file") }
    do {
      // A new file is opened beside it and, as nothing is handed over, removed again.
      try FileBytes.writeAtomically(to: path) { _ in throw Enough() }
    } catch is Enough {
      return
    }
  }

  /// Makes a folder, if it is not there yet; the folder it is to be made in must exist.
  ///
  /// - Throws: `LetheError` with the system's reason.
  static func makeFolder(_ path: String) throws {
    if mkdir(path, 0o777) == 0 { return }
    let code = errno
    var status = stat()
    let exists = stat(path, &status) == 0
    if code == EEXIST || exists {
      if exists, status.st_mode & S_IFMT == S_IFDIR { return }
      throw LetheError(path, "is a file", expected: "the name of a folder")
    }
    let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
    throw LetheError(
      path, "the folder cannot be made: \(reason)",
      advice: code == ENOENT ? "make the folder that is to hold it first" : nil)
  }

  /// The path of a file in a folder.
  static func join(_ folder: String, _ name: String) -> String {
    folder.hasSuffix("/") ? folder + name : "\(folder)/\(name)"
  }
}
