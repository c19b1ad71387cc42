"""The command line's own types."""

import click
import pytest

from autolip.cli.options import FixType, SecondsType, ShapeType


@pytest.mark.parametrize(
    ("text", "meant"),
    [("1,3,32,32", (None, (1, 3, 32, 32))), ("x=1,3", ("x", (1, 3))), ("7", (None, (7,))), ("1x5", (None, (1, 5)))],
)
def test_shapes(text: str, meant: tuple) -> None:
    assert ShapeType().convert(text, None, None) == meant


@pytest.mark.parametrize("text", ["", "a", "1,", "1,-3", "=1,3", "x=", "1.5", "0,3"])
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(click.BadParameter):
        ShapeType().convert(text, None, None)


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), (".5", 0.5)])
def test_durations(text: str, seconds: float) -> None:
    assert SecondsType().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "s", "3 days", "nan", "inf"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SecondsType().convert(text, None, None)


def test_fixed_values_name_a_file() -> None:
    name, path = FixType().convert("state=h.npy", None, None)
    assert (name, path.name) == ("state", "h.npy")
    for text in ("state", "=h.npy", "state="):
        with pytest.raises(click.BadParameter):
            FixType().convert(text, None, None)
