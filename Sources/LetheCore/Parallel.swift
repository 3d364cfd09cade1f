import CLetheKernels

/// How many threads the work inside a scope may use. Results never depend on it.
///
///     Parallel.$threads.withValue(1) { model.predict(x) }
public enum Parallel {
  /// The number of threads; by default one for each processor.
  @TaskLocal public static var threads: Int = processorCount

  /// The processors of this machine that are on line.
  public static var processorCount: Int { Int(lethe_processor_count()) }

  /// Calls `body(0) … body(count - 1)`, shared among the threads; returns when all are done.
  ///
  /// The calls must not depend on their order or on who makes them, and may not write to shared memory
  /// that another call touches.
  package static func run(_ count: Int, threads: Int = threads, _ body: (Int) -> Void) {
    if count <= 1 || threads <= 1 {
      for i in 0..<count { body(i) }
      return
    }
    withoutActuallyEscaping(body) { body in
      var body = body
      withUnsafeMutablePointer(to: &body) { pointer in
        lethe_parallel(
          Int32(clamping: threads), Int64(count),
          { context, index in
            context?.assumingMemoryBound(to: ((Int) -> Void).self).pointee(Int(index))
          }, pointer)
      }
    }
  }

  /// Splits `0..<count` into even ranges, one or `perThread` for each thread but none smaller than `grain`,
  /// and calls `body` with each.
  package static func split(
    _ count: Int, grain: Int, perThread: Int = 1, threads: Int = threads, _ body: (Range<Int>) -> Void
  ) {
    let parts = max(1, min(threads * (threads > 1 ? perThread : 1), count / max(grain, 1)))
    run(parts, threads: threads) { i in body(count * i / parts..<count * (i + 1) / parts) }
  }
}

/// Bytes of tensor memory: in use, kept for reuse, and how often the system was asked for more.
public struct MemoryUse: Sendable {
  /// Bytes held by live tensors.
  public let inUse: Int
  /// Bytes kept for reuse.
  public let kept: Int
  /// Requests that went to the system; a training step in steady state adds none.
  public let systemCalls: Int

  /// How many buffers the calling thread has taken so far.
  package static var takenHere: Int { Int(lethe_buffer_taken_here()) }

  /// The counts at this moment.
  public static var now: MemoryUse {
    var inUse = 0, kept = 0, calls = 0
    lethe_buffer_counts(&inUse, &kept, &calls)
    return MemoryUse(inUse: inUse, kept: kept, systemCalls: calls)
  }
}
