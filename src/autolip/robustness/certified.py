"""What `certify` returns: a row for every sample, and what they come to."""

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from autolip.errors import InputError
from autolip.files import write
from autolip.findings import versions
from autolip.report.content import Sheet
from autolip.report.digits import digits_down, digits_up
from autolip.report.formats import suffix_of
from autolip.report.table import aligned
from autolip.robustness.verdict import Outcome, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = 1
"""Defined: version of the JSON form."""

SHOWN = 20
"""Chosen: rows that are printed; all of them are in a file."""

COLUMNS = (
    "index", "label", "predicted", "outcome", "radius", "attacked", "margin", "method", "seconds",
    "by", "reason",
)  # fmt: skip


HEADINGS = ("sample", "label", "class", "outcome", "radius", "attacked", "method", "seconds")


@dataclass(frozen=True, repr=False)
class Certified:
    """Which samples are certified, each up to which radius, and how.

    Columns are arrays with an entry for each sample.  `radius` is certified: the label wins for
    every input within it; `attacked` is a radius within which an input with another class is known
    (infinite where none is).
    """

    model: str
    request: dict[str, Any]
    rows: tuple[Verdict, ...]
    notes: tuple[str, ...] = ()
    seconds_in_all: float = 0.0
    shape: tuple[int, ...] = field(default=())
    """Of one input."""
    provenance: dict[str, Any] = field(default_factory=versions)
    """What computed it, of which files: versions, hashes, the command."""

    def _column(self, of: Callable[[Verdict], Any], dtype: Any) -> np.ndarray[Any, Any]:
        return np.array([of(row) for row in self.rows], dtype=dtype)

    @property
    def certified(self) -> np.ndarray[Any, Any]:
        """Whether the sample is certified at the radius that was asked about; where the largest
        was: at any radius above 0."""
        asked = self.request["radius"]
        if asked is None:
            return self.radius > 0
        return (self.radius >= asked) & self._right

    @property
    def radius(self) -> np.ndarray[Any, Any]:
        """Certified; 0 where nothing is."""
        return self._column(lambda row: row.radius, np.float64)

    @property
    def attacked(self) -> np.ndarray[Any, Any]:
        """A radius within which an input with another class is known, infinite where none is."""
        return self._column(
            lambda row: math.inf if row.attacked is None else row.attacked, np.float64
        )

    @property
    def predicted(self) -> np.ndarray[Any, Any]:
        """The class of each sample."""
        return self._column(lambda row: row.predicted, np.int64)

    @property
    def margin(self) -> np.ndarray[Any, Any]:
        """At most the label's margin at each sample."""
        return self._column(lambda row: row.margin, np.float64)

    @property
    def method(self) -> np.ndarray[Any, Any]:
        """The rung of the ladder that decided."""
        return self._column(lambda row: row.method, np.str_)

    @property
    def outcome(self) -> np.ndarray[Any, Any]:
        """certified, attacked, open, misclassified or failed."""
        return self._column(lambda row: row.outcome.value, np.str_)

    @property
    def seconds(self) -> np.ndarray[Any, Any]:
        """What each sample took."""
        return self._column(lambda row: row.seconds, np.float64)

    @property
    def _right(self) -> np.ndarray[Any, Any]:
        return self._column(
            lambda row: row.outcome not in (Outcome.MISCLASSIFIED, Outcome.FAILED), np.bool_
        )

    @property
    def complete(self) -> bool:
        """False where the time ended early for some sample, or one failed."""
        return all(row.complete and row.outcome is not Outcome.FAILED for row in self.rows)

    @property
    def accuracy(self) -> float:
        """The share of samples that are given their label."""
        return float(self._column(lambda row: row.predicted == row.label, np.bool_).mean())

    def certified_accuracy(self, radius: float) -> float:
        """The share of samples that are certified at this radius, from below: no radius was tried
        above the one that was asked about."""
        return float(((self.radius >= radius) & self._right).mean())

    def attack_ceiling(self, radius: float) -> float:
        """The share of samples that no attack was found on within this radius."""
        return float(((self.attacked > radius) & self._right).mean())

    @property
    def measure(self) -> str:
        """What radii are."""
        return "part of the region" if self.request["regions"] else f"{self.request['norm']} radius"

    @property
    def headline(self) -> str:
        """What the rows come to, in a line."""
        total = len(self.rows)
        counts = {outcome: sum(row.outcome is outcome for row in self.rows) for outcome in Outcome}
        certified = counts[Outcome.CERTIFIED]
        share = f"({100 * float(self.certified.mean()):.4g}%)"
        if self.request["regions"]:
            what = f"{certified} of {total} certified on their regions {share}"
        elif self.request["largest"]:
            mean = digits_down(float(self.radius.mean()), 4)
            what = f"mean certified {self.measure} {mean}"
        else:
            radius = f"{self.measure} {self.request['radius']:g}"
            what = f"{certified} of {total} certified at {radius} {share}"
        rest = ", ".join(
            f"{counts[outcome]} {outcome.value}" for outcome in list(Outcome)[1:] if counts[outcome]
        )
        accuracy = f"accuracy {100 * self.accuracy:.4g}%"
        pace = f"{self.seconds_in_all / max(1, total):.2g} s a sample"
        return f"{what}; {rest + '; ' if rest else ''}{accuracy}; {pace}"

    def sheet(self, most: int) -> Sheet:
        """A line for each of the first samples."""
        asked = self.request["radius"]
        rows = tuple(_cells(row, asked) for row in self.rows[:most])
        return Sheet("", HEADINGS, rows, left=0)

    def __repr__(self) -> str:
        sheet = aligned(self.sheet(SHOWN)) if self.rows else ""
        more = len(self.rows) - SHOWN
        rest = [f"and {more} more: write them to a file, or ask `rows`"] if more > 0 else []
        return "\n".join([self.model, sheet, *rest, *self.notes, self.headline])

    def to_frame(self) -> Any:
        """A pandas DataFrame (extra: frames), a row for each sample."""
        try:
            import pandas
        except ImportError as error:
            raise InputError(
                "to_frame needs pandas: pip install 'autolip[frames]', or read the CSV file"
            ) from error
        return pandas.DataFrame([_plain(row) for row in self.rows], columns=COLUMNS)

    def to_dict(self) -> dict[str, Any]:
        """The documented JSON form (docs/robustness.md)."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "request": self.request,
            "input_shape": list(self.shape),
            "accuracy": self.accuracy,
            "certified_accuracy": float(self.certified.mean()),
            "notes": list(self.notes),
            "seconds": self.seconds_in_all,
            "provenance": self.provenance,
            "samples": [row.to_dict() for row in self.rows],
        }

    def plot(self) -> "Figure":
        """Certified accuracy against the radius, with the attack's curve as ceiling (extra:
        report)."""
        from autolip.robustness.curve import curve

        return curve(self)

    def save(self, path: str | Path) -> None:
        """Write .csv, .json, .html, .txt or .parquet, as the name ends."""
        suffix = suffix_of(Path(path), tuple(FORMATS))
        write(path, FORMATS[suffix](self))


def _cells(row: Verdict, asked: float | None) -> tuple[str, ...]:
    """A line of the table: radii that were found and hold are rounded down, those of attacks up."""

    def shown(radius: float | None, rounded: Callable[[float, int], str]) -> str:
        if not radius:
            return "-"
        return f"{radius!r}" if radius == asked else rounded(radius, 4)

    attacked = shown(row.attacked, digits_up)
    radius = shown(row.radius, digits_down)
    method = row.method or "-"
    known = (row.outcome.value, radius, attacked, method, f"{row.seconds:.2f}")
    return str(row.index), str(row.label), str(row.predicted), *known


def _plain(row: Verdict) -> dict[str, Any]:
    plain = row.to_dict()
    return {name: plain[name] for name in COLUMNS}


def _csv(found: Certified) -> str:
    """A line for every sample, numbers with all their digits."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_plain(row) for row in found.rows)
    return file.getvalue()


def _json(found: Certified) -> str:
    return json.dumps(found.to_dict(), indent=2, allow_nan=False) + "\n"


def _text(found: Certified) -> str:
    return f"{found!r}\n"


def _html(found: Certified) -> str:
    from autolip.robustness.page import page

    return page(found)


def _parquet(found: Certified) -> bytes:
    try:
        import pyarrow  # noqa: F401 (pandas' own message names neither the file nor the extra)
    except ImportError as error:
        raise InputError(
            "a .parquet file needs pyarrow: pip install 'autolip[frames]', or write .csv"
        ) from error
    file = io.BytesIO()
    found.to_frame().to_parquet(file)
    return file.getvalue()


FORMATS: dict[str, Callable[[Certified], str | bytes]] = {
    ".csv": _csv,
    ".json": _json,
    ".txt": _text,
    ".html": _html,
    ".parquet": _parquet,
}
"""The file formats, by the suffix of the name."""
