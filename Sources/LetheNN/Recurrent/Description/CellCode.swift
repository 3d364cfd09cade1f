import CLetheKernels
import LetheCore

/// Straight-line code for the interpreter in the kernels: some nodes of a graph computed into places.
struct CellCode: Sendable {
  private(set) var instructions: [lethe_instruction] = []
  private(set) var places: [lethe_place] = []
  private(set) var constants: [Float] = []

  private struct Step {
    var operation: lethe_operation
    var operands: [Operand]
    var result: Int  // value number
  }
  private enum Operand: Hashable {
    case value(Int)
    case place(UInt16)
  }
  private static func key(_ place: lethe_place) -> UInt16 { UInt16(place.kind) << 8 | UInt16(place.index) }

  /// - Parameter known: nodes whose values lie in places before the code runs.
  init(
    _ graph: CellGraph, _ outputs: [(place: lethe_place, id: CellGraph.ID)],
    known: [CellGraph.ID: lethe_place], name: String
  ) {
    var operandOf: [CellGraph.ID: Operand] = [:]
    let forms = CellForms(graph, outputs.map(\.id), known: known)

    var steps: [Step] = []
    func emit(_ operation: lethe_operation, _ operands: [Operand]) -> Operand {
      steps.append(Step(operation: operation, operands: operands, result: steps.count))
      return .value(steps.count - 1)
    }
    for id in forms.needed {
      if let place = known[id] {
        operandOf[id] = .place(Self.key(place))
        continue
      }
      func operand(_ id: CellGraph.ID) -> Operand {
        guard let known = operandOf[id] else { stop("\(name): a value is used before it is computed") }
        return known
      }
      if let form = forms[id] {
        operandOf[id] = emit(form.operation, form.operands.map(operand))
        continue
      }
      switch graph.nodes[id] {
      case .leaf(.constant(let x)): operandOf[id] = constant(x)
      case .leaf(let leaf): operandOf[id] = .place(Self.key(Self.place(leaf, name)))
      case .unary(.hardSigmoid(let slope, let offset), let a):
        let line = emit(LETHE_OP_MULTIPLY_ADD, [operand(a), constant(slope), constant(offset)])
        operandOf[id] = emit(LETHE_OP_MIN, [emit(LETHE_OP_MAX, [line, constant(0)]), constant(1)])
      case .mean: stop("\(name): a mean is read before it is there")
      case .unary, .binary, .select: stop("\(name): a value has no operation")
      }
    }
    allocate(
      steps,
      outputs.map { output in
        guard let from = operandOf[output.id] else { stop("\(name): an output is never computed") }
        return (Self.key(output.place), from)
      }, name)
  }

