import Lethe
import LetheTestSupport
import Testing

@Suite("Bounds of recurrent layers, against an adversary")
struct RecurrentBoundsTests {
  static let units = 5
  static let names = CellCatalog.all.filter { $0.cell != nil }.map(\.name)

  /// A layer of such cells, as wide as its input where that has to be, its parameters multiplied.
  func layer(_ name: String, seed: UInt64, scale: Float = 1) throws -> (layer: any Layer, features: Int) {
    func make<Cell: RecurrentCell>(_ cell: Cell) -> (any Layer, Int) {
      let features = Self.units + cell.description.scalars
      var layer = Recurrent(cell, inputSize: features, outputs: .all, key: RandomKey(seed: seed))
      // Biases that start at 0 move too.
      layer.forEachParameter { name, parameter in
        let noise = numbers(name + "\(seed)", parameter.shape, scale: 0.3)
        parameter.value = Tensor(
          zip(parameter.value.scalars, noise.scalars).map { ($0 + $1) * scale }, shape: parameter.shape)
      }
      return (layer, features)
    }
    let cell = try #require(CellCatalog.entry(name)?.cell?(Self.units))
    return make(cell)
  }

  func bounds(_ layer: any Layer, _ box: [Interval], startingWithin: Double = 0) throws -> RecurrentBounds {
    var walk = BoxWalk()
    walk.startingWithin = startingWithin
    _ = walk.through(layer, ExampleBox(shape: [.any, box.count], features: box))
    return try #require(walk.layers.first)
  }

  /// Features in −1...1, scores and time differences in 0...1.
  func box(_ features: Int) -> [Interval] {
    (0..<features).map { $0 < Self.units ? Interval(-1, 1) : Interval(0, 1) }
  }

