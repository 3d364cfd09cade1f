/// What a network did while it read one row of data: the plain data behind the page of `lethe look`.
///
/// Every part but the headline may be missing; its section is then left out, and ``notes`` should say why.
/// Steps count from 0 in the data and from 1 wherever a person reads them. All arrays over time hold ``steps``
/// entries in the order of the input, for a layer that reads backward too; short arrays leave gaps. NaN and
/// infinities are gaps as well, never errors.
public struct LookReport: Sendable, Equatable {
  /// Which model read what, and what it answered.
  public var headline: Headline
  /// How many steps the row has.
  public var steps: Int
  /// What was read.
  public var input: Input?
  /// The gates and values of each layer and direction, from the input up.
  public var layers: [Layer] = []
  /// What was in memory when, by the step that wrote it.
  public var ledger: Ledger?
  /// What the answer rests on, step by step.
  public var attribution: Attribution?
  /// How long the units of each layer remember.
  public var memories: [Memory] = []
  /// How far gradients reach back, for each layer.
  public var gradients: [GradientFlow] = []
  /// Bounds and whether they are proved.
  public var certificates: [Certificate] = []
  /// Where the forget gates close.
  public var boundaries: Boundaries?
  /// What the instruments could not say of this model, and other remarks, a sentence each.
  public var notes: [String] = []

  /// A report with nothing but its headline.
  public init(headline: Headline, steps: Int) {
    self.headline = headline
    self.steps = steps
  }
}

extension LookReport {
  /// A name and what stands beside it.
  public struct Fact: Sendable, Equatable {
    /// What it is.
    public var name: String
    /// Its value, as it is shown.
    public var value: String

    /// A fact.
    public init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  /// One thing a model may answer, and how sure it was of it.
  public struct Answer: Sendable, Equatable {
    /// What the answer is called.
    public var name: String
    /// The probability the model gave it, 0 to 1.
    public var probability: Double

    /// An answer.
    public init(_ name: String, probability: Double) {
      self.name = name
      self.probability = probability
    }
  }

  /// Which model read what, and what it answered.
  public struct Headline: Sendable, Equatable {
    /// The model's name or file.
    public var model: String
    /// The data's name or file.
    public var data: String
    /// Which row of the data, as the user counts it.
    public var row: Int
    /// What was answered, the likeliest first; empty for a model that does not choose.
    public var answers: [Answer] = []
    /// The right answer, where it is known.
    public var truth: String?
    /// What else belongs to this look: cell, sizes, seed, version.
    public var facts: [Fact] = []

    /// A headline.
    public init(model: String, data: String, row: Int) {
      self.model = model
      self.data = data
      self.row = row
    }
  }

  /// What was read, in the form in which a person knows it.
  public enum Input: Sendable, Equatable {
    /// A token a step; `separator` stands between them: a space for words, nothing for characters.
    case text(tokens: [String], separator: String)
    /// A picture read from top to bottom, each step an equal share of its rows; 0 is paper, 1 is ink.
    case image(pixels: [[Float]])
    /// Numbers over time, a line for each channel.
    case series(channels: [Channel])
  }

  /// One channel of a signal.
  public struct Channel: Sendable, Equatable {
    /// What it is called, with its unit.
    public var name: String
    /// Its value at each step.
    public var values: [Float]

    /// A channel.
    public init(_ name: String, values: [Float]) {
      self.name = name
      self.values = values
    }
  }

  /// One direction of one recurrent layer.
  public struct Layer: Sendable, Equatable {
    /// What it is called: `lstm.0, forward`.
    public var name: String
    /// Whether it reads the row from its end.
    public var isReversed: Bool
    /// Its gates and values.
    public var signals: [Signal]

    /// A layer.
    public init(_ name: String, isReversed: Bool = false, signals: [Signal]) {
      self.name = name
      self.isReversed = isReversed
      self.signals = signals
    }
  }

  /// One gate, candidate or state over time.
  public struct Signal: Sendable, Equatable {
    /// What its numbers mean.
    public enum Role: Sendable, Equatable {
      /// What a unit keeps of its memory, 0 to 1: the layer's units are sorted by its mean.
      case memory
      /// Any other gate, 0 to 1.
      case gate
      /// A candidate, cell or output: of either sign.
      case value
    }

    /// Its name: `forget`, `input`, `candidate`, `cell`.
    public var name: String
    /// What its numbers mean.
    public var role: Role
    /// The numbers: a row for each step, a column for each unit.
    public var values: [[Float]]

    /// A signal.
    public init(_ name: String, role: Role, values: [[Float]]) {
      self.name = name
      self.role = role
      self.values = values
    }
  }

  /// The memory at every step, by the step that wrote it: c_t = (f_1…f_t) c_0 + Σ_k (f_{k+1}…f_t) i_k u_k.
  public struct Ledger: Sendable, Equatable {
    /// One view of the ledger.
    public struct Map: Sendable, Equatable {
      /// Whose memory it is: `all units`, `unit 17`.
      public var name: String
      /// `shares[t][k]`, k ≤ t: how much of the memory at step t was written at step k. For all units shares of
      /// one, not negative; for one unit they may be signed.
      public var shares: [[Float]]

