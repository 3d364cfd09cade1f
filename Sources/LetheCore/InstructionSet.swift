import CLetheKernels

/// The instruction sets that Lethe has kernels for. Results have the same bits on all of them.
public enum InstructionSet: String, CaseIterable, Sendable {
  /// Plain C: the oracle of the others, very slow.
  case portable
  /// x86-64 with AVX2 and FMA.
  case avx2
  /// x86-64 with AVX-512 (F, BW, DQ, VL).
  case avx512
  /// 64-bit Arm.
  case neon

  private var tag: lethe_isa {
    switch self {
    case .portable: LETHE_ISA_PORTABLE
    case .avx2: LETHE_ISA_AVX2
    case .avx512: LETHE_ISA_AVX512
    case .neon: LETHE_ISA_NEON
    }
  }

  /// Those this machine can run.
  public static var available: [InstructionSet] { allCases.filter { lethe_kernels_of($0.tag) != nil } }

  /// The one in use: the best available, or what the environment variable `LETHE_ISA` names.
  ///
  /// - Throws: `LetheError` when `LETHE_ISA` names none that this machine has.
  public static func chosen() throws -> InstructionSet {
    guard let kernels = lethe_kernels_best() else {
      throw LetheError(
        "LETHE_ISA", "names no instruction set of this machine",
        expected: available.map(\.rawValue).joined(separator: ", "))
    }
    return allCases.first { lethe_kernels_of($0.tag) == kernels } ?? .portable
  }

  /// The rate of independent fused multiply-adds that one core reaches, in floating-point operations a second.
  ///
  /// *Cost*: about 10 ms.
  public func measurePeak() -> Double { lethe_peak_flops(tag) }
}

// Function pointers into constant tables: nothing here ever changes.
package nonisolated(unsafe) let kernels: lethe_kernels = {
  guard let best = lethe_kernels_best() else {
    stop(
      "LETHE_ISA names no instruction set of this machine; it has "
        + InstructionSet.available.map(\.rawValue).joined(separator: ", "))
  }
  return best.pointee
}()