  /// Gives values places: their output's where nothing there is read later, else temporaries, used again once free.
  private mutating func allocate(_ steps: [Step], _ outputs: [(place: UInt16, from: Operand)], _ name: String)
  {
    var lastUse: [Operand: Int] = [:]
    for (index, step) in steps.enumerated() { for operand in step.operands { lastUse[operand] = index } }
    for output in outputs { lastUse[output.from] = steps.count }
    var home: [Int: UInt16] = [:]  // value → place
    for (place, from) in outputs {
      guard case .value(let value) = from, home[value] == nil, lastUse[.place(place)] ?? -1 <= value else {
        continue
      }
      home[value] = place
    }
    var free: [Int] = [], used = 0
    func temporary() -> UInt16 {
      let index: Int
      if let last = free.popLast() {
        index = last
      } else {
        index = used
        used += 1
        require(
          used <= Int(LETHE_CODE_TEMPORARIES),
          "\(name): its arithmetic needs too many values at a time\(CellCompiler.wayOut)")
      }
      return Self.key(lethe_place(LETHE_PLACE_TEMPORARY, index))
    }
    func whereabouts(_ value: Int) -> UInt16 {
      guard let known = home[value] else { stop("\(name): a value has no place") }
      return known
    }
    // What an output will overwrite and another one wants is set aside first.
    var outputs = outputs
    let targets = Set(outputs.map(\.place))
    for index in outputs.indices {
      guard case .place(let from) = outputs[index].from, targets.contains(from), from != outputs[index].place
      else {
        continue
      }
      let aside = temporary()
      append(LETHE_OP_COPY, aside, [from])
      outputs[index].from = .place(aside)
    }
    for (index, step) in steps.enumerated() {
      let from = step.operands.map { operand -> UInt16 in
        switch operand {
        case .place(let place): place
        case .value(let value): whereabouts(value)
        }
      }
      // An operand that ends here makes room for the result: rows are read before they are written.
      for (number, operand) in step.operands.enumerated() {
        guard !step.operands[..<number].contains(operand), case .value(let value) = operand,
          lastUse[operand] == index, let place = home[value],
          place >> 8 == UInt16(LETHE_PLACE_TEMPORARY.rawValue)
        else { continue }
        free.append(Int(place & 255))
      }
      let to = home[step.result] ?? temporary()
      home[step.result] = to
      append(step.operation, to, from)
    }
    for (place, from) in outputs {
      let at: UInt16
      switch from {
      case .place(let p): at = p
      case .value(let value): at = whereabouts(value)
      }
      if at != place { append(LETHE_OP_COPY, place, [at]) }
    }
  }

  private mutating func append(_ operation: lethe_operation, _ to: UInt16, _ from: [UInt16]) {
    let (to, from) = (number(to), from.map { number($0) })
    instructions.append(
      lethe_instruction(
        operation: UInt8(operation.rawValue), to: to, a: from[0], b: from.count > 1 ? from[1] : from[0],
        c: from.count > 2 ? from[2] : from[0]))
  }

  private mutating func number(_ key: UInt16) -> UInt8 {
    if let known = places.firstIndex(where: { Self.key($0) == key }) { return UInt8(known) }
    require(places.count < Int(LETHE_CODE_PLACES), "a described cell's arithmetic needs too many places")
    places.append(lethe_place(kind: UInt8(key >> 8), index: UInt8(key & 255)))
    return UInt8(clamping: places.count - 1)
  }

  /// The place of a constant; `CellProgram` later joins the constants of all its codes.
  private mutating func constant(_ value: Float) -> Operand {
    let index = constants.firstIndex { $0.bitPattern == value.bitPattern } ?? constants.count
    if index == constants.count { constants.append(value) }
    return .place(Self.key(lethe_place(LETHE_PLACE_CONSTANT, index)))
  }

  /// The same code with its constants behind `offset` others.
  func shifted(by offset: Int) -> CellCode {
    var copy = self
    for index in places.indices where places[index].kind == UInt8(LETHE_PLACE_CONSTANT.rawValue) {
      copy.places[index].index += UInt8(offset)
    }
    return copy
  }

  private static func place(_ leaf: CellGraph.Leaf, _ name: String) -> lethe_place {
    switch leaf {
    case .state(let n): .init(LETHE_PLACE_STATE_IN, n)
    case .vector(let n): .init(LETHE_PLACE_VECTOR, n)
    case .mask: .init(LETHE_PLACE_MASK, 0)
    case .dState(let n): .init(LETHE_PLACE_D_STATE, n)
    case .dSeen: .init(LETHE_PLACE_D_SEEN, 0)
    case .carry(let n): .init(LETHE_PLACE_CARRY, n)
    case .slot(let n): .init(LETHE_PLACE_SLOT, n)
    case .number(let n): .init(LETHE_PLACE_NUMBER, n)
    case .dNumber(let n): .init(LETHE_PLACE_D_NUMBER, n)
    case .dVector(let n): .init(LETHE_PLACE_D_VECTOR, n)
    case .units: .init(LETHE_PLACE_UNITS, 0)
    case .term, .constant, .noise: stop("\(name): a gate's sum is read before it is there")
    }
  }
}
