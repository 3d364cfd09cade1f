import Lethe
import LetheNN
import LetheTestSupport
import Testing

@Suite struct DecoderAttentionTests {
  static let kinds = ["bahdanau", "dot", "general", "concat"]
  let query = numbers("query", [3, 4])
  let memory = numbers("memory", [3, 6, 4])
  let lengths = [6, 0, 4]

  private func make(_ kind: String) throws -> any DecoderAttention {
    func filled<A: DecoderAttention>(_ attention: A) -> A {
      var attention = attention
      attention.forEachParameter { name, parameter in
        parameter.value = numbers("\(kind).\(name)", parameter.shape)
      }
      return attention
    }
    if kind == "bahdanau" { return filled(try BahdanauAttention(querySize: 4, memorySize: 4, units: 5)) }
    let score = try #require(LuongAttention.Score(rawValue: kind))
    return filled(
      try LuongAttention(score, querySize: 4, memorySize: 4, units: kind == "concat" ? 5 : nil))
  }

  /// Context and weights of one row, in doubles, from the parameters by name.
  private func twin(_ kind: String, _ p: [String: [Double]], query s: [Double], memory: [[Double]]) -> (
    context: [Double], weights: [Double]
  ) {
    func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map { $0 * $1 }.reduce(0, +) }
    func times(_ name: String, _ x: [Double]) -> [Double] {
      let weight = p[name] ?? []
      return stride(from: 0, to: weight.count, by: x.count).map { dot(Array(weight[$0..<$0 + x.count]), x) }
    }
    let scores = memory.map { h in
      switch kind {
      case "dot": dot(s, h)
      case "general": dot(s, times("weight", h))
      case "concat": times("weight_score", times("weight", s + h).map(NaiveTwin.tanh))[0]
      default:
        times(
          "weight_score",
          zip(times("weight_query", s), times("weight_memory", h)).map { NaiveTwin.tanh($0 + $1) })[0]
      }
    }
    let shares = scores.map { Elementary.exp($0) }, total = shares.reduce(0, +)
    let context = (0..<4).map { c in zip(shares, memory).map { $0 / total * $1[c] }.reduce(0, +) }
    return (context, shares.map { $0 / total })
  }

  @Test(arguments: kinds) func itIsItsEquations(_ kind: String) throws {
    let attention = try make(kind)
    let p = Dictionary(
      uniqueKeysWithValues: attention.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
    let found = attention(
      query: Variable(query), memory: Variable(memory, timing: Timing(lengths: lengths)))
    #expect(found.context.shape == [3, 4] && found.weights.shape == [3, 6])
    for (row, length) in lengths.enumerated() {
      let want = twin(
        kind, p, query: (0..<4).map { Double(query[row, $0]) },
        memory: (0..<length).map { j in (0..<4).map { Double(memory[row, j, $0]) } })
      for c in 0..<4 { #expect(abs(Double(found.context.tensor[row, c]) - want.context[c]) < 2e-6) }
      var sum: Float = 0
      for j in 0..<6 {
        let weight = found.weights.tensor[row, j]
        sum += weight
        if j < length {
          #expect(abs(Double(weight) - want.weights[j]) < 2e-6)
        } else {
          #expect(weight == 0)
        }
      }
      #expect(abs(sum - (length == 0 ? 0 : 1)) < 1e-6)
    }
  }

  /// Gradients of Σ ⟨context, a⟩ + Σ ⟨weights, b⟩ are central differences of the equations.
  @Test(arguments: kinds) func gradientsAreDifferences(_ kind: String) throws {
    func open<A: DecoderAttention>(_ attention: A) throws {
      let a = numbers("a", [3, 4]), b = numbers("b", [3, 6])
      let tape = Tape()
      var numbered = attention
      var slot = 0
      numbered.forEachParameter { _, parameter in
        parameter.slot = slot
        slot += 1
      }
      let s = tape.watched(query), h = tape.watched(memory, timing: Timing(lengths: lengths))
      let result = numbered(query: s, memory: h)
      let all = tape.gradients(of: [(result.context, a), (result.weights, b)])
      var p = Dictionary(
        uniqueKeysWithValues: attention.parameters.map { ($0.name, $0.value.scalars.map(Double.init)) })
      p["query"] = query.scalars.map(Double.init)
      p["memory"] = memory.scalars.map(Double.init)
      func value() -> Double {
        let (s, h) = (p["query"] ?? [], p["memory"] ?? [])
        var sum = 0.0
        for (row, length) in lengths.enumerated() {
          let result = twin(
            kind, p, query: Array(s[row * 4..<row * 4 + 4]),
            memory: (0..<length).map { j in Array(h[(row * 6 + j) * 4..<(row * 6 + j) * 4 + 4]) })
          for c in 0..<4 where length > 0 { sum += result.context[c] * Double(a[row, c]) }
          for j in 0..<length { sum += result.weights[j] * Double(b[row, j]) }
        }
        return sum
      }
      var found = all.named(for: attention)
      found["query"] = all[s]
      found["memory"] = all[h]
      #expect(found.count == p.count)
      for name in found.keys.sorted() {
        let gradient = try #require(found[name]).scalars
        for i in gradient.indices {
          let old = try #require(p[name]?[i])
          p[name]?[i] = old + 1e-4
          let above = value()
          p[name]?[i] = old - 1e-4
          let slope = (above - value()) / 2e-4
          p[name]?[i] = old
          #expect(abs(Double(gradient[i]) - slope) < 1e-5 * (1 + abs(slope)), "\(name)[\(i)]")
        }
      }
    }
    try open(make(kind))
  }

  @Test(arguments: kinds) func rowsAreAlone(_ kind: String) throws {
    let attention = try make(kind)
    let all = attention(
      query: Variable(query), memory: Variable(memory, timing: Timing(lengths: lengths)))
    for (row, length) in lengths.enumerated() where length > 0 {
      let own = attention(
        query: Variable(query.rows(row..<row + 1)),
        memory: Variable(
          memory.rows(row..<row + 1).reshaped([6, 4]).rows(0..<length).reshaped([1, length, 4])))
      #expect(sameBits(own.context.tensor, all.context.tensor.rows(row..<row + 1)))
      #expect(own.weights.tensor.scalars == Array(all.weights.tensor.rows(row..<row + 1).scalars[0..<length]))
    }
  }

  @Test(arguments: kinds) func threadsGiveTheSameBits(_ kind: String) throws {
    let attention = try make(kind)
    let query = numbers("wide query", [70, 4]), memory = numbers("wide memory", [70, 300, 4])
    let lengths = (0..<70).map { 300 - 4 * $0 }
    expectSameBits {
      let tape = Tape()
      let s = tape.watched(query), h = tape.watched(memory, timing: Timing(lengths: lengths))
      let result = attention(query: s, memory: h)
      let all = tape.gradients(
        of: (result.context * result.context).sum() + (result.weights * result.weights).sum())
      return [result.context.tensor, result.weights.tensor] + [all[s], all[h]].compactMap { $0 }
    }
  }

  @Test func parametersAreLoaded() throws {
    func open<A: DecoderAttention>(_ attention: A) throws {
      var copy = attention
      copy.initialize(key: RandomKey(seed: 5))
      try copy.load(
        Dictionary(uniqueKeysWithValues: attention.parameters.map { ($0.name, $0.value) }), from: "copy")
      let x = copy(query: Variable(query), memory: Variable(memory))
      #expect(
        sameBits(x.context.tensor, attention(query: Variable(query), memory: Variable(memory)).context.tensor)
      )
    }
    for kind in Self.kinds { try open(make(kind)) }
  }

  @Test func contradictionsAreRefused() {
    #expect(throws: LetheError.self) { try BahdanauAttention(querySize: 0, memorySize: 4, units: 5) }
    #expect(throws: LetheError.self) { try BahdanauAttention(querySize: 4, memorySize: 4, units: 0) }
    #expect(throws: LetheError.self) { try LuongAttention(.dot, querySize: 4, memorySize: 5) }
    #expect(throws: LetheError.self) { try LuongAttention(.general, querySize: 4, memorySize: 5, units: 3) }
    #expect(throws: LetheError.self) { try LuongAttention(.concat, querySize: 4, memorySize: 5) }
    #expect(throws: LetheError.self) { try LuongAttention(.general, querySize: 4, memorySize: 0) }
  }
}
