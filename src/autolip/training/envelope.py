"""Values of sweeps as tensors that learn: by the envelope theorem their derivative in the weights
is that of the sweeps that found them, columns held fixed."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from autolip.training.calls import Weights
from autolip.training.passes import Sweep, add


@dataclass
class Found:
    """Estimates (questions,), and the sweeps that they come from, each with the derivative of an
    estimate in its size (questions,); None for 1."""

    values: Tensor
    sweeps: list[tuple[Sweep, Tensor | None]]


def envelope(
    value: Tensor,
    slope: Tensor | float,
    found: Sequence[Found],
    names: Sequence[str],
    weights: Weights,
) -> Tensor:
    """`value` as a function of the weights of these names, of which some may not learn.

    It is a function of all the estimates found, and `slope` its derivative in each of them: one
    for each estimate, or a number for all.  Where `value` has as many entries as there are
    estimates, each is a function of its own estimate alone.
    """
    return _Envelope.apply(value, slope, found, names, *(weights[name] for name in names))


class _Envelope(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, value: Tensor, slope: Any, found: Any, names: Sequence[str], *weights: Tensor
    ) -> Tensor:
        ctx.given = slope, found, names
        return value

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        """Once: what refuses a second derivative takes longer than all the rest, and is asked for
        where a graph is made alone."""
        return (_once if torch.is_grad_enabled() else _derivatives)(ctx, *outer)


def _derivatives(ctx: Any, outer: Tensor) -> Any:
    slope, found, names = ctx.given
    scale = outer * slope
    scales = (scale,) if len(found) == 1 else scale.split([len(each.values) for each in found])
    gradients: dict[str, Tensor] = {}
    for each, part in zip(found, scales, strict=True):
        for sweep, inner in each.sweeps:
            inside = part if inner is None else part * inner
            for name, gradient in sweep.weights(inside).items():
                add(gradients, name, gradient)
    return (None, None, None, None, *map(gradients.get, names))


_once = torch.autograd.function.once_differentiable(_derivatives)
