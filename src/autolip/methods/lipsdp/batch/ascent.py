"""The vector power method (see vector_power_method) on a batch of questions.

Inputs are a batch of questions times columns, so that one product with every affine operator serves
them all; slopes, read-outs and the extrapolation belong to a question.
"""

import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from autolip.budget import charge
from autolip.methods.lipsdp.batch.questions import Questions, Vectors
from autolip.methods.lipsdp.relaxation.constraint import Constraint
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.network_passes import Passes
from autolip.methods.lipsdp.search.vector_power_method import A_NUMBER, FLOOR
from autolip.norms import Norm
from autolip.operators.norms.rounding import nonzero, power_of_two
from autolip.operators.operator import CPU, DTYPE


@dataclass
class _Bend:
    """One nonlinear vertex: every question's slopes, and the last pass there."""

    centre: Tensor
    """(b, 1, *shape)."""
    radius: Tensor
    """(b, *blocks)."""
    blocks: torch.Size
    u: Tensor
    ahead: Tensor
    """Beyond u, seen from the one before."""
    v: Tensor = torch.empty(0)
    size: Tensor = torch.empty(0)
    """|v_i|."""
    pull: Tensor = torch.empty(0)
    """|q_i|."""
    reach: Tensor | None = None
    """|v_i|^2 for a random input, in terms of its mean over the layer."""
    heard: Tensor | None = None
    """|q_i|^2 there, likewise."""
    shift: int = 0

    def length(self, x: Tensor) -> Tensor:
        """(b, r, *shape) to (b, *blocks)."""
        one = torch.Size([1] * (x.dim() - 2))
        blocks = self.blocks if len(self.blocks) == len(one) else one
        axes = [axis + 2 for axis, size in enumerate(blocks) if size == 1]
        return (x * x).sum([1, *axes]).sqrt().reshape(self.radius.shape)

    def spread(self, size: Tensor, like: Tensor) -> Tensor:
        """(b, *blocks) to what broadcasts against (b, r, *shape)."""
        if len(self.blocks) == like.dim() - 2:
            return size.unsqueeze(1)
        return size.reshape(-1, *[1] * (like.dim() - 1))

    def parts(self) -> Iterator[str]:
        """The names of what has a leading axis of questions."""
        for name in ("centre", "radius", "u", "ahead", "v", "size", "pull", "reach", "heard"):
            part = getattr(self, name)
            if part is not None and part.numel():
                yield name


