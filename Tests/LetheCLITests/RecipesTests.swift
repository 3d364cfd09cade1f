import Lethe
import LetheTestSupport
import Testing

/// The library's side of the commands.
@Suite struct RecipesTests {
  @Test func imagesAreShiftedByOnePixel() {
    let image = Tensor([1, 2, 3, 4, 5, 6], shape: [1, 2, 3, 1])
    let five = Dataset(inputs: image, targets: .classes([7], count: 10)).withShiftedImages()
    #expect(five.labels == [7, 7, 7, 7, 7])
    #expect(five.inputs.shape == [5, 2, 3, 1])
    let expected: [[Float]] = [
      [1, 2, 3, 4, 5, 6], [0, 1, 2, 0, 4, 5], [2, 3, 0, 5, 6, 0], [0, 0, 0, 1, 2, 3], [4, 5, 6, 0, 0, 0],
    ]
    #expect(five.inputs.scalars == expected.flatMap { $0 })
  }

  @Test func severalImagesAndChannelsKeepApart() {
    let images = Tensor((1...16).map(Float.init), shape: [2, 2, 2, 2])
    let moved = Dataset(inputs: images, targets: .classes([1, 2], count: 3)).withShiftedImages()
    #expect(moved.labels == [1, 2, 1, 2, 1, 2, 1, 2, 1, 2])
    // The second block is moved to the right: each pixel takes its channels along.
    #expect(moved.inputs.rows(2..<4).scalars == [0, 0, 1, 2, 0, 0, 5, 6, 0, 0, 9, 10, 0, 0, 13, 14])
  }

  @Test func theNearestRowDecidesAndTheFirstOfEquals() {
    let known = Dataset(
      inputs: Tensor([0, 0, 4, 4, 0, 0], shape: [3, 2]), targets: .classes([1, 2, 0], count: 3))
    let asked = Dataset(
      inputs: Tensor([1, 0, 3, 4, 0, 1, 2, 2.5], shape: [4, 2]), targets: .classes([1, 2, 0, 2], count: 3))
    #expect(asked.nearestNeighbourAccuracy(from: known) == 0.75)
  }

  @Test func partsOfTheDigitsDoNotMeet() {
    for split in Recipe.Split.allCases {
      let parts = Recipe.digits(split)
      let whole = split.load()
      #expect(parts.train.count + parts.validation.count == whole.train.count)
      #expect(parts.test.inputs == whole.test.inputs)
      let images = [parts.train, parts.validation, parts.test].map { part in
        Set((0..<part.count).map { part.inputs.rows($0..<$0 + 1).scalars })
      }
      #expect(images[0].isDisjoint(with: images[1]) && images[0].isDisjoint(with: images[2]))
    }
  }

  @Test func answersAreTheLikeliestClasses() throws {
    let data = Recipe.digits(.everyFifth).test[0..<20]
    var recipe = Recipe(.digits, .gru)
    recipe.hiddenSize = 5
    let model = try recipe.model()
    let answers = try Answers(of: model, to: data)
    let shares = model.predict(data.inputs)
    for (row, answer) in answers.classes.enumerated() {
      #expect((0..<10).allSatisfy { shares[row, $0] <= shares[row, answer] })
      #expect(answers.probabilities[row] == shares[row, answer])
    }
    let matrix = answers.confusion(with: data.labels, classes: 10)
    #expect(matrix.joined().reduce(0, +) == 20)
    let accuracy = try model.evaluate(data, loss: Recipe.loss).accuracy
    #expect(accuracy == Double((0..<10).reduce(0) { $0 + matrix[$1][$1] }) / 20)
    #expect(throws: LetheError.self) { try Answers(of: try Recipe(.mnist, .rnn).model(), to: data) }
  }

  @Test func everyRecipeTakesItsImages() throws {
    for source in Recipe.Source.allCases {
      for memory in Recipe.Memory.allCases {
        var recipe = Recipe(source, memory)
        try recipe.options.validated()
        if ![.fgn, .lstm].contains(memory) { recipe.hiddenSize = 16 }
        let model = try recipe.model()
        #expect(model.input == (source == .digits ? [8, 8, 1] : [28, 28, 1]))
        #expect(model.output == [10])
        let gates = model.forgettingGates(Tensor(zeros: [1] + model.input))
        #expect((gates != nil) == ["fgn", "fgn_recall"].contains(memory.rawValue), "\(memory.rawValue)")
      }
    }
  }

  /// Any cell of the catalogue can be the memory, is saved, and reads a file of its own again.
  @Test func everyMemoryIsSaved() throws {
    #expect(Recipe.Memory.allCases.prefix(4) == [.fgn, .lstm, .gru, .rnn])
    #expect(Recipe.Memory.allCases.count > 45 && Recipe.Memory(rawValue: "augru") == nil)
    let images = Recipe.digits(.everyFifth).test.inputs.rows(0..<3)
    for memory in Recipe.Memory.allCases {
      var recipe = Recipe(.digits, memory)
      recipe.hiddenSize = 8
      let model = try recipe.model()
      let again = try ModelFile(bytes: try ModelFile(model).encoded(), name: memory.rawValue).model
      #expect(sameBits(again.predict(images), model.predict(images)), "\(memory.rawValue)")
    }
  }

  @Test func gatesAreThoseOfEachRow() throws {
    let model = try Recipe(.digits, .fgn).model()
    let images = Recipe.digits(.everyFifth).test.inputs.rows(0..<3)
    let gates = try #require(model.forgettingGates(images))
    #expect(gates.layer.shape == [3, 8, 64])
    #expect(gates.memory.shape == [3, 8, 64])
    #expect((gates.layer.scalars + gates.memory.scalars).allSatisfy { $0 > 0 && $0 < 1 })
  }

  @Test func notesNameTheSplit() {
    let recipe = Recipe(.digits, .fgn)
    for split in Recipe.Split.allCases {
      #expect(Recipe.split(notes: recipe.notes(data: recipe.dataNote(split))) == split)
    }
    let mnist = Recipe(.mnist, .lstm)
    #expect(Recipe.split(notes: mnist.notes(data: mnist.dataNote(.lastRows))) == nil)
    #expect(Recipe.split(notes: [:]) == nil)
  }
}
