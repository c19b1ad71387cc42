"""The least multiplier bound, by a primal-dual interior-point method on many boxes of slopes at
once.

With tau = log t, M(exp(tau)) is convex in tau for the order of symmetric matrices, so that

    minimise beta   subject to   S = beta I - M(exp(tau)) >= 0

is a convex problem.  Any Z >= 0 of trace one bounds its optimum from below, by the least of <Z,
M(t)> over t:

    dual(Z) = 2 sum_i c_i n_i + r_i sqrt(p_i v_i),    p_i = a_i^T Z_yy a_i,  v_i = b_i^T Z_xx b_i,
    n_i = a_i^T Z_yx b_i.

Each step solves the optimality conditions S Z = mu I, <Z, dM/dtau_i> = 0, trace Z = 1, linearised
and symmetrised as by Helmberg, Rendl, Vanderbei and Wolkowicz (SIAM J. Optim. 6, 1996).  With P, V,
N the Gram matrices of the vectors sqrt(r t) a_i and sqrt(r/t) b_i in the metric S^-1 and P', V', N'
in the metric Z, its matrix is

    H = P o P' + V o V' - N o N' - (N o N')^T + diag(P' + V'),

so that a step costs a few multiplications and factorisations of order p + q.  The search needs no
proof: an iterate is accepted by its Cholesky factorisation alone, and that is the certificate (see
multipliers).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from autolip.budget import UNLIMITED, Budget
from autolip.intervals import centre_and_radius
from autolip.methods.seqlip.inner.multipliers import Gram, factorised
from autolip.methods.seqlip.inner.problem import UNDERFLOW


class Rows:
    """Tensors with a common first axis, read and written by rows."""

    def __getitem__(self, index: Tensor) -> Self:
        return type(self)(*(getattr(self, f.name)[index] for f in fields(self)))  # type: ignore[arg-type]

    def put(self, index: Tensor, other: Self) -> None:
        """Overwrite the rows `index` with those of another."""
        for f in fields(self):  # type: ignore[arg-type]
            getattr(self, f.name)[index] = getattr(other, f.name)


@dataclass(frozen=True)
class Boxes(Rows):
    """k boxes of slopes, with multipliers exp(tau) for which lambda_max(M) <= bound is proved.

    `beta` is feasible for tau.  `dual` is at most the least bound over all multipliers.  `lean` (k,
    n) is the cosine of a neuron's two vectors: 1 where the relaxation wants the upper slope, -1 the
    lower one; `loss` (k, n) is what the bound owes to its indecision.
    """

    lo: Float[Tensor, "k n"]
    hi: Float[Tensor, "k n"]
    tau: Float[Tensor, "k n"]
    beta: Float[Tensor, " k"]
    bound: Float[Tensor, " k"]
    dual: Float[Tensor, " k"]
    lean: Float[Tensor, "k n"]
    loss: Float[Tensor, "k n"]

    @staticmethod
    def root(gram: Gram, lo: Float[Tensor, " n"], hi: Float[Tensor, " n"]) -> "Boxes":
        """One box; multipliers that balance each neuron's two sides."""
        lo = lo[None]
        hi = hi[None]
        c, r = centre_and_radius(lo, hi)
        ratios = gram.b.norm(dim=1) / gram.a.norm(dim=0)
        logarithms = ratios.log().nan_to_num(0.0)
        tau = logarithms.clamp(-50, 50)[None]
        matrices = gram.matrix(c, r, tau.exp())
        values = torch.linalg.eigvalsh(matrices)
        beta = 1.5 * values[:, -1]
        blank = torch.zeros_like(tau)
        infinite = torch.full_like(beta, math.inf)
        return Boxes(lo, hi, tau, beta, infinite, torch.zeros_like(beta), blank, blank.clone())

    def free(self) -> Bool[Tensor, "k n"]:
        return self.lo < self.hi


@dataclass(frozen=True)
class Goal:
    """When a box needs no further step.

    Its bound is at most `target`; or its dual value exceeds the target and its bound is within
    `gap` times the distance to the target, so that more steps would not help; or its bound is
    within `floor` of its dual value.
    """

    target: float
    gap: float = 0.25
    floor: float = 1e-11
    steps: int = 60
    budget: Budget = UNLIMITED

    def met(self, boxes: Boxes) -> Bool[Tensor, " k"]:
        excess = boxes.bound - boxes.dual
        is_above = boxes.dual > self.target
        missing = boxes.bound - self.target
        hopeless = is_above & (excess <= self.gap * missing)
        return (boxes.bound <= self.target) | hopeless | (excess <= self.floor * boxes.bound)


def minimise(gram: Gram, boxes: Boxes, goal: Goal) -> Boxes:
    """Steps on the multipliers of every box until its goal is met or the budget has expired; bounds
    never grow."""
    boxes = boxes[torch.arange(len(boxes.beta))]
    active = torch.arange(len(boxes.beta))
    work = _Iterate.of(gram, boxes)
    for _ in range(goal.steps):
        work, seen = _step(gram, work, boxes[active])
        boxes.put(active, seen)
        more = ~goal.met(seen) & work.moved
        active = active[more]
        work = work[more]
        if not len(active) or goal.budget.expired:
            break
    return boxes


