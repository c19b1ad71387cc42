"""Complex numbers within a network, as their real and imaginary parts: a graph holds real ones."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from autolip.errors import UnsupportedOperation
from autolip.graph.graph import Node, Place, Ref
from autolip.operators.operator import DTYPE
from autolip.rules.waves import waves

aten = torch.ops.aten


@dataclass(frozen=True)
class Pair:
    """A complex value: both parts varying or constant."""

    re: Any
    im: Any


def is_complex(node: torch.fx.Node, arguments: Any) -> bool:
    """Whether a call reads or makes complex numbers."""
    leaves = pytree.tree_leaves(arguments, is_leaf=lambda leaf: isinstance(leaf, Pair))
    made = pytree.tree_leaves(node.meta.get("val"))
    if isinstance(node.target, torch._ops.OpOverload) and node.target in READS_REAL:
        return True
    return any(isinstance(leaf, Pair) for leaf in leaves) or any(
        isinstance(value, Tensor) and value.is_complex() for value in (*leaves, *made)
    )


def _parts(value: Any) -> Pair:
    """A value, or a constant, as a complex one; real ones have the imaginary part 0."""
    if isinstance(value, Pair):
        return value
    if isinstance(value, Ref):
        return Pair(value, 0.0)
    if isinstance(value, complex):
        return Pair(value.real, value.imag)
    if isinstance(value, Tensor) and value.is_complex():
        return Pair(value.real.to(DTYPE), value.imag.to(DTYPE))
    return Pair(value, 0.0)


def _is_zero(value: Any) -> bool:
    return isinstance(value, float) and value == 0.0


@dataclass
class PartWriter:
    """The nodes that take the place of one call."""

    name: str
    place: Place
    shapes: dict[str, torch.Size]
    nodes: list[Node] = field(default_factory=list)

    def result(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What the call makes: a pair, or a real value; UnsupportedOperation for other calls."""
        if target in TRANSLATED:
            return TRANSLATED[target](self, *args, **kwargs)
        if target in LINEAR and not kwargs:
            return self.each(target, args)
        raise UnsupportedOperation(
            f"{target} at {self.place} computes complex numbers: write the real and the "
            "imaginary part out"
        )

    def call(self, target: Callable[..., Any], *args: Any) -> Any:
        """A real call: its value where nothing varies, else a node."""

        def stand_in(leaf: Any) -> Any:
            if isinstance(leaf, Ref):
                return torch.empty(self.shapes[leaf.name], dtype=DTYPE, device="meta")
            return leaf.to("meta") if isinstance(leaf, Tensor) else leaf

        def is_leaf(leaf: Any) -> bool:
            return isinstance(leaf, Ref)

        if not any(isinstance(leaf, Ref) for leaf in pytree.tree_leaves(args, is_leaf=is_leaf)):
            return target(*args)
        shape = target(*pytree.tree_map(stand_in, args, is_leaf=is_leaf)).shape
        name = f"{self.name}.{len(self.nodes)}"
        self.nodes.append(Node(name, target, args, shape, place=self.place))
        self.shapes[name] = shape
        return Ref(name)

    def each(self, target: Any, args: tuple[Any, ...]) -> Pair:
        """A real linear call on both parts; a zero becomes a tensor of them."""

        def part(leaf: Any, name: str) -> Any:
            if not isinstance(leaf, Pair):
                return leaf
            value = getattr(leaf, name)
            return self._zeros(leaf.re) if _is_zero(value) else value

        def is_leaf(leaf: Any) -> bool:
            return isinstance(leaf, Pair)

        first = _parts(args[0]) if isinstance(args[0], Ref | Tensor) else args[0]
        if isinstance(args[0], list | tuple):
            first = [_parts(one) for one in args[0]]
        given = (first, *args[1:])
        halves = (
            pytree.tree_map(lambda leaf, n=name: part(leaf, n), given, is_leaf=is_leaf)
            for name in ("re", "im")
        )
        return Pair(*(self.call(target, *half) for half in halves))

    def _zeros(self, like: Any) -> Tensor:
        shape = self.shapes[like.name] if isinstance(like, Ref) else like.shape
        return torch.zeros(shape, dtype=DTYPE)

    def add(self, a: Any, b: Any) -> Any:
        if _is_zero(a) or _is_zero(b):
            return b if _is_zero(a) else a
        return self.call(aten.add.Tensor, *((a, b) if isinstance(a, Ref | Tensor) else (b, a)))

    def subtract(self, a: Any, b: Any) -> Any:
        if _is_zero(b):
            return a
        if _is_zero(a) or not isinstance(a, Ref | Tensor):
            return self.add(a, self.negative(b))
        return self.call(aten.sub.Tensor, a, b)

    def negative(self, a: Any) -> Any:
        return self.call(aten.neg.default, a) if isinstance(a, Ref | Tensor) else -a

    def times(self, a: Any, b: Any) -> Any:
        if _is_zero(a) or _is_zero(b):
            return 0.0
        numbers = not isinstance(a, Ref | Tensor) and not isinstance(b, Ref | Tensor)
        if numbers:
            return a * b
        return self.call(aten.mul.Tensor, *((a, b) if isinstance(a, Ref | Tensor) else (b, a)))

    def product(self, a: Any, b: Any, times: Callable[[Any, Any], Any]) -> Pair:
        """(a + i a') (b + i b'), for any bilinear product."""
        x, y = _parts(a), _parts(b)
        re = self.subtract(times(x.re, y.re), times(x.im, y.im))
        return Pair(re, self.add(times(x.re, y.im), times(x.im, y.re)))

    def wave(self, x: Any, dim: int, period: int, size: int, sine: bool, norm: int) -> Any:
        return 0.0 if _is_zero(x) else self.call(waves, x, dim, period, size, sine, norm)

    def size(self, x: Any, dim: int) -> int:
        return int((self.shapes[x.name] if isinstance(x, Ref) else x.shape)[dim])


