import Lethe
import LetheTestSupport
import Testing

/// Arrays in numpy's formats.
@Suite struct NPZTests {
  static func fixture(_ name: String) throws -> [UInt8] {
    let tests = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(2).joined(
      separator: "/")
    return try FileBytes.read("\(tests)/Fixtures/\(name).npz", limit: 1 << 20)
  }

  /// What scripts/fixtures/from_numpy.py puts into a file.
  static let expected: [(name: String, tensor: Tensor)] = [
    ("f4", quarters([2, 3, 5])), ("f8", quarters([7])), ("f2", quarters([3, 2])),
    ("i4", whole([4, 3])), ("i8", whole([11])), ("fortran", quarters([2, 3, 5])),
    ("one", Tensor(3.25)), ("none", Tensor(zeros: [0, 4])), ("nested/größe", quarters([1, 6])),
    ("smooth", quarters([40, 50])),
  ]

  static func quarters(_ shape: [Int]) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Float($0) / 4 - 2 }, shape: shape)
  }

  static func whole(_ shape: [Int]) -> Tensor {
    Tensor((0..<shape.reduce(1, *)).map { Float($0) - 3 }, shape: shape)
  }

  @Test(arguments: ["numpy_stored", "numpy_deflated"])
  func readsWhatNumpyWrote(name: String) throws {
    let file = try NPZ(bytes: Self.fixture(name), name: name)
    #expect(file.tensors.map(\.name) == Self.expected.map(\.name))
    for (name, tensor) in Self.expected { #expect(file[name] == tensor, "\(name)") }
    #expect(file["nothing"] == nil)
  }

  @Test func whatIsWrittenIsReadAgain() throws {
    var file = NPZ()
    for (name, tensor) in Self.expected { file[name] = tensor }
    file["special"] = Tensor([.nan, -0.0, .infinity, .leastNonzeroMagnitude])
    file["f8"] = nil
    let folder = try TemporaryFolder()
    let path = folder.path + "/a.npz"
    try file.write(to: path)
    let bytes = try file.encoded()
    #expect(try FileBytes.read(path, limit: 1 << 20) == bytes)
    let same = try NPZ(contentsOf: path)
    #expect(same.tensors.map(\.name) == file.tensors.map(\.name))
    for (name, tensor) in file.tensors {
      #expect(same[name].map { sameBits($0, tensor) } == true, "\(name)")
    }
    #expect(try NPZ(bytes: NPZ().encoded(), name: "empty").tensors.isEmpty)
  }

  @Test func oneArrayIsAlignedAndReadAgain() throws {
    for (name, tensor) in Self.expected {
      let bytes = NPY.encoded(tensor)
      #expect((bytes.count - 4 * tensor.count) % 64 == 0, "\(name)")
      #expect(try NPY.decoded(bytes, name: name) == tensor)
    }
    let folder = try TemporaryFolder()
    try NPY.write(Self.quarters([3, 2]), to: folder.path + "/a.npy")
    #expect(try NPY.read(folder.path + "/a.npy") == Self.quarters([3, 2]))
    #expect(
      String(decoding: NPY.encoded(Tensor([1])).dropFirst(10).prefix(59), as: UTF8.self)
        == "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }  ")
  }

  // MARK: Bad input

  /// An npy file with a header of the caller's and so many bytes of data.
  private func npy(_ header: String, data: Int, version: UInt8 = 1) -> [UInt8] {
    let text = Array((header + "\n").utf8)
    let length = (0..<(version == 1 ? 2 : 4)).map { UInt8(text.count >> (8 * $0) & 0xff) }
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + [UInt8](repeating: 0, count: data)
  }

  private func fields(_ descr: String = "'<f4'", _ order: String = "False", _ shape: String = "(2,)")
    -> String
  {
    "{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape)}"
  }

  @Test func otherSpellingsOfTheHeaderAreRead() throws {
    for version: UInt8 in [1, 2, 3] {
      #expect(try NPY.decoded(npy(fields(), data: 8, version: version), name: "f").shape == [2])
    }
    let spellings = [
      "{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f4\",}",
      " { 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '<f4' } \n",
    ]
    for header in spellings { #expect(try NPY.decoded(npy(header, data: 8), name: "f").shape == [2]) }
  }

  @Test func badHeadersAreNamed() {
    let bad: [(header: String, data: Int, error: String)] = [
      ("", 0, "expected {, found its end"), ("{", 0, "a text in quotes"), ("{}", 0, "'descr' is missing"),
      (fields() + "x", 8, "spaces up to the header's end"), (fields(), 7, "expected 8 bytes"),
      (fields(), 9, "the elements do not fill the file"), (fields("'<f16'"), 8, "<f8, <i4, <i8"),
      (fields("'>f4'"), 8, #"found ">f4""#), (fields("[('a', '<f4')]"), 8, "the elements are records"),
      (fields("4"), 8, "a text in quotes"), (fields("'<f4'", "0"), 8, "True or False"),
      (fields("'<f4'", "False", "2"), 8, "expected ("),
      (fields("'<f4'", "False", "(-2,)"), 8, "a whole number"),
      (fields("'<f4'", "False", "(2"), 8, "expected )"),
      (fields("'<f4'", "False", "(99999999999999999999,)"), 8, "a size of the shape is too large"),
      (fields("'<f4'", "False", "(4294967296, 4294967296)"), 8, "is too large"),
      (fields("'<f4'", "False", "(0, 4611686018427387904, 4)"), 0, "is too large"),
      (fields("'<f4'", "False", "(1099511627776,)"), 8, "expected 4398046511104 bytes"),
      ("{'descr': '<f4', 'descr': '<f4'}", 8, "occurs twice"), ("{'more': 1}", 8, "is unknown"),
    ]
    for (header, data, expected) in bad {
      let error = #expect(throws: LetheError.self) { try NPY.decoded(npy(header, data: data), name: "f") }
      let text = error?.description ?? "nothing"
      #expect(text.contains(expected) && text.hasPrefix("f"), "\(header): \(text)")
    }
    let good = npy(fields(), data: 8)
    for count in 0..<good.count {
      #expect(throws: LetheError.self) { try NPY.decoded(Array(good.prefix(count)), name: "f") }
    }
    #expect(throws: LetheError.self) { try NPY.decoded(npy(fields(), data: 8, version: 4), name: "f") }
  }

  @Test(arguments: ["numpy_stored", "numpy_deflated"])
  func cutShortArchivesAreRefused(name: String) throws {
    let good = try Self.fixture(name)
    for count in stride(from: 0, to: good.count, by: 37) {
      #expect(throws: LetheError.self) { try NPZ(bytes: Array(good.prefix(count)), name: "f") }
      if count > 0 {
        #expect(throws: LetheError.self) { try NPZ(bytes: Array(good.dropFirst(count)), name: "f") }
      }
    }
  }

  /// Whatever is changed, there is an answer: an error, or the arrays where the change means nothing.
  @Test(arguments: ["numpy_stored", "numpy_deflated"])
  func everyChangedByteHasAnAnswer(name: String) throws {
    let good = try Self.fixture(name)
    var refused = 0, tried = 0
    for place in stride(from: 0, to: good.count, by: 5) {
      var bytes = good
      for value in [bytes[place] ^ 0xff, bytes[place] ^ 1] {
        bytes[place] = value
        tried += 1
        do { _ = try NPZ(bytes: bytes, name: "f") } catch is LetheError { refused += 1 }
      }
    }
    #expect(refused > tried / 2, "\(refused) of \(tried)")
  }

  @Test func hostileSizesAndPlacesAreRefused() throws {
    var file = NPZ()
    file["a"] = Tensor(zeros: [40])
    file["b"] = Tensor(zeros: [40])
    let good = try file.encoded()
    let entry = try #require(good.indices.first { good[$0...].starts(with: [0x50, 0x4b, 1, 2]) })
    let second = entry + 46 + 5
    let end = good.count - 22
    func changed(_ place: Int, _ bytes: [UInt8]) -> [UInt8] {
      Array(good[..<place]) + bytes + good[(place + bytes.count)...]
    }
    let huge: [UInt8] = [0xfe, 0xff, 0xff, 0xff], all: [UInt8] = [0xff, 0xff, 0xff, 0xff]
    let bad: [(bytes: [UInt8], error: String)] = [
      (changed(entry + 8, [1, 8]), "is encrypted"),
      (changed(entry + 10, [12, 0]), "0 (stored) or 8 (deflated)"),
      (changed(entry + 20, huge + huge), "size that cannot be right"),
      (changed(entry + 20, [1, 0, 0, 0]), "size that cannot be right"),
      (changed(entry + 24, all), "is of the zip64 form"), (changed(end + 16, all), "is of the zip64 form"),
      (changed(entry + 42, huge), "is not where the directory says"),
      (changed(entry + 28, all), "reaches beyond the directory"),
      (changed(entry + 46, [0xff]), "no valid UTF-8"),
      (changed(entry + 16, [0, 0, 0, 0]), "the checksum is wrong"),
      (changed(entry + 47, [0x2f]), "is no array"),
      (changed(second + 46, [UInt8(ascii: "a")]), "there twice"),
      (changed(end + 10, [1, 0]), "does not fit"),
      (changed(end + 8, [1, 0, 1, 0]), "another size than its entries"),
      (changed(entry + 10, [8, 0]), "f: array \"a\""), (good + [0], "is no npz file"), ([], "is no npz file"),
    ]
    for (bytes, expected) in bad {
      let error = #expect(throws: LetheError.self) { try NPZ(bytes: bytes, name: "f") }
      let text = error?.description ?? "nothing"
      #expect(text.contains(expected) && text.hasPrefix("f"), "\(expected): \(text)")
    }
    // Two entries that both stand for all of the data: more than there is.
    let whole = Tensor(zeros: [400])
    var large = NPZ()
    large["a"] = whole
    var bytes = try large.encoded()
    let start = try #require(bytes.indices.first { bytes[$0...].starts(with: [0x50, 0x4b, 1, 2]) })
    let one = Array(bytes[start..<bytes.count - 22])
    var tail = Array(bytes.suffix(22))
    for place in [8, 10] { tail[place] = 2 }
    tail[12] = UInt8(2 * one.count)
    bytes = Array(bytes[..<start]) + one + one + tail
    let error = #expect(throws: LetheError.self) { try NPZ(bytes: bytes, name: "f") }
    #expect(error?.problem == "the arrays are larger than the archive")
  }

  @Test func aFolderThatIsNotThereIsAnError() {
    #expect(throws: LetheError.self) { try NPZ().write(to: "/nowhere/at/all.npz") }
    #expect(throws: LetheError.self) { try NPZ(contentsOf: "/nowhere/at/all.npz") }
  }

  // MARK: Recordings

  @Test func everythingRecordedHasANameOfItsOwn() throws {
    let model = Sequential(input: [.any, 5], seed: 2) {
      LSTM(6, layers: 2, bidirectional: true, outputs: .all)
      Residual { GRU(12, outputs: .all) }
      RNN(7, outputs: .all)
      ForgettingGateNetwork(4)
      Dense(3)
    }
    let x = numbers("x", [2, 5, 5])
    let recording = model.record(x, timing: Timing(lengths: [5, 3]))
    let file = try NPZ(bytes: NPZ(recording).encoded(), name: "f")
    let names = Set(file.tensors.map(\.name))
    let lstm = ["input", "forget", "candidate", "output", "hidden", "cell"]
    var expected: Set = ["output"]
    for layer in 0..<2 {
      for way in ["forward", "backward"] { expected.formUnion(lstm.map { "0.layer\(layer).\(way).\($0)" }) }
    }
    for layer in recording.layers.dropFirst(4) {
      expected.formUnion((layer.gates + layer.states).map { "\(layer.path).layer0.forward.\($0)" })
    }
    expected.formUnion(recording.layers.map { "lengths.\($0.label)" })
    #expect(names == expected)
    #expect(names.isSuperset(of: ["1.inner.0.layer0.forward.reset", "2.layer0.forward.hidden"]))
    #expect(file["output"] == recording.output)
    #expect(file["0.layer1.backward.forget"] == recording.layers[3]["forget"])
    #expect(file["lengths.0.layer0.forward"] == Tensor([5, 3]))

    let lone = LSTM(inputSize: 5, hiddenSize: 3, key: RandomKey(seed: 1))
    let only = NPZ(lone.record(x, keeping: { $0 == "forget" }))
    #expect(only.tensors.map(\.name) == ["output", "layer0.forward.forget"])
    #expect(only["layer0.forward.forget"]?.shape == [2, 5, 3])
  }
}