@dataclass(frozen=True)
class _Iterate(Rows):
    """tau, beta, Z, the Cholesky factor of S, the next aim for mu, and whether the last step went
    anywhere."""

    c: Float[Tensor, "k n"]
    r: Float[Tensor, "k n"]
    tau: Float[Tensor, "k n"]
    beta: Float[Tensor, " k"]
    z: Float[Tensor, "k m m"]
    factor: Float[Tensor, "k m m"]
    shrink: Float[Tensor, " k"]
    moved: Bool[Tensor, " k"]

    @staticmethod
    def of(gram: Gram, boxes: Boxes) -> "_Iterate":
        """Feasible: beta is raised where S does not factorise."""
        c, r = centre_and_radius(boxes.lo, boxes.hi)
        beta = boxes.beta
        factor, complete = gram.factorised(c, r, boxes.tau.exp(), beta)
        while not bool(complete.all()):
            beta = torch.where(complete, beta, beta * 1.05 + UNDERFLOW)
            factor, complete = gram.factorised(c, r, boxes.tau.exp(), beta)
        inverse = torch.cholesky_inverse(factor)
        z = inverse / _trace(inverse)[:, None, None]
        return _Iterate(c, r, boxes.tau, beta, z, factor, torch.full_like(beta, 0.2), complete)


@dataclass(frozen=True)
class _Metric:
    """Gram matrices P, V, N of the scaled a_i and b_i in a metric K."""

    p: Float[Tensor, "k n n"]
    v: Float[Tensor, "k n n"]
    n: Float[Tensor, "k n n"]

    @staticmethod
    def of(gram: Gram, scale: tuple[Tensor, Tensor], k: Float[Tensor, "k m m"]) -> "_Metric":
        rows, (left, right) = gram.a.shape[0], scale
        upper_block = k[:, :, :rows]
        by_a = (upper_block @ gram.a) * left[:, None, :]
        lower_block = k[:, rows:, rows:]
        by_b = (lower_block @ gram.b.T) * right[:, None, :]
        return _Metric(
            (gram.a.T @ by_a[:, :rows]) * left[:, :, None],
            (gram.b @ by_b) * right[:, :, None],
            (gram.b @ by_a[:, rows:]).mT * right[:, None, :],
        )


def _step(gram: Gram, at: _Iterate, boxes: Boxes) -> tuple[_Iterate, Boxes]:
    """One interior-point step; what the dual says where it starts, and the bound where it ends."""
    t = at.tau.exp()
    left = (at.r * t).sqrt()
    right = (at.r / t).sqrt()
    scale = left, right
    inverse = torch.cholesky_inverse(at.factor)
    ours = _Metric.of(gram, scale, inverse)
    theirs = _Metric.of(gram, scale, at.z)
    seen = _dual(gram, at, theirs, boxes)
    distance = (at.beta - seen.dual).clamp_min(1e-16 * at.beta)
    mu = at.shrink * distance / gram.order
    metrics = (scale, inverse, ours, theirs)
    dtau, dbeta, dz = _direction(gram, at, metrics, mu)
    tau, beta, factor, dual_length = _dual_search(gram, at, dtau, dbeta)
    z, primal_length = _primal_search(at.z, dz)
    shortest = torch.minimum(dual_length, primal_length)
    missing = (1 - shortest).square()
    shrink = torch.where(shortest == 1, 0.05, 0.2 + 0.3 * missing)
    proved = beta + gram.slack(at.c, at.r, tau.exp(), beta)
    bound = torch.minimum(boxes.bound, proved)
    moved = dual_length > 0
    after = _Iterate(at.c, at.r, tau, beta, z, factor, shrink, moved)
    return after, replace(seen, tau=tau, beta=beta, bound=bound)


def _dual(gram: Gram, at: _Iterate, metric: _Metric, boxes: Boxes) -> Boxes:
    """The dual value of Z (an estimate: it steers, it proves nothing)."""
    rows = gram.a.shape[0]
    p, v, n = (_diagonal(x) for x in (metric.p, metric.v, metric.n))
    products = p.clamp_min(0) * v.clamp_min(0)
    length = products.sqrt()
    scaled = gram.a * at.c[:, None, :]
    centred = scaled @ gram.b
    block = at.z[:, :rows, rows:]
    cross = (centred * block).sum((1, 2))
    both = cross + length.sum(1)
    value = 2 * both / _trace(at.z)
    ratio = torch.where(length > 0, n / length, 0.0)
    lean = ratio.clamp(-1, 1)
    loss = 2 * length * (1 - lean.abs())
    dual = torch.maximum(boxes.dual, value)
    return replace(boxes, tau=at.tau, beta=at.beta, dual=dual, lean=lean, loss=loss)


