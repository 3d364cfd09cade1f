import Lethe
import LetheTestSupport
import LetheTestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Equal training gives equal bytes, whatever happens in between and wherever it runs.
@Suite struct SameBytesTests {
  // Long enough to be interrupted in between.
  private static let epochs = isOptimized ? "40" : "8"

  private func training(_ out: String, _ more: String...) -> [String] {
    tinyTraining("--epochs", Self.epochs, "--out", out) + more
  }

  @Test func threadsAndInstructionSetsAndPathsLeaveNoTrace() throws {
    let folder = try TemporaryFolder()
    #expect(try LetheProgram.run(training("a", "--threads", "1"), in: folder.path).status == 0)
    #expect(try LetheProgram.run(training("b", "--threads", "2"), in: folder.path).status == 0)
    let expected = try folder.bytes("a")
    #expect(try folder.bytes("b") == expected)
    for set in InstructionSet.available where set != .portable {
      let result = try LetheProgram.run(
        training("\(set.rawValue).model"), in: folder.path, environment: ["LETHE_ISA": set.rawValue])
      #expect(result.status == 0)
      #expect(try folder.bytes("\(set.rawValue).model") == expected, "\(set.rawValue)")
    }
    #expect(try LetheProgram.run(training("c", "--seed", "2"), in: folder.path).status == 0)
    #expect(try folder.bytes("c") != expected)
  }

  @Test(arguments: [SIGINT, SIGTERM, SIGKILL])
  func interruptedTrainingGoesOn(signal: Int32) throws {
    let folder = try TemporaryFolder()
    #expect(try LetheProgram.run(training("whole"), in: folder.path).status == 0)

    let words = training("part", "--checkpoint", "state")
    let running = try LetheProgram.start(words, in: folder.path)
    try running.wait(for: "\"epoch\":2")
    kill(running.process.processIdentifier, signal)
    let stopped = try running.outcome()
    if signal == SIGKILL {
      #expect(stopped.status == 128 + SIGKILL)
    } else {
      #expect(stopped.status == 128 + signal)
      #expect(stopped.errors.contains("go on with: lethe train digits"))
      #expect(stopped.errors.contains("--checkpoint state --resume"))
    }
    #expect(try !folder.names().contains("part"), "no model before the end")

    let resumed = try LetheProgram.run(words + ["--resume"], in: folder.path)
    #expect(resumed.status == 0, "\(resumed.errors)")
    #expect(try #require(try resumed.objects().first)["epoch"] as? Int ?? 0 > 1, "it did not start anew")
    #expect(try folder.bytes("part") == folder.bytes("whole"))
  }

  @Test func interruptedWithoutCheckpointSaysSo() throws {
    let folder = try TemporaryFolder()
    let running = try LetheProgram.start(training("part"), in: folder.path)
    try running.wait(for: "\"epoch\":1")
    kill(running.process.processIdentifier, SIGINT)
    let stopped = try running.outcome()
    #expect(stopped.status == 130)
    #expect(stopped.errors.contains("nothing was written"))
    #expect(try folder.names().isEmpty)
  }

  @Test func otherOptionsCannotGoOn() throws {
    let folder = try TemporaryFolder()
    let first = training("m", "--checkpoint", "state")
    #expect(try LetheProgram.run(first, in: folder.path).status == 0)
    let result = try LetheProgram.run(first + ["--resume", "--seed", "2"], in: folder.path)
    #expect(result.status == 1)
    #expect(result.errorLines.count == 1)
    #expect(result.errors.contains("seed"))
    // Only checkpoints are overwritten.
    let clash = try LetheProgram.run(training("n", "--checkpoint", "m"), in: folder.path)
    #expect(clash.status == 1)
    #expect(clash.errors.contains("no checkpoint"))
    // A run that was done already gives the same file again.
    let before = try folder.bytes("m")
    #expect(try LetheProgram.run(first + ["--resume"], in: folder.path).status == 0)
    #expect(try folder.bytes("m") == before)
  }
}
