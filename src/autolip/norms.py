"""The vector norms l1, l2 and linf."""

import itertools
import math
import re
from collections.abc import Set
from enum import Enum
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from autolip.arguments import plain, shown
from autolip.errors import InputError
from autolip.values import Upper, round_up


class Norm(Enum):
    """A p-norm of the flattened tensor, p in {1, 2, inf}."""

    L1 = "l1"
    L2 = "l2"
    LINF = "linf"

    @property
    def p(self) -> float:
        return {Norm.L1: 1.0, Norm.L2: 2.0, Norm.LINF: math.inf}[self]

    @property
    def dual(self) -> "Norm":
        """The norm q with |<x, y>| <= ||x||_p ||y||_q, attained."""
        return {Norm.L1: Norm.LINF, Norm.L2: Norm.L2, Norm.LINF: Norm.L1}[self]

    def of_rows(self, x: Float[Tensor, "k *shape"]) -> Float[Tensor, " k"]:
        """||x_i||_p of every member of a batch."""
        return torch.linalg.vector_norm(x.reshape(len(x), -1), ord=self.p, dim=1)

    def equivalence(self, other: "Norm", size: int) -> Upper:
        """The least c with ||x||_other <= c ||x||_self on R^size: size^max(0, 1/q - 1/p).

        1 where there is no entry.
        """
        exponent = 1 / other.p - 1 / self.p
        if exponent <= 0 or size <= 1:
            return Upper(1.0)
        power = float(size) if exponent == 1 else math.sqrt(size)
        return Upper(power if power == int(power) else round_up(power))


def maximiser(g: Float[Tensor, "k *shape"], norm: Norm) -> Float[Tensor, "k *shape"]:
    """argmax of <g_i, v> over ||v||_norm <= 1, for every member of a batch; zero where g_i is zero.

    The maximum itself is the dual norm of g_i.
    """
    flat = g.flatten(1)
    largest = flat.abs().amax(1, keepdim=True)
    if norm is Norm.LINF:
        return flat.sign().reshape(g.shape)
    if norm is Norm.L2:
        scaled = flat / largest.where(largest > 0, 1.0)
        length = scaled.norm(dim=1, keepdim=True)
        return (scaled / length.where(length > 0, 1.0)).reshape(g.shape)
    winner = flat.abs().argmax(1, keepdim=True)
    return (
        torch.zeros_like(flat).scatter_(1, winner, flat.gather(1, winner).sign()).reshape(g.shape)
    )


Pair = tuple[Norm, Norm]
"""Of the input and of the output."""

EVERY_PAIR: frozenset[Pair] = frozenset(itertools.product(Norm, Norm))
L2_TO_L2: frozenset[Pair] = frozenset({(Norm.L2, Norm.L2)})


def described(pairs: Set[Pair]) -> str:
    """The pairs in words: "l2 -> l2", or "l2 -> any, linf -> l1"."""
    said = []
    for p in Norm:
        targets = [q for q in Norm if (p, q) in pairs]
        named = ["any"] if len(targets) == len(Norm) else [q.value for q in targets]
        said += [f"{p.value} -> {target}" for target in named]
    return ", ".join(said)


NAMES = {
    "1": Norm.L1,
    "2": Norm.L2,
    "inf": Norm.LINF,
    "infinity": Norm.LINF,
    "oo": Norm.LINF,
    "\u221e": Norm.LINF,
}
"""What may follow the l of a norm's name, or stand alone."""

ASKED = "write l1, l2, linf, or a pair such as linf:l2 (input:output)"


def parse_norms(norm: Any) -> tuple[Norm, Norm]:
    """Input and output norm of "l2" (both), of "linf:l2" (input:output), or of a pair ("linf",
    "l2").

    Each is a `Norm`, its name in either case, or its exponent: 1, 2, inf.
    """
    pair = norm.split(":") if isinstance(norm, str) else plain(norm)
    pair = [pair] if not isinstance(pair, tuple | list) else pair
    found = [known for known in map(_known, pair) if known is not None]
    if len(pair) not in (1, 2) or len(found) != len(pair):
        raise InputError(f"norm {shown(norm)} is not known: {ASKED}")
    return found[0], found[-1]


def one_norm(norm: Any, what: str) -> Norm:
    """One norm, in any of the forms of `parse_norms`."""
    found = _known(norm)
    if found is None:
        raise InputError(f"{what} is {shown(norm)}: write l1, l2 or linf")
    return found


def _known(norm: Any) -> Norm | None:
    if isinstance(norm, Norm):
        return norm
    if isinstance(norm, str):
        return NAMES.get(re.sub("^l[ _-]?", "", norm.strip().lower()))
    if isinstance(norm, bool) or not isinstance(norm, int | float | np.number):
        return None
    return next((known for known in Norm if known.p == norm), None)
