"""Where the inputs lie: everywhere, in a box, in a ball or what two numbers leave of one, each said
in full, or several inputs each in one of these; of any other kind, what the file says is repeated,
and nothing is concluded from it."""

import hashlib
import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from autolip_check.admission import (
    LONGEST_TEXT,
    fields_of,
    finite,
    list_of,
    one_of,
    quoted,
    shape_of,
    text_of,
)
from autolip_check.container import Document, canonical, require

SHOWN = 6
"""Tuned: entries of a point that are printed; longer ones by their extent and their hash."""

FIELDS = {
    "everywhere": {"kind"},
    "box": {"kind", "lo", "hi"},
    "ball": {"kind", "norm", "radius", "center"},
    "scaled ball": {"kind", "norm", "radius", "center", "scale"},
    "clipped ball": {"kind", "norm", "radius", "center", "lo", "hi"},
    "product": {"kind", "parts"},
}

PART = {"input", "shape", "region"}
"""Defined by the format: the fields of one input of a product."""


@dataclass(frozen=True)
class Region:
    """A convex set of inputs, in words."""

    kind: str
    words: str
    settled: tuple[bool, ...] = ()
    """Which entries are the same for all of its points; none where it is empty."""
    assumed: str = ""
    """What a reader has to know who takes the words for the region; nothing for a known kind."""
    entry: Document = field(default_factory=dict)
    """As the file says it."""


def read_region(entry: Any, size: int) -> Region:
    """The region of a network on `size` inputs."""
    return replace(_region(entry, size), entry=entry)


def _region(entry: Any, size: int) -> Region:
    require(isinstance(entry, dict) and "kind" in entry, "a region has no kind")
    kind = text_of(entry["kind"], "the kind of the region")
    if kind not in FIELDS:
        return _unknown(kind, entry)
    fields_of(entry, FIELDS[kind], "the region")
    if kind == "everywhere":
        return Region(kind, "everywhere")
    if kind == "box":
        lo = _point(entry["lo"], size)
        hi = _point(entry["hi"], size)
        require(all(a <= b for a, b in zip(lo, hi, strict=True)), "the box is empty")
        settled = tuple(a == b for a, b in zip(lo, hi, strict=True))
        words = f"in the box from {shown(lo)} to {shown(hi)}"
        return Region(kind, words, settled)
    if kind == "clipped ball":
        return _clipped(entry, size)
    return _product(entry, size) if kind == "product" else _ball(entry, size)


def _product(entry: Document, size: int) -> Region:
    """Input by input: the entries in their order are those of each, in its region."""
    words, assumed, settled = list[str](), list[str](), list[bool]()
    for part, count in _parts(entry, size):
        inner = part["region"]
        is_product = isinstance(inner, dict) and inner.get("kind") == "product"
        require(not is_product, "a part of a product is a product")
        region = read_region(inner, count)
        start = len(settled)
        settled += region.settled or (False,) * count
        words.append(f"{region.words} in entries {start} to {len(settled) - 1}")
        assumed += [region.assumed] if region.assumed else []
    return Region("product", " and ".join(words), tuple(settled), "; ".join(assumed))


def _parts(entry: Document, size: int) -> list[tuple[Document, int]]:
    """The parts of a product and how many entries each has: all together those of the input."""
    listed = list_of(entry["parts"], "the parts of the region")
    parts = [fields_of(part, PART, "a part of the region") for part in listed]
    counts = [math.prod(shape_of(part["shape"])) for part in parts]
    require(sum(counts) == size, f"the parts of the region have {sum(counts)} entries, not {size}")
    return list(zip(parts, counts, strict=True))


def _unknown(kind: str, entry: Document) -> Region:
    """A set of inputs of which the file says something, in which every entry may move."""
    is_plain = kind.isascii() and kind.isprintable()
    looks_known = kind.strip().lower() in FIELDS
    require(is_plain and not looks_known, f"a region {quoted(kind)} is not known")
    text = canonical(entry)
    digest = hashlib.sha256(text.encode()).hexdigest()
    said = text if len(text) <= LONGEST_TEXT else f"with sha256 {digest[:16]}"
    assumed = f"a region of kind {quoted(kind)} is a convex set, and is what its author means by it"
    return Region(kind, f"in the region {said} of a kind that is not known", (), assumed)


