import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct LabOutputTests {
  @Test func bracketsLeavesAModelAndATextForIt() throws {
    let folder = try TemporaryFolder()
    let lab = try #require(LabCatalog.lab("brackets"))
    _ = try lab.run(LabSetup(isQuick: true, seeds: 1, output: folder.path))
    let file = try ModelFile(contentsOf: folder.path + "/brackets.lethe.safetensors")
    let embedding = try #require(file.model.layers.first as? Embedding)
    let notes = try #require(file.metadata["lethe.tokens"])
    let tokens = try JSONDecoder().decode([String].self, from: Data(notes.utf8))
    #expect(tokens.count == embedding.count && Set(tokens).count == tokens.count && tokens.contains("\n"))
    let classes = try JSONDecoder().decode(
      [String].self, from: Data(try #require(file.metadata["lethe.classes"]).utf8))
    #expect(file.model.output == [.any, classes.count])

    let bytes = try FileBytes.read(folder.path + "/brackets.txt", limit: 1 << 20)
    let ids = try String(decoding: bytes, as: UTF8.self).map { character in
      Float(try #require(tokens.firstIndex(of: String(character))))
    }
    let output = file.model(Tensor(ids, shape: [1, ids.count]))
    #expect(output.shape == [1, ids.count, classes.count])
    // The text closes all that it opens.
    var open: [Int] = []
    for id in ids.map({ Int($0) }) where id < 6 {
      if id.isMultiple(of: 2) { open.append(id) } else { #expect(open.popLast() == id - 1) }
    }
    #expect(open.isEmpty)
  }

  @Test(arguments: ["brackets", "delay"])
  func aFolderWithoutTheDataIsRefusedAtOnce(name: String) throws {
    let folder = try TemporaryFolder()
    let lab = try #require(LabCatalog.lab(name))
    #expect(throws: LetheError.self) { try lab.run(LabSetup(data: folder.path)) }
  }

  @Test func filesAreReadWhereTheyAreGiven() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.createDirectory(
      atPath: folder.path + "/brackets", withIntermediateDirectories: false)
    let text = String(repeating: "int f(a[0]) {\n  g(\"s\");\n}\n", count: 40)
    for name in ["a", "b", "c"] {
      try FileBytes.writeAtomically([Array(text.utf8)], to: "\(folder.path)/brackets/\(name).txt")
    }
    let lab = try #require(LabCatalog.lab("brackets"))
    let result = try lab.run(LabSetup(isQuick: true, seeds: 1, data: folder.path))
    #expect(result.findings.contains { $0.what.hasPrefix("C files, 1 to 9") && !$0.values[0].isNaN })
  }
}
