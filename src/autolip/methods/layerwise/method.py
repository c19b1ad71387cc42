"""Closed-form layerwise bounds: ECLipsE-Fast and its relatives, glued to the rest of the graph by
AutoLip."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from autolip.budget import REFERENCE
from autolip.errors import Refusal
from autolip.graph.chains import Stretch, every_run
from autolip.methods.autolip import infinite
from autolip.methods.layerwise.ellipsoids import (
    Multipliers,
    by_correlations,
    by_diagonal,
    by_norm,
    by_rows,
    chain_bound,
    is_moderate,
)
from autolip.methods.layerwise.frequencies import torus_bound, torus_price
from autolip.methods.method import Bound, Method, Problem, method
from autolip.methods.stretchwise import StretchBound, Stretchwise
from autolip.norms import L2_TO_L2, Pair
from autolip.operators.algebra import factors
from autolip.operators.convolution import Convolution
from autolip.operators.dense import Dense
from autolip.operators.norms import NormOptions
from autolip.operators.norms.rounding import rounded_matrix
from autolip.operators.operator import Operator, largest
from autolip.rounded import Rounded
from autolip.roundoff import scale_float
from autolip.slopes import Between
from autolip.values import Upper

CLOSED_FORMS: dict[str, Multipliers] = {
    "norm": by_norm,
    "rows": by_rows,
    "diagonal": by_diagonal,
    "correlations": by_correlations,
}

LARGEST_WIDTH = 2048
"""Chosen: greatest number of neurons in a layer whose ellipsoid is kept as a matrix."""

A_MATRIX, OPERATIONS = 2e-3, 100.0
"""Seconds of reference for every layer, and floating-point operations for its width cubed,
measured."""


@method("layerwise")
@method("eclipse-fast", closed_form="norm")
@dataclass(frozen=True)
class Layerwise(Method):
    """Upper bound on the l2 constant: along chains the ellipsoids of the layerwise recursion,
    elsewhere products.

    Multipliers in closed form: "norm" T = I / lambda_max(A) (ECLipsE-Fast), "rows" T_i = 1 / sum_j
    |A_ij|, "diagonal" T proportional to 1 / A_ii, "correlations" T_i = q_i / sum_j |A_ij| q_j with
    q_i = A_ii^-1/2, or "best": the smallest of these for every stretch.  Chains of convolutions go
    frequency by frequency.  Every step is proved by a Cholesky factorisation; O(sum n^3) for widths
    n, O(sum positions c^3) for c channels.
    """

    closed_form: Literal["best", "norm", "rows", "diagonal", "correlations"] = "best"

    name: ClassVar[str] = "layerwise"
    norms: ClassVar[frozenset[Pair]] = L2_TO_L2
    automatic: ClassVar[float] = 30
    source: ClassVar[str] = (
        "Xu and Sivaranjani, NeurIPS 2024 (ECLipsE-Fast); Syed and Hu, arXiv 2503.14297"
    )

    def price(self, problem: Problem) -> float:
        """By the orders of the matrices that are factorised."""
        runs = every_run(problem.fused)
        prices = (_by_frequencies_price(run) + _by_matrices_price(run) for run in runs)
        return len(self._choices) * sum(prices)

    def bound(self, problem: Problem) -> Bound | Refusal:
        hopeless = infinite(problem, problem.fused)
        if hopeless is not None:
            return hopeless

        def bounded(run: Stretch) -> StretchBound | Refusal:
            gain = closed_form_bound(run, self._choices, problem.options)
            return gain if isinstance(gain, Refusal) else StretchBound(gain)

        runs = every_run(problem.fused)
        found = Stretchwise.of(problem, problem.fused, runs, bounded)
        if found.says_nothing:
            reasons = "; ".join(found.notes)
            return Refusal(reasons or "the network has no sequential stretch of two affine blocks")
        return found.joined()

    @property
    def _choices(self) -> tuple[Multipliers, ...]:
        """The closed forms that are tried."""
        best = self.closed_form == "best"
        return tuple(CLOSED_FORMS.values()) if best else (CLOSED_FORMS[self.closed_form],)


def closed_form_bound(
    stretch: Stretch, choices: Sequence[Multipliers], options: NormOptions
) -> Upper | Refusal:
    """The least of the recursion's bounds over several closed forms, by matrices and by
    frequencies."""
    bounds = [_by_matrices(stretch, choices, options)]
    convolutions = [block for block in stretch.blocks if isinstance(block, Convolution)]
    if len(convolutions) == len(stretch.blocks):
        bounds.append(
            _least(
                lambda choice: torus_bound(convolutions, stretch.slopes, choice), choices, options
            )
        )
    proved = [bound for bound in bounds if isinstance(bound, Upper)]
    return Upper.least(proved) if proved else bounds[-1]


def _by_matrices_price(stretch: Stretch) -> float:
    """Seconds of reference of one closed form by matrices; 0 where a layer is too wide for it."""
    widths = [block.out_size for block in stretch.blocks[:-1]]
    if too_wide(stretch.blocks) is not None:
        return 0.0
    return sum(A_MATRIX + OPERATIONS * width**3 / REFERENCE for width in widths)


def _by_frequencies_price(stretch: Stretch) -> float:
    """The same frequency by frequency."""
    blocks = [block for block in stretch.blocks if isinstance(block, Convolution)]
    return torus_price(blocks) if len(blocks) == len(stretch.blocks) else 0.0


def _by_matrices(
    stretch: Stretch, choices: Sequence[Multipliers], options: NormOptions
) -> Upper | Refusal:
    matrices = _matrices(stretch.blocks)
    if isinstance(matrices, Refusal):
        return matrices
    layers, exponents = zip(*map(_about_one, matrices), strict=True)
    slopes = [flat_slopes(slope) for slope in stretch.slopes]
    found = _least(lambda choice: chain_bound(layers, slopes, choice), choices, options)
    if isinstance(found, Refusal):
        return found
    return Upper(scale_float(found.value, sum(exponents)), found.events)


def _least(
    bound: Callable[[Multipliers], Upper | Refusal],
    choices: Sequence[Multipliers],
    options: NormOptions,
) -> Upper | Refusal:
    """The smallest bound of several choices, of as many as there is time for."""
    bounds: list[Upper | Refusal] = []
    for choice in choices:
        if options.budget.expired:
            bounds.append(Refusal("no time left"))
            break
        bounds.append(bound(choice))
    proved = [bound for bound in bounds if isinstance(bound, Upper)]
    return (
        Upper.least(proved)
        if proved
        else next(bound for bound in bounds if isinstance(bound, Refusal))
    )


def dense_layers(blocks: Sequence[Operator], width: int = LARGEST_WIDTH) -> list[Rounded] | Refusal:
    """Every affine block as a matrix with its rounding; refused where a hidden layer is too wide,
    or where squares of entries leave floating point."""
    layers = _matrices(blocks, width)
    if isinstance(layers, Refusal):
        return layers
    for block, layer in zip(blocks, layers, strict=True):
        if not is_moderate(layer.value):
            return Refusal(
                f"the entries of {block} are so large or so small that their squares "
                "leave floating point"
            )
    return layers


def _matrices(blocks: Sequence[Operator], width: int = LARGEST_WIDTH) -> list[Rounded] | Refusal:
    """The same, whatever the size of the entries."""
    refused = too_wide(blocks, width)
    if refused is not None:
        return refused
    layers = []
    for block in blocks:
        layer = rounded_matrix(block)
        if isinstance(layer, Refusal):
            return layer
        layers.append(layer)
    return layers


def _about_one(layer: Rounded) -> tuple[Rounded, int]:
    """The layer in units of a power of two, which is exact, and its exponent: a largest entry of
    about 1."""
    exponent = math.frexp(largest(layer.value))[1]
    return layer.shifted(-exponent), exponent


def too_wide(blocks: Sequence[Operator], width: int = LARGEST_WIDTH) -> Refusal | None:
    """Refuses a chain with a hidden layer whose ellipsoid cannot be kept as a matrix."""
    for block in blocks[:-1]:
        if block.out_size > (width if isinstance(factors(block)[0], Dense) else width // 4):
            return Refusal(
                f"a layer of {block.out_size} neurons is too wide to keep its ellipsoid as a matrix"
            )
    return None


def flat_slopes(slope: Between) -> tuple[torch.Tensor, torch.Tensor]:
    """The ends of a slope set as vectors."""
    return slope.lo.reshape(-1), slope.hi.reshape(-1)
