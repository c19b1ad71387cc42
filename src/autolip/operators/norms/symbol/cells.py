"""Cells of the frequency torus, and what the norm at a cell's centre says about the whole cell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from autolip.roundoff import UNIT


@dataclass(frozen=True)
class Cells:
    """k cells of one size: of which group, and with centres w_a = pi p_a / counts_a.

    With two or more axes the first two share a diamond with corners w_a +- 2 pi / counts_a, every
    other axis (or the only one) has the interval w_a +- pi / counts_a.  `isolated` cells are their
    centres alone.
    """

    groups: Int[Tensor, " k"]
    points: Int[Tensor, "k axes"]
    counts: tuple[int, ...]
    isolated: bool = False

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, chosen: Bool[Tensor, " k"] | Int[Tensor, " j"] | slice) -> "Cells":
        return replace(self, groups=self.groups[chosen], points=self.points[chosen])

    def reach(self, degrees: Sequence[float]) -> float:
        """Upper bound on sum_a m_a |w_a - c_a| over a cell, c its centre.

        In the diamond, delta_1 = (x + y) pi / N_1 and delta_2 = (x - y) pi / N_2 with |x|, |y| <=
        1, and a |x + y| + b |x - y| <= 2 max(a, b).
        """
        if self.isolated:
            return 0.0
        steps = [
            degree * math.pi / count for degree, count in zip(degrees, self.counts, strict=True)
        ]
        diamond = 2 * max(steps[:2]) if len(steps) > 1 else sum(steps)
        return (diamond + sum(steps[2:])) * (1 + 16 * UNIT)

    def split(self) -> "Cells":
        """The cells of half the size that cover the same frequencies."""
        if self.isolated or not self.counts:
            return self
        moves = _moves(len(self.counts))
        doubled = 2 * self.points[:, None]
        points = (doubled + moves).flatten(0, 1)
        return Cells(
            self.groups.repeat_interleave(len(moves)),
            points,
            tuple(2 * count for count in self.counts),
        )


def _moves(axes: int) -> Int[Tensor, "children axes"]:
    """Centres of the children of a cell at zero, in their own steps of pi / count."""
    if axes == 1:
        return torch.tensor([[-1], [1]])
    corners = [[2, 0], [-2, 0], [0, 2], [0, -2]]
    diamond = torch.tensor(corners)
    of_an_axis = torch.tensor([-1, 1])
    sides = [of_an_axis] * (axes - 2)
    rest = (
        torch.cartesian_prod(*sides).reshape(-1, axes - 2)
        if sides
        else torch.zeros(1, 0, dtype=torch.int64)
    )
    return torch.cat([diamond.repeat_interleave(len(rest), 0), rest.repeat(4, 1)], 1)


def cover(degrees: Sequence[float], reach: float, groups: int) -> Cells:
    """Cells of at most this reach that cover one of each pair w, -w of frequencies, for every
    group.

    Real kernels have ||K(-w)|| = ||K(w)||, and the lattice of centres is symmetric: those with w_1
    in [0, pi] do.
    """
    axes = len(degrees)
    counts = tuple(2 * math.ceil(math.pi * degree * axes / (2 * reach)) for degree in degrees)
    ranges = [torch.arange(count) for count in counts]
    if axes:
        half = counts[0] // 2
        ranges[0] = torch.arange(half + 1)
    grid = (
        torch.cartesian_prod(*ranges).reshape(-1, axes)
        if axes
        else torch.zeros(1, 0, dtype=torch.int64)
    )
    if axes > 1:
        is_even = (grid[:, 0] + grid[:, 1]) % 2 == 0
        grid = grid[is_even]
    return _for_every_group(2 * grid, counts, groups, isolated=False)


def frequencies(
    counts: Sequence[int], multiples: Sequence[int], groups: int, shifts: Sequence[int] = ()
) -> Cells:
    """The frequencies w_a = pi multiples_a (2 j + shifts_a) / counts_a of a finite torus, one of
    each pair w, -w."""
    ranges = [torch.arange(count) for count in counts]
    if ranges:
        half = counts[0] // 2
        ranges[0] = torch.arange(half + 1)
    axes = len(counts)
    grid = (
        torch.cartesian_prod(*ranges).reshape(-1, axes)
        if axes
        else torch.zeros(1, 0, dtype=torch.int64)
    )
    odd = torch.tensor(list(shifts) or [0] * axes, dtype=torch.int64)
    points = ((2 * grid + odd) * torch.tensor(list(multiples), dtype=torch.int64)) % (
        2 * torch.tensor(list(counts), dtype=torch.int64)
    )
    return _for_every_group(
        points.unique(dim=0) if axes else points, tuple(counts), groups, isolated=True
    )


def _for_every_group(points: Tensor, counts: tuple[int, ...], groups: int, isolated: bool) -> Cells:
    owners = torch.arange(groups).repeat_interleave(len(points))
    return Cells(owners, points.repeat(groups, 1), counts, isolated)
