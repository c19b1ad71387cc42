"""Figures: valid files that name every column, the same for the same outcome, without traces in
matplotlib."""

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import matplotlib
import pytest
from matplotlib.text import Annotation

from autolip.reproduce.figures import drawn, pictures
from autolip.reproduce.ideal import IdealExperiment
from autolip.reproduce.outcome import Outcome
from autolip.reproduce.steps import Steps
from tests.reproduce.test_outcome import OUTCOME

pytestmark = pytest.mark.slow

SINGLE = replace(OUTCOME, networks=OUTCOME.networks[:1], published={"AutoLip": {"4 layers": 33.0}})
FINITE = replace(
    OUTCOME,
    cells={**OUTCOME.cells, ("AutoLip", "5 layers"): OUTCOME.cells["Frobenius", "5 layers"]},
)


@pytest.fixture(scope="module")
def ideal(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    experiment = IdealExperiment(depths=2, width=6, ratios=(0.5, 0.0), draws=2, limit_draws=3)
    return experiment.run(Steps(tmp_path_factory.mktemp("steps")), 0, lambda *event: None)


def words(svg: bytes) -> str:
    return " ".join(re.findall(r">([^<>\n]+)<", svg.decode()))


@pytest.mark.parametrize(
    "outcome", [FINITE, OUTCOME, SINGLE], ids=["by depth", "with infinity", "one network"]
)
def test_pictures_name_their_columns_and_kinds(outcome: Outcome) -> None:
    found = pictures(outcome)
    assert found["png"].startswith(b"\x89PNG") and len(found["png"]) > 5000
    text = words(found["svg"])
    for word in (
        "AutoLip",
        "Greedy SeqLip",
        "data set",
        "upper bound",
        "estimate, not a bound",
        "published",
    ):
        assert word in text


def test_the_ideal_scenario_shows_its_limits(ideal: Outcome) -> None:
    text = words(pictures(ideal)["svg"])
    for word in ("r = 0.5", "limit at infinite width", "upper bound", "estimate"):
        assert word in text


def test_the_curves_are_the_cells(ideal: Outcome) -> None:
    curves = [line.get_ydata() for line in drawn(ideal).axes[0].get_lines()]
    wanted = [ideal.value("SeqLip, r = 0.5", network.label) for network in ideal.networks]
    assert any(list(curve) == wanted for curve in curves)
    bounds = [list(line.get_ydata()) for line in drawn(FINITE).axes[0].get_lines()]
    assert [4.0, 7.0] in bounds and [3.999999, 2.0] in bounds


def test_the_same_outcome_gives_the_same_picture_and_leaves_the_settings(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    assert pictures(FINITE) == pictures(FINITE)
    assert dict(matplotlib.rcParams) == before


def test_names_at_the_ends_do_not_overlap() -> None:
    figure = drawn(FINITE)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    heights = sorted(
        axes.transData.transform(text.xy)[1] * 72 / figure.dpi + text.xyann[1]
        for text in axes.texts
        if isinstance(text, Annotation)
    )
    assert len(heights) == 4
    assert all(above - below >= 8 for below, above in pairwise(heights)), (
        "in points, of a font of 8"
    )
