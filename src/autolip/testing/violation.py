"""What a law of `autolip.testing` raises where it does not hold."""


class LawViolation(AssertionError):
    """A law does not hold; the text has the counterexample."""
