"""Rows of plain data as a data frame, where there is one to be had."""

from importlib.util import find_spec
from typing import Any


def frame(records: list[dict[str, Any]]) -> Any:
    """A pandas.DataFrame; where pandas is not installed (extra: frames), the list itself."""
    if find_spec("pandas") is None:
        return records
    import pandas

    return pandas.DataFrame(records)
