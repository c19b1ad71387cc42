"""The captured graph against the original model, on random inputs: they must agree."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.capture.conditioning import sensitivity
from autolip.capture.guarded import users_code
from autolip.capture.reference import narrowest_type
from autolip.capture.torch.export import Capture
from autolip.errors import CaptureMismatch, InputError
from autolip.graph.evaluate import evaluate
from autolip.graph.graph import Graph
from autolip.operators.operator import DTYPE
from autolip.regions import Everywhere

Function = Callable[[Tensor], Tensor]

CLEAR = 4.0
"""Chosen: disagreements below this many units in the last place of the largest output need no
explanation."""

EXACT = 1e-8
"""Chosen: the same where everything is float64; constants such as the eps of a type are rounded
elsewhere."""

SLACK = 8.0
"""Chosen: how many times the movement that rounding was seen to cause is allowed; sums round once a
term, a few draws see less than the most."""


@dataclass(frozen=True)
class Gap:
    """How far two evaluations of one network are apart: relative to the largest output, and what is
    allowed."""

    relative: float = 0.0
    allowed: float = float("inf")
    dtype: torch.dtype = DTYPE

    @property
    def explained(self) -> bool:
        return self.relative <= self.allowed


def replay(capture: Capture, *, trials: int = 3, seed: int = 0) -> float:
    """The largest relative disagreement seen; raises CaptureMismatch if it exceeds what rounding
    explains.

    Rounding is that of the least precise type met, amplified as the graph itself amplifies it.
    """
    points = points_of(capture, trials, seed)
    gap = widest_gap(capture.graph, capture.reference, points, capture.reference_dtype)
    if not gap.explained and capture.native is not None:
        native = widest_gap(capture.graph, capture.native, points)
        gap = native if native.explained else gap
    if not gap.explained:
        _check_repeatable(capture.native or capture.reference, points[-1])
        raise CaptureMismatch(
            f"the captured graph and the original model differ by {gap.relative:.2g} "
            "(relative) on an input, more"
            f" than the {gap.allowed:.2g} that rounding in {_short(gap.dtype)} explains: "
            "if the model keeps no"
            " state and treats every input alike, please report it"
        )
    return gap.relative


def points_of(capture: Capture, trials: int = 3, seed: int = 0) -> list[Tensor]:
    """The example and random inputs about it, exact in the precision of the model."""
    generator = torch.Generator().manual_seed(seed)
    drawn = Everywhere().sample(trials, capture.example, generator)
    points = [capture.example, *drawn]
    stored = getattr(torch, capture.stored_dtype, DTYPE)
    narrow = capture.reference_dtype is not DTYPE or capture.native is not None
    dtype = capture.reference_dtype if capture.reference_dtype is not DTYPE else stored
    return [x.to(dtype).to(DTYPE) for x in points] if narrow and dtype.is_floating_point else points


def widest_gap(
    graph: Graph, reference: Function, points: Sequence[Tensor], dtype: torch.dtype | None = None
) -> Gap:
    """The worst disagreement of a graph and a reference, or the first that rounding does not
    explain.

    `dtype` is the least precise type (default: as observed).
    """
    widest = Gap()
    for x in points:
        gap = _gap(graph, reference, x, dtype)
        if not gap.explained:
            return gap
        widest = max(widest, gap, key=lambda one: one.relative)
    return widest


def _gap(graph: Graph, reference: Function, x: Tensor, dtype: torch.dtype | None) -> Gap:
    """One point: cheaply where the two agree, else with the sensitivity of the graph there."""
    with torch.no_grad():
        with users_code("evaluating the captured graph in float64"):
            ours = evaluate(graph, x).reshape(-1)
        computed = reference(x)
        theirs = computed.reshape(-1).to(DTYPE)
        if ours.shape != theirs.shape:
            return Gap(float("inf"), 0.0, dtype or DTYPE)
        both_nan = ours.isnan() & theirs.isnan()
        same = both_nan | (ours == theirs)
        gap = torch.where(same, 0.0, (ours - theirs).abs())
        difference = gap.nan_to_num(nan=torch.inf)
        sizes = theirs.nan_to_num(posinf=0.0, neginf=0.0).abs()
        scale = sizes.max().clamp(min=1e-300).item()
        relative = difference.max().item() / scale
        if relative <= _clear(dtype or DTYPE):
            return Gap(relative)
        narrowest = narrowest_type(reference, x) if dtype in (None, DTYPE) else dtype
        return _explained(graph, x, difference, scale, narrowest)


def _explained(
    graph: Graph, x: Tensor, difference: Tensor, scale: float, dtype: torch.dtype
) -> Gap:
    """The entry that rounding explains least."""
    eps = torch.finfo(dtype).eps
    generator = torch.Generator().manual_seed(0)
    moved = sensitivity(graph, x, eps, generator)
    larger = torch.maximum(moved, moved.mean())
    believed = SLACK * larger
    least = _clear(dtype) * scale
    clear = torch.full_like(believed, least)
    allowed = torch.maximum(believed, clear)
    worst = int((difference / allowed).argmax())
    return Gap(difference[worst].item() / scale, allowed[worst].item() / scale, dtype)


def _clear(dtype: torch.dtype) -> float:
    """The relative disagreement that rounding in this type explains by itself."""
    return max(CLEAR * torch.finfo(dtype).eps, EXACT)


def _check_repeatable(reference: Function, x: Tensor) -> None:
    """InputError where two runs on one input differ: nothing is wrong with the graph then."""
    with torch.no_grad():
        first = reference(x)
        second = reference(x)
    if first.shape != second.shape or not torch.equal(first.nan_to_num(), second.nan_to_num()):
        raise InputError(
            "the model gives different outputs for the same input, so it has no "
            "Lipschitz constant: call"
            " model.eval(), and take the mean or the mode instead of a sample"
        )


def _short(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
