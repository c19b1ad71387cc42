"""What is said about a result: the bracket in a sentence, tables of cells, remarks. Renderers only
lay it out."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, assert_never

from autolip.errors import Refusal, printable
from autolip.report.digits import delta_up, digits_of, ratio_of
from autolip.values import Estimate, Lower, Upper

if TYPE_CHECKING:
    from autolip.findings import Findings, Pair, Row

HEADINGS = ("method", "kind", "value", "certainty", "ratio", "seconds", "passes")

WORDS = ("certainty", "method", "outcome")
"""Defined: headings of words, wherever their column stands."""

LARGEST_MATRIX = 12
"""Chosen: outputs up to which all pairs are shown as a matrix; beyond, only the pairs with the
largest bounds."""

PAIRS_SHOWN = 10
"""Chosen: pairs of outputs that are listed."""

NOTES_SHOWN = 5
"""Chosen: notes of a method that are shown."""

PAIR_DIGITS = 5
"""Chosen: significant digits of a pair's bound."""


@dataclass(frozen=True)
class Sheet:
    """A table: a caption (or none), headings, rows of cells; the first `left` columns are words,
    the rest numbers.

    Rows whose numbers are in `bold` stand out on a terminal.
    """

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    bold: tuple[int, ...] = ()

    def is_text(self, column: int) -> bool:
        """Whether a column holds words, which are flush left."""
        return column < self.left or self.headings[column] in WORDS


def headline(result: "Findings") -> str:
    """The bracket as a sentence: upper ends rounded up, lower ends down, to the digits printed."""
    norms = " -> ".join(result.norm_names)
    where = f"({norms}, {place(result)}{_caveat(result)})"
    subject = measured(result)
    lower = None if result.lower is None else digits_of(result.lower.answer)
    upper = None if result.upper is None else digits_of(result.upper.answer)
    if lower is not None and upper is not None:
        return f"{lower} <= {subject} <= {upper} {where}{_winner(result)}"
    if upper is not None:
        return f"{subject} <= {upper} {where}{_winner(result)}; no lower bound"
    if lower is not None:
        return f"{subject} >= {lower} {where}; no upper bound"
    return f"no bound on the {subject} {where}"


def measured(result: "Findings") -> str:
    """What is bounded, in words."""
    subject = result.output.subject
    if result.rounding is not None:
        subject = f"{subject} without rounding"
    if result.centre is None:
        return subject
    return subject.replace("Lipschitz constant", "calmness modulus")


def sheets(result: "Findings") -> list[Sheet]:
    """The table of bounds, and that of the pairs of outputs where there are any."""
    attained = [row.answer.value for row in result.bounds if isinstance(row.answer, Lower)]
    best = max(attained, default=None)
    rows = tuple(
        _cells(row, row.answer, best)
        for row in result.bounds
        if not isinstance(row.answer, Refusal)
    )
    found = [Sheet("", HEADINGS, rows, left=2)] if rows else []
    return [*found, _pairs(result.pairs)] if result.pairs else found


def remarks(result: "Findings") -> list[str]:
    """Refusals with their reasons, notes, and what the numbers are about."""
    refusals = [
        f"{row.method} refused: {row.answer}"
        for row in result.bounds
        if isinstance(row.answer, Refusal)
    ]
    notes = list(result.notes)
    for row in result.bounds:
        notes += [f"{row.method}: {note}" for note in row.notes if note not in result.notes]
    if len(notes) > NOTES_SHOWN:
        more = len(notes) - NOTES_SHOWN
        notes = [*notes[:NOTES_SHOWN], f"and {more} more such {'note' if more == 1 else 'notes'}"]
    budget = (
        []
        if result.complete
        else ["the time budget ended early: the bounds hold, tighter ones may exist"]
    )
    return [*_rounding(result), *refusals, *budget, *notes, *_assumptions(result)]


def _rounding(result: "Findings") -> Iterator[str]:
    """What is true of a network that rounds to a grid, and jumps."""
    if result.rounding is None:
        return
    error = digits_of(result.rounding)
    upper = "inf" if result.upper is None else digits_of(result.upper.answer)
    yield (
        f"the network rounds to a grid: |f(x) - f(y)| <= {upper} |x - y| + {error} "
        f"({_certainty(result.rounding)}); the bracket is of the network without rounding"
    )


def _winner(result: "Findings") -> str:
    """The method whose upper bound is the smallest, where there were several."""
    several = sum(isinstance(row.answer, Upper) for row in result.bounds) > 1
    return f", upper bound by {result.upper.method}" if several and result.upper is not None else ""


def place(result: "Findings") -> str:
    """The region in words, and from where slopes are taken."""
    return _region(result.region) + ("" if result.centre is None else f", {_from(result)}")


def _from(result: "Findings") -> str:
    """Its centre, or another point."""
    region = result.region
    middle = region.get("center", [])
    if {"lo", "hi"} <= region.keys():
        middle = [lo / 2 + hi / 2 for lo, hi in zip(region["lo"], region["hi"], strict=True)]
    return "from its centre" if middle == list(result.centre or ()) else "from a point of it"


