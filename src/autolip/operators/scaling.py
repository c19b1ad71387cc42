"""Entries times scales: where the products have a relative error, and along which axis they lie."""

import torch
from torch import Tensor

from autolip.roundoff import TINY


def product(a: Tensor, b: Tensor) -> Tensor | None:
    """a * b, unless an entry over- or underflows: then it has no relative error."""
    found = a * b
    sane = (found.abs() >= TINY) & found.isfinite() | (a == 0) | (b == 0)
    return found if sane.all() else None


def along(scale: Tensor, shape: torch.Size, axis: int) -> Tensor | None:
    """The scale as a vector along one axis, if it is constant along every other."""
    full = scale.reshape((1,) * (len(shape) - scale.dim()) + tuple(scale.shape))
    if any(size != 1 for i, size in enumerate(full.shape) if i != axis % len(shape)):
        return None
    return full.reshape(-1).expand(shape[axis]) if full.numel() == 1 else full.reshape(-1)
