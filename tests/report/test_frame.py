"""Data frames where pandas is, lists of dictionaries elsewhere."""

import importlib.util

import pytest

from autolip.report.frame import frame
from autolip.result import Result

RECORDS = [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]


def test_without_pandas_the_records_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autolip.report.frame.find_spec", lambda name: None)
    assert frame(RECORDS) == RECORDS


@pytest.mark.skipif(importlib.util.find_spec("pandas") is None, reason="pandas is not installed")
def test_with_pandas_they_are_a_frame(bracket: Result) -> None:
    assert frame(RECORDS).to_dict("records") == RECORDS
    rows = bracket.to_frame()
    assert list(rows["method"]) == [row.method for row in bracket.bounds]
    assert rows["value"][0] == bracket.bounds[0].value