def _region(region: dict[str, Any]) -> str:
    kind = region.get("kind", "region")
    if kind == "product":
        return ", ".join(f"{one['input']} {_region(one['region'])}" for one in region["parts"])
    if kind == "everywhere":
        return "everywhere"
    if kind == "ball" and {"norm", "radius"} <= region.keys():
        return f"on an {region['norm']} ball of radius {region['radius']}"
    if kind == "scaled ball" and {"norm", "radius"} <= region.keys():
        return f"on an {region['norm']} ball of radius {region['radius']} in units"
    return printable(f"on a {kind}")


def _caveat(result: "Findings") -> str:
    """The probability, where the upper bound rests on random vectors."""
    row = result.upper
    if row is None or row.delta == 0:
        return ""
    return f"; with probability >= {_probability(row.delta)}"


def _probability(delta: float) -> str:
    return f"1 - {delta_up(delta)}"


def _certainty(answer: Upper | Lower | Estimate) -> str:
    """How the number is known."""
    match answer:
        case Upper():
            kind = answer.certainty.value
            return f"{kind} {_probability(answer.delta)}" if answer.events else kind
        case Lower():
            return "attained"
        case Estimate():
            return "not a bound"
        case _:
            assert_never(answer)


def _cells(row: "Row", answer: Upper | Lower | Estimate, best: float | None) -> tuple[str, ...]:
    """A line of the table: `best` is the largest lower bound."""
    ratio = "-" if best is None else ratio_of(answer, best)
    seconds = f"{row.seconds:.2f}"
    passes = f"{row.passes:.1f}" if row.passes < 100 else f"{row.passes:.0f}"
    known = digits_of(answer), _certainty(answer), ratio
    return row.method, row.kind, *known, seconds, passes


def _assumptions(result: "Findings") -> Iterator[str]:
    """What the numbers are about, in words."""
    known = result.assumptions
    if "input" in known:
        shape = tuple(known["input_shape"])
        stored = f"; weights stored as {known['dtype']}" if "dtype" in known else ""
        if "inputs" in known:
            each = ", ".join(f"{one['name']} {tuple(one['shape'])}" for one in known["inputs"])
            norm = f"their {result.p.value} norm is that of all {math.prod(shape)} entries"
            yield f"vary together: {each}; {norm}{stored}"
        else:
            yield f"varies: {known['input']}, shape {shape}, batch {known['batch']}{stored}"
    yield from result.units.said()
    if "layer" in known:
        yield f"of the whole network: what layer {known['layer']} returns"
    if "returned" in known:
        yield f"of all that is returned: {known['returned']}"
    if "time_budget" in result.options:
        budget = result.options["time_budget"]
        yield (
            f"the time budget of {budget:.4g} s began after {result.capture_seconds:.2g} s of "
            "capturing"
        )
    for name, value in known.get("fixed", {}).items():
        yield f"held fixed: {name}, {value}"
    if result.region.get("kind") == "box" and {"lo", "hi"} <= result.region.keys():
        widths = [hi - lo for lo, hi in zip(result.region["lo"], result.region["hi"], strict=True)]
        yield f"box of {len(widths)} coordinates, {min(widths):.4g} to {max(widths):.4g} wide"


def _pairs(pairs: tuple["Pair", ...]) -> Sheet:
    count = 1 + max(max(pair.i, pair.j) for pair in pairs)
    return _matrix(pairs, count) if count <= LARGEST_MATRIX else _largest(pairs)


def _upper_of(pair: "Pair") -> str:
    return "-" if pair.upper is None else digits_of(pair.upper.answer, PAIR_DIGITS)


def _lower_of(pair: "Pair") -> str:
    return "-" if pair.lower is None else digits_of(pair.lower.answer, PAIR_DIGITS)


def _matrix(pairs: tuple["Pair", ...], count: int) -> Sheet:
    cells = [["." if i == j else "-" for j in range(count)] for i in range(count)]
    for pair in pairs:
        cells[pair.i][pair.j] = _upper_of(pair)
        cells[pair.j][pair.i] = _lower_of(pair)
    return Sheet(
        "differences of two outputs: upper bounds above the diagonal, attained lower bounds below",
        ("", *map(str, range(count))),
        tuple((str(i), *row) for i, row in enumerate(cells)),
    )


def _by_falling_bound(pair: "Pair") -> float:
    value = None if pair.upper is None else pair.upper.value
    return math.inf if value is None else -value


def _largest(pairs: tuple["Pair", ...]) -> Sheet:
    worst = sorted(pairs, key=_by_falling_bound)
    rows = tuple(
        (f"{pair.i}-{pair.j}", _lower_of(pair), _upper_of(pair)) for pair in worst[:PAIRS_SHOWN]
    )
    caption = (
        f"differences of two outputs: the {len(rows)} of {len(pairs)} with the largest upper bounds"
    )
    return Sheet(caption, ("pair", "lower", "upper"), rows)
