"""What a verdict assumes, in sentences: every slope, gain, scaling and linear map that no
name gives."""

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autolip_check.activations import Slopes as Interval
from autolip_check.activations import global_slopes, name_of
from autolip_check.admission import quoted
from autolip_check.graph import Edge, Gain, Network, Origin, Slopes, Vertex
from autolip_check.linear import ALWAYS, WITH_CONSTANTS
from autolip_check.maps import Convolution, Dense, Diagonal, Map, Stored, Wiring
from autolip_check.ranges import Derived, leaves_out_the_settled

MOST_INTERVALS = 3
"""Tuned: different intervals that are listed one by one, so that a sentence is a line or two."""


@dataclass
class Taken:
    """Operations by what is known of them from their names, and sentences on all others."""

    by_name: Counter[str] = field(default_factory=Counter)
    derived: Counter[str] = field(default_factory=Counter)
    linear: Counter[str] = field(default_factory=Counter)
    with_constants: Counter[str] = field(default_factory=Counter)
    sentences: list[str] = field(default_factory=list)

    def sum_up(self) -> list[str]:
        """All sentences, those on names first."""
        heads = [
            ("linear by themselves", self.linear),
            (
                "linear where all factors but one are constants, those of the file",
                self.with_constants,
            ),
            ("with the slopes everywhere that their names give", self.by_name),
            (
                "with the slopes that their names give where this check finds their operands",
                self.derived,
            ),
        ]
        lines = [f"{head}: {_counted(names)}" for head, names in heads if names]
        return lines + self.sentences


def assumptions(network: Network, followed: Derived | None = None) -> list[str]:
    """What is taken from the certificate about the operations of the network, and what from their
    names, and from where their operands were found to be."""
    rest = {} if followed is None else followed.rest
    inner = set[str]() if followed is None else followed.steps
    taken = Taken()
    steps = list[Vertex]()
    for vertex in network:
        if vertex.origin.is_step and vertex.edges:
            steps.append(vertex)
            continue
        for step in steps:
            _linear_part(step, vertex.origin, taken)
        steps = []
        if vertex.name not in inner and not leaves_out_the_settled(vertex, network):
            _operation(vertex, taken, rest.get(vertex.name))
    for step in steps:
        _linear_part(step, Origin(), taken)
    return taken.sum_up() + _constants(network)


def _constants(network: Network) -> list[str]:
    """That values at 0, on which the pieces of functions depend, are the file's."""
    if not network.constants:
        return []
    count = sum(constant.value.size for constant in network.constants.values())
    also = ", and the output," if network.output in network.constants else ""
    return [
        "where the input is 0, and the results of all that is not affine, the operands of these "
        f"operations{also} are {count} numbers of the file"
    ]


def _operation(vertex: Vertex, taken: Taken, rest: NDArray[np.bool_] | None) -> None:
    """One operation of the model: its linear operands, and the others one by one; `rest`: which of
    its slopes do not follow from where its operand is."""
    origin = vertex.origin
    known = global_slopes(origin.operation, origin.parameters)
    follows = rest is not None and not rest.any()
    if follows and not _is_wide(vertex, known):
        taken.derived[_call(origin)] += 1
        return
    if any(isinstance(edge.slope, Map) for edge in vertex.edges):
        _linear_part(vertex, origin, taken)
    _bends(vertex, known, taken, rest)


def _is_wide(vertex: Vertex, known: Interval | None) -> bool:
    """Whether it has the slopes that its name gives everywhere."""
    slopes = [edge.slope for edge in vertex.edges if isinstance(edge.slope, Slopes)]
    if known is None or len(slopes) != len(vertex.edges):
        return False
    least, most = known
    return all(bool(((s.lo <= least) & (most <= s.hi)).all()) for s in slopes)


def _bends(
    vertex: Vertex,
    known: Interval | None,
    taken: Taken,
    rest: NDArray[np.bool_] | None = None,
) -> None:
    """The operands on which it does not act linearly, one by one."""
    for edge in vertex.edges:
        if isinstance(edge.slope, Gain):
            taken.sentences.append(f"{_where(vertex)} has {_gain(edge.slope)}")
        elif isinstance(edge.slope, Slopes):
            _slopes(vertex, edge.slope, known, taken, rest)


def _linear_part(vertex: Vertex, origin: Origin, taken: Taken) -> None:
    """An operation, or a step towards one, with exact maps: linear by its name or listed, its
    scalings listed."""
    name = name_of(origin.operation)
    if vertex.origin.is_step and any(not isinstance(edge.slope, Map) for edge in vertex.edges):
        whole = _where(vertex, origin) if origin.operation else "no operation of the model"
        taken.sentences.append(f"{quoted(vertex.name)}, a step of {whole}, is not linear")
        _bends(vertex, None, taken)
    elif name in ALWAYS:
        taken.linear[name] += not vertex.origin.is_step
    elif name in WITH_CONSTANTS:
        taken.with_constants[name] += not vertex.origin.is_step
    else:
        parts = [f"of {quoted(edge.source)} into {_reached(vertex, edge)}" for edge in vertex.edges]
        taken.sentences.append(
            f"{_where(vertex, origin)} acts on some entries as a linear map, {', '.join(parts)} of "
            f"{math.prod(vertex.shape)} entries"
        )
    for edge in vertex.edges:
        _scaling(vertex, origin, edge, taken)


