"""What a penalty is an estimate of: LipSDP's relaxation, AutoLip's product, LipLT's sum, each by
one pass a call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from autolip.errors import InputError
from autolip.norms import Norm
from autolip.training.calls import Weights
from autolip.training.live import LiveNetwork, Part


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
        self.register_buffer(
            "readouts", None if readouts is None else readouts.float(), persistent=False
        )
        self._generator = torch.Generator().manual_seed(seed)

    def forward(self) -> Tensor:
        """The estimates, shape (questions,), differentiable in the weights; the state is one step
        further."""
        weights, parameters = self.live.weights()
        self._follow(parameters)
        with torch.enable_grad(), torch.autocast(self._state().device.type, enabled=False):
            values, start = self._values(weights)
            return self._stepped(values, start, [p for p in parameters if p.requires_grad])

    def _follow(self, parameters: list[Tensor]) -> None:
        """The state moves to where the weights are, and is as precise (float32 at least)."""
        state = self._state()
        like = next((p for p in parameters if p.is_floating_point()), state)
        dtype = torch.float64 if like.dtype == torch.float64 else torch.float32
        if (state.device, state.dtype) != (like.device, dtype):
            self.to(device=like.device, dtype=dtype)
            self.live.to(like.device)

    def _state(self) -> Tensor:
        """One tensor of the state."""
        raise NotImplementedError

    def _values(self, weights: Weights) -> tuple[Tensor, list[Tensor]]:
        """The estimates at the present state, and the tensors whose gradients are the next one."""
        raise NotImplementedError

    def _advance(self, gradients: list[Tensor]) -> None:
        """The next state."""
        raise NotImplementedError

    def _stepped(self, values: Tensor, start: list[Tensor], parameters: list[Tensor]) -> Tensor:
        """The values with their gradient in the weights; of a single one it comes with the same
        backward pass."""
        total = values.sum()
        if self.questions > 1:
            self._advance(list(torch.autograd.grad(total, start, retain_graph=True)))
            return values
        gradients = torch.autograd.grad(total, [*start, *parameters], allow_unused=True)
        self._advance([_or_zero(g, x) for g, x in zip(gradients, start, strict=False)])
        used = [
            (p, g)
            for p, g in zip(parameters, gradients[len(start) :], strict=True)
            if g is not None
        ]
        tensors = [tensor for pair in used for tensor in pair]
        return _Envelope.apply(values.detach(), *tensors)

    def _random(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)

    def _apart(self, x: Tensor) -> Tensor:
        """Columns (questions * rank, ...) as (questions, rank, ...)."""
        return x.unflatten(0, (self.questions, self.rank))

    def _reads(self, y: Tensor) -> Tensor:
        """The output's columns, (questions, rank, outputs), or (questions, rank, 1) of a read-out
        each."""
        flat = y.reshape(self.questions, self.rank, -1)
        if self.readouts is None:
            return flat
        return torch.einsum("qrn,qn->qr", flat, self.readouts.to(flat)).unsqueeze(-1)


class _Envelope(torch.autograd.Function):
    """A value whose gradient in some parameters is known: `apply(value, p_1, g_1, p_2, g_2,
    ...)`."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors[1::2])
        return value

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> Any:
        found: list[Tensor | None] = [None]
        for gradient in ctx.saved_tensors:
            found += [outer[0] * gradient, None]
        return tuple(found)


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
        self.register_buffer("x", self._unit(self._random(live.columns, *live.shape)))
        self._ear = _Ear()
        self.neurons = nn.ModuleList(
            _Neurons(part, self, live, self._ear) for part in live.parts.values()
        )
        self._by_name = dict(zip(live.parts, self.neurons, strict=True))

    def _unit(self, x: Tensor) -> Tensor:
        """x on the sphere, for each question; or every one of its rows on its own, for linf."""
        columns = self._apart(x)
        axes = [1] if self.p is Norm.LINF else list(range(1, columns.dim()))
        return (columns / _nonzero(_length(columns, axes))).flatten(0, 1)

    def _values(self, weights: Weights) -> tuple[Tensor, list[Tensor]]:
        x = self.x.detach().requires_grad_()
        self._ear.listens = True
        live = self.live
        y = live.push({live.input: x}, live.output, self._through, weights)
        return self._reads(y).square().sum((1, 2)).clamp(min=1e-30).sqrt(), [x]

    def _through(self, name: str, v: Tensor) -> Tensor:
        return _Bend.apply(v, self._by_name[name])

    def _advance(self, gradients: list[Tensor]) -> None:
        self._buffers["x"] = self._unit(
            gradients[0].detach()
        )  # assigned past nn.Module, which takes longer
        self._ear.listens = False

    def _state(self) -> Tensor:
        return self.x


