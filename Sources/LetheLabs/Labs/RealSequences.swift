import LetheCore
import LetheData
import LetheFormats
import LetheNN

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Sequences from files, in three parts, each to be told to a class.
struct RealSequences {
  var train: Dataset
  var validation: Dataset
  var test: Dataset
  var classes: Int
  /// Numbers of a step, or the width of a word's vector.
  var features: Int
  /// How many words there are; `nil` where steps are numbers.
  var words: Int?

  /// The same, if there is enough of each part.
  private func checked(_ place: String) throws -> RealSequences {
    for (name, part, least) in [("train", train, 32), ("validation", validation, 1), ("test", test, 1)]
    where part.count < least {
      throw LetheError(
        place, "holds too little for the \(name) part", expected: "\(least) or more", found: "\(part.count)")
    }
    return self
  }

  // MARK: Text

  /// Sentences of `stsa.binary.train`, `.dev` and `.test`: lines of a label, a space, and words between spaces.
  ///
  /// Word 0 stands for all that occur once or never in the training part.
  /// - Throws: `LetheError` for files that are missing or not of that form.
  static func reviews(_ folder: String) throws -> RealSequences {
    func lines(_ part: String) throws -> [(label: Int32, words: [String])] {
      let path = "\(folder)/stsa.binary.\(part)"
      let text = try String(decoding: FileBytes.read(path, limit: 64 << 20), as: UTF8.self)
      return try text.split(separator: "\n").enumerated().map { number, line in
        let words = line.split(separator: " ").map(String.init)
        guard let label = words.first.flatMap({ Int32($0) }), label == 0 || label == 1, words.count > 1 else {
          throw LetheError(
            "\(path):\(number + 1)", "is no labelled sentence", expected: "0 or 1, a space, words",
            found: String(line.prefix(40)))
        }
        return (label, Array(words.dropFirst()))
      }
    }
    let train = try lines("train")
    var counts: [String: Int] = [:]
    for word in train.lazy.flatMap(\.words) { counts[word, default: 0] += 1 }
    let known = counts.filter { $0.value > 1 }.keys.sorted()
    let numbers = Dictionary(uniqueKeysWithValues: zip(known, 1...))
    func part(_ lines: [(label: Int32, words: [String])]) -> Dataset {
      let longest = lines.map(\.words.count).max() ?? 1
      let x = lines.flatMap { line in
        (0..<longest).map { Float($0 < line.words.count ? numbers[line.words[$0]] ?? 0 : 0) }
      }
      return Dataset(
        inputs: Tensor(x, shape: [lines.count, longest]), targets: .classes(lines.map(\.label), count: 2),
        lengths: lines.map(\.words.count))
    }
    return try RealSequences(
      train: part(train), validation: part(try lines("dev")), test: part(try lines("test")), classes: 2,
      features: 32, words: known.count + 1
    ).checked(folder)
  }

  // MARK: Sound

  /// Spoken digits, `recordings/DIGIT_SPEAKER_NUMBER.wav`; numbers 0 to 4 are for tests, 5 to 9 for validation.
  ///
  /// A step is the logarithm of the power in 24 bands over 32 ms, 16 ms after the last; at most 60 steps.
  /// - Throws: `LetheError` for files that are missing or not of that form.
  static func spokenDigits(_ folder: String) throws -> RealSequences {
    let place = folder + "/recordings"
    let names = ((try? FileManager.default.contentsOfDirectory(atPath: place)) ?? []).filter {
      $0.hasSuffix(".wav")
    }
    guard names.count >= 100 else {
      throw LetheError(
        place, "holds too few recordings", expected: "100 files .wav or more", found: "\(names.count)",
        advice: "name another folder with --data")
    }
    let bands = Bands()
    var sounds: [[(label: Int32, steps: [Float])]] = [[], [], []]
    for name in names.sorted() {
      let parts = name.dropLast(4).split(separator: "_")
      guard parts.count == 3, let digit = Int32(parts[0]), let number = Int(parts[2]), 0..<10 ~= digit else {
        throw LetheError("\(place)/\(name)", "has another name", expected: "DIGIT_SPEAKER_NUMBER.wav")
      }
      let steps = bands.steps(try samples("\(place)/\(name)"))
      sounds[number < 5 ? 2 : number < 10 ? 1 : 0].append((digit, steps))
    }
    // All numbers by the mean and deviation of the training part.
    let all = sounds[0].lazy.flatMap(\.steps)
    var (count, sum, squares) = (0.0, 0.0, 0.0)
    for x in all {
      count += 1
      sum += Double(x)
      squares += Double(x) * Double(x)
    }
    let mean = sum / count, deviation = (squares / count - mean * mean).squareRoot()
    guard deviation > 0 else {
      throw LetheError(place, "holds no sound to learn from", expected: "recordings numbered from 10 on")
    }
    func part(_ sounds: [(label: Int32, steps: [Float])]) -> Dataset {
      let lengths = sounds.map { $0.steps.count / Bands.count }, longest = lengths.max() ?? 1
      var x: [Float] = []
      for (row, sound) in sounds.enumerated() {
        for step in sound.steps { x.append(Float((Double(step) - mean) / deviation)) }
        x += Array(repeating: Float(0), count: (row + 1) * longest * Bands.count - x.count)
      }
      return Dataset(
        inputs: Tensor(x, shape: [sounds.count, longest, Bands.count]),
        targets: .classes(sounds.map(\.label), count: 10),
        lengths: lengths)
    }
    return try RealSequences(
      train: part(sounds[0]), validation: part(sounds[1]), test: part(sounds[2]), classes: 10,
      features: Bands.count
    ).checked(place)
  }