def _reached(vertex: Vertex, edge: Edge) -> int:
    """How many entries of the result depend on this operand."""
    slope = edge.slope
    if isinstance(slope, Wiring):
        return len(np.unique(slope.rows))
    if isinstance(slope, Diagonal):
        return int(np.count_nonzero(np.broadcast_to(slope.entries, vertex.shape)))
    return math.prod(vertex.shape)


def _scaling(vertex: Vertex, origin: Origin, edge: Edge, taken: Taken) -> None:
    """Numbers that multiply entry by entry, other than 1; how far stored numbers may be off."""
    slope = edge.slope
    where = _where(vertex, origin)
    if isinstance(slope, Diagonal) and bool((slope.entries != 1).any()):
        taken.sentences.append(
            f"{where} multiplies {quoted(edge.source)} by {_extent(slope.entries)}"
        )
    elif edge.is_zero:
        taken.sentences.append(f"{where} takes nothing from {quoted(edge.source)}")
    elif isinstance(slope, Dense | Convolution) and name_of(origin.operation) not in WITH_CONSTANTS:
        shape = " x ".join(map(str, slope.entries.shape))
        taken.sentences.append(
            f"{where} acts on {quoted(edge.source)} by {shape} numbers: {_extent(slope.entries)}"
        )
    if isinstance(slope, Stored) and slope.error > 0:
        taken.sentences.append(
            f"{where} has entries that are right up to {slope.error * 2.0**-53:.3g} of them"
        )


def _slopes(
    vertex: Vertex,
    slope: Slopes,
    known: Interval | None,
    taken: Taken,
    rest: NDArray[np.bool_] | None,
) -> None:
    """Slopes that a name gives, or else what is taken from the certificate, narrowest first, and
    how often."""
    if not slope.lo.size:
        return
    origin = vertex.origin
    lo = slope.lo.reshape(-1)
    hi = slope.hi.reshape(-1)
    if known is not None:
        least, most = known
        wide = (lo <= least) & (most <= hi)
        if bool(wide.all()):
            taken.by_name[_call(origin)] += 1
            return
        narrow = ~wide if rest is None else ~wide & rest
        count = int(narrow.sum())
        taken.sentences.append(
            f"{_where(vertex)} has {count} of {lo.size} slopes narrower than "
            f"[{least:.6g}, {most:.6g}], its name's: {_intervals(lo[narrow], hi[narrow])}"
        )
        return
    taken.sentences.append(f"{_where(vertex)} has slopes {_intervals(lo, hi)}")


def _intervals(lo: np.ndarray, hi: np.ndarray) -> str:
    """All different intervals with their counts; of many the narrowest, and how far the ends go."""
    ends = zip(lo.tolist(), hi.tolist(), strict=True)
    counts = Counter(ends)
    listed = sorted(counts, key=lambda pair: (pair[1] - pair[0], pair))
    if len(listed) <= MOST_INTERVALS:
        return ", ".join(f"within [{a!r}, {b!r}] ({counts[a, b]})" for a, b in listed)
    a, b = listed[0]
    return (
        f"within {len(listed)} intervals on {lo.size} entries, "
        f"the narrowest [{a!r}, {b!r}] ({counts[a, b]}), "
        f"lower ends {lo.min():.6g} to {lo.max():.6g}, upper ends {hi.min():.6g} to {hi.max():.6g}"
    )


def _gain(gain: Gain) -> str:
    """Its gains, and which entries it acts on together."""
    parts = [f"{norm} {value!r}" for norm, value in sorted(gain.norms.items())]
    values = ", ".join(parts) or "nothing finite"
    if gain.dims is None:
        return f"a gain of at most {values}"
    if not gain.dims:
        return f"a gain of at most {values}, and acts entry by entry"
    return (
        f"a gain of at most {values}, and acts on blocks along axes {list(gain.dims)} apart "
        "from each other"
    )


def _extent(numbers: np.ndarray) -> str:
    least = float(numbers.min())
    largest = float(numbers.max())
    if least == largest:
        return f"{least!r}"
    size = float(np.abs(numbers).min())
    return f"{numbers.size} numbers within [{least!r}, {largest!r}], of size {size:.6g} at least"


def _call(origin: Origin) -> str:
    """`softplus(beta=2, threshold=20)`: a name with what it was given."""
    name = name_of(origin.operation)
    given = [f"{key}={quoted(value)}" for key, value in sorted(origin.parameters.items())]
    return f"{name}({', '.join(given)})" if given else name


def _where(vertex: Vertex, owner: Origin | None = None) -> str:
    """An operation of the model and its place; a vertex that is none by its name."""
    origin = owner or vertex.origin
    if not origin.operation:
        return f"{quoted(vertex.name)}, which is no operation of the model,"
    place = quoted(origin.place) if origin.place else "the model itself"
    return f"{quoted(origin.operation)} at {place}"


def _counted(names: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in sorted(names.items()))
