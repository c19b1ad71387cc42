"""What a penalty is an estimate of: LipSDP's relaxation, AutoLip's product, LipLT's sum, each by
one pass a call."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.norms import Norm
from autolip.training.calls import Weights
from autolip.training.envelope import Found
from autolip.training.live import LiveNetwork, Part
from autolip.training.passes import Adjoint, Sweep, by_column

LEAST = 1e-15
"""Chosen: the least length, so that one can divide by it, and its square is a float32."""

STIRRED = 1e-6
"""Chosen: how much of fixed random columns is added to every improved vector.  Columns that a
maximum of lower rank does not need would fade to denormal numbers, which are a hundred times as
slow, and where nothing comes back (a last layer of zeros) they are the next vector; the estimate
loses the square of it."""


class Estimator(nn.Module):
    """Estimates of the constants of `questions` read-outs; every call improves its state by one
    step."""

    def __init__(
        self, live: LiveNetwork, p: Norm, q: Norm, readouts: Tensor | None, rank: int, seed: int
    ) -> None:
        super().__init__()
        self.live = live
        self.p = p
        self.q = q
        self.rank = rank
        self.questions = 1 if readouts is None else len(readouts)
        self.readouts: Tensor | None
        self.register_buffer(
            "readouts", None if readouts is None else readouts.float(), persistent=False
        )
        self._generator = torch.Generator().manual_seed(seed)

    def improved(self, weights: Weights, parameters: list[Tensor]) -> Found:
        """The estimates that these weights give, and their derivatives; the state is one step
        further."""
        self._follow(parameters)
        sizes, sweeps = self._step(weights)
        return self._combined(sizes, sweeps)

    def _follow(self, parameters: list[Tensor]) -> None:
        """The state moves to where the weights are, and is as precise (float32 at least)."""
        state = self._state()
        like = next((p for p in parameters if p.is_floating_point()), state)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        if (state.device, state.dtype) != (like.device, dtype):
            self.to(device=like.device, dtype=dtype)

    def _state(self) -> Tensor:
        """One tensor of the state."""
        raise NotImplementedError

    def _step(self, weights: Weights) -> tuple[Tensor, list[Sweep]]:
        """|v| of every sweep and question, (sweeps x questions,), each sweep gone back from
        v / |v|; the next state."""
        raise NotImplementedError

    def _combined(self, sizes: Tensor, sweeps: list[Sweep]) -> Found:
        """The estimates that these sizes give, (questions,)."""
        raise NotImplementedError

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def _apart(self, x: Tensor) -> Tensor:
        """Columns (questions * rank, ...) as (questions, rank, ...)."""
        return x.unflatten(0, (self.questions, self.rank))

    def _start(self, name: str, shape: Sequence[int]) -> None:
        """The vectors of this name: random, and the fixed ones that stir them."""
        self.register_buffer(name, self._unit(self._random(self.live.columns, *shape)))
        drawn = torch.randn(self.live.columns, *shape, generator=torch.Generator().manual_seed(0))
        self.register_buffer(f"{name}_stirring", STIRRED * self._unit(drawn), persistent=False)

    def _improved(self, name: str, x: Tensor, size: Tensor) -> None:
        """The vectors of this name become x, of about this length by question, and a little of the
        fixed ones."""
        fixed: Any = self._buffers[f"{name}_stirring"]
        mixed = torch.addcmul(x, by_column(size, x), fixed)
        self._buffers[name] = self._unit(mixed)  # assigned past nn.Module, which takes longer

    def _unit(self, x: Tensor) -> Tensor:
        """x on the sphere, for each question."""
        return self._length(x)[1]

    def _read(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The length of the output's columns, or of their read-outs, by question, and its
        derivative in them."""
        if self.readouts is None:
            return self._length(y)
        flat = y.reshape(self.questions, self.rank, -1)
        rows = torch.einsum("qrn,qn->qr", flat, self.readouts)
        size = _length(rows, (1,))
        unit = rows / size
        return size[:, 0], (unit[:, :, None] * self.readouts[:, None]).view_as(y)

    def _length(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """|v| by question, and its derivative."""
        if self.questions == 1:
            size = torch.linalg.vector_norm(v).view(1).clamp_min(LEAST)
        else:
            size = _length(v.reshape(self.questions, -1), (1,))[:, 0]
        return size, v / by_column(size, v)


# LipSDP
# --------------------------------------------------------------------------------------------------


class Relaxation(Estimator):
    """K = max |y| over |x| = 1 and z = c v + rho |v| u with |u| = 1: LipSDP's primal (see
    `methods.lipsdp.ascent`)."""

    def __init__(
        self, live: LiveNetwork, p: Norm, q: Norm, readouts: Tensor | None, rank: int, seed: int
    ) -> None:
        super().__init__(live, p, q, readouts, rank, seed)
        if p is Norm.L1 or (readouts is None and q is not Norm.L2):
            given = f"the LipSDP penalty does not take {p.value}:{q.value}"
            raise InputError(f"{given}: l2 or linf inputs, and l2 outputs or one read-out")
        self.x: Tensor
        self._start("x", live.shape)
        self._by_name = {name: _Neurons(part, self, live) for name, part in live.parts.items()}
        self.neurons = nn.ModuleList(self._by_name.values())

    def _unit(self, x: Tensor) -> Tensor:
        """x on the sphere, for each question; or every one of its rows on its own, for linf."""
        if self.p is not Norm.LINF:
            return self._length(x)[1]
        columns = self._apart(x)
        return (columns / _length(columns, (1,))).flatten(0, 1)

    def _step(self, weights: Weights) -> tuple[Tensor, list[Sweep]]:
        live = self.live
        sweep = live.sweep({live.input: self.x}, live.output, self._bend, weights)
        size, unit = self._read(sweep.result)
        self._improved("x", sweep.back(unit)[live.input], size)
        return size, [sweep]

    def _bend(self, name: str, v: Tensor) -> tuple[Tensor, Adjoint]:
        return self._by_name[name].bend(v)

    def _combined(self, sizes: Tensor, sweeps: list[Sweep]) -> Found:
        return Found(sizes, [(sweeps[0], None)])

    def _state(self) -> Tensor:
        return self.x


class _Neurons(nn.Module):
    """The vectors u of one nonlinear operand, and its slopes: centre and radius by entry, or a gain
    by block."""

    def __init__(self, part: Part, estimator: Estimator, live: LiveNetwork) -> None:
        super().__init__()
        item = part.constraint
        shape = item.out_shape[1:] if live.is_batched else item.out_shape
        self.questions = estimator.questions
        self.rank = estimator.rank
        blocks = tuple(item.blocks[1:] if live.is_batched else item.blocks)
        self.whole = len(blocks) != len(shape)
        reach = [i for i, n in enumerate(shape) if self.whole or (blocks[i] == 1 and n > 1)]
        self.axes = (0, *(axis + 1 for axis in reach))
        """The axis of the columns, and those along which a block reaches."""
        self.centre: float | Tensor = (
            0.0 if item.gain is not None else self._fitted("centre", item.centre, live)
        )
        self.radius: float | Tensor = self._fitted("radius", item.radius, live)
        self.is_mean = isinstance(self.centre, float) and self.centre == 1 - self.radius
        """Whether slopes reach 1, all of them: then z is a weighted mean of v and |v| u."""
        self.u: Tensor
        u = estimator._random(live.columns, *shape)
        self.register_buffer("u", u / self.length(u))

    def _fitted(self, name: str, x: Tensor, live: LiveNetwork) -> float | Tensor:
        """A number where all entries are equal; else without the axis of the batch, as a buffer."""
        if x.numel() and bool((x == x.reshape(-1)[0]).all()):
            return float(x.reshape(-1)[0])
        x = x[0] if live.is_batched and x.dim() else x
        self.register_buffer(name, x.float(), persistent=False)
        return getattr(self, name)

    def bend(self, v: Tensor) -> tuple[Tensor, Adjoint]:
        """z = c v + rho |v| u; its adjoint takes u <- q / |q| first, which is the u that the
        relaxation wants for q."""
        size = self.length(v)

        def adjoint(q: Tensor) -> Tensor:
            pull = self.length(q)
            self._buffers["u"] = q / pull
            return self._between(q, pull / _matched(size, pull), v)

        return self._between(v, size, self._buffers["u"]), adjoint

    def _between(self, x: Tensor, size: Tensor, direction: Any) -> Tensor:
        """centre x + radius size direction."""
        centre = self.centre
        radius = self.radius
        if size.dim() != direction.dim():
            size = _matched(size, direction)
        if self.is_mean:
            return torch.lerp(x, size * direction, radius)
        if isinstance(centre, float) and not centre:
            return radius * size * direction
        if isinstance(radius, float):
            return torch.addcmul(centre * x, size, direction, value=radius)
        return torch.addcmul(centre * x, radius * size, direction)

    def length(self, x: Tensor) -> Tensor:
        """|x_i| over the columns of a question, of every neuron or block; broadcasts with x, and is
        not 0."""
        axes = tuple(range(x.dim())) if self.whole else self.axes
        if self.questions == 1:
            return _length(x, axes)
        apart = x.unflatten(0, (self.questions, self.rank))
        found = _length(apart, tuple(axis + 1 for axis in axes))
        return found.expand(-1, self.rank, *found.shape[2:]).flatten(0, 1)


def _matched(x: Tensor, like: Tensor) -> Tensor:
    """Lengths of blocks in the other shape's dimensions: where these differ, there is one block."""
    return x if x.dim() == like.dim() else x.reshape(len(x), *[1] * (like.dim() - 1))


# Products and sums of norms
# -------------------------------------------------------------------------------------


class Norms(Estimator):
    """Norms of linear maps inside the network, each with one vector that a power step a call
    improves (l2)."""

    def __init__(
        self, live: LiveNetwork, p: Norm, q: Norm, readouts: Tensor | None, rank: int, seed: int
    ) -> None:
        super().__init__(live, p, q, readouts, rank, seed)
        if p is not Norm.L2 or (readouts is None and q is not Norm.L2):
            raise InputError(
                f"this penalty does not take {p.value}:{q.value}: l2, or one output from l2"
            )
        self.x0: Tensor
        self.maps = self._maps()
        for number, (source, _) in enumerate(self.maps):
            self._start(f"x{number}", self._shape(source))

    def _maps(self) -> list[tuple[str, str]]:
        """Where each map starts and ends."""
        raise NotImplementedError

    def _sweep(self, source: str, sink: str, x: Tensor, weights: Weights) -> Sweep:
        """The map, applied to columns."""
        raise NotImplementedError

    def _back(self, source: str, sweep: Sweep, q: Tensor) -> Tensor:
        """Its transpose."""
        return sweep.back(q)[source]

    def _shape(self, source: str) -> tuple[int, ...]:
        return self.live.shape_of(source)

    def _step(self, weights: Weights) -> tuple[Tensor, list[Sweep]]:
        """A power step each."""
        sizes = []
        sweeps = []
        for number, (source, sink) in enumerate(self.maps):
            x = self.get_buffer(f"x{number}")
            sweep = self._sweep(source, sink, x, weights)
            size, unit = (
                self._read(sweep.result) if sink == self.live.output else self._length(sweep.result)
            )
            sizes.append(size)
            sweeps.append(sweep)
            self._improved(f"x{number}", self._back(source, sweep, unit), size)
        return torch.cat(sizes), sweeps

    def _combined(self, sizes: Tensor, sweeps: list[Sweep]) -> Found:
        with torch.enable_grad():
            parts = [size.requires_grad_() for size in sizes.split(self.questions)]
            values = self._along_paths(dict(zip(self.maps, parts, strict=True)))
            slopes = torch.autograd.grad(values.sum(), parts)
        return Found(values.detach(), list(zip(sweeps, slopes, strict=True)))

    def _along_paths(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
        """The bound that they give."""
        raise NotImplementedError

    def _state(self) -> Tensor:
        return self.x0


class Product(Norms):
    """AutoLip: norms of the affine maps between nonlinear operations, times along paths, added over
    operands."""

    def _maps(self) -> list[tuple[str, str]]:
        live = self.live
        return [(z, v) for v in live.sinks() for z in live.reaching(v, bends=False) if z != v]

    def _sweep(self, source: str, sink: str, x: Tensor, weights: Weights) -> Sweep:
        return self.live.sweep({source: x}, sink, None, weights)

    def _along_paths(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
        live = self.live
        one = next(iter(norms.values())).new_ones(self.questions)
        levels: dict[str, Tensor] = {live.input: one}

        def level(name: str) -> Tensor:
            if name not in levels:
                direct = [norm * level(z) for (z, v), norm in norms.items() if v == name]
                bent = [_modulus(part) * level(part.source) for part in live.parts_of(name)]
                levels[name] = torch.stack(direct + bent).sum(0)
            return levels[name]

        return level(live.output)


class Looped(Norms):
    """LipLT: the map through the centres of the slopes, plus what each remainder adds through the
    centres."""

    def _maps(self) -> list[tuple[str, str]]:
        live = self.live
        maps = list[tuple[str, str]]()
        for v in live.sinks():
            for z in live.reaching(v, bends=True):
                starts = [z] if z == live.input else [part.name for part in live.parts_of(z)]
                maps += [(start, v) for start in starts if start != v or start in live.parts]
        return maps

    def _shape(self, source: str) -> tuple[int, ...]:
        if source not in self.live.parts:
            return self.live.shape_of(source)
        return self.live.shape_of(self._step_of(source))

    def _step_of(self, part: str) -> str:
        """The operation that a part belongs to."""
        return part.rsplit(":", 1)[0]

    def _sweep(self, source: str, sink: str, x: Tensor, weights: Weights) -> Sweep:
        start, radius = self._from(source)
        return self.live.sweep({start: radius * x}, sink, self._centre, weights)

    def _back(self, source: str, sweep: Sweep, q: Tensor) -> Tensor:
        start, radius = self._from(source)
        return radius * sweep.back(q)[start]

    def _from(self, source: str) -> tuple[str, Tensor | float]:
        """Where a map starts: at the input, or at an operation whose remainder has this radius."""
        if source not in self.live.parts:
            return source, 1.0
        radius = self.live.parts[source].constraint.radius
        return self._step_of(source), radius.to(self.x0)

    def _centre(self, name: str, v: Tensor) -> tuple[Tensor, Adjoint]:
        """The part through the centres of the slopes: a diagonal map, or nothing of a gain."""
        item = self.live.parts[name].constraint
        if item.gain is None:
            centre = item.centre.to(v)
            return centre * v, lambda q: centre * q
        return v.new_zeros(len(v), *self._shape(name)), lambda q: torch.zeros_like(v)

    def _along_paths(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
        live = self.live
        one = next(iter(norms.values())).new_ones(self.questions)
        levels: dict[str, Tensor] = {live.input: one}

        def level(name: str) -> Tensor:
            if name not in levels:
                terms = [
                    norm * level(live.parts[start].source) if start in live.parts else norm
                    for (start, v), norm in norms.items()
                    if v == name
                ]
                levels[name] = torch.stack(terms).sum(0)
            return levels[name]

        return level(live.output)


def _modulus(part: Part) -> float:
    """max(|lo|, |hi|)."""
    item = part.constraint
    return float(torch.maximum(item.lo.abs(), item.hi.abs()).max()) if item.lo.numel() else 0.0


def _length(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """l2 lengths along some axes, which are kept, `LEAST` for 0; four times as fast as
    `vector_norm` along the first."""
    return (x * x).sum(axes, True).clamp_min_(LEAST**2).sqrt_()


ESTIMATES: dict[str, Callable[..., Estimator]] = {
    "lipsdp": Relaxation,
    "liplt": Looped,
    "autolip": Product,
}
"""Name -> estimator of a network's constants."""