  func check(_ bounds: RecurrentBounds, _ adversary: RecurrentAdversary, _ what: String) {
    for (name, extremes) in adversary.found.sorted(by: { $0.key < $1.key }) {
      guard let own = bounds[name] else { continue }
      #expect(own.count == extremes.count, "\(what): \(name)")
      for unit in own.indices {
        #expect(
          own[unit].contains(extremes[unit]),
          "\(what): \(name) of unit \(unit) in \(own[unit]), but found \(extremes[unit])")
      }
    }
    // Every gate and state of the bounds was looked for.
    #expect(Set((bounds.gates + bounds.states).map(\.name)).isSubset(of: adversary.found.keys))
  }

  @Test("nothing passes them, in any cell", arguments: names)
  func adversary(name: String) throws {
    for seed: UInt64 in 1...3 {
      for scale: Float in [1, 10] {
        let (layer, features) = try layer(name, seed: seed, scale: scale)
        // (A normaliser does not start below 0.)
        for start in [0, 1.5] where start == 0 || seed == 1 && name != "slstm" {
          let bounds = try bounds(layer, box(features), startingWithin: start)
          var adversary = RecurrentAdversary(bounds)
          adversary.search(steps: 20, climbs: seed == 1 ? 4 : 1, key: RandomKey(seed: seed))
          check(bounds, adversary, "\(name) seed \(seed) × \(scale) from \(start)")
        }
      }
    }
  }

  @Test("what has to be bounded is, and no more is claimed of the rest", arguments: names)
  func proved(name: String) throws {
    let (layer, features) = try layer(name, seed: 1)
    let bounds = try bounds(layer, box(features))
    let states = Dictionary(uniqueKeysWithValues: bounds.states.map { ($0.name, $0.units.joined) })
    let hidden = try #require(states["hidden"])
    switch name {
    case "nfg", "hard_forget":
      // f can be 1, or is: the memory grows for ever, but by no more than |i u| a step.
      let memory = try #require(bounds.memory)
      #expect(states["cell"]?.isBounded == false && hidden.magnitude <= 1)
      let loose = (0..<bounds.units).filter { !memory.keep[$0].isBounded || memory.keep[$0].high >= 1 }
      #expect(!loose.isEmpty)
      for unit in loose {
        let growth = try #require(memory.growth(unit))
        #expect(growth <= 1 && growth > 0.2)
        #expect(memory.longestHalfLife(unit) == .infinity)
        #expect(abs(memory.magnitude(unit, after: 50, from: 1) - (1 + 50 * growth)) < 0.01)
      }
    case "time_lstm":
      // No time may pass: then nothing is forgotten.
      #expect(states["cell"]?.isBounded == false && hidden.magnitude <= 1)
    case "indrnn", "slstm", "noaf", "janet", "ligru", "peephole":
      // What is not squashed comes back into their gates: bounded or not, by the weights.
      #expect(bounds.gates.allSatisfy { $0.units.allSatisfy { $0.high > $0.low } })
      #expect(!bounds.contraction.isProved || hidden.isBounded)
    case "gru", "gru_before", "gru_d", "mgu", "augru", "rnn":
      #expect(hidden.magnitude <= 1.00001 && hidden.magnitude > 0.5)
    case "coupled", "budget", "qrnn":
      #expect(try #require(states["cell"]).magnitude <= (name == "budget" ? 8.001 : 1.00001))
      #expect(try #require(bounds.memory).isCoupled.allSatisfy { $0 })
    case "clipped": #expect(try #require(states["cell"]).magnitude <= 3)
    case "ema": #expect(hidden.magnitude <= 1.00001)
    case "hard": #expect(hidden.magnitude <= 1)
    default:
      #expect(states.values.allSatisfy { $0.isBounded }, "\(states)")
      #expect(bounds.memory.map { $0.longestHalfLife(0) > 0 } ?? true)
    }
  }

  @Test("an input outside the range passes them")
  func outside() throws {
    let (layer, features) = try layer("lstm", seed: 2, scale: 2)
    let narrow = try bounds(layer, box(features).map { $0 * Interval(0.1) })
    var adversary = RecurrentAdversary(try bounds(layer, box(features)))
    adversary.search(steps: 30, climbs: 0, key: RandomKey(seed: 1))
    let passed = narrow.gates.contains { gate in
      zip(gate.units, adversary.found[gate.name] ?? []).contains { !$0.contains($1) }
    }
    #expect(passed)
  }

  @Test("an adversary comes near to the bound of a leaky integrator, and to that of every gate")
  func tight() throws {
    var leaky = Recurrent(LeakyCell(3, halfLives: 2...9), inputSize: 4, key: RandomKey(seed: 1))
    leaky.forEachParameter { name, parameter in
      if name.hasPrefix("bias") { parameter.value = Tensor([0.3, -0.2, 0]) }
    }
    let own = try bounds(leaky, Array(repeating: Interval(-1, 2), count: 4))
    var adversary = RecurrentAdversary(own)
    adversary.search(steps: 200, climbs: 0, key: RandomKey(seed: 1))
    let found = try #require(adversary.found["hidden"])
    let limit = try #require(own["hidden"])
    for unit in 0..<3 {
      #expect(limit[unit].contains(found[unit]))
      #expect(found[unit].magnitude > 0.9999 * limit[unit].magnitude)
      let memory = try #require(own.memory)
      // From anywhere: the sum of the series.
      let f = memory.keep[unit].high, w = memory.write[unit].magnitude
      var c = 7.0
      for t in 1...20 {
        c = f * c + w
        let bound = memory.magnitude(unit, after: t, from: 7)
        #expect(bound >= c && bound < c * 1.0001)
      }
      // ln ½ / ln f, and never less.
      let exact = 0.6931471805599453 / -Elementary.log(f)
      #expect(abs(memory.longestHalfLife(unit) / exact - 1) < 1e-5)
    }
    // Gates from a zero state see the corner at once; afterwards h makes them wider.
    let (layer, features) = try layer("qrnn", seed: 1)
    let gates = try bounds(layer, box(features))
    var search = RecurrentAdversary(gates)
    search.search(steps: 3, climbs: 0, key: RandomKey(seed: 1))
    for gate in gates.gates {
      for (bound, seen) in zip(gate.units, try #require(search.found[gate.name])) {
        #expect(bound.contains(seen) && seen.width > 0.9999 * bound.width)
      }
    }
  }

  @Test("a gate that has rounded to 1 still forgets in the equation, and floats do not pass the bound")
  func saturated() throws {
    var lstm = LSTM(inputSize: 1, hiddenSize: 2, outputs: .all, forgetBias: 0, key: RandomKey(seed: 1))
    lstm.forEachParameter { name, parameter in
      var values = Tensor(zeros: parameter.shape).scalars
      if name.hasPrefix("bias_ih") { values = [9, 9, 20, 16, 9, 9, 0, 0] }
      parameter.value = Tensor(values, shape: parameter.shape)
    }
    let own = try bounds(lstm, [Interval(-1, 1)])
    let memory = try #require(own.memory)
    #expect(Float(memory.keep[0].high) == 1)
    // 1 − σ(20) = σ(−20) = 2.06e−9.
    #expect(abs(memory.gap[0] / 2.0611536181902e-9 - 1) < 1e-3)
    #expect(memory.longestHalfLife(0) > 3.3e8 && memory.longestHalfLife(0) < 3.4e8)
    let limit = try #require(own["cell"])
    #expect(limit.allSatisfy { $0.isBounded && $0.magnitude > 1e6 && $0.magnitude < 1e9 })
    let x = Tensor(repeating: 1, shape: [1, 20_000, 1])
    let cells = try #require(lstm.record(x).layers[0]["cell"])
    #expect(cells.scalars.allSatisfy { abs(Double($0)) <= limit[0].magnitude })
    #expect(try #require(cells.scalars.last) > 19_000)
  }

  @Test("recurrence without gates: a bound where the loop gain is below 1, none where it is not")
  func plain() throws {
    for (gain, isBounded) in [(Float(0.95), true), (1.05, false)] {
      var cell = Recurrent(IndRNNCell(3), inputSize: 2, key: RandomKey(seed: 1))
      cell.forEachParameter { name, parameter in
        if name.hasPrefix("recurrent") { parameter.value = Tensor(repeating: gain, shape: [3]) }
      }
      let own = try bounds(cell, [Interval(-1, 1), Interval(-1, 1)])
      let hidden = try #require(own["hidden"])
      #expect(hidden.allSatisfy { $0.isBounded == isBounded && $0.low == 0 }, "\(hidden)")
      #expect(own.contraction.isProved == isBounded)
      var adversary = RecurrentAdversary(own)
      adversary.search(steps: 200, climbs: 0, key: RandomKey(seed: 1))
      check(own, adversary, "IndRNN \(gain)")
      if isBounded {
        let found = try #require(adversary.found["hidden"])
        for (bound, seen) in zip(hidden, found) { #expect(seen.high > 0.5 * bound.high) }
      }
    }
    var rnn = RNN(inputSize: 2, hiddenSize: 4, outputs: .all, activation: .relu, key: RandomKey(seed: 1))
    rnn.forEachParameter { name, parameter in
      if name.hasPrefix("weight_hh") { parameter.value = Tensor(repeating: 0.5, shape: [4, 4]) }
    }
    #expect(try bounds(rnn, [Interval(-1, 1), Interval(0, 1)])["hidden"]?.joined.isBounded == false)
    rnn.forEachParameter { name, parameter in
      if name.hasPrefix("weight_hh") { parameter.value = numbers("u", parameter.shape, scale: 0.2) }
    }
    let own = try bounds(rnn, [Interval(-1, 1), Interval(0, 1)])
    #expect(own["hidden"]?.joined.isBounded == true && own.contraction.isProved)
  }

  @Test(
    "where contraction is proved, two runs come together as fast, and outputs move no further",
    arguments: [
      "lstm", "gru", "gru_before", "rnn", "peephole", "coupled", "ema", "sru", "minlstm", "fgn_cell",
      "projected",
    ])
  func contraction(name: String) throws {
    var (layer, features) = try layer(name, seed: 1)
    layer.forEachParameter { name, parameter in
      // Decays that start from half-lives stay as they are.
      guard name.hasPrefix("weight") || name.hasPrefix("bias") else { return }
      parameter.value = Tensor(parameter.value.scalars.map { $0 * 0.15 }, shape: parameter.shape)
    }
    let own = try bounds(layer, box(features))
    #expect(own.contraction.isProved, "rate \(own.contraction.rate)")
    let steps = try #require(own.contraction.steps(within: 0.001))
    #expect(steps > 1 && steps < 3000)
    // Two runs from other ends of the boxes.
    func run<Cell: RecurrentCell>(_ layer: Recurrent<Cell>, _ x: Tensor, _ side: KeyPath<Interval, Double>)
      -> Tensor
    {
      let state = own.states.map { state in
        Variable(Tensor(state.units.map { Float($0[keyPath: side]) }, shape: [1, state.units.count]))
      }
      return layer.run(Variable(x), from: RecurrentState(hidden: [state[0]], cell: Array(state.dropFirst())))
        .output.tensor
    }
    let x = numbers("x", [1, steps + 1, features])
    func pair<Cell: RecurrentCell>(_ layer: Recurrent<Cell>) -> (Tensor, Tensor) {
      (run(layer, x, \.low), run(layer, x, \.high))
    }
    func both(_ layer: any Layer) -> (Tensor, Tensor)? {
      switch layer {
      case let l as Recurrent<LSTMCell>: pair(l)
      case let l as Recurrent<GRUCell>: pair(l)
      case let l as Recurrent<RNNCell>: pair(l)
      case let l as Recurrent<EMACell>: pair(l)
      case let l as Recurrent<SRUCell>: pair(l)
      case let l as Recurrent<MinLSTMCell>: pair(l)
      case let l as Recurrent<ForgettingGateCell>: pair(l)
      case let l as Recurrent<ProjectedLSTMCell>: pair(l)
      default: nil
      }
    }
    let (a, b) = try #require(both(layer))
    let rest = zip(a.scalars, b.scalars).suffix(own.states[0].units.count).map { abs($0 - $1) }.max() ?? 1
    #expect(rest <= 0.00101, "\(rest) after \(steps) steps")
    // The gain of the closed loop: inputs that differ by 0.1 at most.
    guard let gain = own.contraction.gain else {
      // Its candidate chooses by its sign between two formulas that meet there, which the argument does not see.
      #expect(name == "minlstm")
      return
    }
    let long = numbers("long", [8, 60, features], scale: 0.9)
    let noise = numbers("noise", [8, 60, features], scale: 0.1)
    let moved = Tensor(zip(long.scalars, noise.scalars).map { $0 + $1 }, shape: long.shape)
    let apart =
      zip(layer(Variable(long)).tensor.scalars, layer(Variable(moved)).tensor.scalars).map {
        abs($0 - $1)
      }.max() ?? 0
    #expect(Double(apart) <= 0.1 * gain + 1e-5, "\(apart) of \(gain)")
  }

  @Test("no contraction is claimed of a network that remembers, nor of one that jumps")
  func remembers() throws {
    let (lstm, features) = try layer("lstm", seed: 1, scale: 10)
    let own = try bounds(lstm, box(features))
    #expect(
      !own.contraction.isProved && own.contraction.steps(within: 0.1) == nil && own.contraction.gain == nil)
    let (hard, _) = try layer("hard_forget", seed: 1)
    #expect(try bounds(hard, box(features)).stepGain == .infinity)
    // It does jump: a forget gate on the edge.
    let (nfg, _) = try layer("nfg", seed: 1)
    #expect(!(try bounds(nfg, box(features)).contraction.isProved))
  }
}
