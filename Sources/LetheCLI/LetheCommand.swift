import ArgumentParser
import Lethe

/// The command `lethe`: each subcommand parses, calls the library, and prints.
@main
struct LetheCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lethe",
    abstract: "Gated recurrent networks that train and run on the processor you have.",
    discussion: """
      Start with 'lethe demo': it learns to read handwritten digits in well under a minute and needs no files.

      Results never depend on the number of threads or on the processor: equal commands write equal bytes.

      EXAMPLES:
        lethe demo
        lethe train digits --model lstm --epochs 20
        lethe evaluate digits-lstm.lethe.safetensors digits
      """,
    version: "0.1.0",
    subcommands: [
      DemoCommand.self, TrainCommand.self, EvaluateCommand.self, PredictCommand.self, LookCommand.self,
      InfoCommand.self, CompareCommand.self, LabCommand.self, BenchCommand.self, LawsCommand.self,
    ])

  static func main() {
    Console.takeSignals()
    do {
      var command = try parseAsRoot()
      // What remains is help.
      let commands = configuration.subcommands.flatMap { [$0] + $0.configuration.subcommands }
      if commands.contains(where: { $0 == type(of: command) }) { try checkInstructionSet() }
      try command.run()
    } catch let error as LetheError {
      Console.note("lethe: error: \(error.inOneLine)")
      Console.leave(.failure)
    } catch {
      leave(with: error)
    }
  }

  /// Prints what the parser has to say: help and versions on standard output, wrong usage on standard error.
  private static func leave(with error: any Error) {
    let status = exitCode(for: error)
    let text = fullMessage(for: error)
    if status.isSuccess {
      do { try Console.line(text) } catch { Console.leave(.failure) }
    } else if !text.isEmpty {
      let prefix = "Error: "
      Console.note("lethe: error: " + (text.hasPrefix(prefix) ? String(text.dropFirst(prefix.count)) : text))
    }
    Console.leave(status)
  }

  /// Refuses a `LETHE_ISA` that this machine cannot follow, before any kernel is asked for.
  private static func checkInstructionSet() throws {
    do {
      _ = try InstructionSet.chosen()
    } catch var error as LetheError {
      error.found = Console.environment("LETHE_ISA")
      Console.note("lethe: error: \(error.inOneLine)")
      throw ExitCode.validationFailure
    }
  }
}