      /// A map.
      public init(_ name: String, shares: [[Float]]) {
        self.name = name
        self.shares = shares
      }
    }

    /// The layer it belongs to.
    public var layer: String
    /// The views: first all units together, then single units worth a look.
    public var maps: [Map]
    /// What is left of the first memory c_0 at each step, as a share of one; empty where it is zero.
    public var initial: [Float]

    /// A ledger.
    public init(layer: String, maps: [Map], initial: [Float] = []) {
      self.layer = layer
      self.maps = maps
      self.initial = initial
    }
  }

  /// The logit of an answer as a sum over the steps that wrote what it was read from.
  public struct Attribution: Sendable, Equatable {
    /// Whose logit it is.
    public var answer: String
    /// What each step adds to it.
    public var contributions: [Double]
    /// What the steps do not explain: the first memory, biases, and what is not linear.
    public var remainder: Double
    /// The logit itself.
    public var total: Double

    /// An attribution.
    public init(answer: String, contributions: [Double], remainder: Double, total: Double) {
      self.answer = answer
      self.contributions = contributions
      self.remainder = remainder
      self.total = total
    }
  }

  /// How long the units of a layer remember.
  public struct Memory: Sendable, Equatable {
    /// The layer.
    public var layer: String
    /// The half-life of each unit in steps, ln ½ / ln f; infinite for a unit that never forgets.
    public var halfLives: [Double]
    /// Units whose memory gate never closes.
    public var neverClose: [Int] = []
    /// Units whose memory gate never opens.
    public var neverOpen: [Int] = []
    /// Units whose gates stand at an end of their range nearly always.
    public var saturated: [Int] = []
    /// Groups of units that do the same.
    public var duplicates: [[Int]] = []
    /// The effective horizon of the whole layer in steps.
    public var horizon: Double?
    /// What all this was measured on: `this row`, `360 rows of the test part`.
    public var basis = ""

    /// What is known of the units with these half-lives.
    public init(layer: String, halfLives: [Double]) {
      self.layer = layer
      self.halfLives = halfLives
    }
  }

  /// How strongly the state at the end depends on the state at each step before.
  public struct GradientFlow: Sendable, Equatable {
    /// The layer.
    public var layer: String
    /// Whether it walks from the last step to the first: T, the end of its walk, is then the first step.
    public var isReversed: Bool
    /// |∂s_T/∂s_k| for each step k in time order, 1 where the walk ends.
    public var norms: [Double]
    /// f_{k+1}…f_T, the way along the memory alone, in the mean over units; empty where there is none.
    public var gateProducts: [Double]
    /// The rate r of a plain network drawn beside it as r^(T − k).
    public var plainRate: Double?

    /// The flow of a layer.
    public init(
      layer: String, isReversed: Bool = false, norms: [Double], gateProducts: [Double] = [],
      plainRate: Double? = nil
    ) {
      self.layer = layer
      self.isReversed = isReversed
      self.norms = norms
      self.gateProducts = gateProducts
      self.plainRate = plainRate
    }

    /// Between the order of time and that of the walk, which is its own inverse.
    func turned(_ values: [Double]) -> [Double] { isReversed ? values.reversed() : values }
  }

  /// A bound on what a model can do, and whether it is proved.
  public struct Certificate: Sendable, Equatable {
    /// What is bounded: `forget gate`, `|c| of any unit`, `longest half-life, in steps`.
    public var what: String
    /// The bound; an infinite end bounds nothing on that side. Nil where nothing can be proved.
    public var bound: ClosedRange<Double>?
    /// What was seen, in this row or by an adversary.
    public var observed: ClosedRange<Double>?
    /// Whether the bound is proved for every input in the stated range.
    public var isProved: Bool
    /// Under which conditions, or why not.
    public var remark: String

    /// A certificate.
    public init(
      _ what: String, bound: ClosedRange<Double>?, observed: ClosedRange<Double>? = nil, isProved: Bool,
      remark: String = ""
    ) {
      self.what = what
      self.bound = bound
      self.observed = observed
      self.isProved = isProved
      self.remark = remark
    }
  }

  /// Where the forget gates close, against a baseline of shuffled steps.
  public struct Boundaries: Sendable, Equatable {
    /// A step where gates close.
    public struct Event: Sendable, Equatable {
      /// The step.
      public var step: Int
      /// How often the baseline closes as far by chance; NaN where it was not tried.
      public var pValue: Double
      /// The units that closed, the strongest first.
      public var units: [Int]
      /// What closed them, as words: the features of the input that weighed most.
      public var causes: [String]

      /// An event.
      public init(step: Int, pValue: Double, units: [Int] = [], causes: [String] = []) {
        self.step = step
        self.pValue = pValue
        self.units = units
        self.causes = causes
      }
    }

    /// How far the gates close at each step: 0 not at all, 1 wholly.
    public var scores: [Double]
    /// The steps picked out, in order.
    public var events: [Event]
    /// How many shuffles the baseline had.
    public var trials: Int
    /// The p-value below which an event counts as a finding.
    public var threshold: Double

    /// Boundaries.
    public init(scores: [Double], events: [Event], trials: Int, threshold: Double = 0.05) {
      self.scores = scores
      self.events = events
      self.trials = trials
      self.threshold = threshold
    }
  }
}
