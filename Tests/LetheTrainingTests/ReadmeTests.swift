import Lethe
import LetheTestSupport
import Testing

// README: one model
/// Reads a digit row by row; each row's memory is what the rows above left in it.
struct RowReader: Model {
  var memory = LSTM(inputSize: 8, hiddenSize: 32, outputs: .last)
  var head = Dense(inputSize: 32, units: 10)

  mutating func visitParameters(_ visitor: inout ParameterVisitor) {
    visitor.visit("memory", &memory)
    visitor.visit("head", &head)
  }

  func callAsFunction(_ x: Variable) -> Variable { head(memory(x)) }
}
// README: end

/// The README's code compiles, runs, and stands in the README as it stands here.
@Suite struct ReadmeTests {
  let text = RowTask.make()

  @Test func classicLSTM() throws {
    let (train, test) = text
    let (steps, features, classes) = (8, 8, 10)
    // README: classic
    var model = Sequential(input: [steps, features], seed: 1) {
      LSTM(128, outputs: .all)
      Dense(64, activation: .relu)
      Dense(classes, activation: .softmax)
    }
    try model.fit(train, epochs: 10, batchSize: 32, optimizer: .adam(), loss: .categoricalCrossEntropy)
    // README: end
    // One label a step: after the last row the digit is known.
    #expect(try #require(try model.evaluate(test, loss: .categoricalCrossEntropy).accuracy) > 0.5)
  }

  @Test func classicGRU() throws {
    let (train, test) = text
    var model = Sequential(input: [8, 8], seed: 1) {
      GRU(128, outputs: .all)
      Dense(64, activation: .relu)
      Dense(10, activation: .softmax)
    }
    try model.fit(train, epochs: 10, batchSize: 32, optimizer: .adam(), loss: .categoricalCrossEntropy)
    #expect(try #require(try model.evaluate(test, loss: .categoricalCrossEntropy).accuracy) > 0.5)
  }

  /// A cell in the generic driver is the layer of its name.
  @Test func cellInTheDriver() {
    let driven = Sequential(input: [.any, 8], seed: 3) { Recurrent(LSTMCell(24), outputs: .all) }
    let named = Sequential(input: [.any, 8], seed: 3) { LSTM(24, outputs: .all) }
    let x = numbers("x", [2, 5, 8])
    #expect(sameBits(driven(x), named(x)))
  }

  @Test func ownModel() throws {
    let (train, test) = Digits.split()
    func rows(_ data: Dataset) -> Dataset {
      Dataset(inputs: data.inputs.reshaped([data.count, 8, 8]), targets: data.targets)
    }
    var model = RowReader()
    try model.fit(
      rows(train), epochs: 6, batchSize: 32, optimizer: .adam(rate: 0.01), loss: .categoricalCrossEntropy)
    #expect(try #require(try model.evaluate(rows(test), loss: .categoricalCrossEntropy).accuracy) > 0.85)
  }

  @Test func streamsAModel() throws {
    let reading = numbers("reading", [12]).scalars
    // README: stream
    let model = Sequential(input: [.any, 12], seed: 1) {
      GRU(32, outputs: .all)
      Residual { MatrixMemory(32, rule: .mLSTM, keySize: 8, valueSize: 16, outputs: .all) }
      LSTM(24)
      Dense(3, activation: .softmax)
    }
    var live = try model.stream()  // throws, and names the layer, where one needs the whole sequence
    let chances = live.step(reading)
    // README: end
    #expect(chances == model.predict(Tensor(reading, shape: [1, 1, 12])).scalars)
  }

  @Test func looksInside() throws {
    let model = Sequential(input: [8, 8], seed: 1) {
      LSTM(12)
      Dense(3)
    }
    let x = numbers("x", [1, 8, 8])
    // README: look
    // Every gate and state by name, for 1.1 to 1.3 times the forward pass.
    let recording = model.record(x)
    if let memory = recording.layers[0].memory() {  // keep ⊙ c + write, whatever the cell
      // Which past steps unit 7 holds at step 4.
      let held = Ledger(memory).topEntries(at: 4, unit: 7)
      print(held)
    }
    // What if it had not forgotten?
    let other = try model.operated(x, [Intervention("forget", .set(1), steps: 3..<5)])
    // What can be proved, for any input in the range.
    print(try model.certificates(inputRange: .every(0...1)).table)
    // README: end
    #expect(recording.layers.count == 1 && other.output.scalars != recording.output.scalars)
  }

  @Test func theReadmeHoldsThisCode() throws {
    let here = #filePath
    let root = here.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let source = String(decoding: try FileBytes.read(here, limit: 1 << 20), as: UTF8.self)
    let readme = String(decoding: try FileBytes.read(root + "/README.md", limit: 1 << 20), as: UTF8.self)
    let snippets = source.components(between: "// README: ", and: "// README: end")
    #expect(snippets.count == 4)
    for snippet in snippets { #expect(readme.contains(snippet), "missing in README.md:\n\(snippet)") }
  }
}

/// The digits as sequences of rows with one label a step.
private enum RowTask {
  static func make() -> (train: Dataset, test: Dataset) {
    let (train, test) = Digits.split()
    func stepwise(_ data: Dataset) -> Dataset {
      guard case .classes(let labels, let count) = data.targets else { return data }
      return Dataset(
        inputs: data.inputs.reshaped([data.count, 8, 8]),
        targets: .classes(labels.flatMap { Array(repeating: $0, count: 8) }, count: count))
    }
    return (stepwise(train), stepwise(test))
  }
}

extension String {
  /// The texts between a line that begins with one mark and the line of the other, without common indentation.
  fileprivate func components(between start: String, and end: String) -> [String] {
    var found: [String] = []
    var current: [Substring]?
    for line in split(separator: "\n", omittingEmptySubsequences: false) {
      let trimmed = line.drop { $0 == " " }
      if trimmed == end[...] {
        let lines = current ?? []
        let indent = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
        found.append(lines.map { $0.dropFirst(indent) }.joined(separator: "\n"))
        current = nil
      } else if trimmed.hasPrefix(start) {
        current = []
      } else {
        current?.append(line)
      }
    }
    return found
  }
}
