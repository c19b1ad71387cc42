"""What `certify` found as one page of HTML."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from autolip.errors import printable
from autolip.report.chart import Bar, Chart, Line, Plot
from autolip.report.digits import digits_near, digits_up
from autolip.report.picture import is_image, png
from autolip.report.template import data, filled
from autolip.robustness.curve import steps
from autolip.robustness.verdict import Outcome

if TYPE_CHECKING:
    from autolip.robustness.certified import Certified

LISTED = 2000
"""Chosen: rows of the table on a page."""

PICTURES = 8
"""Chosen: inputs with another class that are shown."""

TICKS = 5
"""Chosen: labels under the curves, at most."""

MEANING = {
    Outcome.CERTIFIED: ("upper", "proved: the class holds for every input within the radius"),
    Outcome.ATTACKED: ("estimate", "an input with another class was found"),
    Outcome.OPEN: ("faint", "neither proved nor attacked"),
    Outcome.MISCLASSIFIED: ("faint", "the model gives it another class than its label"),
    Outcome.FAILED: ("faint", "no answer: the table's file says why"),
}


def page(found: "Certified") -> str:
    """The page: what the rows come to, outcomes, accuracy against the radius, inputs with another
    class, the rows, how to repeat it."""
    count = len(found.rows)
    caption = f"the first {LISTED} of {count} samples" if count > LISTED else ""
    content = {
        "model": printable(found.model),
        "headline": found.headline,
        "sentences": list(sentences(found)),
        "outcomes": outcomes(found),
        "plot": plot(found),
        "images": tuple(_images(found)),
        "sheet": replace(found.sheet(LISTED), caption=caption),
        "notes": found.notes,
        "provenance": found.provenance,
        "options": {name: value for name, value in found.request.items() if value is not None},
    }
    return filled("samples.html.jinja", content)


def sentences(found: "Certified") -> Iterator[str]:
    """What is claimed, for a reader who has never seen one."""
    yield (
        f"A certified sample keeps its class for every input {_reach(found)}: proved, not tried. "
        f"An attacked one does not, and the input that shows it was found. "
        f"{100 * found.accuracy:.4g}% of the samples are given their label."
    )
    yield "".join(
        f"{outcome.value.capitalize()}: {said}. "
        for outcome, (_, said) in MEANING.items()
        if outcome not in (Outcome.CERTIFIED, Outcome.ATTACKED)
        and any(row.outcome is outcome for row in found.rows)
    )


def _reach(found: "Certified") -> str:
    """Where the class of a certified sample holds."""
    norm, radius = found.request["norm"], found.request["radius"]
    if found.request["regions"]:
        return "of its region"
    return "within its certified radius" if radius is None else f"within {norm} distance {radius:g}"


def outcomes(found: "Certified") -> Chart:
    """A bar for every outcome that occurs, as a share of the samples."""
    total = max(1, len(found.rows))
    counts = {outcome: sum(row.outcome is outcome for row in found.rows) for outcome in Outcome}
    bars = tuple(
        Bar(outcome.value, f"{counts[outcome]} of {total}", kind, 0.0, share, said)
        for outcome, (kind, said) in MEANING.items()
        if (share := 100 * counts[outcome] / total)
    )
    return Chart("share of the samples", bars, ())


def plot(found: "Certified") -> Plot:
    """The share of samples certified at least at a radius, and the share without a known attack
    within it."""
    radii = steps(found)
    end = float(radii[-1])
    below = [100 * found.certified_accuracy(radius) for radius in radii]
    above = [100 * found.attack_ceiling(radius) for radius in radii]
    places = [100 * float(radius) / end for radius in radii]
    lines = tuple(
        Line(name, f"{shares[0]:.4g}% at 0, {shares[-1]:.4g}% at the end", kind, tuple(stairs))
        for name, kind, shares, stairs in (
            ("not attacked", "faint", above, _stairs_from(places, above)),
            ("certified", "upper", below, _stairs_to(places, below)),
        )
    )
    labels = tuple((digits_near(mark, 2), 100 * mark / end) for mark in _marks(end))
    return Plot(f"share of the samples against the {found.measure}", lines, labels)


def _marks(end: float) -> list[float]:
    """Round numbers up to the end of a linear axis."""
    power = 10.0 ** math.floor(math.log10(end))
    step = next(power * part for part in (0.2, 0.5, 1, 2) if end <= TICKS * power * part)
    return [step * number for number in range(1, int(end / step) + 1)]


def _stairs_to(places: list[float], shares: list[float]) -> Iterator[tuple[float, float]]:
    """Corners of steps whose height holds from the place before up to its own: a sample is
    certified at its radius too."""
    before = places[0]
    for place, share in zip(places, shares, strict=True):
        yield before, share
        yield place, share
        before = place


def _stairs_from(places: list[float], shares: list[float]) -> Iterator[tuple[float, float]]:
    """The same whose height holds from its own place up to the next: an attack counts from its
    distance on."""
    for place, after, share in zip(places, [*places[1:], places[-1]], shares, strict=True):
        yield place, share
        yield after, share


def _images(found: "Certified") -> Iterator[tuple[str, str]]:
    """Caption and data of the first inputs with another class, where inputs are images."""
    if not is_image(torch.Size(found.shape)):
        return
    known = [row for row in found.rows if row.witness is not None][:PICTURES]
    for row in known:
        point = row.point(torch.Size(found.shape))
        assert point is not None
        low, high = point.min().item(), point.max().item()
        radius = "" if row.attacked is None else f", {digits_up(row.attacked, 4)} away"
        caption = f"sample {row.index}: another class than {row.label}{radius}"
        yield caption, data(png(point, low, high), "image/png")
