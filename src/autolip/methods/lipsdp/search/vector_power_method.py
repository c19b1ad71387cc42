"""The vector power method: the semidefinite relaxation by forward and backward passes of the
network.

The dual of "H >= 0 for some multipliers" (see statement) gives every neuron a vector of R^r instead
of a number (Burer and Monteiro): x is a batch of r inputs with sum_i |x_i|^2 = 1, rows x_i in R^r,
and every result lies in the ball that its slopes allow, which is z = c v + rho |v| u, |u| = 1, c
and rho centre and radius of the slopes, |v| the length of a neuron's row (of a block's matrix, for
a Gain).  Maximise |y|^2.  One backward pass with

    q = d(|y|^2/2)/dz,    u <- q / |q|,
    w = d(|y|^2/2)/dv = c q + rho |q| v / |v|,    x <- C^T w / |C^T w|

gives every optimal u in closed form, the next x, and multipliers lam = |q| / (rho |v|).  Every step
is taken from a point beyond the last one, u + beta (u - u before) and x likewise, beta growing with
the steps and 0 again where the value falls (Nesterov's extrapolation, restarted: O'Donoghue and
Candes 2015): several times fewer steps.  At r = 1 this is a search over activation patterns; with r
large enough its maximum is that of the relaxation.  With a margin eta the slopes are widened to the
radius rho (1 - eta)^(-1/2): the multipliers found, divided by 1 - eta, then give H >= eta sum_i
lam_i (z_i - c_i v_i)^2 for the slopes as they are, because

    lam (rho^2 v^2 - (1 - eta) s^2) = lam' (rho^2 / (1 - eta) v^2 - s^2),
    lam' = (1 - eta) lam,    s = z - c v.

With an linf input every row of x is normalised alone, and mu_i = |C^T w|_i; with an l1 output the
objective is (sum_j |y_j|)^2, nu_j = |y_j| / sum |y|.
"""

import math
import zlib
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from autolip.budget import charge
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.network_passes import Passes
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators.norms.rounding import nonzero, power_of_two
from autolip.operators.operator import CPU, DTYPE

FLOOR = 1e-6
"""Chosen: square of the share of a layer's mean that stands for the signal of a neuron that has
less."""

A_NUMBER = 8e-9
"""Seconds of reference that a step takes for each variable and column, beside its products: tuned
(measured)."""

LEAST_ENERGY = 1e-15
"""Chosen: share of |y|^2 below which the energy of a neuron does not matter: multipliers are no
larger than that asks for."""

FADING, FAINTEST = 1e-2, 1e-60
"""Chosen: how much less a neuron that no output hears weighs than one a layer before it, and at
least."""

WIDENED = 0.05
"""Chosen: size of new columns, in terms of the mean entry of those that are there."""


@dataclass
class _Neurons:
    """One nonlinear vertex: its slopes, and the last pass there; multipliers are to be multiplied
    by 4^shift."""

    centre: Tensor
    radius: Tensor
    blocks: torch.Size
    out_shape: torch.Size
    u: Tensor | None = None
    ahead: Tensor | None = None
    """Beyond u, seen from the one before: the direction that the next pass takes."""
    v: Tensor = torch.empty(0)
    size: Tensor = torch.empty(0)
    """|v_i|."""
    pull: Tensor = torch.empty(0)
    """|q_i|."""
    reach: Tensor = torch.empty(0)
    """|v_i|^2 for a random input, in terms of its median over the layer."""
    heard: Tensor = torch.empty(0)
    """|q_i|^2 there, likewise."""
    shift: int = 0

    def length(self, x: Tensor | None) -> Tensor:
        """|x_i| of every neuron over the batch, or of every block."""
        assert x is not None
        blocks = self.blocks if len(self.blocks) == x.dim() - 1 else torch.Size()
        axes = [0, *(i + 1 for i in range(x.dim() - 1) if not blocks or blocks[i] == 1)]
        return (
            (x * x).sum(axes).sqrt().reshape(self.blocks)
        )  # several times faster than torch's vector norm


