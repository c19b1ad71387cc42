"""What can go wrong, and how it is said: where, why, what to do."""

from dataclasses import dataclass


class AutolipError(Exception):
    """Base of every error that autolip raises on purpose; its text is meant for the user."""


class InputError(AutolipError):
    """The user's input (model, weights, shape, region, option) cannot be analysed as given."""


class UnsupportedOperation(AutolipError):
    """The network contains operations without a rule; the text names every one with its place."""


class CaptureMismatch(AutolipError):
    """The captured graph and the original model disagree on the same input: a defect of ours."""


@dataclass(frozen=True)
class Refusal:
    """A method's or engine's reasoned "no": a value, not an exception."""

    reason: str

    def __str__(self) -> str:
        return self.reason
