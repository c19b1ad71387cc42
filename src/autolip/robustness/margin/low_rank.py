"""Multipliers of a form whose signs are all open, step by step: nothing here is proved,
`Form.proves` is.

Vectors of R^r take the place of numbers, and a unit vector e that of 1: what is lifted is a matrix
of rank r (S. Burer and R. Monteiro, Mathematical Programming 95, 2003).  Minimise e.margin over X
of Frobenius norm at most R (of rows of lengths at most R_k, on a box), and over z with

    |z_i - v_i / 2| <= (1 + eta) |v_i| / 2      e.z_i >= 0      e.z_i >= e.v_i                  (1)

v_i being linear in e, X and the z before it.  Of multipliers alpha, nu and mu of (1), one of nu and
mu is 0: tau is nu where e.v_i <= 0, mu elsewhere.  With q the gradient of all that comes after z_i,
q' its part across e, and k = |e.v_i| / ((1 + eta) |v_i|), a minimum has

    tau = max(0, e.q + k |q'| / (1 - k^2)^(1/2))         alpha (1 + eta) |v_i| = |tau e - q|
    z_i = v_i / 2 + (1 + eta) |v_i| / 2 u                u = (tau e - q) / |tau e - q|

and passes w = q / 2 -+ tau e / 2 - alpha (1 + eta)^2 v_i / 2 on to v_i (- for nu, + for mu).  X
goes against the sum G of what reaches it, and |G| / 2 R is the multiplier m of |X| <= R (on a box
|G_k| / 2 R_k that of each row).  A step is a pass forwards, a pass backwards, and half of the way
to what they give.

In `Form`, where a range stands for a half-space: with b = mu / -lo, c = nu / hi and a = alpha + b,

    a z (v - z) + b (v - lo) (z - v) + c z (hi - z)
        = alpha z (v - z) + mu (z - v) + nu z - b (z - v)^2 - c z^2

so that the form's matrix is that of (1) for eta = 0, and more.  The eta is for what steps leave: a
matrix that is semidefinite for eta > 0 is alpha eta (2 + eta) v^2 / 4 above it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from autolip.budget import charge
from autolip.operators.norms.rounding import nonzero
from autolip.operators.operator import CPU
from autolip.robustness.margin.form import Form, Multipliers

RANK = 8
"""Chosen: r, beyond which nothing changed on zoo/robustness/mnist_mlp."""

DAMPED = 0.5
"""Chosen: part of the last step that stays."""

TINY = 1e-12
"""Chosen: multipliers that have a sign are at least this part of the largest."""

NEAR_ONE = 1 - 1e-6
"""Chosen: k at most, for float32."""


@dataclass(frozen=True)
class Pass:
    """What one pass forwards and backwards has found."""

    value: float
    """e.margin, of (1): about the least margin of the relaxation without ranges."""
    alpha: Float[Tensor, " k"]
    tau: Float[Tensor, " k"]
    along: Float[Tensor, " k"]
    """e.v: where it is above 0, tau is mu, elsewhere nu."""
    ball: Float[Tensor, " s"]

    @property
    def mu(self) -> Float[Tensor, " k"]:
        """Of z - v >= 0."""
        return self.tau * (self.along > 0)

    @property
    def nu(self) -> Float[Tensor, " k"]:
        """Of z >= 0."""
        return self.tau - self.mu


class Descent:
    """The steps on one margin."""

    def __init__(
        self,
        rows: Float[Tensor, "n columns"],
        reach: Float[Tensor, " s"],
        free: int,
        seed: int = 0,
        device: torch.device = CPU,
    ) -> None:
        """v of all hinges, then the margin, over 1, x (`free` entries) and z; R, or all R_k."""
        rows = rows.to(device, torch.float32)
        count = len(rows) - 1
        sizes = [1, free, count]
        columns = rows.split(sizes, 1)
        constants, slopes, links = columns
        self.reach = reach.to(device, torch.float32)
        self.constants = constants[:-1, 0]
        self.slopes = slopes[:-1].contiguous()
        self.links = links[:-1].contiguous()
        self.constant = constants[-1, 0]
        self.slope = slopes[-1]
        self.link = links[-1]
        self.layers = _layers(self.links)
        generator = torch.Generator().manual_seed(seed)
        x, u = (torch.randn(size, RANK, generator=generator) for size in sizes[1:])
        self.x = x.to(device)
        self.u = 0.3 * u.to(device)
        self.u[:, 0] += 1

    @classmethod
    def of(cls, form: Form, seed: int = 0, device: torch.device = CPU) -> "Descent":
        """Those of a form; raises ValueError where a sign is fixed."""
        if len(form.open) < len(form.lo):
            raise ValueError("a low-rank relaxation takes forms whose signs are all open")
        reach = torch.tensor([form.reach], dtype=torch.float64)
        return cls(form.rows.value, reach, form.free, seed, device)

    def passes(self, steps: int, eta: float) -> Iterator[Pass]:
        """What every step finds."""
        for _ in range(steps):
            charge(8.0 * RANK * self.links.numel())
            yield self._step(1 + eta)

    def _step(self, wider: float) -> Pass:
        self.x = self._stretched(self.x)
        v, z = self._forwards(wider)
        x = self.x[:, 0]
        value = self.constant + self.slope @ x
        value = value + self.link @ z[:, 0]
        w, alpha, tau = self._backwards(v, wider)
        gradient = self.slopes.T @ w
        gradient[:, 0] += self.slope
        against = self._stretched(-gradient)
        self.x = _between(self.x, against)
        ball = self._lengths(gradient)[:, 0] / (2 * self.reach)
        parts = alpha, tau, v[:, 0], ball
        return Pass(float(value), *(part.to(CPU, torch.float64) for part in parts))

    def _stretched(self, x: Float[Tensor, "f r"]) -> Float[Tensor, "f r"]:
        """Of length R, or rows of lengths R_k."""
        return x * (self.reach.unsqueeze(1) / nonzero(self._lengths(x)))

    def _lengths(self, x: Float[Tensor, "f r"]) -> Float[Tensor, "s 1"]:
        """Of all of x, or of its rows."""
        return _length(x if len(self.reach) > 1 else x.reshape(1, -1))

    def _forwards(self, wider: float) -> tuple[Float[Tensor, "k r"], Float[Tensor, "k r"]]:
        """v and z, layer by layer."""
        v = self.slopes @ self.x
        z = torch.zeros_like(self.u)
        v[:, 0] += self.constants
        for layer in self.layers:
            before = slice(0, layer.start)
            links = self.links[layer, before]
            own = v[layer]
            own += links @ z[before]
            k = _least_cosine(own, wider)
            u = _capped(self.u[layer], k)
            half = wider / 2 * _length(own)
            z[layer] = own / 2 + half * u
        return v, z

    def _backwards(
        self, v: Float[Tensor, "k r"], wider: float
    ) -> tuple[Float[Tensor, "k r"], Float[Tensor, " k"], Float[Tensor, " k"]]:
        """w, alpha and tau, from the last layer; u moves on."""
        q = torch.zeros_like(v)
        q[:, 0] = self.link
        w = torch.zeros_like(v)
        alpha = v.new_zeros(len(v))
        tau = v.new_zeros(len(v))
        for layer in reversed(self.layers):
            before = slice(0, layer.start)
            found = _answered(q[layer], v[layer], wider)
            w[layer], alpha[layer], tau[layer], best = found
            last = _unit(self.u[layer])
            self.u[layer] = _between(last, best)
            links = self.links[layer, before]
            q[before] += links.T @ w[layer]
        return w, alpha, tau


def multipliers(form: Form, found: Pass) -> Multipliers:
    """a, b and c of the form, and m."""
    b = found.mu / -form.lo
    c = found.nu / form.hi
    both = torch.cat([found.alpha + b, b, c])
    least = TINY * float(both.max())
    count = len(b)
    signed = both[count:].clamp(min=least)
    return Multipliers(torch.cat([both[:count], signed]), float(found.ball))


def _layers(links: Float[Tensor, "k k"]) -> list[slice]:
    """Runs of hinges that are not linked to each other."""
    count = len(links)
    places = torch.arange(1, count + 1)
    last = ((links != 0) * places).amax(1).tolist()
    starts = [0]
    for number in range(count):
        if last[number] > starts[-1]:
            starts.append(number)
    return [slice(a, b) for a, b in zip(starts, [*starts[1:], count], strict=True)]


def _answered(q: Tensor, v: Tensor, wider: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """w, alpha, tau and u for a gradient q of z."""
    k = _least_cosine(v, wider)
    sine = (1 - k * k).sqrt()
    sideways = _length(_across(q))
    wanted = q[:, :1] + k * sideways / sine
    tau = wanted.clamp(min=0.0)
    force = -q
    force[:, :1] += tau
    size = _length(force)
    length = wider * _length(v)
    alpha = size / nonzero(length)
    w = q - alpha * wider**2 * v
    above = v[:, :1] > 0
    w[:, :1] += torch.where(above, tau, -tau)
    w = w / 2
    return w, alpha[:, 0], tau[:, 0], force / nonzero(size)


def _capped(u: Float[Tensor, "k r"], k: Float[Tensor, "k 1"]) -> Float[Tensor, "k r"]:
    """Unit vectors near these with e.u >= k."""
    u = _unit(u)
    along = torch.maximum(u[:, :1], k)
    square = 1 - along * along
    sine = square.clamp(min=0.0).sqrt()
    found = _unit(_across(u)) * sine
    found[:, :1] = along
    return found


def _least_cosine(v: Float[Tensor, "k r"], wider: float) -> Float[Tensor, "k 1"]:
    """What (1) makes of e.u."""
    return (v[:, :1].abs() / nonzero(wider * _length(v))).clamp(max=NEAR_ONE)


def _between(last: Tensor, found: Tensor) -> Tensor:
    """Part of the way from one to the other."""
    return DAMPED * last + (1 - DAMPED) * found


def _across(v: Float[Tensor, "k r"]) -> Float[Tensor, "k r"]:
    """Without the part along e."""
    found = v.clone()
    found[:, 0] = 0.0
    return found


def _length(v: Float[Tensor, "k r"]) -> Float[Tensor, "k 1"]:
    return v.norm(dim=1, keepdim=True)


def _unit(v: Float[Tensor, "k r"]) -> Float[Tensor, "k r"]:
    return v / nonzero(_length(v))


def is_finite(found: Multipliers) -> bool:
    """Whether steps in float32 have come to numbers."""
    return bool(found.hinges.isfinite().all()) and math.isfinite(found.ball)
