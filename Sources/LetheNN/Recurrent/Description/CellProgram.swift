import CLetheKernels
import LetheCore

/// The code of a described cell in memory that the kernels can read.
///
/// Unchecked because of the raw memory: it is written by `finish` only, before anybody else sees the program.
final class CellProgram: @unchecked Sendable {
  /// Stage by stage.
  var forward: [CellCode] = []
  var backward: [CellCode] = []
  var numbers: [CellCode] = []
  var dNumbers: [CellCode] = []
  private var template = lethe_program()
  private var instructions: [UnsafeMutablePointer<lethe_instruction>] = []
  private var places: [UnsafeMutablePointer<lethe_place>] = []
  private var constants: UnsafeMutablePointer<Float>?

  func finish() {
    var all: [Float] = []
    template.stages = Int32(forward.count)
    withUnsafeMutableBytes(of: &template.stage) { raw in
      let stages = raw.bindMemory(to: lethe_stage.self)
      for number in forward.indices {
        stages[number].forward = place(forward[number], &all)
        stages[number].backward = place(backward[number], &all)
        stages[number].numbers = place(numbers[number], &all)
        stages[number].d_numbers = place(dNumbers[number], &all)
      }
    }
    let memory = UnsafeMutablePointer<Float>.allocate(capacity: max(all.count, 1) * 16)
    for (index, value) in all.enumerated() { (memory + index * 16).update(repeating: value, count: 16) }
    constants = memory
    template.constants = UnsafePointer(memory)
  }

  private func place(_ code: CellCode, _ constants: inout [Float]) -> lethe_code {
    require(constants.count + code.constants.count < 256, "a described cell has too many constants")
    let own = code.shifted(by: constants.count)
    constants += code.constants
    let instructions = UnsafeMutablePointer<lethe_instruction>.allocate(
      capacity: max(own.instructions.count, 1))
    instructions.initialize(from: own.instructions, count: own.instructions.count)
    let places = UnsafeMutablePointer<lethe_place>.allocate(capacity: max(own.places.count, 1))
    places.initialize(from: own.places, count: own.places.count)
    self.instructions.append(instructions)
    self.places.append(places)
    return lethe_code(
      instructions: UnsafePointer(instructions), places: UnsafePointer(places),
      count: Int32(own.instructions.count), place_count: Int32(own.places.count))
  }

  deinit {
    for memory in instructions { memory.deallocate() }
    for memory in places { memory.deallocate() }
    constants?.deallocate()
  }

  /// What the kernels read, without weights.
  func make(_ description: CellDescription) -> lethe_program {
    var program = template
    program.slots = Int32(description.slots)
    program.numbers = Int32(description.numbers)
    program.hidden = Int64(description.projected ?? 0)
    withUnsafeMutableBytes(of: &program.stage) { raw in
      let stages = raw.bindMemory(to: lethe_stage.self)
      for (number, stage) in description.stages.enumerated() {
        stages[number].groups = Int32(stage.groups.count)
        switch stage.source {
        case .nothing: stages[number].source = 0
        case .state(let state):
          stages[number].source = Int32(state)
          program.seen |= 1 << state
        case .slot(let slot): stages[number].source = Int32(LETHE_SOURCE_SLOT) + Int32(slot)
        }
        stages[number].fill_first = Int32(stage.fill.first ?? 0)
        stages[number].fill_count = Int32(stage.fill.count)
        stages[number].width = Int64(stage.width ?? 0)
        stages[number].number_first = Int32(stage.firstNumber)
        stages[number].mean_count = Int32(stage.means)
        stages[number].number_count = Int32(stage.numbers)
      }
    }
    return program
  }
}

extension UnsafeMutablePointer where Pointee == lethe_program {
  /// Tells a stage's groups where their weights lie.
  func setGroup(_ stage: Int, _ group: Int, _ body: (inout lethe_group) -> Void) {
    withUnsafeMutableBytes(of: &pointee.stage) { raw in
      let stages = raw.bindMemory(to: lethe_stage.self)
      withUnsafeMutableBytes(of: &stages[stage].group) { raw in
        body(&raw.bindMemory(to: lethe_group.self)[group])
      }
    }
  }

  func setFill(_ stage: Int, _ fill: UnsafePointer<Float>) {
    withUnsafeMutableBytes(of: &pointee.stage) { raw in
      raw.bindMemory(to: lethe_stage.self)[stage].fill = fill
    }
  }
}
