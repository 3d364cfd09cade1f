import LetheCore
import LetheFormats

/// Handwritten digits of 28 × 28 pixels, 60,000 to train and 10,000 to test, from four files in a folder.
///
/// *Source*: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST database of handwritten digits (1998).
public enum MNIST {
  /// Reads the four files, compressed or not: inputs `[images, 28, 28, 1]` from 0 to 1, 10 classes.
  ///
  /// They are `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
  /// `t10k-labels-idx1-ubyte`; `.gz` may follow, and the dash before `idx` may be a dot. Files of the same
  /// form, such as Fashion-MNIST's, are read as well, with any number of images.
  ///
  /// - Throws: a `LetheError` that names the file, or the names looked for where one is missing.
  ///
  /// *Cost*: about half a second for the whole set compressed, and 220 MB of memory to keep it.
  public static func load(directory: String) throws -> (train: Dataset, test: Dataset) {
    (try load("train", from: directory), try load("t10k", from: directory))
  }

  private static func load(_ part: String, from directory: String) throws -> Dataset {
    let imageFile = try find("\(part)-images", "idx3-ubyte", in: directory)
    let labelFile = try find("\(part)-labels", "idx1-ubyte", in: directory)
    let images = try IDX(contentsOf: imageFile)
    guard images.shape.count == 3, images.shape[1] == 28, images.shape[2] == 28 else {
      throw LetheError(
        imageFile, "the images are no 28 × 28 pixels", expected: "the shape [images, 28, 28]",
        found: "\(images.shape)")
    }
    guard images.shape[0] > 0 else {
      throw LetheError(imageFile, "holds no images", expected: "1 or more", found: "0")
    }
    let labels = try IDX(contentsOf: labelFile)
    guard labels.shape.count == 1, labels.shape[0] == images.shape[0] else {
      throw LetheError(
        labelFile, "labels and images differ in number", expected: "the shape [\(images.shape[0])]",
        found: "\(labels.shape)", advice: "take both files from the same place")
    }
    if let row = labels.bytes.firstIndex(where: { $0 > 9 }) {
      throw LetheError(
        "\(labelFile): row \(row)", "the label is no class", expected: "0 to 9", found: "\(labels.bytes[row])"
      )
    }
    let inputs = Tensor(shape: images.shape + [1]) { to in
      images.bytes.withUnsafeBufferPointer { pixels in
        for i in 0..<pixels.count { to[i] = Float(pixels[i]) / 255 }
      }
    }
    return Dataset(inputs: inputs, targets: .classes(labels.bytes.map(Int32.init), count: 10))
  }

  /// The first of the names a file may have that is there.
  private static func find(_ stem: String, _ ending: String, in directory: String) throws -> String {
    let names = ["-", "."].flatMap { ["\(stem)\($0)\(ending)", "\(stem)\($0)\(ending).gz"] }
    let folder = directory.isEmpty || directory.hasSuffix("/") ? directory : directory + "/"
    for name in names where FileBytes.exists(folder + name) { return folder + name }
    throw LetheError(
      directory.isEmpty ? "." : directory, "a file of MNIST is missing",
      expected: names.joined(separator: " or "),
      advice: "download it, or name the folder that has it")
  }
}
