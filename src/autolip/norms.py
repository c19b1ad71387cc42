"""The vector norms l1, l2 and linf."""

import math
from enum import Enum

import torch
from jaxtyping import Float
from torch import Tensor

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
        """The least c with ||x||_other <= c ||x||_self on R^size: size^max(0, 1/q - 1/p)."""
        exponent = 1 / other.p - 1 / self.p
        if exponent <= 0:
            return Upper(1.0)
        power = float(size) if exponent == 1 else math.sqrt(size)
        return Upper(power if power == int(power) else round_up(power))


def parse_norms(text: str) -> tuple[Norm, Norm]:
    """Input and output norm of "l2" (both) or "linf:l2" (input:output)."""
    names = text.lower().split(":")
    try:
        pair = [Norm(name) for name in names]
    except ValueError:
        pair = []
    if len(pair) not in (1, 2):
        raise InputError(f"norm {text!r} is not known: write l1, l2, linf, or a pair such as linf:l2 (input:output)")
    return pair[0], pair[-1]
