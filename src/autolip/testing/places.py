"""Where the law of a rule is tried: boxes of many kinds, and points of them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from autolip.intervals import Interval
from autolip.rules.rule import Variable

KINDS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]] = {
    "everywhere": lambda a, b, mark, width: (
        torch.full_like(a, -math.inf),
        torch.full_like(a, math.inf),
    ),
    "box": lambda a, b, mark, width: (torch.minimum(a, b), torch.maximum(a, b)),
    "tiny": lambda a, b, mark, width: (a, a + 1e-6 * width),
    "point": lambda a, b, mark, width: (a, a),
    "above": lambda a, b, mark, width: (a, torch.full_like(a, math.inf)),
    "below": lambda a, b, mark, width: (torch.full_like(a, -math.inf), a),
    "huge": lambda a, b, mark, width: (-1e3 * width, 1e3 * width),
    "right of a mark": lambda a, b, mark, width: (mark, mark + width),
    "left of a mark": lambda a, b, mark, width: (mark - width, mark),
    "around a mark": lambda a, b, mark, width: (mark - width / 8, mark + width),
}
"""Regions, by two random points of the variable's own range, a number where the operation may kink,
and a width."""


def box_of(kind: str, variable: Variable, marks: Tensor, generator: torch.Generator) -> Interval:
    if variable.boolean:
        ends = torch.randint(0, 2, (2, *variable.shape), generator=generator).double()
        return Interval(ends.amin(0), ends.amax(0))
    if kind == "everywhere":
        return Interval.everywhere(variable.shape)
    draw = lambda: torch.rand(variable.shape, generator=generator, dtype=torch.float64)  # noqa: E731
    a, b = (variable.lo + (variable.hi - variable.lo) * draw() for _ in range(2))
    mark = marks[torch.randint(len(marks), variable.shape, generator=generator)]
    if kind != "mixed":
        return Interval(*KINDS[kind](a, b, mark, draw()))
    choices = [KINDS[name](a, b, mark, draw()) for name in KINDS]
    lo, hi = (torch.stack(ends) for ends in zip(*choices, strict=True))
    chosen = torch.randint(len(choices), (1, *variable.shape), generator=generator)
    return Interval(lo.gather(0, chosen)[0], hi.gather(0, chosen)[0])


def points_of(
    box: Interval, variable: Variable, marks: Tensor, count: int, generator: torch.Generator
) -> Tensor:
    """Points of a box: random ones, corners, next to the marks, and close neighbours of those."""

    def draw() -> Tensor:
        return torch.rand((count, *box.shape), generator=generator, dtype=torch.float64)

    far = 10 ** (4 * draw() - 1)
    hi = torch.where(box.hi.isfinite(), box.hi, torch.where(box.lo.isfinite(), box.lo, 0.0) + far)
    lo = torch.where(box.lo.isfinite(), box.lo, torch.where(box.hi.isfinite(), box.hi, 0.0) - far)
    x = lo + draw() * (hi - lo)
    x[1::4] = torch.where(draw() < 0.5, lo, hi)[1::4]
    mark = marks[torch.randint(len(marks), x.shape, generator=generator)]
    on_mark = draw() < 0.3
    aside = (draw() - 0.5) * 10 ** (-9 * draw())
    x[2::4] = (mark + torch.where(on_mark, 0.0, aside))[2::4]
    moved = (draw() - 0.5) * 10 ** (-8 * draw()) * (draw() < draw())
    x[3::4] = (x.roll(1, 0) + moved)[3::4]
    x = torch.minimum(torch.maximum(x, lo), hi)
    return x.round() if variable.boolean else x