@dataclass
class _Ear:
    """Whether the backward pass under way is the one that improves the state."""

    listens: bool = False


class _Neurons(nn.Module):
    """The vectors u of one nonlinear operand, and its slopes: centre and radius by entry, or a gain
    by block."""

    def __init__(self, part: Part, estimator: Estimator, live: LiveNetwork, ear: _Ear) -> None:
        super().__init__()
        item = part.constraint
        shape = item.out_shape[1:] if live.is_batched else item.out_shape
        self.questions = estimator.questions
        self.rank = estimator.rank
        self.blocks = tuple(item.blocks[1:] if live.is_batched else item.blocks)
        self.centre: Tensor
        self.radius: Tensor
        self.u: Tensor
        self.has_centre = item.gain is None and bool((item.centre != 0).any())
        self.register_buffer("centre", self._fitted(item.centre, live), persistent=False)
        self.register_buffer("radius", self._fitted(item.radius, live), persistent=False)
        u = estimator._random(live.columns, *shape)
        self.register_buffer("u", u / _nonzero(self.length(u)))
        self.ear = ear

    def _fitted(self, x: Tensor, live: LiveNetwork) -> Tensor:
        """Without the axis of the batch; a single number where all entries are equal."""
        x = x.float()
        if x.numel() and bool((x == x.reshape(-1)[0]).all()):
            return x.reshape(-1)[0].clone()
        return x[0] if live.is_batched and x.dim() else x

    def bent(self, x: Tensor, size: Tensor, direction: Tensor) -> Tensor:
        """centre x + radius size direction."""
        scale = self.radius * _matched(size, direction)
        if not self.has_centre:
            return scale * direction
        return torch.addcmul(self.centre * x, scale, direction)

    def length(self, x: Tensor) -> Tensor:
        """|x_i| over the columns of a question, of every neuron or block; broadcasts with x."""
        return self.inner(x, x).sqrt()

    def inner(self, x: Tensor, y: Tensor) -> Tensor:
        """<x_i, y_i> likewise."""
        products = x * y
        if len(self.blocks) != x.dim() - 1:
            axes = list(range(1, x.dim()))
        else:
            axes = [i + 1 for i, n in enumerate(self.blocks) if n == 1 and x.shape[i + 1] > 1]
        if self.questions == 1:
            return products.sum([0, *axes], keepdim=True)
        apart = products.unflatten(0, (self.questions, self.rank))
        summed = [1, *(axis + 1 for axis in axes)]
        found = apart.sum(summed, keepdim=True)
        return found.expand(-1, self.rank, *found.shape[2:]).flatten(0, 1)


