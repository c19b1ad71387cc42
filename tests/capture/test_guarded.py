"""What the user's code raises is one sentence; an interrupt stays one."""

import pytest

from autolip.capture.guarded import LONGEST, told, unended, users_code
from autolip.errors import InputError, UnsupportedOperation


def test_an_exception_says_what_was_tried_and_what_happened() -> None:
    sentence = r"^loading it failed: odd \(ValueError\)$"
    with pytest.raises(InputError, match=sentence), users_code("loading it"):
        raise ValueError("\n  odd\nsecond line")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), UnsupportedOperation("no rule")])
def test_interrupts_and_our_own_errors_pass(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, users_code("loading it"):
        raise error
    assert raised.value is error


def test_an_exit_does_not_end_the_program_in_silence() -> None:
    sentence = r"loading it called sys.exit\(3\): take that call out"
    with pytest.raises(InputError, match=sentence), users_code("loading it"):
        raise SystemExit(3)
    with pytest.raises(InputError, match=r"the model's own code called sys.exit\(\)"), unended():
        raise SystemExit


def test_a_long_message_is_cut_and_an_empty_one_is_the_name() -> None:
    assert told(ValueError("x" * 1000)) == "x" * LONGEST + " (ValueError)"
    assert told(ValueError()) == "ValueError"
