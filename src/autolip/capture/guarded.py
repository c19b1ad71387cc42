"""The user's own code is run: whatever it raises comes back as one sentence."""

import contextlib
from collections.abc import Iterator

from autolip.errors import AutolipError, InputError

LONGEST = 300
"""Chosen: characters of a message that are repeated."""


@contextlib.contextmanager
def users_code(doing: str) -> Iterator[None]:
    """InputError for everything but an interrupt that is raised within; `doing` says what was
    tried.

    `sys.exit` must not end the program in silence, so SystemExit counts as a failure like any
    other.
    """
    try:
        yield
    except (AutolipError, KeyboardInterrupt):
        raise
    except SystemExit as error:
        raise InputError(f"{doing} called sys.exit({_code(error)}): take that call out") from error
    except BaseException as error:
        raise InputError(f"{doing} failed: {told(error)}") from error


@contextlib.contextmanager
def unended() -> Iterator[None]:
    """InputError where the user's code, wherever it is called, would end the program in silence."""
    try:
        yield
    except SystemExit as error:
        raise InputError(
            f"the model's own code called sys.exit({_code(error)}): take that call out"
        ) from error


def told(error: BaseException) -> str:
    """An exception of the user's code in one line."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{text[:LONGEST]} ({type(error).__name__})" if text else type(error).__name__


def _code(error: SystemExit) -> str:
    return "" if error.code is None else repr(error.code)[:LONGEST]
