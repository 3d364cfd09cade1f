import LetheCore

#if _endian(big)
  #error("Safetensors copies little-endian floats as they are; a big-endian machine needs to swap them")
#endif

/// Named tensors and notes about them in one file of the safetensors format.
///
/// A file is 8 bytes with the length of a header, the header in JSON, and the tensors' bytes. What it says is
/// checked before it is believed, so a hostile file costs an error, never a crash or more memory than a
/// small multiple of its size.
///
///     var file = Safetensors()
///     file["rnn.weight_ih_l0"] = weights
///     try file.write(to: "model.safetensors")
///     let same = try Safetensors(contentsOf: "model.safetensors")["rnn.weight_ih_l0"]
///
/// *Source*: the format's description at <https://github.com/huggingface/safetensors>; we demand all of it,
/// also that names differ and that an entry has no other fields than `dtype`, `shape` and `data_offsets`.
public struct Safetensors: Sendable {
  /// The tensors in the order of their bytes in the file.
  public var tensors: [(name: String, tensor: Tensor)]
  /// The notes under `__metadata__`.
  public var metadata: [String: String]

  /// No tensors, no notes.
  public init() {
    tensors = []
    metadata = [:]
  }

  /// The tensor of the given name; setting `nil` removes it, setting a new name appends.
  ///
  /// *Cost*: a walk through the list.
  public subscript(name: String) -> Tensor? {
    get { tensors.first { $0.name == name }?.tensor }
    set {
      let index = tensors.firstIndex { $0.name == name }
      switch (index, newValue) {
      case (let index?, let tensor?): tensors[index].tensor = tensor
      case (let index?, nil): tensors.remove(at: index)
      case (nil, let tensor?): tensors.append((name, tensor))
      case (nil, nil): break
      }
    }
  }
}

/// One tensor's entry of the header, checked.
struct SafetensorsEntry {
  var name: String
  var kind: SafetensorsKind
  var shape: [Int]
  /// The bytes, counted from the end of the header.
  var range: Range<Int>
}

/// The element types that can be read; each becomes `Float`.
enum SafetensorsKind: String, CaseIterable {
  case F32, F64, F16, BF16, I32, I64, U8

  /// Bytes of one element.
  var size: Int {
    switch self {
    case .F64, .I64: 8
    case .F32, .I32: 4
    case .F16, .BF16: 2
    case .U8: 1
    }
  }
}
