import CLetheDigits
import LetheCore

/// 1,797 handwritten digits of 8 × 8 pixels, built in: something to learn from without a download.
///
/// *Source*: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
/// Repository (1998), the test part; what scikit-learn has as `load_digits`.
public enum Digits {
  /// All the digits in the order of the source: inputs `[1797, 8, 8, 1]` from 0 to 1, 10 classes.
  ///
  /// A pixel is the number of dark ones in a 4 × 4 field of the scan, divided by 16.
  ///
  /// *Cost*: well under a millisecond.
  public static func load() -> Dataset {
    let row = Int(lethe_digits_row)
    let bytes = UnsafeBufferPointer(start: lethe_digits_bytes(), count: lethe_digits_size())
    let count = bytes.count / row
    let inputs = Tensor(shape: [count, 8, 8, 1]) { to in
      for i in 0..<count {
        for j in 0..<64 { to[i * 64 + j] = Float(bytes[i * row + j]) / 16 }
      }
    }
    let labels = (0..<count).map { Int32(bytes[$0 * row + 64]) }
    return Dataset(inputs: inputs, targets: .classes(labels, count: 10))
  }

  /// Every fifth row for the test, from row 4 on; the other rows for training.
  ///
  /// The same 13 writers are surely in both parts; how a network meets new hands it does not tell.
  public static func split() -> (train: Dataset, test: Dataset) {
    let all = load()
    let rows = 0..<all.count
    return (all[rows: rows.filter { $0 % 5 != 4 }], all[rows: rows.filter { $0 % 5 == 4 }])
  }

  /// The last 360 rows for the test, the 1,437 before them for training.
  ///
  /// The rows are not shuffled over the 13 writers, so this split shares fewer hands and is the harder one.
  public static func lastRowsSplit() -> (train: Dataset, test: Dataset) {
    let all = load()
    return (all[0..<all.count - 360], all[all.count - 360..<all.count])
  }
}
