import Foundation
import Lethe
import LetheTestSupport
import Testing

@Suite struct MNISTTests {
  /// The folder of data sets that the environment variable LETHE_DATA names, if it has MNIST.
  static let folder: String? = ProcessInfo.processInfo.environment["LETHE_DATA"].map { $0 + "/mnist" }
    .flatMap { FileBytes.exists($0) ? $0 : nil }

  @Test(.enabled(if: folder != nil, "LETHE_DATA names no folder with a subfolder mnist"))
  func theRealOneIsRead() throws {
    let (train, test) = try MNIST.load(directory: Self.folder ?? "")
    try test.validated(name: "test")
    #expect(train.inputs.shape == [60_000, 28, 28, 1])
    #expect(test.inputs.shape == [10_000, 28, 28, 1])
    let trainLabels = DigitsTests.labels(train)
    #expect(trainLabels.prefix(10) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    let counts = (0..<10).map { digit in trainLabels.count { $0 == digit } }
    #expect(counts == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
    #expect(DigitsTests.labels(test).prefix(5) == [7, 2, 1, 0, 4])
    // The mean that numpy finds.
    let sum = test.inputs.withUnsafeBuffer { $0.reduce(0) { $0 + Double($1) } }
    #expect(abs(sum / Double(test.inputs.count) - 0.1325) < 0.0001)
  }

  /// IDX bytes of the given shape; byte i is `value(i)`.
  static func idx(_ shape: [Int], _ value: (Int) -> Int) -> [UInt8] {
    [0, 0, 8, UInt8(shape.count)]
      + shape.flatMap { [UInt8($0 >> 24), UInt8($0 >> 16 & 255), UInt8($0 >> 8 & 255), UInt8($0 & 255)] }
      + (0..<shape.reduce(1, *)).map { UInt8(truncatingIfNeeded: value($0)) }
  }

  /// A small set of 3 and 2 images, with a dash or a dot before `idx`.
  static func write(to folder: String, dash: String) throws {
    for (part, count) in [("train", 3), ("t10k", 2)] {
      let images = idx([count, 28, 28]) { $0 }
      let labels = idx([count]) { 9 - $0 }
      try FileBytes.writeAtomically([images], to: "\(folder)/\(part)-images\(dash)idx3-ubyte")
      try FileBytes.writeAtomically([labels], to: "\(folder)/\(part)-labels\(dash)idx1-ubyte")
    }
  }

  @Test(arguments: ["-", "."], ["", "/"])
  func smallSetsAreRead(_ dash: String, _ slash: String) throws {
    let folder = try TemporaryFolder()
    try Self.write(to: folder.path, dash: dash)
    let (train, test) = try MNIST.load(directory: folder.path + slash)
    #expect(train.inputs.shape == [3, 28, 28, 1])
    #expect(train.inputs[0, 9, 3, 0] == 1)
    #expect(train.inputs[0, 1, 23, 0] == 51.0 / 255)
    #expect(DigitsTests.labels(train) == [9, 8, 7])
    #expect(DigitsTests.labels(test) == [9, 8])
  }

  @Test func missingFilesAreNamed() throws {
    let folder = try TemporaryFolder()
    let error = #expect(throws: LetheError.self) { try MNIST.load(directory: folder.path) }
    #expect(error?.place == folder.path)
    #expect(
      error?.expected
        == "train-images-idx3-ubyte or train-images-idx3-ubyte.gz or train-images.idx3-ubyte or train-images.idx3-ubyte.gz"
    )
    #expect(throws: LetheError.self) { try MNIST.load(directory: folder.path + "/none") }
  }

  @Test func filesThatDoNotFitAreNamed() throws {
    let folder = try TemporaryFolder()
    func error(_ file: String, _ bytes: [UInt8]) throws -> String? {
      try Self.write(to: folder.path, dash: "-")
      try FileBytes.writeAtomically([bytes], to: "\(folder.path)/\(file)")
      let error = #expect(throws: LetheError.self) { try MNIST.load(directory: folder.path) }
      return error.map { String($0.description.dropFirst(folder.path.count + 1)) }
    }
    #expect(
      try error("train-images-idx3-ubyte", Self.idx([3, 28, 27]) { $0 })
        == "train-images-idx3-ubyte: the images are no 28 × 28 pixels; "
        + "expected the shape [images, 28, 28], found [3, 28, 27]")
    #expect(
      try error("t10k-labels-idx1-ubyte", Self.idx([3]) { $0 })
        == "t10k-labels-idx1-ubyte: labels and images differ in number; "
        + "expected the shape [2], found [3]; take both files from the same place")
    #expect(
      try error("train-labels-idx1-ubyte", Self.idx([3]) { $0 * 5 })
        == "train-labels-idx1-ubyte: row 2: the label is no class; expected 0 to 9, found 10")
    #expect(
      try error("t10k-labels-idx1-ubyte", Self.idx([2, 1]) { $0 })?.contains("differ in number") == true)
  }
}