# Fourier transforms
# -----------------------------------------------------------------------------------------------


def _from_real(w: PartWriter, x: Any, dim: list[int], norm: int, onesided: bool) -> Pair:
    *others, last = dim
    period = w.size(x, last)
    size = period // 2 + 1 if onesided else period
    sine = w.wave(x, last, period, size, True, norm)
    half = Pair(w.wave(x, last, period, size, False, norm), w.negative(sine))
    return _transformed(w, half, others, norm, True)


def _transformed(w: PartWriter, x: Any, dim: list[int], norm: int, forward: bool) -> Pair:
    value = _parts(x)
    for axis in dim:
        period = w.size(value.re, axis)
        c = [w.wave(part, axis, period, period, False, norm) for part in (value.re, value.im)]
        s = [w.wave(part, axis, period, period, True, norm) for part in (value.re, value.im)]
        if forward:
            value = Pair(w.add(c[0], s[1]), w.subtract(c[1], s[0]))
        else:
            value = Pair(w.subtract(c[0], s[1]), w.add(c[1], s[0]))
    return value


def _to_real(w: PartWriter, x: Any, dim: list[int], norm: int, last_dim_size: int) -> Any:
    """Entries k and N - k are conjugate: all but the first, and the middle one, count twice."""
    *others, last = dim
    value = _transformed(w, x, others, norm, False)
    count = last_dim_size // 2 + 1
    weights = torch.full((count,), 2.0, dtype=DTYPE)
    weights[0] = 1.0
    if last_dim_size % 2 == 0:
        weights[-1] = 1.0
    rank = len(w.shapes[value.re.name]) if isinstance(value.re, Ref) else value.re.dim()
    weights = weights.reshape([-1 if axis == last % rank else 1 for axis in range(rank)])
    parts = []
    for part, sine in ((value.re, False), (value.im, True)):
        kept = part if _is_zero(part) else w.call(aten.slice.Tensor, part, last, 0, count)
        weighted = w.times(kept, weights)
        parts.append(w.wave(weighted, last, last_dim_size, last_dim_size, sine, norm))
    return w.subtract(*parts)


# Parts, moduli, products
# -----------------------------------------------------------------------------------------------


def _real(w: PartWriter, x: Any) -> Any:
    return _parts(x).re


def _imaginary(w: PartWriter, x: Any) -> Any:
    value = _parts(x)
    return w._zeros(value.re) if _is_zero(value.im) else value.im


def _as_real(w: PartWriter, x: Any) -> Any:
    return w.call(aten.stack.default, [_real(w, x), _imaginary(w, x)], -1)


def _as_complex(w: PartWriter, x: Any) -> Pair:
    return Pair(*(w.call(aten.select.int, x, -1, number) for number in (0, 1)))


def _conjugate(w: PartWriter, x: Any) -> Pair:
    value = _parts(x)
    return Pair(value.re, w.negative(value.im))