class Ascents:
    """The iterates of a batch of questions, r columns each; `step` improves them.

    `primal` is |y| with the slopes widened by the margin, `dual` what the multipliers would prove
    at a fixed point: neither is a bound before the statement is proved.
    """

    def __init__(
        self,
        relaxation: Relaxation,
        questions: Questions,
        rank: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device = CPU,
        seed: int = 0,
        vectors: Vectors | None = None,
    ) -> None:
        self.p, self.rank, self.margin, self.steps = relaxation.p, rank, 0.0, 0
        self._passes = Passes(relaxation.graph, dtype, normalise=True, device=device)
        self._readouts = questions.readouts.to(device, dtype)
        self._source = _Start(rank, len(questions), dtype, device, seed, vectors)
        self.x = self._unit(self._source.drawn("", relaxation.graph.input_shape))
        self._fresh: Tensor | None = None
        self._bends = {
            name: self._bend(name, item, questions) for name, item in relaxation.constraints.items()
        }
        self.primal = self.x.new_zeros(len(questions), dtype=DTYPE)
        self.dual = torch.full_like(self.primal, math.inf)
        self.pace = self.x.new_zeros(len(questions))
        self._gauge = torch.ones_like(self.primal)
        self.inputs = self.x.new_zeros(len(questions), *relaxation.graph.input_shape)
        self._variables = relaxation.variables

    def __len__(self) -> int:
        return len(self.x)

    def _bend(self, name: str, item: Constraint, questions: Questions) -> _Bend:
        u = self._source.drawn(name, item.out_shape)
        slopes = questions.slopes.get(name)
        if slopes is None:
            radius = item.radius.to(u).expand(len(u), *item.blocks)
            centre = u.new_zeros(len(u), *[1] * (u.dim() - 1))
        else:
            centres, radii = slopes.centre_and_radius()
            centre = centres[questions.samples].unsqueeze(1).to(u)
            radius = radii[questions.samples].to(u)
        return _Bend(centre, radius, item.blocks, u, u)

    def _unit(self, x: Tensor) -> Tensor:
        """x on the sphere, or every row of it on its own."""
        return x / nonzero(self._norm(x))

    def _norm(self, x: Tensor) -> Tensor:
        if self.p is Norm.LINF:
            return (x * x).sum(1, keepdim=True).sqrt()
        return _whole(x).reshape(-1, *[1] * (x.dim() - 1))

    def step(self) -> None:
        """One forward and one backward pass."""
        y = self._read(self._passes.forward(self._flat(self.x), self._to_result))
        y = y if self.steps else self._gauged(y)
        scale = power_of_two(self._passes.exponents[self._passes.output])
        primal = _whole(y).to(DTYPE) * scale / self._gauge
        self.pace = torch.where(primal >= self.primal, self.pace + 1, 0.0)
        self.primal = primal
        back = (y @ self._readouts).reshape(-1, *self._passes.output_shape)
        w = self._passes.adjoint(back, self._to_operand).reshape(self.x.shape)
        rows = (w * w).sum(1).sqrt().to(DTYPE)
        self.inputs = rows * scale**2 / self._square(rows)
        square = rows.flatten(1).sum(1) if self.p is Norm.LINF else _whole(w).to(DTYPE)
        self.dual = square.sqrt() * scale / self._gauge
        self.steps += 1
        fresh = self._unit(w)
        self.x = self._unit(self._beyond(fresh, self._fresh))
        self._fresh = fresh
        charge(0.0, A_NUMBER * self.rank * self._variables * len(self))

    def _gauged(self, y: Tensor) -> Tensor:
        """y of about 1: read-outs are scaled by powers of two, and what comes of them scaled back,
        so that no square leaves the range of float32."""
        size = _whole(y).to(DTYPE)
        sane = (size > 0) & size.isfinite()
        self._gauge = torch.where(sane, torch.exp2(-torch.log2(size).round()), 1.0)
        gauge = self._gauge.to(y).reshape(-1, 1, 1)
        self._readouts = self._readouts * gauge
        return y * gauge

    def _square(self, like: Tensor) -> Tensor:
        """What multipliers are divided by, as their read-outs were scaled."""
        return (self._gauge**2).reshape(-1, *[1] * (like.dim() - 1))

    def attained(self) -> Tensor:
        """|y| of the vectors as they are, with the slopes as they are: float64, not proved."""
        margin, self.margin = self.margin, 0.0
        ahead = {name: (bend.ahead, bend.v, bend.size) for name, bend in self._bends.items()}
        for bend in self._bends.values():
            bend.ahead = bend.u
        x = self.x if self._fresh is None else self._fresh
        y = self._read(self._passes.forward(self._flat(x), self._to_result))
        scale = power_of_two(self._passes.exponents[self._passes.output])
        for name, kept in ahead.items():
            bend = self._bends[name]
            bend.ahead, bend.v, bend.size = kept
        self.margin = margin
        return (_whole(y).to(DTYPE) * scale / self._gauge).to(CPU)

    def _read(self, y: Tensor) -> Tensor:
        """(b r, *shape) to (b, r, m)."""
        flat = y.reshape(len(self), self.rank, -1)
        return flat @ self._readouts.mT

    def _flat(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *x.shape[2:])

    def _beyond(self, fresh: Tensor, before: Tensor | None) -> Tensor:
        """What is extrapolated from two steps, where the value did not fall."""
        if before is None:
            return fresh
        beta = (self.pace / (self.pace + 3)).reshape(-1, *[1] * (fresh.dim() - 1))
        return fresh + beta * (fresh - before)

    @property
    def _widening(self) -> float:
        return float((1 - self.margin) ** -0.5)

    def _to_result(self, name: str, v: Tensor) -> Tensor:
        """z = c v + rho |v| u."""
        bend = self._bends[name]
        v = v.reshape(len(self), self.rank, *v.shape[1:])
        bend.v, bend.size = v, bend.length(v)
        push = self._widening * bend.radius * bend.size / nonzero(bend.length(bend.ahead))
        z = bend.spread(push, bend.ahead) * bend.ahead
        if v.shape == z.shape:
            z = torch.addcmul(z, bend.centre, v)
        return self._flat(z)

    def _to_operand(self, name: str, q: Tensor) -> Tensor:
        """w = c q + rho |q| v / |v|."""
        bend, exponents = self._bends[name], self._passes.exponents
        q = q.reshape(len(self), self.rank, *q.shape[1:])
        bend.shift = exponents[self._passes.output] - exponents[self._passes.source(name)]
        bend.pull = bend.length(q)
        u = q / bend.spread(nonzero(bend.pull), q)
        bend.ahead, bend.u = self._beyond(u, bend.u if bend.heard is not None else None), u
        if bend.heard is None:
            bend.reach, bend.heard = _relative(bend.size), _relative(bend.pull)
        push = self._widening * bend.radius * bend.pull / nonzero(bend.size)
        w = bend.spread(push, bend.v) * bend.v
        if q.shape == w.shape:
            w = torch.addcmul(w, bend.centre, q)
        return self._flat(w)

    def multipliers(self) -> dict[str, Tensor]:
        """lam of every question's statement, (b, *blocks); positive."""
        return {name: self._multipliers(bend) for name, bend in self._bends.items()}

    def _multipliers(self, bend: _Bend) -> Tensor:
        """|q| / (rho |v|); where there is no signal, what a random pass showed, in terms of the
        layer's mean (see vector_power_method)."""
        pull, size = bend.pull.to(CPU, DTYPE), bend.size.to(CPU, DTYPE)
        assert bend.reach is not None and bend.heard is not None
        reach, heard = (x.to(CPU, DTYPE) + FLOOR for x in (bend.reach, bend.heard))
        radius = nonzero(bend.radius.to(CPU, DTYPE))
        into, out = _mean(pull) ** 2, _mean(size) ** 2
        ratio = (pull**2 + FLOOR * into * heard) / nonzero(size**2 + FLOOR * out * reach)
        energy = _mean(pull * radius * size) * FLOOR
        lam = ratio.sqrt() / radius + energy / nonzero(radius**2 * (size**2 + out * reach))
        lam = lam * (power_of_two(2 * bend.shift) / self._widening / (1 - self.margin))
        return lam / self._square(lam).to(CPU)

    def weights(self) -> Tensor | None:
        """mu of every question, (b, *shape), positive; None where the input is l2."""
        if self.p is not Norm.LINF:
            return None
        inputs = self.inputs.to(CPU, DTYPE)
        return torch.maximum(inputs, _mean(inputs) * FLOOR**2)

    def energies(self) -> dict[str, Tensor]:
        """lam (rho |v|)^2 = |q| rho |v| of every neuron, (b, *blocks)."""
        scale = power_of_two(2 * self._passes.exponents[self._passes.output])
        found = dict[str, Tensor]()
        for name, bend in self._bends.items():
            energy = (bend.pull * bend.radius * bend.size).to(CPU, DTYPE)
            found[name] = energy * scale / self._square(energy).to(CPU)
        return found

    def vectors(self) -> Vectors:
        """Where the climb stands, on the processor."""
        x = self.x if self._fresh is None else self._fresh
        return Vectors(x.to(CPU), {name: bend.u.to(CPU) for name, bend in self._bends.items()})

    def keep(self, index: Tensor) -> None:
        """Go on with these questions alone."""
        for bend in self._bends.values():
            for part in list(bend.parts()):
                setattr(bend, part, getattr(bend, part)[index])
        for name in ("x", "_fresh", "_readouts", "_gauge", "primal", "dual", "pace", "inputs"):
            part = getattr(self, name)
            setattr(self, name, None if part is None else part[index])


@dataclass(frozen=True)
class _Start:
    """Where vectors come from: others, or chance, every question's own."""

    rank: int
    count: int
    dtype: torch.dtype
    device: torch.device
    seed: int
    vectors: Vectors | None

    def drawn(self, name: str, shape: torch.Size) -> Tensor:
        """(b, r, *shape)."""
        if self.vectors is not None:
            known = self.vectors.u[name] if name else self.vectors.x
            return known.to(self.device, self.dtype)
        generator = torch.Generator().manual_seed(zlib.crc32(f"{self.seed} {name}".encode()))
        drawn = torch.randn(1, self.rank, *shape, generator=generator, dtype=DTYPE)
        return drawn.to(self.device, self.dtype).repeat(self.count, *[1] * (len(shape) + 1))


def _whole(x: Tensor) -> Tensor:
    """The length of all that belongs to a question."""
    return (x * x).flatten(1).sum(1).sqrt()


def _mean(x: Tensor) -> Tensor:
    """The mean over a question's layer, to broadcast."""
    return x.flatten(1).mean(1).reshape(-1, *[1] * (x.dim() - 1))


def _relative(length: Tensor) -> Tensor:
    """Squares, in terms of their mean over the layer."""
    square = length * length
    return square / nonzero(_mean(square))
