import Lethe
import Testing

@Suite struct DatasetTests {
  /// Four rows of three steps of two features, with labels, one a row.
  static var perRow: Dataset {
    Dataset(
      inputs: Tensor((0..<24).map { Float($0) }, shape: [4, 3, 2]),
      targets: .classes([0, 1, 2, 1], count: 3),
      lengths: [3, 1, 2, 0])
  }

  /// The same with labels, one a step.
  static var perStep: Dataset {
    var data = perRow
    data.targets = .classes((0..<12).map { $0 % 3 }, count: 3)
    return data
  }

  @Test func rowsAreGathered() {
    let few = Self.perRow[rows: [3, 0, 3]]
    #expect(few.count == 3)
    #expect(few.inputs.shape == [3, 3, 2])
    #expect(few.inputs.scalars == [18, 19, 20, 21, 22, 23, 0, 1, 2, 3, 4, 5, 18, 19, 20, 21, 22, 23])
    #expect(few.lengths == [0, 3, 0])
    guard case .classes(let labels, count: 3) = few.targets else { return #expect(Bool(false)) }
    #expect(labels == [1, 0, 1])
  }

  @Test func labelsOfStepsAreGathered() {
    var data = Self.perStep
    data.targets = .classes(Array(0..<12), count: 12)
    guard case .classes(let labels, count: 12) = data[rows: [2, 0]].targets else {
      return #expect(Bool(false))
    }
    #expect(labels == [6, 7, 8, 0, 1, 2])
  }

  @Test func rangesAndValuesAreGathered() {
    let data = Dataset(
      inputs: Tensor([0, 1, 2, 3], shape: [4]),
      targets: .values(Tensor([0, 1, 2, 3, 4, 5, 6, 7], shape: [4, 2])))
    let middle = data[1..<3]
    #expect(middle.inputs == Tensor([1, 2]))
    #expect(middle.lengths == nil)
    guard case .values(let values) = middle.targets else { return #expect(Bool(false)) }
    #expect(values == Tensor([2, 3, 4, 5], shape: [2, 2]))
    #expect(data[2..<2].inputs.shape == [0])
    #expect(data[rows: []].count == 0)
    #expect(data[2..<2][rows: []].count == 0)
  }

  @Test func goodDataIsValid() throws {
    try Self.perRow.validated(name: "d")
    try Self.perStep.validated(name: "d")
    try Self.perRow[0..<0].validated(name: "d")
    let values = Dataset(inputs: Tensor(zeros: [2, 3]), targets: .values(Tensor([1, 2])))
    #expect(try values.validated(name: "d").count == 2)
  }

  @Test func labelsBehindTheLengthMayBeAnything() throws {
    var data = Self.perStep
    data.targets = .classes([0, 1, 2, 0, -100, -100, 0, 1, 7, -1, -1, -1], count: 3)
    try data.validated(name: "d")
    data.lengths = nil
    #expect(throws: LetheError.self) { try data.validated(name: "d") }
  }

  /// A change for the worse, and what the error has to say.
  static let bad: [(change: @Sendable (inout Dataset) -> Void, error: String)] = [
    (
      { $0.inputs[2, 1, 0] = .nan },
      "d: inputs, row 2: the number at [2, 1, 0] is not finite; expected a finite number, found nan"
    ),
    (
      {
        $0.inputs[3, 0, 0] = .nan
        $0.inputs[0, 2, 1] = -.infinity
      }, "d: inputs, row 0: the number at [0, 2, 1] is not finite; expected a finite number, found -inf"
    ),
    (
      { $0.targets = .classes([0, 3, 0, 0], count: 3) },
      "d: labels, row 1: the label is no class; expected 0 to 2, found 3"
    ),
    ({ $0.targets = .classes([0, 0, 0, -1], count: 3) }, "d: labels, row 3: the label is no class"),
    (
      { $0.targets = .classes([0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0], count: 3) },
      "d: labels, row 2, step 1: the label is no class"
    ),
    (
      { $0.targets = .classes([0, 0, 0], count: 3) },
      "d: labels and inputs differ in number; expected 4, one a row, or 12, one a step, found 3"
    ),
    (
      { $0.targets = .values(Tensor([1, 2, 3])) },
      "d: targets and inputs differ in rows; expected 4, found the shape [3]"
    ),
    (
      { $0.targets = .values(Tensor([1, 2, 3, .nan])) }, "d: targets, row 3: the number at [3] is not finite"
    ),
    ({ $0.lengths = [1, 2] }, "d: lengths and inputs differ in rows; expected 4, found 2"),
    (
      { $0.lengths = [1, 4, 1, 1] }, "d: lengths, row 1: the length is out of range; expected 0 to 3, found 4"
    ),
    ({ $0.lengths = [1, 1, 1, -1] }, "d: lengths, row 3: the length is out of range"),
    ({ $0.inputs = Tensor([1, 2, 3, 4]) }, "d: there are lengths, but no steps"),
    ({ $0.inputs = Tensor(1) }, "d: the inputs have no rows"),
  ]

  @Test(arguments: bad.indices)
  func isNamed(_ index: Int) {
    var data = Self.perRow
    Self.bad[index].change(&data)
    let error = #expect(throws: LetheError.self) { try data.validated(name: "d") }
    #expect(
      error?.description.hasPrefix(Self.bad[index].error) == true, "\(error?.description ?? "nothing")")
  }
}