@dataclass
class Ascent:
    """The iterate of the vector power method, r columns; `step` improves it.

    `primal` is |y|: what the relaxation attains.  `dual` is what the multipliers would prove at a
    fixed point. Neither is a bound on anything before the statement is proved.
    """

    relaxation: Relaxation
    rank: int
    dtype: torch.dtype = torch.float32
    device: torch.device = CPU
    margin: float = 0.0
    seed: int = 0
    primal: float = 0.0
    dual: float = math.inf
    steps: int = 0
    x: Tensor = field(init=False)
    pace: int = field(init=False, default=0)
    """Steps since the value last fell."""
    _x: Tensor | None = field(init=False, default=None, repr=False)
    _passes: Passes = field(init=False, repr=False)
    _neurons: dict[str, _Neurons] = field(init=False, repr=False)
    _inputs: Tensor = field(init=False, repr=False)
    _outputs: Tensor = field(init=False, repr=False)
    _signal: float = field(init=False, default=0.0, repr=False)
    """|y|^2, in terms of its own exponent."""

    def __post_init__(self) -> None:
        self._passes = Passes(self._graph, self.dtype, normalise=True, device=self.device)
        constraints = self.relaxation.constraints
        self._neurons = {name: self._layer(item) for name, item in constraints.items()}
        self.x = self._unit(self._random(self._graph.input_shape))

    @property
    def _graph(self) -> SlopeGraph:
        return self.relaxation.graph

    def _layer(self, item: Constraint) -> _Neurons:
        centre, radius = (x.to(self.device, self.dtype) for x in (item.centre, item.radius))
        return _Neurons(centre, radius, item.blocks, item.out_shape)

    def _random(self, shape: torch.Size, name: str = "") -> Tensor:
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        return torch.randn((self.rank, *shape), generator=generator, dtype=DTYPE).to(
            self.device, self.dtype
        )

    def _unit(self, x: Tensor) -> Tensor:
        """x on the sphere, or every row of it on its own."""
        return x / nonzero(_rows(x) if self.relaxation.p is Norm.LINF else x.norm())

    def step(self) -> None:
        """One forward and one backward pass."""
        y = self._passes.forward(self.x, self._to_result)
        scale = power_of_two(self._passes.exponents[self._passes.output])
        rows = _rows(y)
        self._signal = float(rows.square().sum())
        total = rows.sum() if self.relaxation.q is Norm.L1 else rows.norm()
        self.pace = self.pace + 1 if float(total) * scale >= self.primal else 0
        self.primal = float(total) * scale
        self._outputs = rows / nonzero(total)
        w = self._passes.adjoint(
            y / nonzero(rows) * total if self.relaxation.q is Norm.L1 else y, self._to_operand
        )
        self._inputs = _rows(w) if self.relaxation.p is Norm.LINF else w.norm()
        self.dual = math.sqrt(float(self._inputs.sum())) * scale
        fresh = self._unit(w)
        self.x, self._x = self._unit(self._beyond(fresh, self._x)), fresh
        self.steps += 1
        charge(0.0, A_NUMBER * self.rank * self.relaxation.variables)

    def _beyond(self, fresh: Tensor, before: Tensor | None) -> Tensor:
        """What is extrapolated from two steps."""
        return (
            fresh
            if before is None or not self.pace
            else fresh + self.pace / (self.pace + 3) * (fresh - before)
        )

    @property
    def _widening(self) -> float:
        return float((1 - self.margin) ** -0.5)

    def _to_result(self, name: str, v: Tensor) -> Tensor:
        """z = c v + rho |v| u."""
        layer = self._neurons[name]
        if layer.ahead is None:
            layer.ahead = self._random(layer.out_shape, name)
        layer.v, layer.size = v, layer.length(v)
        if self.steps == 0:
            layer.reach = _relative(layer.size) + FLOOR
        push = self._widening * layer.radius * layer.size / nonzero(layer.length(layer.ahead))
        z = push * layer.ahead
        if v.shape[1:] == layer.out_shape:
            z = z + layer.centre * v
        return z

    def _to_operand(self, name: str, q: Tensor) -> Tensor:
        """w = c q + rho |q| v / |v|, and the multipliers |q| / (rho |v|)."""
        layer, exponents = self._neurons[name], self._passes.exponents
        shift = exponents[self._passes.output] - exponents[self._passes.source(name)]
        length, radius = layer.length(q), self._widening * layer.radius
        layer.pull, layer.shift = length, shift
        u = q / nonzero(length)
        layer.ahead, layer.u = self._beyond(u, layer.u), u
        if self.steps == 0:
            layer.heard = _relative(length)
        w = radius * length / nonzero(layer.size) * layer.v
        return w + layer.centre * q if q.shape == w.shape else w

    def widened(self, rank: int) -> "Ascent":
        """This iterate with more columns, the new ones small and random."""
        wide = replace(self, rank=rank, seed=self.seed + 1)
        wide.x = wide._unit(
            torch.cat([self.x, wide._random(self._graph.input_shape)[self.rank :] * self._small()])
        )
        for name, layer in self._neurons.items():
            if layer.u is not None:
                extra = (
                    wide._random(layer.out_shape, name)[self.rank :]
                    * layer.u.abs().mean()
                    * WIDENED
                )
                wide._neurons[name] = replace(layer, u=None, ahead=torch.cat([layer.u, extra]))
        return wide

    def _small(self) -> float:
        return WIDENED * float(self.x.abs().mean())

    def statement(self) -> Statement:
        """What this iterate claims; to be proved."""
        exponent = self._passes.exponents[self._passes.output]
        multipliers = {}
        for name, layer in self._neurons.items():
            if layer.size.numel():
                depth = self.relaxation.depths[name]
                lam = _multipliers(layer, self._signal, depth) / self._widening
                multipliers[name] = lam * (power_of_two(2 * layer.shift) / (1 - self.margin))
        inputs = (
            _positive(self._inputs.to(CPU, DTYPE)) * power_of_two(2 * exponent)
            if self.relaxation.p is Norm.LINF
            else None
        )
        outputs = (
            self._outputs.to(CPU, DTYPE) + FLOOR / self._outputs.numel()
            if self.relaxation.q is Norm.L1
            else None
        )
        return Statement(self.relaxation, multipliers, inputs, self.dual, outputs)


