"""Units of the entries: a claim about lengths of x / s and y / t, and what a graph does with them.

The graph of such a claim is in units: its input is u with x = s u.  That is read off: the input
has one reader, which multiplies it by s, or by 0 where the region leaves an entry nothing to move.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from autolip_check.admission import list_of, number, positive
from autolip_check.container import Array, require
from autolip_check.graph import Network
from autolip_check.maps import Diagonal
from autolip_check.regions import shown


def units_of(entry: Any, what: str) -> Array:
    """One number above 0, or one for each entry."""
    numbers = entry if isinstance(entry, list) else [entry]
    listed = list(map(number, list_of(numbers, what)))
    require(bool(listed), f"{what} is empty")
    return positive(np.array(listed), what)


def in_units(network: Network, entry: Any) -> Network:
    """The network with the units of its input; Rejected unless it begins with them."""
    scale = units_of(entry, "the input scale")
    size = network.size(network.input)
    require(len(scale) in (1, size), f"the input scale has {len(scale)} entries, not {size}")
    units = np.broadcast_to(scale, (size,))
    readers = [
        vertex for vertex in network for edge in vertex.edges if edge.source == network.input
    ]
    odd = "the graph does not begin with the units of its input"
    require(len(readers) == 1 and len(readers[0].edges) == 1, odd)
    slope = readers[0].edges[0].slope
    require(isinstance(slope, Diagonal) and not slope.error, odd)
    assert isinstance(slope, Diagonal)
    kept = np.broadcast_to(slope.entries, readers[0].shape).reshape(-1)
    settled = np.array(network.region.settled or (False,) * size, dtype=bool)
    require(bool(((kept == units) | ((kept == 0) & settled)).all()), odd)
    require(network.output != network.input, odd)
    return replace(network, units=units)


def words(entry: Any, what: str) -> str:
    """The units in words."""
    return shown(units_of(entry, what).tolist())
