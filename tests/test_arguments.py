"""What a person passes: the double that is meant, or one sentence."""

from typing import Any

import numpy as np
import pytest
import torch

from autolip.arguments import array, number, positive, probability, seed, unknown
from autolip.errors import InputError


@pytest.mark.parametrize(
    "value", [3, 3.0, np.float32(3), np.int64(3), np.array([3.0]), torch.tensor([[3]])]
)
def test_numbers_of_every_kind(value: Any) -> None:
    assert number(value, "it") == 3.0


@pytest.mark.parametrize("value", [True, "3", None, [3.0], np.zeros(2), 1 + 2j])
def test_what_is_no_number(value: Any) -> None:
    with pytest.raises(InputError, match=r"it is .*: give a number"):
        number(value, "it")


def test_a_whole_number_that_no_double_holds_is_never_rounded() -> None:
    with pytest.raises(InputError, match="no double"):
        number(2**53 + 1, "it")
    with pytest.raises(InputError, match="no double"):
        number(10**400, "it")


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (lambda x: positive(x, "it"), 0.5, 0.0),
        (lambda x: positive(x, "it"), 1e9, float("inf")),
        (lambda x: probability(x, "it"), 1e-9, 0.0),
        (lambda x: probability(x, "it"), 0.5, 1.0),
        (seed, 2**63 - 1, 2**63),
        (seed, 0, -1),
        (seed, 7, 7.0),
    ],
)
def test_ranges(check: Any, good: Any, bad: Any) -> None:
    assert check(good) == good
    with pytest.raises(InputError):
        check(bad)


@pytest.mark.parametrize(
    "value", [[1.0, 2.0], (1, 2), np.array([1, 2], dtype=np.int8), torch.tensor([1.0, 2.0])]
)
def test_arrays_are_doubles_and_copies(value: Any) -> None:
    found = array(value, "it")
    assert found.dtype is torch.float64 and found.tolist() == [1.0, 2.0]
    found[0] = 9.0
    assert float(value[0]) == 1.0


@pytest.mark.parametrize(
    "value",
    [[[1.0], [1.0, 2.0]], ["x"], [True], np.array([1j]), [2**53 + 1], torch.zeros(2).to_sparse()],
)
def test_what_is_no_array_of_doubles(value: Any) -> None:
    with pytest.raises(InputError):
        array(value, "it")


def test_an_unknown_name_meets_its_neighbour() -> None:
    error = str(unknown("method", "autolipp", ["autolip", "seqlip"]))
    assert "did you mean 'autolip'?" in error and "choose from autolip, seqlip" in error
