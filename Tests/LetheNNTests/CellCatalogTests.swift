import Lethe
import LetheTestSupport
import Testing

@Suite struct CellCatalogTests {
  private static func layer(_ entry: CellCatalog.Entry, _ outputs: RecurrentOutputs) -> any RecurrentLayer {
    var layer = entry.layer(8, outputs)
    do {
      _ = try layer.build(input: [.any, 8 + (entry.cell?(8).description.scalars ?? 0)])
    } catch {
      Issue.record("\(entry.name): \(error)")
    }
    layer.initialize(key: RandomKey(seed: 1))
    return layer
  }

  private static func input(_ entry: CellCatalog.Entry) -> Tensor {
    let width = 8 + (entry.cell?(8).description.scalars ?? 0)
    return RandomKey(seed: 2).uniform(shape: [6, 5, width], in: 0..<1)
  }

  /// The last of all outputs is the last output, the state has the sizes that the layer says, and ten steps of Adam on
  /// one batch lower its loss.
  @Test(arguments: CellCatalog.all.map(\.name))
  func everyEntryIsALayerThatLearns(name: String) throws {
    let entry = try #require(CellCatalog.entry(name))
    func check(_ all: some RecurrentLayer, _ last: any RecurrentLayer) throws {
      let x = Variable(Self.input(entry))
      let (outputs, state) = all.run(x, from: nil)
      let final = last.run(x, from: nil)
      #expect(outputs.shape.prefix(2) == [6, 5] && final.output.shape == [6, outputs.shape[2]])
      for row in 0..<6 {
        for unit in 0..<outputs.shape[2] {
          #expect(outputs.tensor[row, 4, unit] == final.output.tensor[row, unit])
        }
      }
      #expect((state.hidden + state.cell).map(\.shape) == all.stateSizes.map { [6, $0] })
      #expect(sameBits(all.run(x, from: all.emptyState(batch: 6)).output.tensor, outputs.tensor))

      var layer = all
      var optimizer = OptimizerState(.adam(rate: 0.01))
      let target = numbers("target", outputs.shape, scale: 0.5)
      var losses: [Float] = []
      for _ in 0...10 {
        let (loss, gradients) = layer.gradients(isTraining: false) { layer, tape in
          meanSquaredError(layer(tape.constant(x.tensor)), target)
        }
        losses.append(loss)
        optimizer.update(&layer, gradients: gradients)
      }
      #expect(losses[10] < losses[0], "\(losses)")
    }
    try check(Self.layer(entry, .all), Self.layer(entry, .last))
  }

  /// Whether a cell takes its input unit by unit is read off its equations, with columns beside it or without.
  @Test func widthsFollowFromTheEquations() {
    for entry in CellCatalog.all {
      #expect(entry.isAsWideAsItsInput == ["sru", "rglru", "ema"].contains(entry.name), "\(entry.name)")
    }
    for scalars in 0...2 {
      let own = CellCatalog.Entry(name: "own", summary: "") { HighwayCell(hiddenSize: $0, scalars: scalars) }
      #expect(own.isAsWideAsItsInput)
      expectRefusal(own.layer(8, .all), [.any, 9 + scalars], saying: "as many features as units")
    }
  }

  /// Each layer and direction has parts of its own; h of a projected cell is narrower.
  @Test func anEmptyStateHasEveryLayersParts() {
    let layer = Recurrent(ProjectedLSTMCell(4, outputSize: 3), inputSize: 5, layers: 2, bidirectional: true)
    let empty = layer.emptyState(batch: 2)
    #expect(empty.hidden.map(\.shape) == Array(repeating: [2, 3], count: 4))
    #expect(empty.cell.map(\.shape) == Array(repeating: [2, 4], count: 4))
    let x = Variable(numbers("empty", [2, 3, 5]))
    #expect(sameBits(layer.run(x, from: empty).output.tensor, layer.run(x).output.tensor))
  }

  @Test func namesDiffer() {
    #expect(Set(CellCatalog.all.map(\.name)).count == CellCatalog.all.count)
    #expect(CellCatalog.all.allSatisfy { !$0.summary.isEmpty })
  }
}

/// h = f ⊙ x + (1 − f) ⊙ tanh(W x), f from a column or two of the input where there are any.
private struct HighwayCell: RecurrentCell {
  static let kind = "highway"
  var hiddenSize: Int
  var scalars: Int

  var description: CellDescription {
    CellDescription("highway") { cell in
      var sum = cell.gate("keep")
      for number in 0..<scalars { sum = sum + cell.scalar("column \(number)") }
      let keep = sigmoid(sum)
      return keep * cell.input + (1 - keep) * tanh(cell.gate("candidate"))
    }
  }
}