def _ball(entry: Document, size: int) -> Region:
    radius = finite(entry["radius"])
    norm = one_of(("l1", "l2", "linf"), entry, "norm", "a ball of the norm")
    require(radius >= 0, "the ball's radius is negative")
    center = _point(entry["center"], size)
    words = f"in the {norm} ball of radius {radius!r} around {shown(center)}"
    if "scale" in entry:
        scale = _point(entry["scale"], size)
        require(min(scale, default=1.0) > 0, "the ball's scale is not positive")
        words += f", distances divided by {shown(scale)}"
    return Region(str(entry["kind"]), words, (radius == 0,) * size)


def _clipped(entry: Document, size: int) -> Region:
    """A ball's points with all entries between two numbers, its centre being one of them."""
    ball = _ball({name: entry[name] for name in FIELDS["ball"]}, size)
    lo = finite(entry["lo"])
    hi = finite(entry["hi"])
    inside = all(lo <= value <= hi for value in entry["center"])
    require(inside, "the ball's centre has entries beyond the two numbers")
    settled = tuple(one or lo == hi for one in ball.settled)
    words = f"{ball.words} with entries within [{lo!r}, {hi!r}]"
    return Region("clipped ball", words, settled)


def ball_of(entry: Document) -> tuple[list[float], float, str] | None:
    """Centre, radius and norm of a ball that the region of this entry lies in; None where it names
    none."""
    if entry["kind"] not in ("ball", "clipped ball"):
        return None
    return list(map(float, entry["center"])), float(entry["radius"]), str(entry["norm"])


def point_of(values: Any, entry: Document, size: int) -> list[float]:
    """A point of the region of this entry; of a kind that is not known it is taken for one."""
    point = _point(values, size)
    _require_inside(point, entry)
    return point


def _require_inside(point: list[float], entry: Document) -> None:
    """Rejected where the point is not in the region."""
    if entry["kind"] == "product":
        start = 0
        for part, count in _parts(entry, len(point)):
            _require_inside(point[start : start + count], part["region"])
            start += count
    if entry["kind"] == "box":
        sides = zip(entry["lo"], point, entry["hi"], strict=True)
        require(all(a <= x <= b for a, x, b in sides), "the centre is not in the box")
    if entry["kind"] == "clipped ball":
        within = all(entry["lo"] <= x <= entry["hi"] for x in point)
        require(within, "the centre is beyond the region's two numbers")
    if entry["kind"] in ("ball", "scaled ball", "clipped ball"):
        scale = map(Fraction, entry.get("scale", [1.0] * len(point)))
        ends = zip(map(Fraction, point), map(Fraction, entry["center"]), scale, strict=True)
        steps = [abs(x - c) / s for x, c, s in ends]
        radius = Fraction(entry["radius"])
        inside = {
            "l1": sum(steps) <= radius,
            "l2": sum(step * step for step in steps) <= radius * radius,
            "linf": max(steps, default=Fraction(0)) <= radius,
        }
        require(inside[entry["norm"]], "the centre is not in the ball")


def _point(values: Any, size: int) -> list[float]:
    point = [finite(value) for value in list_of(values, "a point of the region")]
    require(len(point) == size, f"a point of the region has {len(point)} entries, not {size}")
    return point


def shown(point: list[float]) -> str:
    """All entries of a short point; of a long one their extent, and a hash of all."""
    if len(point) <= SHOWN:
        return "[" + ", ".join(map(repr, point)) + "]"
    if len(set(point)) == 1:
        return f"[{point[0]!r} in all {len(point)} entries]"
    written = canonical(point).encode()
    digest = hashlib.sha256(written).hexdigest()
    extent = f"{min(point)!r} and {max(point)!r}"
    return f"[{len(point)} entries within {extent}, sha256 {digest[:16]}]"
