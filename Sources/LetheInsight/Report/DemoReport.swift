/// What a demonstration run found, ready to be read: plain data in, one page out by ``html()``.
///
/// Images are rows of values between 0 (paper) and 1 (ink). Class numbers count from 0 and are
/// shown by their names in ``classNames``.
public struct DemoReport: Sendable, Equatable {
  /// One layer of the network.
  public struct Layer: Sendable, Equatable {
    /// What it is, as `LSTM` or `Linear`.
    public var name: String
    /// The shape of what it gives, as `[batch, 8, 64]`.
    public var outputShape: String
    /// How many numbers it learns.
    public var parameters: Int

    /// A layer.
    public init(name: String, outputShape: String, parameters: Int) {
      self.name = name
      self.outputShape = outputShape
      self.parameters = parameters
    }
  }

  /// One pass over the training data.
  public struct Epoch: Sendable, Equatable {
    /// Its number.
    public var epoch: Int
    /// The mean training loss.
    public var loss: Double
    /// The mean loss on data held back.
    public var validationLoss: Double?
    /// The share of held-back data answered correctly.
    public var validationAccuracy: Double?
    /// The half-life of each unit of the memory after it, in steps.
    public var halfLives: [Double] = []

    /// An epoch.
    public init(epoch: Int, loss: Double, validationLoss: Double? = nil, validationAccuracy: Double? = nil) {
      self.epoch = epoch
      self.loss = loss
      self.validationLoss = validationLoss
      self.validationAccuracy = validationAccuracy
    }
  }

  /// The values of one gate while one image was read.
  public struct Gate: Sendable, Equatable {
    /// What a gate acts on.
    public enum Role: Sendable, CaseIterable {
      /// What comes out: y_t = f_t ⊙ m_t + (1 − f_t) ⊙ z_t, as in a Forgetting Gate Network. A value is about the
      /// reading of its own step and leaves the memory alone.
      case readOut
      /// What is remembered: c_t = k_t ⊙ c_{t−1} + i_t ⊙ u_t, as the forget gate of an LSTM. A value is about all
      /// steps before its own.
      ///
      /// For a GRU this is the update gate in the convention where it keeps the old state.
      case memory
    }

    /// What it is called, as `LSTM forget gate`.
    public var name: String
    /// What it acts on, which decides how its picture is to be read.
    public var role: Role
    /// How much each unit kept: one row for each step, one column for each unit, 1 for all of it and 0 for
    /// nothing.
    public var keep: [[Float]]

    /// A record of a gate.
    public init(name: String, role: Role, keep: [[Float]]) {
      self.name = name
      self.role = role
      self.keep = keep
    }
  }

  /// One image, what the network made of it, and its gates meanwhile.
  public struct Example: Sendable, Equatable {
    /// The image, row by row.
    public var image: [[Float]]
    /// The class it has.
    public var trueClass: Int
    /// The class the network gave.
    public var predictedClass: Int
    /// The probability the network gave to that class.
    public var probability: Double
    /// The gates; each gets a picture of its own, those of the read-out first.
    public var gates: [Gate]

    /// An example.
    public init(
      image: [[Float]], trueClass: Int, predictedClass: Int, probability: Double, gates: [Gate] = []
    ) {
      self.image = image
      self.trueClass = trueClass
      self.predictedClass = predictedClass
      self.probability = probability
      self.gates = gates
    }
  }

  /// Something worth telling of the run, as `seed` and `42`.
  public struct Fact: Sendable, Equatable {
    /// What it is.
    public var name: String
    /// Its value.
    public var value: String

    /// A fact.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// The title of the page.
  public var title: String
  /// The name of the data set.
  public var dataSet: String
  /// Who made the data set and under which licence it is.
  public var licence: String
  /// The network, from the input up.
  public var layers: [Layer] = []
  /// The training.
  public var history: [Epoch] = []
  /// The share of the test images answered correctly.
  public var testAccuracy: Double
  /// How many test images there are.
  public var testCount: Int
  /// What the test accuracy should be held against, in a sentence.
  public var comparison = ""
  /// The names of the classes.
  public var classNames: [String]
  /// How many test images of each true class (row) got each answer (column).
  public var confusion: [[Int]] = []
  /// Images with their gates.
  public var examples: [Example] = []
  /// Test images that the network got wrong.
  public var mistakes: [Example] = []
  /// How the run was made: seed, time, command.
  public var facts: [Fact] = []

  /// A report of a test result; everything else can be filled in after.
  public init(
    title: String, dataSet: String, licence: String, testAccuracy: Double, testCount: Int,
    classNames: [String]
  ) {
    self.title = title
    self.dataSet = dataSet
    self.licence = licence
    self.testAccuracy = testAccuracy
    self.testCount = testCount
    self.classNames = classNames
  }

  /// The name of class `index`, or its number when it has none.
  func className(_ index: Int) -> String {
    classNames.indices.contains(index) ? classNames[index] : "#\(index)"
  }
}
