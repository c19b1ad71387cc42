"""Bars on a logarithmic axis: what is drawn, and what is not."""

from dataclasses import replace
from pathlib import Path

import pytest

from autolip.errors import InputError
from autolip.report import formats
from autolip.report.bars import bars, drawable, ends
from autolip.report.formats import DRAWN, FORMATS
from autolip.result import Result
from tests.report.conftest import row

STARTS = {".svg": b"<?xml", ".pdf": b"%PDF", ".png": b"\x89PNG"}


def test_a_bar_for_every_finite_number_smallest_first(bracket: Result) -> None:
    rows = drawable(bracket)
    assert [found.method for found in rows] == ["ascent", "power", "autolip", "lanczos"]
    axes = bars(bracket).axes[0]
    widths = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx([found.value for found in rows])
    assert axes.get_xscale() == "log"


def test_a_notebook_shows_the_figure(bracket: Result) -> None:
    assert bars(bracket)._repr_png_().startswith(STARTS[".png"])  # type: ignore[attr-defined]


def test_infinite_bounds_and_zeros_have_no_bar(bracket: Result) -> None:
    none = replace(bracket, bounds=(row("a", "upper", float("inf")), row("b", "lower", 0.0)))
    assert drawable(none) == [] and ends([]) == pytest.approx((1 / 1.3, 1.3))
    assert len(bars(none).axes[0].patches) == 0


@pytest.mark.parametrize("suffix", DRAWN)
def test_figures_are_files_of_their_kind(suffix: str, bracket: Result) -> None:
    drawn = FORMATS[suffix](bracket)
    assert drawn.startswith(STARTS[suffix]) and drawn == FORMATS[suffix](bracket)


def test_without_matplotlib_a_figure_is_refused(
    bracket: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r".svg is a figure, and needs matplotlib"):
        bracket.save(tmp_path / "r.svg")
    with pytest.raises(InputError, match="needs matplotlib"):
        bracket.plot()
