/// The sentences of a ``DemoReport``.
enum DemoWords {
  static let lead = """
    A small recurrent network read images of digits from top to bottom, a strip at a time, and had to say at \
    the end which digit it was. This page tells how well that went, and what its gates did on the way.
    """

  static let footer = """
    Written by lethe demo. This page is one file: it loads nothing, runs no script, and can be kept, mailed \
    and printed.
    """

  static let loss = """
    The mean over the images of an epoch; lower is better. Training still falling while validation rises \
    means learning by heart.
    """

  static let confusion = """
    A row for each true digit, a column for each answer, counts in the cells. Blue: right. Orange: wrong, \
    on a scale of its own, so that a single error shows.
    """

  static let errors = "How many test images of each digit got another answer."
}
