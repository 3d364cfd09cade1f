#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif
import LetheCore

/// A file open for reading, closed when the value goes.
struct InputFile: ~Copyable {
  let path: String
  /// The bytes of a regular file; 0 for a pipe or a device.
  let size: Int
  private let descriptor: Int32

  init(_ path: String) throws {
    let descriptor = retrying { open(path, O_RDONLY | O_CLOEXEC) }
    if descriptor < 0 { throw FileBytes.failure(path, "cannot be opened", errno) }
    var status = stat()
    if fstat(descriptor, &status) != 0 {
      let code = errno
      close(descriptor)
      throw FileBytes.failure(path, "cannot be examined", code)
    }
    let kind = status.st_mode & S_IFMT
    if kind == S_IFDIR {
      close(descriptor)
      throw LetheError(path, "is a directory", expected: "a file")
    }
    self.path = path
    self.descriptor = descriptor
    size = kind == S_IFREG ? Int(status.st_size) : 0
  }

  deinit { close(descriptor) }

  /// Fills `buffer` from where the last call ended; less than its size only at the end of the file.
  func fill(_ buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try fill(buffer) { read(descriptor, $0, $1) }
  }

  /// Fills `buffer` from the bytes at `offset`; less than its size only at the end of the file.
  func fill(_ buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws -> Int {
    var position = off_t(offset)
    return try fill(buffer) { start, count in
      let done = pread(descriptor, start, count, position)
      position += off_t(max(done, 0))
      return done
    }
  }

  private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, by call: (UnsafeMutableRawPointer, Int) -> Int
  ) throws -> Int {
    guard let start = buffer.baseAddress else { return 0 }
    var done = 0
    while done < buffer.count {
      let step = retrying { call(start + done, min(buffer.count - done, 1 << 30)) }
      if step < 0 { throw FileBytes.failure(path, "cannot be read", errno) }
      if step == 0 { break }
      done += step
    }
    return done
  }
}

/// A file open for writing, closed when the value goes.
struct OutputFile: ~Copyable {
  let path: String
  /// The name that errors carry.
  private let blame: String
  private let descriptor: Int32

  init(_ path: String, flags: Int32, blame: String) throws {
    descriptor = retrying { open(path, flags | O_CLOEXEC, 0o666) }
    if descriptor < 0 { throw FileBytes.failure(blame, "cannot be written", errno) }
    self.path = path
    self.blame = blame
  }

  /// A new file in `folder`, under a name nothing had.
  init(temporaryIn folder: String, blame: String) throws {
    for attempt in 0..<1000 {
      let path = "\(folder).lethe-\(getpid())-\(attempt).tmp"
      let descriptor = retrying { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666) }
      if descriptor >= 0 {
        self.path = path
        self.blame = blame
        self.descriptor = descriptor
        return
      }
      if errno != EEXIST { throw FileBytes.failure(blame, "cannot be written", errno) }
    }
    throw LetheError(
      blame, "cannot be written: \(folder) is full of temporary files",
      advice: "remove its .lethe-*.tmp files")
  }

  /// A new file of that name; `nil` when there is one already.
  init?(new path: String, blame: String) throws {
    descriptor = retrying { open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0o666) }
    if descriptor < 0 {
      if errno == EEXIST { return nil }
      throw FileBytes.failure(blame, "cannot be written", errno)
    }
    self.path = path
    self.blame = blame
  }

  deinit { close(descriptor) }

  func write(_ bytes: UnsafeRawBufferPointer) throws {
    guard let start = bytes.baseAddress else { return }
    var done = 0
    while done < bytes.count {
      let step = retrying { systemWrite(descriptor, start + done, min(bytes.count - done, 1 << 30)) }
      if step < 0 { throw FileBytes.failure(blame, "cannot be written", errno) }
      done += step
    }
  }

  /// Cuts the file to a length, where the file system can.
  func truncate(to length: Int) { _ = ftruncate(descriptor, off_t(length)) }

  /// Sets the permissions, where the file system has them.
  func setPermissions(_ mode: mode_t) { _ = fchmod(descriptor, mode) }

  /// Waits until the disk has every byte.
  func synchronize() throws {
    if retrying({ fsync(descriptor) }) != 0 { throw FileBytes.failure(blame, "cannot be written", errno) }
  }
}

/// The system's `write`, under a name that the method of the same name does not hide.
private func systemWrite(_ descriptor: Int32, _ start: UnsafeRawPointer, _ count: Int) -> Int {
  write(descriptor, start, count)
}

/// Repeats a system call while signals interrupt it.
private func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}
