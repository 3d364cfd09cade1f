/// The laboratories by name, for commands.
public enum LabCatalog {
  /// All of them, from what follows from the equation to what is learned.
  public static let all: [any Lab] = [
    VanishLab(), CarouselLab(), HalfLifeLab(), BoundedLab(), ForgetBiasLab(), HardSigmoidLab(), BudgetLab(),
    DropoutLab(), EMALab(), CounterLab(), CircuitLab(), SimulatorLab(), TrapdoorLab(), RecallLab(),
    NegationLab(), LossLab(), ControllerLab(), BracketsLab(), DelayLab(),
  ]

  /// The laboratory of that name, if there is one.
  public static func lab(_ name: String) -> (any Lab)? { all.first { $0.name == name } }
}
