"""The law of a region: its answers fit each other, and what bounds it bounds every point."""

import json
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import assert_never

import torch
from torch import Tensor

from autolip.norms import Norm
from autolip.regions import REGIONS, Box, Region, read
from autolip.testing.violation import LawViolation

SCALES = (1.0, 1e-160, 1e160)
"""Chosen: of the forms whose largest values are compared."""

COMPARED = 12
"""Chosen: points compared in rational arithmetic."""


def check_region(region: Region, shape: torch.Size, *, seed: int = 0, points: int = 100) -> None:
    """Every answer of a region, held against random points and rational arithmetic.

    * What it samples and moves inwards it contains; what it contains is finite and lies in its
      interval.  Tried at samples, at projections of points near and far from it, and at points
      beside these.
    * No point that it contains is farther from its centre than it says: entry by entry (`reach`),
      in every norm (`spread`), along random forms, single entries and none (`support`).
    * What it says is settled is the same at all of these points.
    * Where searches move (`within`) is a part of it.
    * It describes itself in plain data, from which a registered kind is read again.

    Raises LawViolation with the point.
    """
    generator = torch.Generator().manual_seed(seed)
    example = torch.zeros(shape, dtype=torch.float64)
    noise = torch.randn((points, *shape), generator=generator, dtype=torch.float64)
    samples = region.sample(points, example, generator)
    scale = torch.logspace(-3, 6, points, dtype=torch.float64).reshape(-1, *[1] * len(shape))
    inward = region.inward(torch.cat([samples, samples + scale * noise]))
    beside = inward + 1e-3 * noise.repeat(2, *[1] * len(shape))
    _check_points(region, shape, inward, [*samples, *inward, *beside, *(scale * noise)])
    kept = [x for x in inward if region.contains(x)]
    inside = torch.stack(kept)
    places = torch.linspace(0, len(inside) - 1, COMPARED)
    chosen = inside[places.long()]
    _check_bounds(region, shape, chosen, noise[:COMPARED])
    searched = region.within(Box(-1, 1))
    for x in searched.inward(searched.sample(COMPARED, example, generator)):
        _require(region.contains(x), "the part of it where searches move must lie in it", x)
    _check_settled(region, shape, inside)
    _check_description(region, shape, [*chosen, *beside[:COMPARED]])


def _check_points(
    region: Region, shape: torch.Size, inward: Tensor, points: Sequence[Tensor]
) -> None:
    for x in inward:
        _require(region.contains(x), "what it moves inwards it must contain", x)
    box = region.interval(shape)
    for x in points:
        holds = not region.contains(x) or box.contains(x)
        _require(holds, "what it contains must lie in its interval", x)
    for value in (float("nan"), float("inf")):
        outside = torch.full(shape, value, dtype=torch.float64)
        holds = not shape.numel() or not region.contains(outside)
        _require(holds, "only finite points are inputs", value)


def _check_bounds(region: Region, shape: torch.Size, points: Tensor, noise: Tensor) -> None:
    """The centre, and that no point is farther from it than reach, spread and support say."""
    centre = region.centre(shape)
    reach = region.reach(shape)
    holds = centre is None or (centre.shape == shape and bool(centre.isfinite().all()))
    _require(holds, "its centre must be a point of the input's shape", centre)
    forms = torch.cat([noise * scale for scale in SCALES] + [_single_entries(shape)])
    support = region.support(forms)
    spread = {norm: region.spread(norm, shape).value for norm in Norm}
    for x in points:
        steps = [a - b for a, b in zip(_exact(x), _exact(region.origin(shape)), strict=True)]
        limits = reach.flatten().tolist()
        far = any(not _below(abs(s), r) for s, r in zip(steps, limits, strict=True))
        _require(not far, "no point may be beyond its reach", x)
        for norm, limit in spread.items():
            holds = _within(steps, norm, limit)
            _require(holds, f"no point may be beyond its spread in {norm.value}", x)
        for form, limit in zip(forms, support.tolist(), strict=True):
            pairs = zip(_exact(form), steps, strict=True)
            value = sum((a * b for a, b in pairs), Fraction(0))
            _require(_below(value, limit), "no point may be beyond its support", (form, x))


def _check_settled(region: Region, shape: torch.Size, points: Tensor) -> None:
    settled = region.settled(shape)
    holds = settled.shape == shape and settled.dtype == torch.bool
    _require(holds, "settled must be truth values of the input's shape", settled)
    same = (points == points[0]).all(0) if len(points) else settled
    _require(bool(same[settled].all()), "what is settled must be the same everywhere", settled)
    reach = region.reach(shape)[settled]
    stride = region.stride(shape)
    _require(bool((stride >= 0).all()), "strides are numbers >= 0", stride)
    _require(bool((stride[settled] == 0).all()), "what is settled has no stride", reach)


def _check_description(region: Region, shape: torch.Size, points: Sequence[Tensor]) -> None:
    described = region.shaped(shape).describe()
    _require("kind" in described, "its description must have a kind", described)
    written = json.loads(json.dumps(described, allow_nan=False))
    if REGIONS.get(described["kind"]) is not type(region):  # type: ignore[call-overload]
        return
    again = read(written)
    _require(again.describe() == written, "it must be read as it is described", written)
    for x in points:
        same = again.shaped(shape).contains(x) == region.contains(x)
        _require(same, "what is read again must contain the same points", x)


def _single_entries(shape: torch.Size) -> Tensor:
    """Forms that take one entry or another, either way; and none."""
    n = min(shape.numel(), COMPARED)
    entries = torch.eye(shape.numel(), dtype=torch.float64)[:n].reshape(n, *shape)
    return torch.cat([entries, -entries, torch.zeros((1, *shape), dtype=torch.float64)])


def _exact(x: Tensor) -> Iterator[Fraction]:
    return map(Fraction, x.double().flatten().tolist())


def _within(steps: Sequence[Fraction], norm: Norm, limit: float) -> bool:
    """Whether the norm is at most the limit."""
    match norm:
        case Norm.L1:
            return _below(sum(map(abs, steps), Fraction(0)), limit)
        case Norm.L2:
            square = sum((step * step for step in steps), Fraction(0))
            return math.isinf(limit) or square <= Fraction(limit) ** 2
        case Norm.LINF:
            return _below(max(map(abs, steps), default=Fraction(0)), limit)
        case _:
            assert_never(norm)


def _below(value: Fraction, limit: float) -> bool:
    return math.isinf(limit) or value <= Fraction(limit)


def _require(holds: bool, law: str, counterexample: Tensor | object) -> None:
    if not holds:
        raise LawViolation(f"{law}: {counterexample}")
