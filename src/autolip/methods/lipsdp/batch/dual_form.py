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
from jaxtyping import Bool, Float, Int
from torch import Tensor

from autolip.errors import Refusal
from autolip.methods.lipsdp.batch.bent import Bent
from autolip.methods.lipsdp.batch.operand_rows import OperandRows, Rows, flattened
from autolip.methods.lipsdp.batch.questions import Questions
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.operators.norms.semidefinite import (
    all_factorise,
    are_semidefinite,
    balancing,
    shifts_of,
)
from autolip.rounded import Rounded, blocks
from autolip.roundoff import raised, sum_error

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
    def gram(self) -> Tensor:
        """At least X X^T, symmetric."""
        return self.x.gram_above()

    def weighed(self, shares: Tensor, samples: Tensor) -> Tensor:
        """At least X diag(shares) X^T of every question, symmetric."""
        x = self.x[samples]
        return ((x * Rounded.exact(shares.unsqueeze(1))) @ x.H).above()


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
        gram, total = self.weighed(inputs)
        terms = Terms(*self.constants(multipliers), gram)
        if wanted is None:
            return _proved(terms, total, *_least(terms.constant, gram))
        guess = (wanted * (1 - FINEST)) ** 2 / total
        sane = (wanted > 0) & (guess > 0) & guess.isfinite()
        return _proved(terms, total, torch.where(sane, guess, 1.0), sane, attempts=1)

    def ellipsoids(
        self, multipliers: Mapping[str, Tensor], inputs: Tensor | None, s: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b m m"], Float[Tensor, " b"]]:
        """A with (w y)^2 <= total / s w^T A w for every w, proved, and total; inf where none is.

        M >= 0 with A in the place of 1: the least is 1 - M's own block plus what Schur's complement
        adds.
        """
        gram, total = self.weighed(inputs)
        constant = Terms(*self.constants(multipliers), gram).constant
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

    def constants(self, multipliers: Mapping[str, Tensor]) -> tuple[Tensor, Rounded]:
        """h, and E diag(g) E^T of the last rows: those before have no columns."""
        h, g = self.heights_and_widths(multipliers)
        *inner, last = (part[self.samples] for part in self.rows.e)
        parts = [*inner, Rounded.exact(self.readouts) @ last]
        kept = [part for part in parts if part.value.shape[2]]
        if not kept:
            return h, Rounded.exact(h.new_zeros(len(h), 0, 0))
        return h, blocks([[_weighed(a, b, g) for b in kept[: k + 1]] for k, a in enumerate(kept)])

    def weighed(self, inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        """At least X diag(1 / mu) X^T, symmetric, and at least sum mu."""
        if inputs is None:
            total = self.readouts.new_ones(len(self.samples))
            return self._read(self.rows.gram[self.samples]), total
        shares = _moderate(1 / inputs.reshape(len(self.samples), -1))
        gram = self.rows.weighed(shares, self.samples)
        return self._read(gram), raised((1 / shares).sum(1), shares.shape[1] + 1)

    def _read(self, gram: Tensor) -> Tensor:
        """With the read-outs' rows instead of the outputs', whose rounding the diagonal covers."""
        inner = gram.shape[1] - len(self.rows.outputs)
        readout = Rounded.exact(self.readouts)
        across, own = (readout @ Rounded.exact(x) for x in gram[:, inner:].tensor_split([inner], 2))
        own = blocks([[own @ readout.H]])
        height = inner + readout.value.shape[1]
        found = gram.new_empty(len(gram), height, height)
        found[:, :inner, :inner] = gram[:, :inner, :inner]
        found[:, inner:, :inner] = across.value
        found[:, :inner, inner:] = across.value.mT
        found[:, inner:, inner:] = own.value
        diagonal = found.diagonal(dim1=1, dim2=2)
        size = diagonal.clamp(min=LEAST).sqrt()
        weighed = across.error / size[:, :inner].unsqueeze(1)
        sums = size * torch.cat(
            [
                (across.error / size[:, inner:].unsqueeze(2)).sum(1),
                weighed.sum(2) + (own.error / size[:, inner:].unsqueeze(1)).sum(2),
            ],
            1,
        )
        top = diagonal + raised(sums, height + 4)
        diagonal.copy_(torch.where(sums > 0, top.nextafter(torch.full_like(top, math.inf)), top))
        return found


@dataclass(frozen=True)
class Terms:
    """M = diag(h) - F - s G, F of the last rows alone; G >= 0 is stored exactly."""

    h: Float[Tensor, "b n"]
    squares: Rounded
    """F, symmetric."""
    gram: Float[Tensor, "b n n"]

    def taken(self, index: Tensor) -> "Terms":
        """Some of them."""
        return Terms(self.h[index], self.squares[index], self.gram[index])

    @property
    def constant(self) -> Rounded:
        """M without G."""
        h, count = self.h, self.squares.value.shape[1]
        value, error = torch.diag_embed(h), torch.zeros_like(self.gram)
        first = h.shape[1] - count
        last = Rounded.exact(value[:, first:, first:]) - self.squares
        value[:, first:, first:], error[:, first:, first:] = last.value, last.error
        return Rounded(value, error)

    def hold(self, s: Float[Tensor, " b"]) -> Bool[Tensor, " b"]:
        """Whether M >= 0 is proved, its rounding bounded by row sums.

        With p_i = (s G_ii)^(1/2) those of s |G| are at most p_i sum p, for G >= 0; an entry of M is
        a sum of three numbers.
        """
        first = self.h.shape[1] - self.squares.value.shape[1]
        matrix = self.gram * -s.reshape(-1, 1, 1)
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        p = (-diagonal).sqrt()
        diagonal += self.h
        matrix[:, first:, first:] -= self.squares.value
        sane = (diagonal > 0).all(1) & diagonal.isfinite().all(1)
        scale = balancing(diagonal)
        p = p * scale
        sizes = p * p.sum(1, keepdim=True) + self.h * scale * scale
        outer = scale[:, first:].unsqueeze(2) * scale[:, first:].unsqueeze(1)
        sizes[:, first:] += (self.squares.moduli * outer).sum(2)
        known = (self.squares.error * outer).sum(2).amax(1) if first < len(self.h[0]) else 0.0
        slack = sum_error(3, sizes).amax(1) + known
        matrix *= scale.unsqueeze(2)
        matrix *= scale.unsqueeze(1)
        return sane & all_factorise(matrix, raised(slack, 2 * self.h.shape[1] + 12))


def _weighed(a: Rounded, b: Rounded, g: Tensor) -> Rounded:
    """a diag(g) b^T, of the columns that both have."""
    width = min(a.value.shape[2], b.value.shape[2])
    weights = Rounded.exact(g[:, :width].unsqueeze(1))
    return (a[:, :, :width] * weights) @ b[:, :, :width].H


def _proved(
    terms: Terms, total: Tensor, least: Tensor, feasible: Tensor, attempts: int = ATTEMPTS
) -> Tensor:
    """The roots of total / s for the first 1 / s above a guess that are proved."""
    values = torch.full_like(least, math.inf)
    open_, excess = feasible.nonzero().reshape(-1), FINEST
    for _ in range(attempts):
        if not len(open_):
            break
        s = 1 / (least[open_] * (1 + excess))
        holds = terms.taken(open_).hold(s)
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