def _polar(w: PartWriter, size: Any, angle: Any) -> Pair:
    parts = (w.call(f, angle) for f in (aten.cos.default, aten.sin.default))
    return Pair(*(w.times(size, part) for part in parts))


def _modulus(w: PartWriter, x: Any) -> Any:
    return w.call(aten.hypot.default, _real(w, x), _imaginary(w, x))


def _angle(w: PartWriter, x: Any) -> Any:
    return w.call(aten.atan2.default, _imaginary(w, x), _real(w, x))


def _copied(w: PartWriter, x: Any, dtype: Any = None, **storage: Any) -> Any:
    value = _parts(x)
    is_real = isinstance(dtype, torch.dtype) and not dtype.is_complex
    return value.re if is_real else value


def _sum(w: PartWriter, a: Any, b: Any, alpha: float = 1) -> Pair:
    x, y = _parts(a), _parts(b)
    times = float(alpha)
    return Pair(w.add(x.re, w.times(y.re, times)), w.add(x.im, w.times(y.im, times)))


def _difference(w: PartWriter, a: Any, b: Any, alpha: float = 1) -> Pair:
    return _sum(w, a, b, -alpha)


def _product(w: PartWriter, a: Any, b: Any) -> Pair:
    return w.product(a, b, w.times)


def _quotient(w: PartWriter, a: Any, b: Any) -> Pair:
    x = _parts(a)
    if isinstance(b, Ref | int | float) or (isinstance(b, Tensor) and not b.is_complex()):
        halves = (x.re, x.im)
        return Pair(*(p if _is_zero(p) else w.call(aten.div.Tensor, p, b) for p in halves))
    if isinstance(b, Pair):
        raise UnsupportedOperation(f"a quotient of complex numbers at {w.place}: write it out")
    return w.product(a, 1 / b, w.times)


def _matrix_product(target: Any) -> Callable[..., Pair]:
    def translated(w: PartWriter, a: Any, b: Any) -> Pair:
        def times(x: Any, y: Any) -> Any:
            return 0.0 if _is_zero(x) or _is_zero(y) else w.call(target, x, y)

        return w.product(a, b, times)

    return translated


TRANSLATED: dict[Any, Callable[..., Any]] = {
    aten._fft_r2c.default: _from_real,
    aten._fft_c2c.default: _transformed,
    aten._fft_c2r.default: _to_real,
    aten.view_as_real.default: _as_real,
    aten.view_as_complex.default: _as_complex,
    aten.real.default: _real,
    aten.imag.default: _imaginary,
    aten.complex.default: lambda w, re, im: Pair(re, im),
    aten.polar.default: _polar,
    aten.abs.default: _modulus,
    aten.angle.default: _angle,
    aten._conj.default: _conjugate,
    aten._conj_physical.default: _conjugate,
    aten.conj_physical.default: _conjugate,
    aten._to_copy.default: _copied,
    aten.add.Tensor: _sum,
    aten.sub.Tensor: _difference,
    aten.mul.Tensor: _product,
    aten.mul.Scalar: _product,
    aten.div.Tensor: _quotient,
    aten.mm.default: _matrix_product(aten.mm.default),
    aten.bmm.default: _matrix_product(aten.bmm.default),
    aten.matmul.default: _matrix_product(aten.matmul.default),
}
"""Calls on complex numbers, and what takes their place."""

READS_REAL = frozenset({aten.view_as_complex.default, aten.complex.default, aten.polar.default})
"""Those that make complex numbers of real ones."""

LINEAR = frozenset(
    {
        *(aten.view.default, aten.reshape.default, aten._unsafe_view.default),
        *(aten.permute.default, aten.transpose.int, aten.t.default, aten.movedim.int),
        *(aten.slice.Tensor, aten.select.int, aten.narrow.default, aten.index_select.default),
        *(aten.index.Tensor, aten.unsqueeze.default, aten.squeeze.dim, aten.squeeze.dims),
        *(aten.expand.default, aten.repeat.default, aten.flip.default, aten.roll.default),
        *(aten.cat.default, aten.stack.default, aten.constant_pad_nd.default, aten.pad.default),
        *(aten.neg.default, aten.sum.dim_IntList, aten.mean.dim, aten.clone.default),
        *(aten.alias.default, aten.resolve_conj.default, aten.resolve_neg.default),
    }
)
"""Real linear calls, which act on both parts alike."""
