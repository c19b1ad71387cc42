"""The affine blocks of a network one by one: what every norm engine says about each, and what it
costs."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.budget import metered, stopwatch
from autolip.errors import InputError, Refusal
from autolip.methods.method import Problem
from autolip.norms import Norm
from autolip.operators.estimates.power import power_method
from autolip.operators.norms import Candidate, candidates
from autolip.operators.operator import DTYPE, Adjoint, Operator
from autolip.values import Estimate

POWER_ITERATIONS = (10, 100)
"""Chosen: numbers of power iterations that are tried."""


@dataclass(frozen=True)
class Iterated:
    """The published power method after some iterations: from below, not a bound."""

    iterations: int
    value: Estimate
    seconds: float
    work: float


@dataclass(frozen=True)
class BlockNorms:
    """One affine block: where it ends, how many weights it holds, what the engines and the power
    method say.

    `work` is the multiply-adds of one forward and one backward pass of the block (1 for pure
    wiring).
    """

    place: str
    operator: Operator
    weights: int
    engines: tuple[Candidate, ...]
    powers: tuple[Iterated, ...]
    work: float


def block_norms(problem: Problem, module: str | None = None) -> Iterator[BlockNorms]:
    """Every engine on every affine block of the fused view; only blocks that end inside `module`,
    if it is given.

    Raises InputError where no block does.
    """
    blocks = [
        (str(vertex.place), link.operator)
        for vertex in problem.fused
        for link in vertex.links
        if vertex.is_affine and _inside(vertex.place.module, module)
    ]
    if not blocks and module is None:
        raise InputError("the network has no affine block: no operation of it is linear")
    if not blocks:
        known = sorted(
            {vertex.place.module for vertex in problem.fused if vertex.is_affine and vertex.edges}
        )
        raise InputError(
            f"no affine block ends in module {module!r}: there are {', '.join(known) or 'none'}"
        )
    for place, operator in blocks:
        engines = tuple(candidates(operator, problem.p, problem.q, problem.options))
        powers = tuple(_powers(operator, problem))
        yield BlockNorms(
            place, operator, weights_in(operator), engines, powers, _one_pass(operator)
        )


def _inside(path: str, module: str | None) -> bool:
    return module is None or path == module or path.startswith(f"{module}.")


def _one_pass(operator: Operator) -> float:
    with metered() as meter:
        operator.rmv(operator.mv(torch.zeros((1, *operator.in_shape), dtype=DTYPE)))
    return meter.work or 1.0


def _powers(operator: Operator, problem: Problem) -> Iterator[Iterated]:
    if (problem.p, problem.q) != (Norm.L2, Norm.L2):
        return
    for iterations in POWER_ITERATIONS:
        elapsed = stopwatch()
        with metered() as meter:
            value = power_method(operator, iterations=iterations, seed=problem.options.search_seed)
        yield Iterated(iterations, value, elapsed(), meter.work)


def weights_in(operator: Operator) -> int:
    """How many numbers the operator's leaves hold, each tensor once."""
    tensors: dict[int, Tensor] = {}

    def leaf(part: Operator, seen: None) -> None:
        base = part.operator if isinstance(part, Adjoint) else part
        for value in vars(base).values():
            if isinstance(value, Tensor):
                tensors[id(value)] = value

    operator.fold(None, leaf, lambda parts: None)
    return sum(tensor.numel() for tensor in tensors.values() if tensor.dim() > 0)


def best(engines: tuple[Candidate, ...]) -> Candidate | None:
    """The engine with the smallest bound."""
    given = [found for found in engines if not isinstance(found.bound, Refusal)]
    return min(given, key=lambda found: found.bound.value, default=None)  # type: ignore[union-attr]
