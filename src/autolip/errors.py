"""What can go wrong, and how it is said: where, why, what to do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class AutolipError(Exception):
    """Base of every error that autolip raises on purpose; its text is meant for the user."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the sentence, without the lines that led to it (`%debug` and
        `sys.last_exc` have them)."""
        return [f"{type(self).__name__}: {self}"]


class InputError(AutolipError):
    """The user's input (model, weights, shape, region, option) cannot be analysed as given."""


class OutputError(InputError):
    """A file that was asked for, or the standard output, cannot be written."""


class UnsupportedOperation(AutolipError):
    """The network contains operations without a rule; the text names every one with its place."""


class CaptureMismatch(AutolipError):
    """The captured graph and the original model, or other software, disagree on the same input."""


class InternalError(AutolipError):
    """A defect of autolip, seen by itself: nothing is claimed, and the text asks for a report."""


class Contradiction(InternalError):
    """An upper bound below an attained one: one of the two is false, so that neither is given."""

    @classmethod
    def between(
        cls, what: str, upper: tuple[str, float], lower: tuple[str, float]
    ) -> "Contradiction":
        """That of two rows about the same thing, a name and a number each."""
        return cls(
            f"{upper[0]} bounds {what} by {upper[1]!r}, and {lower[0]} attains {lower[1]!r}: one "
            "of the two is false, so neither is given; this is a defect of autolip, please report "
            "this network"
        )


@dataclass(frozen=True)
class Refusal:
    """A method's or engine's reasoned "no": a value, not an exception."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True)
class NothingThere(Refusal):
    """A "no" because the network has nothing of what this is about: no bound is lost by it."""


@dataclass(frozen=True)
class TooLate(Refusal):
    """A "no" for want of time: about this many seconds would give an answer."""

    seconds: float = 0.0


def printable(text: str) -> str:
    """The text in one line that hides nothing: control characters and what is no text are shown
    escaped."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text
    )


def first_line(error: Exception) -> str:
    """The first line of what an error says, without runs of blanks."""
    return " ".join(str(error).split("\n")[0].split())


def attempted(call: Callable[[], T]) -> T | Refusal:
    """What a call returns; a refusal with the reason where it fails, so that what others found
    stays.

    Errors meant for the user (AutolipError) pass.
    """
    try:
        return call()
    except AutolipError:
        raise
    except Exception as error:
        said = printable(" ".join(str(error).split()))
        return Refusal(
            f"failed with {type(error).__name__}{f' ({said})' if said else ''}: please "
            "report this network"
        )
