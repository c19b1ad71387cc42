"""A result as one page of HTML."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from autolip.errors import InputError, printable
from autolip.graph.fingerprint import size_of
from autolip.report.bars import drawable, ends
from autolip.report.chart import Bar, Chart, along, ticks
from autolip.report.content import Sheet, headline, place, remarks, sheets
from autolip.report.digits import digits_near, digits_of
from autolip.report.layers import explained, layer_sheet, named
from autolip.report.picture import is_image, png
from autolip.report.style import MEANING
from autolip.report.template import data, filled

if TYPE_CHECKING:
    from torch import Tensor

    from autolip.findings import Row
    from autolip.layers import Layer
    from autolip.result import Result

LARGEST_EMBEDDED = 2_000_000
"""Chosen: weights of a network up to which its certificate is in the page: 16 MB of doubles."""

LISTED = 12
"""Chosen: entries of a witness that is no image that are listed, the largest differences."""

DIGITS = 4
"""Chosen: significant digits of an entry."""


def page(result: "Result") -> str:
    """The page: the bracket in words, bars, layers, the pair of inputs, assumptions, how to repeat
    it, the certificate."""
    layers, why = _layers(result)
    content: dict[str, Any] = {
        "model": printable(result.model),
        "headline": headline(result),
        "sentences": sentences(result),
        "sheets": sheets(result),
        "chart": bounds_chart(result),
        "meaning": MEANING,
        "layers": layer_sheet(result, layers) if layers else None,
        "layer_chart": layers_chart(layers),
        "stable_chart": stable_chart(layers),
        "explained": explained(result, layers),
        "why": why,
        "witness": _witness(result),
        "remarks": remarks(result),
        "arithmetic": result.assumptions.get("arithmetic"),
        "provenance": result.origin(),
        "options": result.options,
        "certificate": _certificate(result),
    }
    return filled("page.html.jinja", content)


def _layers(result: "Result") -> "tuple[tuple[Layer, ...], str]":
    """The layers, or why there are none."""
    try:
        found = result.layer_list
    except InputError as error:
        return (), str(error)
    return found, "" if found else "The output does not depend on the input."


def sentences(result: "Result") -> Iterator[str]:
    """The bracket for a reader who has never seen one."""
    where = "For two inputs" if result.centre is None else "For one input against the other,"
    at = " of any kind" if place(result) == "everywhere" else f" {place(result)}"
    before, after = result.norm_names
    distances = f"(distances: {before} of inputs, {after} of outputs)"
    if result.upper is not None and result.upper.value != math.inf:
        bound = digits_of(result.upper.answer)
        yield f"{where}{at}, the outputs are at most {bound} times as far apart {distances}."
    else:
        yield f"No finite bound was found on how far apart outputs are {distances}."
    if result.lower is not None:
        attained = digits_of(result.lower.answer)
        yield f"Two inputs were found whose outputs are {attained} times as far apart as they are."


def bounds_chart(result: "Result") -> Chart:
    """A bar for every bound and estimate; what is attained is a line across."""
    rows = drawable(result)
    low, high = ends(rows)
    mark = result.lower.value if result.lower is not None else None
    return Chart(
        f"bound on the {' to '.join(result.norm_names)} constant, logarithmic",
        tuple(_bar(row, low, high) for row in rows),
        ticks(low, high),
        along(mark, low, high) if mark and rows else None,
    )


def _bar(row: "Row", low: float, high: float) -> Bar:
    text = digits_of(row.answer)
    said = f"{row.method}: {MEANING[row.kind]}, {text}"
    return Bar(row.method, text, row.kind, 0.0, along(row.value or low, low, high), said)


def layers_chart(layers: "Sequence[Layer]") -> Chart | None:
    """The layers of the main path with the largest gains, as shares of the logarithm of the
    bound."""
    shared = [layer for layer in layers if layer.share is not None and layer.share > 0]
    first = sorted(shared, key=lambda layer: -(layer.share or 0))[:LISTED]
    bars = tuple(
        Bar(
            named(layer),
            f"{digits_near(layer.gain or 0, DIGITS)} ({100 * (layer.share or 0):.0f}%)",
            "upper",
            0.0,
            100 * (layer.share or 0),
        )
        for layer in first
    )
    return Chart("gain, and its share of the logarithm of the bound", bars, ()) if bars else None


def stable_chart(layers: "Sequence[Layer]") -> Chart | None:
    """How many neurons of each layer have one slope alone on the region."""
    bars = tuple(
        Bar(
            named(layer),
            f"{layer.stable} of {layer.neurons} stable",
            "lower",
            0.0,
            100 * (layer.stable or 0) / layer.neurons,
        )
        for layer in layers
        if layer.neurons
    )
    return Chart("neurons with one slope alone on the region", bars, ()) if bars else None


def _witness(result: "Result") -> dict[str, Any] | None:
    """The pair of inputs: as images where they are, else the entries that differ most."""
    found = None if result.lower is None else result.lower.witness
    if found is None:
        return None
    said = {"described": found.describe(), "images": (), "entries": None}
    if is_image(found.x.shape):
        return said | {"images": tuple(_images(found.x, found.y))}
    return said | {"entries": _entries(found.x, found.y)}


def _images(x: "Tensor", y: "Tensor") -> "Iterator[tuple[str, str]]":
    """Caption and data of the two inputs, on one scale, and of their difference, grey where it is
    0."""
    both = torch.stack([x, y])
    low, high = both.min().item(), both.max().item()
    most = (y - x).abs().max().item()
    scale = f"black {digits_near(low, DIGITS)}, white {digits_near(high, DIGITS)}"
    yield f"the first input ({scale})", data(png(x, low, high), "image/png")
    yield f"the second input ({scale})", data(png(y, low, high), "image/png")
    scale = f"black -{digits_near(most, DIGITS)}, white {digits_near(most, DIGITS)}"
    yield f"the second less the first ({scale})", data(png(y - x, -most, most), "image/png")


def _entries(x: "Tensor", y: "Tensor") -> Sheet:
    flat_x, flat_y = x.flatten(), y.flatten()
    apart = (flat_y - flat_x).abs()
    order = apart.argsort(descending=True)[:LISTED].tolist()
    rows = tuple(
        (str(i), *(digits_near(v.item(), DIGITS) for v in (flat_x[i], flat_y[i], apart[i])))
        for i in order
    )
    caption = f"the {len(rows)} of {apart.numel()} entries that differ most"
    return Sheet(caption, ("entry", "first input", "second input", "apart"), rows, left=0)


def _certificate(result: "Result") -> dict[str, str]:
    """The certificate as a link, or why it is not here."""
    size = 0 if result.graph is None else size_of(result.graph)
    if size > LARGEST_EMBEDDED:
        return {"why": f"{size} weights are too many for a page: write one with -o bound.cert"}
    try:
        certificate = result.certificate()
    except InputError as error:
        return {"why": str(error)}
    kind = "application/octet-stream"
    return {"link": data(certificate.content(), kind), "method": certificate.method}
