"""The command line's own types."""

from decimal import Decimal
from pathlib import Path

import click
import pytest

from autolip.cli.options import BoxType, CenterType, FixType, OutFile, SecondsType, ShapeType
from autolip.errors import InputError


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1,3,32,32", (None, (1, 3, 32, 32))),
        ("x=1,3", ("x", (1, 3))),
        ("7", (None, (7,))),
        ("1x5", (None, (1, 5))),
    ],
)
def test_shapes(text: str, meant: tuple) -> None:
    assert ShapeType().convert(text, None, None) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1,",
        "1,-3",
        "=1,3",
        "x=",
        "1.5",
        "0,3",
        "99999999999",
        "1,9999999,9999999",
        "9" * 5000,
        "٣",
    ],
)
def test_what_is_no_shape(text: str) -> None:
    with pytest.raises(click.BadParameter):
        ShapeType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("60s", 60), ("2m", 120), ("1.5h", 5400), (".5", 0.5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert SecondsType().convert(text, None, None) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "s", "3 days", "nan", "inf", "1e9h", "9" * 400, "1_0", "٣s"]
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(click.BadParameter):
        SecondsType().convert(text, None, None)


def test_fixed_values_name_a_file(tmp_path: Path) -> None:
    (tmp_path / "h.npy").touch()
    assert FixType().convert(f"state={tmp_path}/h.npy", None, None) == ("state", tmp_path / "h.npy")
    with pytest.raises(InputError, match=r"absent.npy cannot be read: No such file"):
        FixType().convert("state=absent.npy", None, None)
    for text in ("state", "=h.npy", "state="):
        with pytest.raises(click.BadParameter):
            FixType().convert(text, None, None)


@pytest.mark.parametrize("name", ["r.json", "R.JSON", "r.x.csv", "ö.csv"])
def test_the_name_of_a_file_says_its_format(name: str, tmp_path: Path) -> None:
    assert OutFile(".json", ".csv").convert(str(tmp_path / name), None, None) == tmp_path / name
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["r", "r.txt", "r.json.gz", ".json", "json", "r.", "/dev/stdout"])
def test_another_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"does not say its format: let the name end in .json or .csv"
    ):
        OutFile(".json", ".csv").convert(str(tmp_path / name), None, None)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0:1", ((Decimal(0), Decimal(1)),)),
        ("-.5:1e-2,0:+3", ((Decimal("-.5"), Decimal("1e-2")), (Decimal(0), Decimal(3)))),
    ],
)
def test_boxes_written_out(text: str, meant: tuple) -> None:
    assert BoxType().convert(text, None, None) == meant
    assert BoxType().convert(meant, None, None) == meant


@pytest.mark.parametrize("text", ["0:", "0:1:2", "0:1,", "a:b", "0..1:2", "٣:٤", "1e999:2"])
def test_what_is_no_box_is_looked_for_as_a_file(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no file: write ends such as"):
        BoxType().convert(text, None, None)


@pytest.mark.parametrize(
    ("text", "meant"), [("0", (0.0,)), ("0,-.5", (0.0, -0.5)), ("example", "example")]
)
def test_centres_written_out(text: str, meant: object) -> None:
    assert CenterType().convert(text, None, None) == meant
