"""The statement of a question as one matrix of the order of what bends, proved by Cholesky.

With z = c v + e, |e_B| <= rho |v_B| block by block (one entry, or what a gain acts on), let

    (v, y) = X x + E e

be the operands that bend and the read-out, in rows.  For h > 0, g >= rho^2 h, mu > 0 and s > 0 let

    M = [ diag(h)  0 ]  -  E diag(g) E^T  -  s X diag(1 / mu) X^T.
        [    0     1 ]

If M >= 0, then by Schur's complement, twice, sum mu x^2 / s + e^2 / g - v^2 / h >= y^2 for all x
and e; and e^2 / g <= v^2 / h for those that occur, so that

    |y|^2 <= (sum mu / s) |x|^2.

lam = 1 / g are multipliers of the statement.  M has a row for every entry that bends: neither the
input nor what is settled counts.  Rows of outputs are a sample's, y = R times them a question's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.batch.bent import Bent
from autolip.methods.lipsdp.batch.operand_rows import OperandRows, Rows, flattened
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.operators.norms.semidefinite import are_semidefinite, shifts_of
from autolip.rounded import Rounded, blocks
from autolip.roundoff import raised

WIDEST = 2.0**200
"""Chosen: h and its reciprocal are at most this."""

NARROWEST = 2.0**-400
"""Chosen: a radius below it counts as this, so that no product of g underflows."""

ROOM = 4.0
"""Chosen: times what a proof loses, the diagonal is lowered where s is looked for."""

FINEST, COARSER, ATTEMPTS = 1e-12, 16.0, 9
"""Chosen: by how much of itself 1 / s is raised for a proof, and times how much where it fails."""

LOOSE = 1e-10
"""Chosen: the same for an ellipsoid, of its diagonal."""

LEAST = 2.0**-500
"""Chosen: 1 / s where the read-out does not depend on the input."""


@dataclass(frozen=True)
class SampleRows:
    """X and E of some samples: the rows of every vertex that bends, then those of some outputs.

    Row k of E has the columns of the vertices before k alone.
    """

    bent: Mapping[str, Bent]
    x: Rounded
    e: Sequence[Rounded]
    outputs: Int[Tensor, " m"]
    """Which outputs, of the flattened ones."""

    @staticmethod
    def of(
        rows: OperandRows, constraints: Mapping[str, Constraint], questions: Questions
    ) -> "SampleRows | Refusal":
        """Those of all samples of some questions, and of the outputs that are read."""
        centres, bent = dict[str, Tensor](), dict[str, Bent]()
        count = questions.count
        for name, item in constraints.items():
            slope = questions.slopes.get(name)
            if slope is None:
                bent[name] = Bent.of(item, item.radius.expand(count, *item.blocks))
            else:
                centres[name], radius = slope.centre_and_radius()
                bent[name] = Bent.of(item, radius)
        found, before = list[tuple[Rounded, Rounded]](), dict[str, Bent]()
        for name, one in bent.items():
            at = one.entries()
            part = rows.of_operand(name, at, centres)
            if isinstance(part, Refusal):
                return part
            found.append(_kept(_parts(part, rows, before, (count, at.shape[1])), one.real))
            before[name] = one
        outputs = (questions.readouts != 0).any(0).any(0).nonzero().reshape(-1)
        units = torch.zeros(len(outputs), questions.readouts.shape[2], dtype=torch.float64)
        units[torch.arange(len(outputs)), outputs] = 1.0
        read = rows.of_output(units.expand(count, *units.shape), centres)
        if isinstance(read, Refusal):
            return read
        found.append(_parts(read, rows, before, (count, len(outputs))))
        x = _joined([part[0] for part in found], 1)
        return SampleRows(bent, x, [part[1] for part in found], outputs)

    @cached_property
    def gram(self) -> Rounded:
        """X X^T."""
        return self.x.gram()

    def weighed(self, shares: Tensor, samples: Tensor) -> Rounded:
        """X diag(shares) X^T of every question."""
        x = self.x[samples]
        return (x * Rounded.exact(shares.unsqueeze(1))) @ x.H


@dataclass(frozen=True)
class DualForm:
    """M of some questions, but for h, g, mu and s."""

    rows: SampleRows
    samples: Int[Tensor, " b"]
    readouts: Float[Tensor, "b m n"]

    @staticmethod
    def of(rows: SampleRows, questions: Questions) -> "DualForm":
        """That of questions whose samples the rows are of."""
        return DualForm(rows, questions.samples, questions.readouts[:, :, rows.outputs])

    def taken(self, index: Tensor) -> "DualForm":
        """Some of them."""
        return DualForm(self.rows, self.samples[index], self.readouts[index])

    def proved(
        self,
        multipliers: Mapping[str, Tensor],
        inputs: Float[Tensor, "b n"] | None = None,
        wanted: Float[Tensor, " b"] | None = None,
    ) -> Float[Tensor, " b"]:
        """Values that are proved with multipliers lam (and mu), inf where none is: what is wanted,
        or else the least."""
        constant = self.constant(multipliers)
        gram, total = self.weighed(inputs)
        if wanted is None:
            return _proved(constant, gram, total, *_least(constant, gram))
        guess = (wanted * (1 - FINEST)) ** 2 / total
        sane = (wanted > 0) & (guess > 0) & guess.isfinite()
        return _proved(constant, gram, total, torch.where(sane, guess, 1.0), sane, attempts=1)

    def ellipsoids(
        self, multipliers: Mapping[str, Tensor], inputs: Tensor | None, s: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b m m"], Float[Tensor, " b"]]:
        """A with (w y)^2 <= total / s w^T A w for every w, proved, and total; inf where none is.

        M >= 0 with A in the place of 1: the least is 1 - M's own block plus what Schur's complement
        adds.
        """
        constant = self.constant(multipliers)
        gram, total = self.weighed(inputs)
        rest = constant - Rounded.exact(gram) * Rounded.exact(s.reshape(-1, 1, 1))
        height = self.readouts.shape[1]
        inner = gram.shape[1] - height
        eye = torch.eye(height, dtype=s.dtype)
        factor, feasible = _factor(rest[:, :inner, :inner])
        across = torch.linalg.solve_triangular(factor, rest.value[:, :inner, inner:], upper=False)
        least = eye - rest.value[:, inner:, inner:] + across.mT @ across
        least = (least + least.mT) / 2
        found = torch.full_like(least, math.inf)
        open_, excess = feasible.nonzero().reshape(-1), LOOSE
        for _ in range(ATTEMPTS):
            if not len(open_):
                break
            one = least[open_]
            one = one + torch.diag_embed(one.diagonal(dim1=1, dim2=2) * excess)
            part = rest[open_]
            own = part[:, inner:, inner:] + (Rounded.exact(one) - Rounded.exact(eye.expand_as(one)))
            whole = blocks([[part[:, :inner, :inner]], [part[:, inner:, :inner], own]])
            holds = are_semidefinite(whole)
            found[open_[holds]] = one[holds]
            open_, excess = open_[~holds], excess * COARSER
        return found, total

    def heights_and_widths(self, multipliers: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """h of every row (1 of the read-out's) and g of every column, in doubles."""
        count = len(self.samples)
        heights = list[Tensor]()
        widths = [self.readouts.new_zeros(count, 0)]
        for name, one in self.rows.bent.items():
            radius = one.radius[self.samples]
            h = _moderate(1 / (radius**2 * multipliers[name].reshape(radius.shape)))
            heights.append(one.in_rows(h, self.samples))
            widths.append(one.in_columns(_width(radius, h), self.samples))
        heights.append(self.readouts.new_ones(self.readouts.shape[:2]))
        return torch.cat(heights, 1), torch.cat(widths, 1)

    def constant(self, multipliers: Mapping[str, Tensor]) -> Rounded:
        """diag(h, 1) - E diag(g) E^T."""
        h, g = self.heights_and_widths(multipliers)
        *inner, last = (part[self.samples] for part in self.rows.e)
        parts = [*inner, Rounded.exact(self.readouts) @ last]
        squares = blocks([[_weighed(a, b, g) for b in parts[: k + 1]] for k, a in enumerate(parts)])
        return Rounded.exact(torch.diag_embed(h)) - squares

    def weighed(self, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """At least X diag(1 / mu) X^T, and at least sum mu."""
        if inputs is None:
            total = self.readouts.new_ones(len(self.samples))
            return self._read(self.rows.gram[self.samples]).above(), total
        shares = _moderate(1 / inputs.reshape(len(self.samples), -1))
        gram = self.rows.weighed(shares, self.samples)
        return self._read(gram).above(), raised((1 / shares).sum(1), shares.shape[1] + 1)

    def _read(self, gram: Rounded) -> Rounded:
        """With the read-outs' rows instead of the outputs'."""
        inner = gram.value.shape[1] - len(self.rows.outputs)
        readout = Rounded.exact(self.readouts)
        across, own = readout @ gram[:, inner:, :inner], readout @ gram[:, inner:, inner:]
        return blocks([[gram[:, :inner, :inner]], [across, own @ readout.H]])


def _weighed(a: Rounded, b: Rounded, g: Tensor) -> Rounded:
    """a diag(g) b^T, of the columns that both have."""
    width = min(a.value.shape[2], b.value.shape[2])
    weights = Rounded.exact(g[:, :width].unsqueeze(1))
    return (a[:, :, :width] * weights) @ b[:, :, :width].H


def _proved(
    constant: Rounded,
    gram: Tensor,
    total: Tensor,
    least: Tensor,
    feasible: Tensor,
    attempts: int = ATTEMPTS,
) -> Tensor:
    """The roots of total / s for the first 1 / s above a guess that are proved."""
    values = torch.full_like(least, math.inf)
    open_, excess = feasible.nonzero().reshape(-1), FINEST
    for _ in range(attempts):
        if not len(open_):
            break
        s = 1 / (least[open_] * (1 + excess))
        part = Rounded.exact(gram[open_]) * Rounded.exact(s.reshape(-1, 1, 1))
        holds = are_semidefinite(constant[open_] - part)
        values[open_[holds]] = _root_above(total[open_[holds]], s[holds])
        open_, excess = open_[~holds], excess * COARSER
    return values


def _least(constant: Rounded, gram: Tensor) -> tuple[Tensor, Tensor]:
    """About the least 1 / s that can be proved, and where there is one."""
    factor, feasible = _factor(constant)
    half = torch.linalg.solve_triangular(factor, gram, upper=False)
    whole = torch.linalg.solve_triangular(factor, half.mT, upper=False)
    feasible &= whole.isfinite().flatten(1).all(1)
    whole = torch.where(feasible.reshape(-1, 1, 1), whole, 0.0)
    return torch.linalg.eigvalsh(whole)[:, -1].clamp(min=LEAST), feasible


def _factor(matrix: Rounded) -> tuple[Tensor, Tensor]:
    """A factor of what is a little less than the matrix, and where there is one."""
    lowered = matrix.value.clone()
    diagonal = lowered.diagonal(dim1=-2, dim2=-1)
    diagonal -= ROOM * shifts_of(matrix).unsqueeze(1) * diagonal.abs()
    factor, failed = torch.linalg.cholesky_ex(lowered)
    feasible = (failed == 0) & factor.isfinite().flatten(1).all(1)
    eye = torch.eye(lowered.shape[-1], dtype=lowered.dtype)
    return torch.where(feasible.reshape(-1, 1, 1), factor, eye), feasible


def _parts(
    rows: Rows, network: OperandRows, bent: Mapping[str, Bent], shape: tuple[int, int]
) -> tuple[Rounded, Rounded]:
    """X and E of some rows, (s, n, .)."""

    def none(width: int) -> Rounded:
        return Rounded.exact(torch.zeros(*shape, width, dtype=torch.float64))

    columns = [
        one.columns(rows[name]) if name in rows else none(one.width) for name, one in bent.items()
    ]
    source = network.graph.input
    size = network.graph.input_shape.numel()
    x = flattened(rows[source]) if source in rows else none(size)
    return x, _joined([*columns, none(0)], 2)


def _kept(parts: tuple[Rounded, Rounded], real: Tensor | None) -> tuple[Rounded, Rounded]:
    """0 in the rows that are gaps."""
    if real is None or bool(real.all()):
        return parts
    x, e = (
        Rounded(part.value * real.unsqueeze(2), part.error * real.unsqueeze(2)) for part in parts
    )
    return x, e


def _joined(parts: Sequence[Rounded], axis: int) -> Rounded:
    value = torch.cat([part.value for part in parts], axis)
    return Rounded(value, torch.cat([part.error.expand(part.value.shape) for part in parts], axis))


def _width(radius: Tensor, h: Tensor) -> Tensor:
    """At least rho^2 h."""
    return raised(radius.clamp(min=NARROWEST) ** 2 * h, 2)


def _moderate(x: Tensor) -> Tensor:
    """Positive numbers of moderate size; 1 for what is none."""
    return torch.where(x.isnan(), 1.0, x.clamp(1 / WIDEST, WIDEST))


def _root_above(total: Tensor, s: Tensor) -> Tensor:
    """At least the root of total / s."""
    return raised((total / s).sqrt(), 2)
