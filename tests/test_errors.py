"""Errors are meant for the user; what fails otherwise is a reason, in one line."""

import contextlib
import io

import pytest

from autolip.errors import InputError, Refusal, TooLate, attempted, printable


def raising(error: Exception) -> None:
    raise error


def test_what_a_call_returns_is_returned() -> None:
    assert attempted(lambda: 3) == 3


def test_a_failure_is_a_reason_with_its_name() -> None:
    found = attempted(lambda: raising(ValueError("an odd\n  shape")))
    assert isinstance(found, Refusal)
    assert str(found) == "failed with ValueError (an odd shape): please report this network"
    silent = attempted(lambda: raising(ZeroDivisionError()))
    assert str(silent) == "failed with ZeroDivisionError: please report this network"


def test_errors_meant_for_the_user_and_interrupts_pass() -> None:
    with pytest.raises(InputError, match="give another"):
        attempted(lambda: raising(InputError("give another")))
    with pytest.raises(KeyboardInterrupt):
        attempted(lambda: (_ for _ in ()).throw(KeyboardInterrupt()))


def test_nothing_is_hidden_in_a_line() -> None:
    assert printable("a\x1b[2Kb\n\u202ec é") == "a\\x1b[2Kb\\n\\u202ec é"
    assert printable("\udcff") == "\\udcff"


def test_a_want_of_time_says_how_much() -> None:
    late = TooLate("there is no time for it", 2.5)
    assert str(late) == "there is no time for it" and late.seconds == 2.5


def test_a_notebook_shows_the_sentence_alone() -> None:
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(shown):
        shell.run_cell("from autolip import InputError\nraise InputError('give a tensor')")
    assert "InputError: give a tensor" in shown.getvalue()
    assert "Traceback" not in shown.getvalue() and len(shown.getvalue().strip().splitlines()) == 1
