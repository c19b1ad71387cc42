"""Places on the axes of a page: with autolip.report.template, which fills what they are drawn
into."""

import pytest

from autolip.report.chart import Bar, Chart, along, ticks
from autolip.report.template import data, filled


def test_values_stand_where_their_logarithms_are() -> None:
    assert (along(1, 1, 100), along(10, 1, 100), along(100, 1, 100)) == (0, 50, 100)


@pytest.mark.parametrize("ends", [(0.9, 1.4), (3, 90), (1e-3, 1e22)])
def test_an_axis_has_a_few_round_labels(ends: tuple[float, float]) -> None:
    found = ticks(*ends)
    assert 1 <= len(found) <= 9
    assert all(0 < place < 100 for _, place in found)


def test_what_is_filled_in_is_text() -> None:
    chart = Chart("shares", (Bar("<b>", "1 < 2", "upper", 0.0, 50.0),), ())
    sweep = {"model": "<i>", "headline": "&", "chart": chart, "reasons": ["<u>"], "provenance": {}}
    sheet = type("Empty", (), {"caption": "", "headings": (), "rows": ()})
    page = filled("sweep.html.jinja", sweep | {"sheet": sheet})
    assert "&lt;b&gt;" in page and "&lt;i&gt;" in page and "<u>" not in page
    assert data(b"abc", "text/plain") == "data:text/plain;base64,YWJj"
