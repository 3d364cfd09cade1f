#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif
import LetheCore

/// Whole files in and out, by system calls alone: without Foundation a program starts sooner.
public enum FileBytes {
  /// The bytes of a file; a pipe or a device is read to its end.
  ///
  /// - Throws: a `LetheError` if the file is missing, a directory, not readable, or above `limit` bytes; what has
  ///   no size to check first, such as a pipe, may hold 1 GiB at most.
  ///
  /// *Cost*: one copy of the file; a regular file above the limit is refused before anything is read.
  public static func read(_ path: String, limit: Int) throws -> [UInt8] {
    let file = try InputFile(path)
    let limit = file.size == 0 ? min(limit, 1 << 30) : limit
    func refuse(_ size: String) -> LetheError {
      LetheError(path, "the file is too large", expected: "at most \(limit) bytes", found: size)
    }
    if file.size > limit { throw refuse("\(file.size)") }
    var bytes = try [UInt8](unsafeUninitializedCapacity: file.size) { buffer, count in
      count = try file.fill(UnsafeMutableRawBufferPointer(buffer))
    }
    if bytes.count < file.size { return bytes }
    // A pipe, a device or a file that grows has more than its size says.
    while true {
      let more = try [UInt8](unsafeUninitializedCapacity: 1 << 16) { buffer, count in
        count = try file.fill(UnsafeMutableRawBufferPointer(buffer))
      }
      if more.isEmpty { return bytes }
      bytes += more
      if bytes.count > limit { throw refuse("more") }
    }
  }

  /// Whether there is a file or folder of that name, be it readable or not.
  public static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// Whether a file with that path exists that is not a folder.
  public static func isFile(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT != S_IFDIR
  }

  /// Writes a file whole or not at all: whoever opens `path` sees the old bytes or all of the new ones.
  ///
  /// The bytes go to a temporary file in the same folder, which takes the name once the disk has it.
  /// A symbolic link is followed, and permissions stay as they were; a file that may not be written, and a link to
  /// nothing, are refused. What is no regular file, such as
  /// `/dev/null` or a pipe, is written to directly.
  ///
  /// - Throws: a `LetheError` with the system's reason; the temporary file is removed, and `path` is as it
  ///   was.
  public static func writeAtomically(_ chunks: some Sequence<[UInt8]>, to path: String) throws {
    try writeAtomically(to: path) { write in
      for chunk in chunks { try chunk.withUnsafeBytes(write) }
    }
  }

  /// Writes a file whole or not at all; `body` hands over its bytes in order, piece by piece.
  ///
  /// - Throws: what `body` throws, or a `LetheError` with the system's reason; the temporary file is
  ///   removed, and `path` is as it was.
  public static func writeAtomically(
    to path: String, _ body: (_ write: (UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    var status = stat()
    let exists = stat(path, &status) == 0
    if exists {
      let kind = status.st_mode & S_IFMT
      if kind == S_IFDIR {
        throw LetheError(path, "is a directory", expected: "the name of a file to write")
      }
      if access(path, W_OK) != 0 { throw failure(path, "cannot be written", errno) }
      if kind != S_IFREG {
        let device = try OutputFile(path, flags: O_WRONLY, blame: path)
        return try body { try device.write($0) }
      }
    }
    if !exists, lstat(path, &status) == 0 {
      throw LetheError(
        path, "is a link to a file that is not there", advice: "make the file, or remove the link")
    }
    let target = resolved(path)
    let slash = target.utf8.lastIndex(of: UInt8(ascii: "/"))
    let folder = slash.map { String(target[...$0]) } ?? "./"
    let temporary = try OutputFile(temporaryIn: folder, blame: path)
    do {
      if exists { temporary.setPermissions(status.st_mode & 0o7777) }
      try body { try temporary.write($0) }
      try temporary.synchronize()
      if rename(temporary.path, target) != 0 { throw failure(path, "cannot be replaced", errno) }
    } catch {
      unlink(temporary.path)
      throw error
    }
    try synchronize(folder: folder, blame: path)
  }

  /// Where a symbolic link leads; any other path as it is.
  private static func resolved(_ path: String) -> String {
    guard let real = realpath(path, nil) else { return path }
    defer { free(real) }
    return String(cString: real)
  }

  /// Makes the new name last through a power cut; folders that cannot be synchronized are left alone.
  private static func synchronize(folder: String, blame path: String) throws {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    if descriptor < 0 { return }
    defer { close(descriptor) }
    if fsync(descriptor) != 0 && errno == EIO {
      throw failure(path, "is written, but its folder could not be synchronized", EIO)
    }
  }

  /// The error for a system call that failed with `code`.
  static func failure(_ path: String, _ problem: String, _ code: Int32) -> LetheError {
    let reason = strerror(code).map { String(cString: $0) } ?? "error \(code)"
    let advice: String? =
      switch code {
      case ENOENT: "check the spelling, and that the folder exists"
      case ENOTDIR: "a part of the path is a file, not a folder"
      case EACCES, EPERM: "check the permissions of the file and its folder"
      case EROFS: "choose a folder that can be written"
      case ENOSPC, EDQUOT: "free some space, or choose another disk"
      case EFBIG: "raise the limit on the size of files, or choose another disk"
      case EMFILE, ENFILE: "too many files are open; raise the limit (ulimit -n)"
      default: nil
      }
    return LetheError(path, "\(problem): \(reason)", advice: advice)
  }
}
