"""The table of searches."""

import dataclasses

import pytest

from autolip.errors import AutolipError, InputError
from autolip.lower import LOWER_METHODS, Ascent, LowerMethod, lower_method, lower_named


def test_every_search_has_a_name_a_source_and_frozen_options() -> None:
    assert {
        "ascent",
        "dataset",
        "random",
        "grid",
        "annealing",
        "nelder-mead",
        "basin-hopping",
    } <= set(LOWER_METHODS)
    for name in LOWER_METHODS:
        search = lower_named(name)
        assert isinstance(search, LowerMethod) and search.name == name and search.source
        with pytest.raises(dataclasses.FrozenInstanceError):
            search.seconds = 1.0  # type: ignore[attr-defined]


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        InputError,
        match="annealing, ascent, basin-hopping, dataset, grid, nelder-mead, pattern, random",
    ):
        lower_named("luck")


def test_a_name_is_given_once() -> None:
    with pytest.raises(
        AutolipError,
        match=r"the lower-bound search ascent is there already, autolip\.lower\.ascent",
    ):
        lower_method(Ascent)
