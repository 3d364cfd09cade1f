import Foundation
import Testing

/// A gzip file that Python's zlib wrote, and what is in it.
struct GzipFixture: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var file: [UInt8]
  var content: [UInt8]

  init(_ name: String, _ base64: String, _ content: [UInt8]) {
    testDescription = name
    file = Data(base64Encoded: base64).map { [UInt8]($0) } ?? []
    self.content = content
  }

  // The files below are the output of:
  //
  //     import base64, zlib
  //     def gz(data, level=9, strategy=zlib.Z_DEFAULT_STRATEGY):
  //         c = zlib.compressobj(level, zlib.DEFLATED, 31, 9, strategy)
  //         print(base64.b64encode(c.compress(data) + c.flush()).decode())
  //     text = "".join(f"{i} squared is {i * i}; " for i in range(60)).encode()
  //     fibonacci = [1, 1]
  //     while len(fibonacci) < 15: fibonacci.append(fibonacci[-1] + fibonacci[-2])
  //     steep = b"".join(bytes([97 + i]) * n for i, n in enumerate(fibonacci))
  //     gz(text[:100], 0), gz(text, 1), gz(text, 9), gz(text[:200], 9, zlib.Z_FIXED)
  //     gz(steep, 9, zlib.Z_HUFFMAN_ONLY), gz(b"a" * 70000, 9), gz(b"", 9), gz(b"", 0)

  /// `0 squared is 0; 1 squared is 1; …` up to 59.
  static let text = Array((0..<60).map { "\($0) squared is \($0 * $0); " }.joined().utf8)

  /// As many of each letter as Fibonacci's numbers say: the lengths of the words go up to 14 bits.
  static let steep: [UInt8] = {
    var counts = [1, 1]
    while counts.count < 15 { counts.append(counts[counts.count - 1] + counts[counts.count - 2]) }
    return counts.enumerated().flatMap { [UInt8](repeating: 97 + UInt8($0), count: $1) }
  }()

  static let stored = GzipFixture(
    "stored",
    "H4sIAAAAAAAEAwFkAJv/MCBzcXVhcmVkIGlzIDA7IDEgc3F1YXJlZCBpcyAxOyAyIHNxdWFyZWQgaXMgNDsgMyBzcX"
      + "VhcmVkIGlzIDk7IDQgc3F1YXJlZCBpcyAxNjsgNSBzcXVhcmVkIGlzIDI1OyA2IEoysKRkAAAA",
    Array(text.prefix(100)))
  static let fast = GzipFixture(
    "dynamic, level 1",
    "H4sIAAAAAAAEA1WTS24EMQhEr+IjmAL8UZ9mpGSRZTLK/YfyyrUE0fAepnt7//6//r6/2s+79afZHdvTcMfxNL/j/b"
      + "S4YxtPyzuBfNq4E14V805E9Vh3YtSQfSdWUVi/M9YJqqRglcBaVCcTXhs1zRR5F5EpNKlNsJGsEnAs9hJ0BycKvA/u"
      + "UOiD9BD6CFYJfazqBaFP1EQIfc7igtAP0kPox6kS+nl6Cf08E4V+kcuFfpPehX7T0YXeOlfhgm+dG3PhN+NiXQQMNH"
      + "AxMPCZXBTM+ZouDvXmnCsSlryNEAsb1AjRsMFLC/WYPMdQj8WbDfXYPOwQD3R6hHjA+IuEeACd/cQD3jlXPBC9+FI8"
      + "kPRI8cA4deKByX4pHlicm+KBfX5h8fDjkeLhtfz6Vjzq+tlPPNy5vxQPD+75A/07VFF4BAAA",
    text)
  static let best = GzipFixture(
    "dynamic, level 9",
    "H4sIAAAAAAACA12TS24FIQwEr8IR8A8GzWkiJYssk6fcP/SsqLfEsuzqpt3b6+fv4/frs32/Wr+bnW+7m5/vvFuc73"
      + "W3RP+4W50Fr7uNsxC7Y2LknnGdhbGXrLNwbQrrWNMFSlJXF2At9yQL8u1tRuS1iYzQorZBHeoCuF+aBfRwbVzUKw9B"
      + "n6J30Geqi1Zfe5aDvnxvdNDX3FwO+iF6B/14ukA/n1mgn89GWi+uAP0SfYB+SWPQ+y4rguZ3ORZ032RsFL9SCmKwpm"
      + "8KSLDQb8b19ufaCxFWykYyQUMykhEaSlpSx1QckzouZTbfUqRgJ2PUpSOZI9OJJIPkXfOgw6NrL3R49s1XnbmUjoIO"
      + "H08fdPjUvAoGWHsLOnw9Jwwd8egonrFJb8239GseLyLkX/EkUj7/A/07VFF4BAAA",
    text)
  static let fixed = GzipFixture(
    "fixed",
    "H4sIAAAAAAACAzNQKC4sTSxKTVHILFYwsFYwROYbWisYIfNNrBWMkfmW1gomKOrNrBVMkQWMTK0VzJAFjIEqzFGMBJ"
      + "phgSxgBrTEElnAAugKQwMUawxADkV1KQCNVesCyAAAAA==",
    Array(text.prefix(200)))
  static let long = GzipFixture(
    "dynamic, long words",
    "H4sIAAAAAAACAwXBQUIEQQzDwLcCuzPdiS39/0bVz+/f3+fz+X6/3+/zPM/zPM/7vu/7vu/7vu97zjnnnHPOOeecc8"
      + "45595777333nvvvffee++9995777333pmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmdnd3d3d3d3d3d3d3d3d3d3d"
      + "3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3d3SRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJkiRJki"
      + "RJkiRJkiRJkiRJkiRJkrZt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt"
      + "27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt27Zt2wIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAACgqqqqqqqq"
      + "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
      + "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"
      + "qqqqqqqqqqqqqqr/Gw/9ljwGAAA=",
    steep)
  static let run = GzipFixture(
    "a run",
    "H4sIAAAAAAACA+3BMQEAAADCoKzrX8ISnkABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
      + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAG8DBOIpEnARAQA=",
    [UInt8](repeating: 97, count: 70_000))
  static let empty = GzipFixture("empty", "H4sIAAAAAAACAwMAAAAAAAAAAAA=", [])
  static let emptyStored = GzipFixture("empty, stored", "H4sIAAAAAAAEAwEAAP//AAAAAAAAAAA=", [])

  static let all = [stored, fast, best, fixed, long, run, empty, emptyStored]
}
