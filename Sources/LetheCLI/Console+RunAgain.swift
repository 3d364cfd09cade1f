import LetheCore

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

extension Console {
  /// Runs this program again and gives what it wrote to standard output.
  ///
  /// - Throws: `LetheError` when it cannot be run or fails.
  static func runAgain(_ arguments: [String], environment: [String: String]) throws(LetheError) -> String {
    // Through a shell, each word in quotes.
    let words = try [path()] + arguments
    let settings = environment.map { "\($0.key)=\(quoted($0.value)) " }.joined()
    guard let pipe = popen(settings + words.map(quoted).joined(separator: " "), "r") else {
      throw LetheError("the program", "cannot be run again: \(String(cString: strerror(errno)))")
    }
    var output: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&buffer, 1, buffer.count, pipe), count > 0 { output += buffer[..<count] }
    let status = pclose(pipe)
    guard status == 0 else {
      throw LetheError("the program", "failed when it was run again, with status \(status)")
    }
    return String(decoding: output, as: UTF8.self)
  }

  private static func quoted(_ word: String) -> String {
    "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
  }

  private static func path() throws(LetheError) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    #if canImport(Darwin)
      var size = UInt32(buffer.count)
      let found = _NSGetExecutablePath(&buffer, &size) == 0
    #else
      let found = readlink("/proc/self/exe", &buffer, buffer.count - 1) > 0
    #endif
    guard found else { throw LetheError("the program", "cannot find itself, to be run again") }
    return buffer.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }
}