  /// The samples of a WAV file of one channel, 16 bits each.
  private static func samples(_ path: String) throws -> [Float] {
    let bytes = try FileBytes.read(path, limit: 16 << 20)
    func number(_ at: Int, _ size: Int) -> Int {
      (0..<size).reversed().reduce(0) { sum, place in sum << 8 | Int(bytes[at + place]) }
    }
    func name(_ at: Int) -> String { String(decoding: bytes[at..<at + 4], as: UTF8.self) }
    let expected = "a WAV file, one channel, 16 bits"
    guard bytes.count > 12, name(0) == "RIFF", name(8) == "WAVE" else {
      throw LetheError(path, "is no sound that can be read", expected: expected)
    }
    // Chunks: a name, a size, that many bytes, and one more after an odd size.
    var at = 12, isKnown = false
    while at + 8 <= bytes.count {
      let (chunk, size, start) = (name(at), number(at + 4, 4), at + 8)
      if chunk == "fmt ", size >= 16, start + 16 <= bytes.count {
        isKnown = number(start, 2) == 1 && number(start + 2, 2) == 1 && number(start + 14, 2) == 16
      }
      if chunk == "data", isKnown {
        let end = min(start + size, bytes.count)
        return stride(from: start, to: end - 1, by: 2).map {
          Float(Int16(truncatingIfNeeded: number($0, 2))) / 32_768
        }
      }
      at = start + size + size % 2
    }
    throw LetheError(path, "is no sound that can be read", expected: expected)
  }

  /// Power in bands that widen with frequency, as the ear's do: 2595 log₁₀(1 + f / 700) apart evenly (O'Shaughnessy 1987).
  private struct Bands {
    static let count = 24
    private static let (window, hop, longest) = (256, 128, 60)
    /// Windowed cosines and sines, [window, frequencies].
    private let cosines: Variable
    private let sines: Variable
    /// [frequencies, bands].
    private let triangles: Variable

    init() {
      let (window, half) = (Self.window, Self.window / 2)
      let turn = 2 * Double.pi / Double(window)
      func wave(_ value: ((sin: Double, cos: Double)) -> Double) -> Variable {
        let all = (0..<window).flatMap { n in
          let weight = 0.5 - 0.5 * Elementary.sinCos(turn * Double(n)).cos
          return (0..<half).map { k in
            let (sin, cos) = Elementary.sinCos(turn * Double(n * k % window))
            return Float(weight * value((sin, cos)))
          }
        }
        return Variable(Tensor(all, shape: [window, half]))
      }
      (cosines, sines) = (wave { $0.cos }, wave { $0.sin })
      func pitch(_ hertz: Double) -> Double { Elementary.log(1 + hertz / 700) }
      let highest = pitch(4000)
      triangles = Variable(
        Tensor(
          (0..<half).flatMap { k in
            let place = pitch(Double(k) * 8000 / Double(window)) / highest * Double(Self.count + 1)
            return (1...Self.count).map { Float(max(1 - abs(place - Double($0)), 0)) }
          }, shape: [half, Self.count]))
    }

    /// Of all steps one after the other; at least one.
    func steps(_ samples: [Float]) -> [Float] {
      let whole = samples + Array(repeating: 0, count: max(Self.window - samples.count, 0))
      let starts = Array(
        stride(from: 0, through: whole.count - Self.window, by: Self.hop).prefix(Self.longest))
      let frames = Variable(
        Tensor(starts.flatMap { whole[$0..<$0 + Self.window] }, shape: [starts.count, Self.window]))
      let (a, b) = (frames.times(cosines), frames.times(sines))
      return ((a * a + b * b).times(triangles) + 1e-6).log().tensor.scalars
    }
  }
}
