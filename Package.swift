// swift-tools-version: 6.1
import PackageDescription

// Imports point up this list only; see docs/decisions/001-house.md.
let package = Package(
  name: "lethe",
  platforms: [.macOS(.v15), .iOS(.v18)],
  products: [
    .library(name: "Lethe", targets: ["Lethe"]),
    .executable(name: "lethe", targets: ["LetheCLI"]),
  ],
  dependencies: [
    // For the command only: the libraries depend on nothing outside the toolchain.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(
      name: "CLetheKernels",
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    .target(name: "CLetheDigits", exclude: ["SOURCE.md", "digits.bin"]),
    .target(name: "LetheCore", dependencies: ["CLetheKernels"]),
    .target(name: "LetheNN", dependencies: ["LetheCore", "CLetheKernels"]),
    .target(name: "LetheFormats", dependencies: ["LetheCore", "LetheNN"]),
    .target(name: "LetheData", dependencies: ["LetheCore", "LetheFormats", "CLetheDigits"]),
    .target(
      name: "LetheTraining",
      dependencies: ["LetheCore", "LetheNN", "LetheFormats", "LetheData", "CLetheKernels"]),
    .target(name: "LetheInsight", dependencies: ["LetheCore", "LetheNN"]),
    .target(
      name: "LetheLabs",
      dependencies: ["LetheCore", "LetheNN", "LetheFormats", "LetheData", "LetheTraining", "LetheInsight"]),
    .target(
      name: "Lethe",
      dependencies: [
        "LetheCore", "LetheNN", "LetheFormats", "LetheData", "LetheTraining", "LetheInsight", "LetheLabs",
      ]),
    .executableTarget(
      name: "LetheCLI",
      dependencies: [
        "Lethe", .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .target(name: "LetheTestSupport", dependencies: ["Lethe"], path: "Tests/LetheTestSupport"),
    .testTarget(name: "LetheCoreTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheNNTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheFormatsTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheDataTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheTrainingTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheInsightTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheLabsTests", dependencies: ["Lethe", "LetheTestSupport"]),
    .testTarget(name: "LetheCLITests", dependencies: ["Lethe", "LetheTestSupport"]),
  ],
  swiftLanguageModes: [.v6],
  cLanguageStandard: .gnu17
)
