import LetheCore
import LetheFormats

#if canImport(Darwin)
  import Darwin
#endif

/// Calls something again and again and times every call.
struct RepeatedTiming {
  /// For how long, in seconds, after a warm-up of a third of it and 0.3 seconds at most; at least five calls.
  var seconds: Double
  /// So many calls instead, without warm-up.
  var repeats: Int?
  /// As many calls at most.
  var most: Int

  struct Result {
    /// The time of each call in seconds, the shortest first.
    var times: [Double]
    /// Requests for memory that went to the system during the timed calls.
    var systemCalls: Int
    /// By how much the most memory this process ever held grew from before the first call to the end, in bytes.
    var memoryGrowth: Int
    var median: Double { times[times.count / 2] }
  }

  func run(_ body: () -> Void) -> Result {
    let clock = ContinuousClock()
    func isWithin(_ seconds: Double, since start: ContinuousClock.Instant) -> Bool {
      start.duration(to: clock.now) < .seconds(seconds)
    }
    let most = repeats ?? most
    // Filled once, so that its own memory is there before growth is measured.
    var times = [Double](repeating: 0, count: most)
    times.removeAll(keepingCapacity: true)
    let memory = Self.mostResident
    if repeats == nil {
      let warm = clock.now
      repeat { body() } while isWithin(min(0.3, seconds / 3), since: warm)
    }
    let calls = MemoryUse.now.systemCalls
    let start = clock.now
    while times.count < most, repeats != nil || times.count < 5 || isWithin(seconds, since: start) {
      times.append(Self.seconds(of: body))
    }
    return Result(
      times: times.sorted(), systemCalls: MemoryUse.now.systemCalls - calls,
      memoryGrowth: Self.mostResident - memory)
  }

  /// How long a call takes.
  static func seconds(of body: () -> Void) -> Double {
    let (whole, atto) = ContinuousClock().measure(body).components
    return Double(whole) + Double(atto) * 1e-18
  }

  /// The most memory this process ever held, in bytes; 0 where the system does not say.
  private static var mostResident: Int {
    #if os(Linux)
      // Not getrusage: what it says survives from the program that started this one.
      guard let status = try? FileBytes.read("/proc/self/status", limit: 1 << 16) else { return 0 }
      let lines = String(decoding: status, as: UTF8.self).split(separator: "\n")
      let words = lines.first { $0.hasPrefix("VmHWM:") }?.split(whereSeparator: \.isWhitespace)
      return (words.flatMap { $0.count > 1 ? Int($0[1]) : nil } ?? 0) << 10
    #else
      var usage = rusage()
      return getrusage(RUSAGE_SELF, &usage) == 0 ? Int(usage.ru_maxrss) : 0
    #endif
  }
}
