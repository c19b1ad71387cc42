"""What is said about layers: a table, data for a frame, and sentences on what limits the bound."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from autolip.errors import printable
from autolip.report.content import Sheet
from autolip.report.digits import digits_near, digits_of, digits_up, ratio_of
from autolip.values import Lower, Upper

if TYPE_CHECKING:
    from autolip.findings import Findings
    from autolip.layers import Layer

NAMED = 3
"""Chosen: layers that a sentence names."""

DIGITS = 4
"""Chosen: significant digits of a layer's numbers."""

LOSSY = 1.001
"""Chosen: losses above it are said; smaller ones hardly show in so many digits."""


def layer_sheet(result: "Findings", layers: "Sequence[Layer]") -> Sheet:
    """A line for each layer, in order; a column for stable neurons where a region tells of them."""
    caption = f"bounds up to each layer by {_method(result)}; attained is measured, no bound"
    headings = ("layer", "what", "shape", "weights", "gain", "bound", "attained", "loss", "share")
    ranged = any(layer.neurons is not None for layer in layers)
    stable = [(_stable(layer),) if ranged else () for layer in layers]
    rows = [(*_cells(layer), *last) for layer, last in zip(layers, stable, strict=True)]
    return Sheet(caption, (*headings, "stable") if ranged else headings, tuple(rows), left=3)


def _method(result: "Findings") -> str:
    """The method whose bound the layers' gains multiply to."""
    return "autolip" if result.upper is None else result.upper.method


def _cells(layer: "Layer") -> tuple[str, ...]:
    share = "-" if layer.share is None else f"{100 * layer.share:.0f}%"
    return (
        _place(layer),
        what(layer),
        "x".join(map(str, layer.shape)) or "1",
        str(layer.weights) if layer.weights else "-",
        _number(layer.gain),
        digits_up(layer.bound, DIGITS),
        _number(layer.attained),
        _number(layer.loss),
        share,
    )


def _number(value: float | None) -> str:
    return "-" if value is None else digits_near(value, DIGITS)


def _stable(layer: "Layer") -> str:
    return "-" if layer.neurons is None else f"{layer.stable}/{layer.neurons}"


def what(layer: "Layer") -> str:
    """The operation as its reader calls it: relu for aten.relu.default."""
    if layer.operation == "input":
        return "change of norm"
    parts = layer.operation.split(".")
    return parts[1] if parts[0] == "aten" and len(parts) > 1 else printable(layer.operation)


def layer_records(layers: "Sequence[Layer]") -> list[dict[str, Any]]:
    """Plain data, a dictionary for each layer."""
    return [
        {
            "layer": layer.module or layer.operation,
            "source": layer.source,
            "operation": what(layer),
            "shape": layer.shape,
            "weights": layer.weights,
            "gain": layer.gain,
            "bound": layer.bound,
            "attained": layer.attained,
            "loss": layer.loss,
            "share": layer.share,
            "neurons": layer.neurons,
            "stable": layer.stable,
        }
        for layer in layers
    ]


def explained(result: "Findings", layers: "Sequence[Layer]") -> list[str]:
    """Sentences: how wide the bracket is, which layers make the bound large, where it is lost."""
    return [
        *_width(result),
        *_largest(result, layers),
        *_lost(layers),
        *_neurons(layers),
        *_infinite(result),
    ]


def _width(result: "Findings") -> Iterator[str]:
    upper = None if result.upper is None else result.upper.answer
    lower = None if result.lower is None else result.lower.answer
    if isinstance(upper, Upper) and isinstance(lower, Lower) and 0 < lower.value < math.inf:
        ratio = ratio_of(upper, lower.value)
        yield (
            f"The upper bound is at most {ratio} times the constant: a pair of inputs attains "
            f"{digits_of(lower)}."
        )


def _largest(result: "Findings", layers: "Sequence[Layer]") -> Iterator[str]:
    shared = [layer for layer in layers if layer.share is not None and layer.share > 0]
    worst = sorted(shared, key=lambda layer: -(layer.share or 0))[:NAMED]
    if worst:
        listed = [
            f"{named(layer)} (gain {_number(layer.gain)}, {100 * (layer.share or 0):.0f}%)"
            for layer in worst
        ]
        yield (
            f"Along the main path the layers' gains multiply to the bound of {_method(result)}; "
            f"most comes from {', '.join(listed)}: shares of its logarithm."
        )


def _lost(layers: "Sequence[Layer]") -> Iterator[str]:
    """Where the bound grows by more than the pair's distance does."""
    lossy = [layer for layer in layers if layer.loss is not None and layer.loss > LOSSY]
    lossy = [layer for layer in lossy if layer.share is not None]
    worst = sorted(lossy, key=lambda layer: -(layer.loss or 0))[:NAMED]
    if worst:
        listed = [f"{named(layer)} by {_number(layer.loss)}" for layer in worst]
        yield (
            "What limits the bound: it grows by more than what the pair of inputs attains mostly "
            f"at {', '.join(listed)}, where the layer's gain is for other differences than theirs."
        )


def _place(layer: "Layer") -> str:
    """By its module; what stands in none, by what it does."""
    source = f" ({layer.source})" if layer.source else ""
    return printable(layer.place if layer.module else f"{what(layer)}{source}")


def named(layer: "Layer") -> str:
    """The layer in a sentence: relu at act (net.py:4)."""
    place = layer.place if layer.module else layer.source
    return printable(f"{what(layer)} at {place}" if place else what(layer))


def _neurons(layers: "Sequence[Layer]") -> Iterator[str]:
    total = sum(layer.neurons or 0 for layer in layers)
    if total:
        stable = sum(layer.stable or 0 for layer in layers)
        yield (
            f"On the region {stable} of {total} neurons have one slope alone: the others make the "
            "bound larger than the local constant; a smaller region has fewer of them."
        )


def _infinite(result: "Findings") -> Iterator[str]:
    """Each operation that makes a bound infinite, once."""
    notes = [note for row in result.bounds for note in row.notes]
    yield from dict.fromkeys(
        f"{printable(note[:1].upper() + note[1:])}: a region often makes it finite."
        for note in notes
        if note.startswith("infinite through")
    )
