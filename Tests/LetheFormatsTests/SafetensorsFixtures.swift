// Written by Python's safetensors 0.8.0; headers as text, the rest in numbers:
//
//     import numpy as np
//     from safetensors import TensorSpec, serialize
//     from safetensors.numpy import save
//     f32 = save({"rnn.weight": np.arange(6, dtype="f4").reshape(2, 3) / 4 - 0.5,
//                 "rnn.bias": np.array([1.5, -2], "f4"), "empty": np.zeros((0, 4), "f4"),
//                 "scalar": np.array(7, "f4")}, metadata={"made by": 'a "script"'})
//     kinds = {"f64": ("float64", np.array([0.1, -3])),
//              "f16": ("float16", np.array([1 / 3, 6e-8, 65504, -np.inf], "f2")),
//              "bf16": ("bfloat16", np.array([0x3F80, 0xC049], "u2")),
//              "i32": ("int32", np.array([7, -7], "i4")),
//              "i64": ("int64", np.array([2**40, -1])), "u8": ("uint8", np.array([0, 255, 3], "u1"))}
//     mixed = serialize({k: TensorSpec(dtype=d, shape=v.shape, data_ptr=v.ctypes.data, data_len=v.nbytes)
//                        for k, (d, v) in kinds.items()})
//     for file in [f32, bytes(mixed)]: print(list(file))

let pythonF32: [UInt8] =
  [32, 1, 0, 0, 0, 0, 0, 0]
  + Array(
    (#"{"__metadata__":{"made by":"a \"script\""},"#
      + #""empty":{"dtype":"F32","shape":[0,4],"data_offsets":[0,0]},"#
      + #""rnn.bias":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"#
      + #""rnn.weight":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]},"#
      + #""scalar":{"dtype":"F32","shape":[],"data_offsets":[32,36]}}  "#).utf8)
  + [0, 0, 192, 63, 0, 0, 0, 192, 0, 0, 0, 191, 0, 0, 128, 190, 0, 0, 0, 0, 0, 0, 128, 62]
  + [0, 0, 0, 63, 0, 0, 64, 63, 0, 0, 224, 64]

let pythonMixed: [UInt8] =
  [88, 1, 0, 0, 0, 0, 0, 0]
  + Array(
    (#"{"i64":{"dtype":"I64","shape":[2],"data_offsets":[0,16]},"#
      + #""f64":{"dtype":"F64","shape":[2],"data_offsets":[16,32]},"#
      + #""i32":{"dtype":"I32","shape":[2],"data_offsets":[32,40]},"#
      + #""bf16":{"dtype":"BF16","shape":[2],"data_offsets":[40,44]},"#
      + #""f16":{"dtype":"F16","shape":[4],"data_offsets":[44,52]},"#
      + #""u8":{"dtype":"U8","shape":[3],"data_offsets":[52,55]}}  "#).utf8)
  + [0, 0, 0, 0, 0, 1, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 154, 153, 153, 153, 153, 153, 185, 63]
  + [0, 0, 0, 0, 0, 0, 8, 192, 7, 0, 0, 0, 249, 255, 255, 255, 128, 63, 73, 192, 85, 53, 1, 0, 255, 123]
  + [0, 252, 0, 255, 3]

/// A file of the given header and data, with the header's length in front.
func safetensorsFile(_ header: String, data: Int = 0) -> [UInt8] {
  let text = Array(header.utf8)
  return (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) } + text
    + [UInt8](repeating: 0, count: data)
}
