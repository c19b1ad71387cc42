"""All read-outs from one proof: the ellipsoid that the differences of the outputs lie in.

With multipliers for the whole output y, |w y|^2 <= w^T A w |x|^2 / s for every w (see dual_form):
all differences of outputs for the price of one.  Each bound is above what multipliers of its own
would prove, by how much they differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.errors import Refusal
from autolip.methods.lipsdp.batch.dual_form import DualForm, SampleRows
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.batch.solve import USUAL, Batch, Care
from autolip.operators.operator import DTYPE
from autolip.rounded import Rounded
from autolip.roundoff import raised
from autolip.slopes import Between

STRETCHES = (1.0, 1.03, 1.1, 1.3)
"""Chosen: how much larger than the whole output's least 1 / s is taken; the best for the largest
difference counts."""


@dataclass(frozen=True)
class Trunk:
    """|w y| <= sqrt(ratio w^T A w) |x| for every sample and every w; `multipliers` lam prove it,
    times w^T A w."""

    matrix: Float[Tensor, "s n n"]
    ratio: Float[Tensor, " s"]
    multipliers: Mapping[str, Tensor]
    inputs: Tensor | None

    def squares(self, rows: Float[Tensor, "k n"]) -> Float[Tensor, "s k"]:
        """At least w^T A w for every row w."""
        w = Rounded.exact(rows.to(DTYPE))
        ones = Rounded.exact(torch.ones(rows.shape[1], 1, dtype=DTYPE))
        found = ((w @ Rounded.exact(self.matrix)) * w) @ ones
        return found.size.squeeze(2)

    def values(self, rows: Float[Tensor, "k n"]) -> Float[Tensor, "s k"]:
        """Upper bounds on |w (y - y')|_2 / |x - x'| for every row w."""
        return raised((self.squares(rows) * self.ratio.unsqueeze(1)).sqrt(), 2)

    def differences(self) -> Float[Tensor, "s n n"]:
        """The same for y_i - y_j, i and j any two outputs."""
        a = Rounded.exact(self.matrix)
        own = Rounded.exact(self.matrix.diagonal(dim1=1, dim2=2))
        rows, columns = (
            Rounded(own.value.unsqueeze(axis), own.error.unsqueeze(axis)) for axis in (2, 1)
        )
        squares = (rows + columns - (a + a)).size
        return raised((squares * self.ratio.reshape(-1, 1, 1)).sqrt(), 2)


def trunk_of(
    batch: Batch,
    slopes: Mapping[str, Between],
    care: Care = USUAL,
    budget: Budget = UNLIMITED,
) -> Trunk | Refusal:
    """The trunk of every sample of some slopes (none: the network's own); refused where nothing was
    proved of one."""
    size = batch.relaxation.graph.output_shape.numel()
    eye = torch.eye(size, dtype=DTYPE)
    count = 1 if not slopes else len(next(iter(slopes.values())).lo)
    samples = torch.arange(count)
    centred = eye - 1 / size if size > 1 else eye
    apart = Questions(slopes, centred.expand(count, size, size), samples)
    found = batch.solve(apart, care=care, budget=budget)
    if isinstance(found, Refusal):
        return found
    if not bool((found.value.isfinite() & (found.value > 0)).all()):
        return Refusal("no multipliers of the whole output could be proved")
    whole = batch.completed(Questions(slopes, eye.expand(count, size, size), samples))
    rows = SampleRows.of(batch.prover.rows, batch.relaxation.constraints, whole)
    if isinstance(rows, Refusal):
        return rows
    tries = [
        _stretched(DualForm.of(rows, whole), found.multipliers, found.inputs, found.value * root)
        for root in (stretch**0.5 for stretch in STRETCHES)
    ]
    best = torch.stack([one.differences().flatten(1).amax(1) for one in tries]).argmin(0)
    matrix, ratio = (
        torch.stack([part(one) for one in tries])[best, samples]
        for part in (lambda one: one.matrix, lambda one: one.ratio)
    )
    if not bool(matrix.isfinite().all()):
        return Refusal("no ellipsoid of the outputs could be proved")
    return Trunk(matrix, ratio, found.multipliers, found.inputs)


def _stretched(
    form: DualForm, multipliers: Mapping[str, Tensor], inputs: Tensor | None, value: Tensor
) -> Trunk:
    """With 1 / s about the square of a value, of which the sum of mu is a part."""
    _, total = form.weighed(inputs)
    s = total / value**2
    matrix, total = form.ellipsoids(multipliers, inputs, s)
    return Trunk(matrix, raised(total / s, 1), multipliers, inputs)
