"""Whether the graph of a certificate is that of a network captured again: operation by operation,
number by number."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autolip.certificates.encode import Document

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Written:
    """A graph as plain data, and the tensors that it names."""

    graph: Document
    tensors: Arrays

    def vertices(self) -> dict[str, Document]:
        return {vertex["name"]: vertex for vertex in self.graph["vertices"]}


def differences(claimed: Written, again: Written) -> list[str]:
    """Sentences on all that the claimed graph has otherwise than the one captured again; what is
    wider holds as well.

    A claimed interval of slopes may contain that of the capture, a claimed gain may be larger, and
    numbers that are known up to a relative error may be claimed with a larger one that covers them.
    """
    ours = claimed.vertices()
    theirs = again.vertices()
    found = [
        f"{end}: {claimed.graph[end]!a}, the model's is {again.graph[end]!a}"
        for end in _ends(claimed, again)
    ]
    found += [f"{name!a} is no operation of the model" for name in ours if name not in theirs]
    found += [f"{name!a} of the model is missing" for name in theirs if name not in ours]
    if [name for name in ours if name in theirs] != [name for name in theirs if name in ours]:
        found.append("the operations come in another order")
    for name in ours:
        if name in theirs:
            found += [
                f"{name!a}: {text}" for text in _of_vertex(ours[name], theirs[name], claimed, again)
            ]
    return found + list(_of_constants(claimed, again))


def _of_constants(claimed: Written, again: Written) -> Iterator[str]:
    """Values of operands at 0: what they are claimed to be within must contain the model's."""
    ours, theirs = (written.graph.get("constants", {}) for written in (claimed, again))
    if ours.keys() != theirs.keys():
        names = sorted(ours.keys() ^ theirs.keys())
        yield f"operands at 0 are told of others than the model's: {_short(names)}"
        return
    for name in ours:
        a, off = (_known(ours[name][end], claimed.tensors) for end in ("value", "error"))
        b, room = (_known(theirs[name][end], again.tensors) for end in ("value", "error"))
        lo, least = a - off, b - room
        hi, most = a + off, b + room
        fits = (a == b) & (room <= off) | (lo < least) & (most < hi)
        if not bool(np.all(fits)):
            yield f"{name!a}: its operand at 0 is not the model's"


def _ends(claimed: Written, again: Written) -> Iterator[str]:
    return (end for end in ("input", "output") if claimed.graph[end] != again.graph[end])


def _of_vertex(ours: Document, theirs: Document, claimed: Written, again: Written) -> Iterator[str]:
    """What is different in one operation."""
    for field in ("shape", "origin"):
        if ours[field] != theirs[field]:
            yield f"its {field} is {_short(ours[field])}, the model's is {_short(theirs[field])}"
    if [_kind(edge) for edge in ours["edges"]] != [_kind(edge) for edge in theirs["edges"]]:
        kinds = ([_kind(edge) for edge in vertex["edges"]] for vertex in (ours, theirs))
        shown = map(_short, kinds)
        yield "its operands are {}, the model's are {}".format(*shown)
        return
    for mine, yours in zip(ours["edges"], theirs["edges"], strict=True):
        source = f"{mine['source']!a}"
        if mine["kind"] == "exact":
            found = _of_map(mine["map"], yours["map"], claimed.tensors, again.tensors)
        elif mine["kind"] == "between":
            found = _of_slopes(mine, yours, claimed, again, ours["shape"])
        else:
            found = _of_gain(mine, yours)
        yield from (f"towards {source} {text}" for text in found)


def _kind(edge: Document) -> tuple[str, str]:
    return edge["source"], edge["kind"]


def _of_map(ours: Document, theirs: Document, mine: Arrays, yours: Arrays) -> Iterator[str]:
    """A linear map: the same primitive, wired alike, of the same numbers."""
    inexact = {"weight", "error"}
    if {k: v for k, v in ours.items() if k not in inexact} != {
        k: v for k, v in theirs.items() if k not in inexact
    }:
        yield f"the map is a {_short(_plain(ours))}, the model's is a {_short(_plain(theirs))}"
    elif "weight" in ours:
        if ours["weight"] == theirs["weight"] and ours["error"] >= theirs["error"]:
            return
        a = _values(ours["weight"], mine)
        b = _values(theirs["weight"], yours)
        if a is None or b is None or a.shape != b.shape:
            yield (
                f"the numbers are {_short(ours['weight'])}, the model's are "
                f"{_short(theirs['weight'])}"
            )
            return
        # every number that ours may stand for has to contain every one of theirs
        allowed_theirs = theirs["error"] * np.abs(b)
        theirs_at_most = np.abs(a - b) + allowed_theirs
        allowed_ours = ours["error"] * np.abs(a)
        off = theirs_at_most > allowed_ours
        if bool(off.any()):
            yield (
                f"{_count(off)} differ, the first {_first(a, off)} where the model has "
                f"{_first(b, off)}"
            )


def _of_slopes(
    ours: Document, theirs: Document, claimed: Written, again: Written, shape: list[int]
) -> Iterator[str]:
    """Intervals of slopes: they must contain the model's."""
    lower = _known(ours["lo"], claimed.tensors)
    lo = np.broadcast_to(lower, shape)
    upper = _known(ours["hi"], claimed.tensors)
    hi = np.broadcast_to(upper, shape)
    lower_again = _known(theirs["lo"], again.tensors)
    least = np.broadcast_to(lower_again, shape)
    upper_again = _known(theirs["hi"], again.tensors)
    most = np.broadcast_to(upper_again, shape)
    narrow = ~((lo <= least) & (most <= hi))
    if bool(narrow.any()):
        mine = [_first(lo, narrow), _first(hi, narrow)]
        yours = [_first(least, narrow), _first(most, narrow)]
        yield f"{_count(narrow)} have narrower slopes, the first {mine} where the model has {yours}"


def _of_gain(ours: Document, theirs: Document) -> Iterator[str]:
    """Gains of the same blocks: at least the model's, in norms that the model's are known in."""
    if ours["dims"] != theirs["dims"]:
        yield f"blocks are along {ours['dims']!a}, the model's along {theirs['dims']!a}"
    for norm, gain in ours["norms"].items():
        known = theirs["norms"].get(norm)
        if known is None or gain < known:
            yield (
                f"the {norm} gain is {gain!r}, the model's is "
                f"{'not known' if known is None else repr(known)}"
            )


def _values(weight: str | float, tensors: Arrays) -> NDArray[Any] | None:
    """The numbers behind a name, or a number; None where the tensor is not there."""
    if not isinstance(weight, str):
        return np.array(float(weight))
    return tensors[weight].astype(np.float64) if weight in tensors else None


def _known(weight: str | float, tensors: Arrays) -> NDArray[Any]:
    values = _values(weight, tensors)
    return np.array(np.nan) if values is None else values


def _first(numbers: NDArray[Any], which: NDArray[np.bool_]) -> float:
    return float(numbers[which][0])


def _count(which: NDArray[np.bool_]) -> str:
    return f"{int(which.sum())} of {which.size} numbers"


def _plain(entry: Document) -> Document:
    return {key: value for key, value in entry.items() if key not in ("weight", "error")}


def _short(value: Any) -> str:
    shown = ascii(value)
    return shown if len(shown) <= 120 else f"{shown[:120]}..."
