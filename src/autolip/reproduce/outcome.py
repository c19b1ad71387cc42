"""What an experiment found: a table as text, JSON and CSV, beside the published one."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from autolip.errors import AutolipError
from autolip.findings import Row, above, below
from autolip.report.content import Sheet
from autolip.report.digits import digits_near, digits_of
from autolip.report.table import aligned
from autolip.reproduce.columns import Cells
from autolip.reproduce.published import Table
from autolip.reproduce.steps import Facts

DIGITS = 5
"""Chosen: significant digits in a table."""

SCHEMA = 1
"""Defined here: the version of the JSON form."""

WHOLE, PART = "AutoLip", "Greedy SeqLip"
"""The paper compares these two: their ratio is what SeqLip gains."""

HEADINGS = (
    "network",
    "layers",
    "column",
    "kind",
    "value",
    "certainty",
    "delta",
    "seconds",
    "published",
    "refusal",
)


@dataclass(frozen=True)
class Stated(Row):
    """A cell whose number no method bounded: it was measured, or a theory says it."""

    source: str = "measured"

    @property
    def kind(self) -> str:
        return self.source


@dataclass(frozen=True)
class Network:
    """A network of the table: its label, its layers, and what is known about it."""

    label: str
    depth: int
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Every column on every network, and what the paper published."""

    experiment: str
    title: str
    settings: Facts
    networks: tuple[Network, ...]
    columns: tuple[str, ...]
    cells: Cells
    published: Table
    remarks: tuple[str, ...] = ()
    spread: dict[tuple[str, str], float] = field(default_factory=dict)
    """Standard errors of cells that are means."""

    def __post_init__(self) -> None:
        for network in self.networks:
            rows = [row for (_, label), row in self.cells.items() if label == network.label]
            lower = max(map(below, rows), default=0.0)
            upper = min(map(above, rows), default=0.0)
            if lower > upper:
                raise AutolipError(
                    f"{network.label}: {lower} is attained above the bound {upper}; "
                    "please report this"
                )

    def value(self, column: str, label: str) -> float | None:
        """The number in a cell, where there is one."""
        row = self.cells.get((column, label))
        return None if row is None else row.value

    def ratio(self, label: str) -> float | None:
        """AutoLip over greedy SeqLip: neither a bound on the other side, so a plain number."""
        whole = self.value(WHOLE, label)
        part = self.value(PART, label)
        return whole / part if whole and part else None

    def text(self) -> str:
        """The table, the published one beside it, facts and remarks."""
        parts = [self.title, aligned(self.table())]
        if self.published:
            parts.append(aligned(self.side_by_side()))
        parts.append(
            "\n".join([*filter(None, map(_about, self.networks)), *self._said(), *self.remarks])
        )
        return "\n\n".join(part for part in parts if part) + "\n"

    def table(self) -> Sheet:
        """A row for every column of the paper, with its kind; a column for every network."""
        rows = []
        for column in self.columns:
            cells = [self.cells[column, network.label] for network in self.networks]
            kinds = dict.fromkeys(cell.kind for cell in cells)
            rows.append((column, ", ".join(kinds), *(written(cell) for cell in cells)))
        if any(self.ratio(network.label) for network in self.networks):
            ratios = (self.ratio(network.label) for network in self.networks)
            rows.append(
                (
                    f"{WHOLE} / {PART}",
                    "ratio",
                    *("-" if r is None else digits_near(r, 3) for r in ratios),
                )
            )
        return Sheet(
            "", ("", "kind", *(network.label for network in self.networks)), tuple(rows), left=2
        )

    def side_by_side(self) -> Sheet:
        """Published and ours, network by network."""
        labels = [network.label for network in self.networks]
        headings = [heading for label in labels for heading in (label, "ours")]
        rows = []
        for column, known in self.published.items():
            pairs = (
                (_plain(known.get(label)), written(self.cells.get((column, label))))
                for label in labels
            )
            rows.append((column, *(cell for pair in pairs for cell in pair)))
        pairs = (
            (_plain(self.published_ratio(label), 3), _plain(self.ratio(label), 3))
            for label in labels
        )
        rows.append((f"{WHOLE} / {PART}", *(cell for pair in pairs for cell in pair)))
        return Sheet("Published, and ours beside it", ("", *headings), tuple(rows))

    def published_ratio(self, label: str) -> float | None:
        """The paper's AutoLip over its greedy SeqLip."""
        whole = self.published.get(WHOLE, {}).get(label)
        part = self.published.get(PART, {}).get(label)
        return whole / part if whole and part else None

    def json(self) -> str:
        """Everything as JSON: settings, networks, cells, published numbers."""
        content = {
            "schema": SCHEMA,
            "experiment": self.experiment,
            "title": self.title,
            "settings": self.settings,
            "networks": [{"label": n.label, "layers": n.depth, **n.facts} for n in self.networks],
            "cells": [
                {
                    "network": label,
                    "column": column,
                    **row.to_dict(),
                    "standard_error": self.spread.get((column, label)),
                }
                for (column, label), row in self.cells.items()
            ],
            "published": self.published,
            "remarks": list(self.remarks),
        }
        return json.dumps(content, indent=2, allow_nan=False) + "\n"

    def csv(self) -> str:
        """One line a cell."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(HEADINGS)
        for network in self.networks:
            for column in self.columns:
                row = self.cells[column, network.label]
                known = self.published.get(column, {}).get(network.label)
                value = "" if row.value is None else repr(row.value)
                start = (
                    network.label,
                    network.depth,
                    column,
                    row.kind,
                    value,
                    row.certainty or "",
                    row.delta,
                )
                writer.writerow(
                    (
                        *start,
                        f"{row.seconds:.3f}",
                        "" if known is None else known,
                        row.refusal or "",
                    )
                )
        return file.getvalue()

    def _said(self) -> Iterator[str]:
        """Refusals and notes, each once with the networks it is about."""
        about: dict[str, list[str]] = {}
        for (column, label), row in self.cells.items():
            said = [f"refused: {row.refusal}"] if row.refusal is not None else list(row.notes)
            for sentence in said:
                about.setdefault(f"{column}, {{}}: {sentence}", []).append(label)
        for sentence, labels in about.items():
            yield sentence.replace("{}", ", ".join(labels), 1)


def written(row: Row | None) -> str:
    """The digits of a cell: upper bounds rounded up, lower ones down."""
    return "-" if row is None else digits_of(row.answer, DIGITS)


def _plain(value: float | None, digits: int = 7) -> str:
    return "-" if value is None else digits_near(value, digits)


def _about(network: Network) -> str:
    facts = "; ".join(f"{name} {_fact(value)}" for name, value in network.facts.items())
    return f"{network.label}: {facts}" if facts else ""


def _fact(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