def _direction(
    gram: Gram,
    at: _Iterate,
    known: tuple[tuple[Tensor, Tensor], Tensor, _Metric, _Metric],
    mu: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """The step in tau, beta and Z."""
    scale, inverse, ours, theirs = known
    product = at.z @ inverse
    symmetric = (product + product.mT) / 2
    mixed = _Metric.of(gram, scale, symmetric)
    crossed = ours.n * theirs.n
    squares = ours.p * theirs.p + ours.v * theirs.v
    matrix = squares - crossed - crossed.mT
    _diagonal(matrix).add_(_diagonal(theirs.p) + _diagonal(theirs.v) + (at.r == 0) * 1.0)
    difference = _diagonal(ours.p) - _diagonal(ours.v)
    slope = mu[:, None] * difference
    border = _diagonal(mixed.p) - _diagonal(mixed.v)
    sides = torch.stack([slope, border], 2)
    solved = torch.linalg.solve_ex(matrix, sides)[0]
    by_slope = solved[..., 0]
    by_border = solved[..., 1]
    along_slope = (border * by_slope).sum(1)
    dbeta = mu * _trace(inverse) - 1 - along_slope
    along_border = (border * by_border).sum(1)
    dbeta = dbeta / (_trace(product) - along_border)
    dtau = by_border * dbeta[:, None] - by_slope
    moved = _change(gram, scale, dtau, dbeta)
    half = at.z @ moved @ inverse
    return dtau, dbeta, mu[:, None, None] * inverse - at.z - (half + half.mT) / 2


def _change(
    gram: Gram, scale: tuple[Tensor, Tensor], dtau: Tensor, dbeta: Tensor
) -> Float[Tensor, "k m m"]:
    """The linear change of S."""
    rows, (left, right) = gram.a.shape[0], scale
    change = dtau.new_zeros(len(dtau), gram.order, gram.order)
    change[:, :rows, :rows] = (gram.a * (-(left**2) * dtau)[:, None, :]) @ gram.a.T
    change[:, rows:, rows:] = (gram.b.T * (right**2 * dtau)[:, None, :]) @ gram.b
    _diagonal(change).add_(dbeta[:, None])
    return change


_LENGTHS = 0.7 ** torch.arange(4.0, dtype=torch.float64)
"""Chosen: step lengths tried together; then the same again, shorter."""


def _dual_search(
    gram: Gram, at: _Iterate, dtau: Tensor, dbeta: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along (dtau, dbeta) as far as S factorises; nothing moves where it never does."""
    largest = dtau.abs().amax(1).clamp_min(1e-300) if dtau.shape[1] else torch.ones_like(dbeta)
    longest = (3 / largest).clamp_max(1.0)

    def trial(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Bool[Tensor, " k"]]:
        steps = lengths[:, None] * dtau[rows]
        tau = at.tau[rows] + steps
        return gram.factorised(
            at.c[rows], at.r[rows], tau.exp(), at.beta[rows] + lengths * dbeta[rows]
        )

    finite = dtau.isfinite().all(1) & dbeta.isfinite()
    reach = torch.where(finite, longest, 0.0)
    length, factor = _search(trial, at.factor, reach)
    column = length[:, None]
    tau = torch.where(column > 0, at.tau + column * dtau, at.tau)
    return tau, torch.where(length > 0, at.beta + length * dbeta, at.beta), factor, length


def _primal_search(z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """Along dz as far as Z factorises."""

    def trial(rows: Tensor, lengths: Tensor) -> tuple[Tensor, Bool[Tensor, " k"]]:
        return factorised(z[rows] + lengths[:, None, None] * dz[rows])

    is_finite = dz.isfinite().all(2).all(1)
    longest = is_finite.to(z.dtype)
    length, _ = _search(trial, z, longest)
    return torch.where(length[:, None, None] > 0, z + length[:, None, None] * dz, z), length


def _search(
    trial: Callable[[Tensor, Tensor], tuple[Tensor, Bool[Tensor, " k"]]],
    factor: Tensor,
    longest: Tensor,
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k m m"]]:
    """For each row the greatest length tried at which a factorisation completes (0: none), and the
    factor."""
    length = torch.zeros_like(longest)
    factor = factor.clone()
    pending = (longest > 0).nonzero().flatten()
    for attempt in range(5):
        if not len(pending):
            break
        lengths = longest[pending, None] * _LENGTHS * _LENGTHS[1] ** (len(_LENGTHS) * attempt)
        repeated = pending.repeat_interleave(len(_LENGTHS))
        factors, complete = trial(repeated, lengths.flatten())
        complete = complete.view(len(pending), -1)
        found = complete.any(1)
        first = complete.int().argmax(1)
        rows = found.nonzero().flatten()
        length[pending[rows]] = lengths[rows, first[rows]]
        factor[pending[rows]] = factors.view(len(pending), len(_LENGTHS), *factor.shape[1:])[
            rows, first[rows]
        ]
        pending = pending[~found]
    return length, factor


def _diagonal(x: Tensor) -> Float[Tensor, "k n"]:
    return x.diagonal(dim1=1, dim2=2)


def _trace(x: Tensor) -> Float[Tensor, " k"]:
    return _diagonal(x).sum(1)
