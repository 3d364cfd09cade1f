import Lethe
import Testing

@Suite struct DigitsTests {
  static func labels(_ data: Dataset) -> [Int32] {
    guard case .classes(let labels, count: 10) = data.targets else { return [] }
    return labels
  }

  @Test func allAreThere() throws {
    let digits = try Digits.load().validated(name: "digits")
    #expect(digits.inputs.shape == [1797, 8, 8, 1])
    let labels = Self.labels(digits)
    #expect(labels.prefix(10) == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    // The class counts that scikit-learn's description of the set gives.
    let counts = (0..<10).map { digit in labels.count { $0 == digit } }
    #expect(counts == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180])
    // The first image as scikit-learn shows it, top row.
    #expect((0..<8).map { digits.inputs[0, 0, $0, 0] * 16 } == [0, 0, 5, 13, 9, 1, 0, 0])
    let scalars = digits.inputs.scalars
    #expect(scalars.min() == 0)
    #expect(scalars.max() == 1)
    #expect(scalars.allSatisfy { $0 * 16 == ($0 * 16).rounded() })
  }

  @Test func splitsArePartsOfTheWhole() {
    let all = Digits.load()
    let fifths = Digits.split()
    #expect(fifths.train.count == 1438)
    #expect(fifths.test.count == 359)
    #expect(fifths.test.inputs == all[rows: Array(stride(from: 4, to: 1797, by: 5))].inputs)
    #expect(Self.labels(fifths.train).prefix(8) == [0, 1, 2, 3, 5, 6, 7, 8])
    let last = Digits.lastRowsSplit()
    #expect(last.train.inputs == all[0..<1437].inputs)
    #expect(last.test.inputs == all[1437..<1797].inputs)
    #expect(Self.labels(last.train) + Self.labels(last.test) == Self.labels(all))
  }
}
