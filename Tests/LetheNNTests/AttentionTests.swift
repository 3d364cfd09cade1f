import Foundation
import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct AttentionTests {
  let x = numbers("attention", [3, 9, 4])
  let timing = Timing(
    lengths: [9, 0, 6],
    resets: [
      (0..<9).map { $0 == 4 }, Array(repeating: false, count: 9), (0..<9).map { $0 == 0 || $0 == 3 },
    ])
  static let prunings: [Float?] = [nil, 0.4]

  /// Two heads of sizes off the vector width.
  func layer(_ pruning: Float? = nil, forgetBias: Float = 0.5, headSize: Int = 11)
    -> ForgettingAttention
  {
    var layer = ForgettingAttention(
      inputSize: 4, hiddenSize: 5, heads: 2, headSize: headSize, pruning: pruning)
    layer.forEachParameter { name, parameter in
      parameter.value = numbers("attention.\(name)", parameter.shape, scale: pruning == nil ? 0.7 : 0.2)
      if name == "bias_forget" { parameter.value = Tensor([forgetBias, forgetBias - 1]) }
    }
    return layer
  }

  func steps(_ tensor: Tensor, _ range: Range<Int>, row: Int? = nil) -> Tensor {
    let (time, width) = (tensor.shape[1], tensor.shape[2]),
      rows = row.map { [$0] } ?? Array(0..<tensor.shape[0])
    let scalars = tensor.scalars
    return Tensor(
      rows.flatMap {
        scalars[($0 * time + range.lowerBound) * width..<($0 * time + range.upperBound) * width]
      },
      shape: [rows.count, range.count, width])
  }

  private func doubles(_ tensor: Tensor, row: Int, length: Int) -> [[Double]] {
    (0..<length).map { t in (0..<tensor.shape[2]).map { Double(tensor[row, t, $0]) } }
  }

  // MARK: the equations

  @Test(arguments: prunings, [1, 8, 11]) func itIsItsEquations(_ pruning: Float?, _ headSize: Int) {
    let layer = layer(pruning, headSize: headSize), twin = ForgettingAttentionTwin(layer)
    let y = layer(Variable(x, timing: timing)).tensor
    for (row, length) in [9, 0, 6].enumerated() {
      let want = twin.run(doubles(x, row: row, length: length), resets: timing.resets?[row])
      for t in 0..<9 {
        for unit in 0..<5 { #expect(abs(Double(y[row, t, unit]) - (t < length ? want[t][unit] : 0)) < 2e-6) }
      }
    }
  }

  /// Gradients of Σ ⟨y, cotangent⟩ are central differences of the twin.
  @Test(arguments: prunings) func gradientsAreDifferences(_ pruning: Float?) throws {
    let layer = layer(pruning), cotangent = numbers("cotangent", [3, 9, 5])
    var input: Variable?
    let (_, all) = layer.gradients { layer, tape in
      let watched = tape.watched(x, timing: timing)
      input = watched
      return (layer(watched) * Variable(cotangent)).sum()
    }
    var rows = [9, 0, 6].enumerated().map { doubles(x, row: $0, length: $1) }
    var twin = ForgettingAttentionTwin(layer)
    func value(_ twin: ForgettingAttentionTwin, _ rows: [[[Double]]]) -> Double {
      var sum = 0.0
      for (row, x) in rows.enumerated() {
        for (t, y) in twin.run(x, resets: timing.resets?[row]).enumerated() {
          for (unit, y) in y.enumerated() { sum += y * Double(cotangent[row, t, unit]) }
        }
      }
      return sum
    }
    let named = all.named(for: layer), step = 1e-4
    for (number, name) in layer.parameters.map(\.name).enumerated() {
      let found = try #require(named[name]).scalars
      for i in found.indices {
        let old = twin.parts[number][i]
        twin.parts[number][i] = old + step
        let above = value(twin, rows)
        twin.parts[number][i] = old - step
        let slope = (above - value(twin, rows)) / (2 * step)
        twin.parts[number][i] = old
        #expect(abs(Double(found[i]) - slope) < 1e-5 * (1 + abs(slope)), "\(name)[\(i)]")
      }
    }
    let watched = try #require(input)
    let dx = try #require(all[watched])
    for row in 0..<3 {
      for t in 0..<9 {
        for i in 0..<4 {
          var slope = 0.0
          if t < rows[row].count {
            let old = rows[row][t][i]
            rows[row][t][i] = old + step
            let above = value(twin, rows)
            rows[row][t][i] = old - step
            slope = (above - value(twin, rows)) / (2 * step)
            rows[row][t][i] = old
          }
          #expect(abs(Double(dx[row, t, i]) - slope) < 1e-5 * (1 + abs(slope)), "x[\(row), \(t), \(i)]")
        }
      }
    }
  }

  /// A chunk's gradient into its own input is the whole's of those outputs: the cache before it is a constant.
  @Test func gradientsStopAtTheCache() throws {
    let layer = layer(), cotangent = numbers("later", [3, 5, 5])
    let past = layer.run(Variable(steps(x, 0..<4))).cache
    func gradient(_ input: Tensor, _ body: (Variable) -> Variable) throws -> Tensor {
      let tape = Tape(), watched = tape.watched(input)
      return try #require(tape.gradients(of: [(body(watched), cotangent)])[watched])
    }
    let own = try gradient(steps(x, 4..<9)) { layer.run($0, cache: past).output }
    let tape = Tape(), watched = tape.watched(x)
    let seed = Tensor(
      (0..<3).flatMap { [Float](repeating: 0, count: 20) + steps(cotangent, 0..<5, row: $0).scalars },
      shape: [3, 9, 5])
    let whole = try #require(tape.gradients(of: [(layer(watched), seed)])[watched])
    #expect(difference(own, steps(whole, 4..<9)) < 2e-6)
  }

  /// Where nothing is forgotten it is attention as everyone knows it.
  @Test func openGatesAreSoftmaxAttention() throws {
    let layer = layer(forgetBias: 100)
    let named = Dictionary(uniqueKeysWithValues: layer.parameters.map { ($0.name, $0.value) })
    func project(_ name: String) throws -> Tensor {
      linear(Variable(x), Variable(try #require(named[name])), nil).tensor
    }
    let q = try project("weight_q"), k = try project("weight_k"), v = try project("weight_v")
    var read = Tensor(zeros: [3, 9, 22])
    for row in 0..<3 {
      for head in 0..<2 {
        for i in 0..<9 {
          let scores = (0...i).map { j in
            (head * 11..<head * 11 + 11).reduce(Float(0)) { $0 + q[row, i, $1] * k[row, j, $1] }
              / Float(11).squareRoot()
          }
          let share = Tensor(scores).softmax.scalars
          for c in head * 11..<head * 11 + 11 {
            read[row, i, c] = (0...i).reduce(0) { $0 + share[$1] * v[row, $1, c] }
          }
        }
      }
    }
    let want = linear(Variable(read), Variable(try #require(named["weight_out"])), nil).tensor
    #expect(difference(layer(x), want) < 2e-6)
  }

  // MARK: whole, chunks and steps

  @Test(arguments: prunings) func wholeIsChunksIsSteps(_ pruning: Float?) {
    let layer = layer(pruning), x = numbers("long", [3, 40, 4]), whole = layer.run(Variable(x))
    var cache: AttentionCache?
    for range in [0..<7, 7..<7, 7..<8, 8..<29, 29..<40] {
      let part = layer.run(Variable(steps(x, range)), cache: cache)
      #expect(sameBits(part.output.tensor, steps(whole.output.tensor, range)))
      cache = part.cache
    }
    #expect(cache == whole.cache)
    for row in 0..<3 {
      var stream = layer.stream()
      let outputs = (0..<40).flatMap { stream.step(steps(x, $0..<$0 + 1, row: row).scalars) }
      #expect(sameBits(Tensor(outputs, shape: [1, 40, 5]), steps(whole.output.tensor, 0..<40, row: row)))
      #expect(stream.cache == whole.cache.row(row))
      #expect(pruning == nil ? stream.cacheSize == 40 : stream.cacheSize < 30)
      stream.reset()
      #expect(stream.step(steps(x, 0..<1, row: row).scalars) == Array(outputs[0..<5]))
      #expect(stream.cacheSize == 1)
    }
  }

  /// Shorter rows are those sequences alone; what a reset begins is a sequence of its own; row mates do not meet.
  @Test(arguments: prunings) func rowsAreAlone(_ pruning: Float?) {
    let layer = layer(pruning), all = layer.run(Variable(x, timing: timing))
    for (row, pieces) in [[0..<4, 4..<9], [], [0..<3, 3..<6]].enumerated() {
      for piece in pieces {
        let own = layer.run(Variable(steps(x, piece, row: row)))
        #expect(sameBits(own.output.tensor, steps(all.output.tensor, piece, row: row)))
        if piece == pieces.last { #expect(own.cache == all.cache.row(row)) }
      }
      let end = pieces.last?.upperBound ?? 0
      #expect(steps(all.output.tensor, end..<9, row: row).scalars.allSatisfy { $0 == 0 })
    }
    #expect(all.cache.count(row: 1, head: 0) == 0)
    var last = layer
    last.outputs = .last
    let y = last(Variable(x, timing: timing)).tensor
    #expect(sameBits(y.rows(0..<1), steps(all.output.tensor, 8..<9, row: 0).reshaped([1, 5])))
    #expect(y.rows(1..<2).scalars.allSatisfy { $0 == 0 })
  }

  /// Each row goes on from its own end, one of length 0 from where it was.
  @Test(arguments: prunings) func unevenCachesGoOn(_ pruning: Float?) {
    let layer = layer(pruning), lengths = [4, 0, 2]
    let before = layer.run(Variable(steps(x, 0..<4), timing: Timing(lengths: lengths)))
    let after = layer.run(Variable(steps(x, 4..<9)), cache: before.cache)
    for (row, length) in lengths.enumerated() {
      let both = steps(x, 0..<length, row: row).scalars + steps(x, 4..<9, row: row).scalars
      let alone = layer.run(Variable(Tensor(both, shape: [1, length + 5, 4])))
      #expect(
        sameBits(
          steps(alone.output.tensor, length..<length + 5), steps(after.output.tensor, 0..<5, row: row)))
      #expect(alone.cache == after.cache.row(row))
    }
  }

  /// A reset also cuts off what the cache holds, and no gradient passes it.
  @Test func resetsCutTheCacheOff() throws {
    let layer = layer(), past = layer.run(Variable(x)).cache
    let resets = Timing(resets: (0..<3).map { _ in (0..<9).map { $0 == 0 } })
    let next = layer.run(Variable(x, timing: resets), cache: past)
    #expect(sameBits(next.output.tensor, layer(x)))
    #expect(next.cache == past)
    let tape = Tape(), watched = tape.watched(x, timing: timing)
    let y = layer(watched)
    var seed = Tensor(zeros: y.shape)
    seed[0, 6, 2] = 1
    let gradient = try #require(tape.gradients(of: [(y, seed)])[watched])
    #expect(steps(gradient, 0..<4, row: 0).scalars.allSatisfy { $0 == 0 })
    #expect(steps(gradient, 4..<7, row: 0).scalars.contains { $0 != 0 })
  }

  @Test(arguments: prunings) func threadsGiveTheSameBits(_ pruning: Float?) {
    let layer = layer(pruning), x = numbers("threads", [4, 70, 4])
    expectSameBits {
      var input: Variable?
      var output: Tensor?
      let (_, all) = layer.gradients { layer, tape in
        let watched = tape.watched(x, timing: Timing(lengths: [70, 3, 51, 64]))
        let y = layer(watched)
        (input, output) = (watched, y.tensor)
        return (y * y).sum()
      }
      let named = all.named(for: layer)
      return layer.parameters.compactMap { named[$0.name] }
        + [output, input.flatMap { all[$0] }].compactMap { $0 }
    }
  }

  // MARK: pruning

  /// The cache stays small, and outputs move by no more than the dropped weights allow.
  @Test func pruningBoundsTheCache() throws {
    let epsilon: Float = 1e-6, time = 1500
    let pruned = layer(epsilon)
    var whole = pruned
    whole.pruning = nil
    let x = numbers("pruned", [1, time, 4])
    let named = Dictionary(uniqueKeysWithValues: pruned.parameters.map { ($0.name, $0.value) })
    func longestRow(_ name: String, _ width: Int) throws -> Float {
      let scalars = try #require(named[name]).scalars
      return stride(from: 0, to: scalars.count, by: width).map { start in
        scalars[start..<start + width].reduce(0) { $0 + abs($1) }
      }.max() ?? 0
    }
    // |x| ≤ 1, so |v| and the way from o to y are at most what the rows of the weights add up to.
    let most = try longestRow("weight_v", 4) * longestRow("weight_out", 22)
    let want = whole(x), found = pruned(x)
    #expect(!sameBits(found, want))
    for t in 0..<time {
      for unit in 0..<5 {
        #expect(abs(found[0, t, unit] - want[0, t, unit]) <= 2 * Float(t) * epsilon * most + 1e-6)
      }
    }
    #expect(difference(found, want) < 1e-5)
    var stream = pruned.stream()
    var largest = 0
    for t in 0..<time {
      #expect(stream.step(steps(x, t..<t + 1).scalars) == steps(found, t..<t + 1).scalars)
      largest = max(largest, stream.cacheSize)
    }
    #expect(largest < 60, "\(largest)")
    #expect(whole.run(Variable(x)).cache.largestCount == time)
  }

  // MARK: files and options

  @Test func itIsSavedAndRead() throws {
    let model = Sequential(input: [9, 4], seed: 3) {
      ForgettingAttention(6, heads: 2, headSize: 3, outputs: .all, pruning: 0.01, forgetBias: 2)
      ForgettingAttention(5, headSize: 4)
      Dense(2)
    }
    let copy = try ModelFile(bytes: ModelFile(model).encoded(), name: "attention").model
    #expect(sameBits(copy(x), model(x)))
    #expect(try ModelFile.configuration(of: copy) == ModelFile.configuration(of: model))
    #expect(model.layers.count == 3 && copy.parameters.map(\.name) == model.parameters.map(\.name))
  }

  @Test func contradictionsAreRefused() {
    expectRefusal(ForgettingAttention(4, headSize: 3), [4], saying: "[time, features]")
    expectRefusal(ForgettingAttention(0, headSize: 3), [9, 4], saying: "sizes are out of range")
    expectRefusal(ForgettingAttention(4, heads: 0, headSize: 3), [9, 4], saying: "heads 0")
    expectRefusal(ForgettingAttention(4, headSize: 3, pruning: 1), [9, 4], saying: "between 0 and 1")
    expectRefusal(ForgettingAttention(4, headSize: 3, pruning: .nan), [9, 4], saying: "pruning")
    expectRefusal(ForgettingAttention(4, headSize: 3, forgetBias: .infinity), [9, 4], saying: "finite")
  }

  @Test func itTrains() {
    var model = Sequential(input: [9, 4], seed: 1) {
      ForgettingAttention(8, heads: 2, headSize: 8)
      Dense(1)
    }
    let target = Tensor((0..<3).map { x[$0, 0, 0] }, shape: [3, 1])
    var optimizer = OptimizerState(.adam(rate: 0.02))
    var losses: [Float] = []
    for _ in 0..<80 {
      let (loss, gradients) = model.gradients { model, tape in
        meanSquaredError(model(tape.constant(x)), target)
      }
      optimizer.update(&model, gradients: gradients)
      losses.append(loss)
    }
    #expect((losses.last ?? 1) < 0.05 * (losses.first ?? 0))
  }
}