def _positive(inputs: Tensor) -> Tensor:
    """Weights of the input; small ones for entries that nothing reads."""
    return torch.where(inputs > 0, inputs, inputs.mean() * FLOOR**2)


def _multipliers(layer: _Neurons, signal: float, depth: int) -> Tensor:
    """|q| / (rho |v|); where there is no signal, the ratio of what a random pass showed, in terms
    of the layer's mean.

    A multiplier weighs lam (rho |v|)^2: that energy must stay small for a neuron that inputs reach
    and no output hears, and the smaller the deeper it is, for it may hear another such neuron.  Of
    a layer that no output hears it is small against the output's 1.  A neuron that reads nothing
    but roundings would weigh without bound: at the greatest lam, what q^2 / lam leaves is a
    negligible share of the signal.
    """
    pull, size, radius = (x.to(CPU, DTYPE) for x in (layer.pull, layer.size, layer.radius))
    reach = layer.reach.to(CPU, DTYPE)
    heard = layer.heard.to(CPU, DTYPE)
    into = pull.mean() ** 2
    out = size.mean() ** 2
    faded = max(FADING**depth, FAINTEST)
    share = FLOOR * faded
    if not bool(pull.any()):
        largest = torch.maximum(size**2, out)
        return share / nonzero(radius * radius * largest)
    least = torch.tensor(LEAST_ENERGY * signal)
    energies = pull * radius * size
    energy = share * torch.maximum(energies.mean(), least)
    pulls = pull**2 + FLOOR * into * heard
    sizes = size**2 + FLOOR * out * reach
    lam = (pulls / sizes).sqrt() / radius
    reached = size**2 + out * reach
    lam = lam + energy / nonzero(radius * radius * reached)
    left = pull**2 + FLOOR * into
    greatest = left / nonzero(least)
    return torch.minimum(lam, greatest)


def _relative(length: Tensor) -> Tensor:
    """Squares, in terms of their median over what is not zero."""
    square = length * length
    alive = square[square > 0]
    return square / (alive.median() if len(alive) else 1.0)


def _rows(x: Tensor) -> Tensor:
    """The length of every row, over the batch."""
    return (x * x).sum(0).sqrt()