class _Bend(torch.autograd.Function):
    """z = c v + rho |v| u; its adjoint takes u <- q / |q| first, which is the u that the relaxation
    wants for q."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, layer: _Neurons) -> Tensor:
        size = layer.length(v)
        ctx.save_for_backward(v, size)
        ctx.layer = layer
        return layer.bent(v, size, layer.u)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        v, size = ctx.saved_tensors
        layer = ctx.layer
        q = gradients[0]
        if layer.ear.listens:
            pull = layer.length(q)
            layer._buffers["u"] = q / _nonzero(pull)
        else:
            pull = layer.inner(q, layer.u)
        ratio = pull / _matched(_nonzero(size), pull)
        return layer.bent(q, ratio, v), None


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
            x = self._random(live.columns, *self._shape(source))
            self.register_buffer(f"x{number}", x / _nonzero(_length(x, range(1, x.dim()))))

    def _maps(self) -> list[tuple[str, str]]:
        """Where each map starts and ends."""
        raise NotImplementedError

    def _image(self, source: str, sink: str, x: Tensor, weights: Weights) -> Tensor:
        """The map, applied to columns."""
        raise NotImplementedError

    def _combined(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
        """The bound that they give."""
        raise NotImplementedError

    def _shape(self, source: str) -> tuple[int, ...]:
        return self.live.shape_of(source)

    def _values(self, weights: Weights) -> tuple[Tensor, list[Tensor]]:
        kept = [getattr(self, f"x{n}") for n in range(len(self.maps))]
        starts = [x.detach().requires_grad_() for x in kept]
        norms = {
            ends: self._norm(ends[1], self._image(*ends, x, weights))
            for ends, x in zip(self.maps, starts, strict=True)
        }
        return self._combined(norms), starts

    def _norm(self, sink: str, y: Tensor) -> Tensor:
        """|y| by question."""
        rows = self._reads(y) if sink == self.live.output else self._apart(y).flatten(2)
        return rows.square().sum((1, 2)).clamp(min=1e-30).sqrt()

    def _advance(self, gradients: list[Tensor]) -> None:
        """A power step each: a vector's gradient is that of its own norm, times that norm's weight
        in the sum."""
        for number, gradient in enumerate(gradients):
            length = _length(gradient, range(1, gradient.dim()))
            kept = getattr(self, f"x{number}")
            fresh = torch.where(length > 0, gradient / _nonzero(length), kept)
            self._buffers[f"x{number}"] = fresh.detach()

    def _state(self) -> Tensor:
        return self.x0


class Product(Norms):
    """AutoLip: norms of the affine maps between nonlinear operations, times along paths, added over
    operands."""

    def _maps(self) -> list[tuple[str, str]]:
        live = self.live
        return [(z, v) for v in live.sinks() for z in live.reaching(v, bends=False) if z != v]

    def _image(self, source: str, sink: str, x: Tensor, weights: Weights) -> Tensor:
        return self.live.push({source: x}, sink, None, weights)

    def _combined(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
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
        return self.live.shape_of(self._step(source))

    def _step(self, part: str) -> str:
        """The operation that a part belongs to."""
        return part.rsplit(":", 1)[0]

    def _image(self, source: str, sink: str, x: Tensor, weights: Weights) -> Tensor:
        start, columns = source, x
        if source in self.live.parts:
            start = self._step(source)
            radius = self.live.parts[source].constraint.radius.to(x)
            columns = radius * x
        return self.live.push({start: columns}, sink, self._centre, weights)

    def _centre(self, name: str, v: Tensor) -> Tensor:
        item = self.live.parts[name].constraint
        if item.gain is None:
            return item.centre.to(v) * v
        return v.new_zeros(len(v), *self._shape(name))

    def _combined(self, norms: dict[tuple[str, str], Tensor]) -> Tensor:
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


def _length(x: Tensor, axes: Sequence[int]) -> Tensor:
    """l2 lengths along some axes, which are kept."""
    return (x * x).sum(list(axes), keepdim=True).sqrt()


def _nonzero(x: Tensor) -> Tensor:
    """A length to divide by: 1e-30 for 0."""
    return x.clamp_min(1e-30)


def _or_zero(gradient: Tensor | None, x: Tensor) -> Tensor:
    """The gradient of what may not matter."""
    return torch.zeros_like(x) if gradient is None else gradient


ESTIMATES: dict[str, Callable[..., Estimator]] = {
    "lipsdp": Relaxation,
    "liplt": Looped,
    "autolip": Product,
}
"""Name -> estimator of a network's constants."""
