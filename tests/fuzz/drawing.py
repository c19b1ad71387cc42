"""Random networks: small, odd, and of every kind of step."""

import math
import random
from collections.abc import Callable, Sequence
from string import Formatter
from typing import Any

import torch
from torch import Tensor

from tests.fuzz.kinds import KINDS, POINTWISE
from tests.fuzz.networks import Network, Step

LARGEST = 40
"""Numbers that a value may have."""


def network(rng: random.Random) -> Network:
    """A network of one to nine steps on a vector, a few tokens or a small image; one in four is
    piecewise linear."""
    if rng.random() < 0.25:
        return _piecewise_linear(rng)
    shape = rng.choice([_vector, _vector, _vector, _image, _image, _tokens])(rng)
    saturated = rng.random() < 0.08
    drawn = _Drawing(rng, Network(shape, (), torch.float64 if saturated else torch.float32))
    for _ in range(rng.randint(1, 9)):
        drawn.grow()
    drawn.close(saturated)
    return drawn.network.pruned()


def _piecewise_linear(rng: random.Random) -> Network:
    """Weights and kinks in turns, few enough of them to find every linear region."""
    drawn = _Drawing(rng, Network((1, rng.randint(1, 3)), ()))
    for _ in range(rng.randint(1, 3)):
        drawn.dense(rng.randint(1, 4))
        drawn.activate(rng.choice(["relu", "relu", "relu", "leaky", "abs", "hardtanh"]))
        if rng.random() < 0.3:
            drawn.join(["add", "sub", "concat"])
    drawn.dense(rng.randint(1, 3))
    return drawn.network.pruned()


def _vector(rng: random.Random) -> tuple[int, ...]:
    return (rng.choice([1, 1, 1, 1, 2]), rng.choice([1, 2, 2, 3, 4, 5]))


def _image(rng: random.Random) -> tuple[int, ...]:
    return (1, rng.choice([1, 1, 2]), rng.randint(2, 4), rng.randint(2, 4))


def _tokens(rng: random.Random) -> tuple[int, ...]:
    return (1, rng.randint(2, 3), rng.randint(1, 3))


class _Drawing:
    """A network that grows step by step; most steps read the latest value, some an earlier one as
    well."""

    def __init__(self, rng: random.Random, start: Network) -> None:
        self.rng, self.network = rng, start
        self.generator = torch.Generator().manual_seed(rng.randrange(2**31))

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return self.network.shapes

    @property
    def latest(self) -> int:
        return len(self.network.steps)

    def add(self, kind: str, of: tuple[int, ...] | None = None, **settings: Any) -> None:
        """Append a step, with the settings that its kind knows, unless its value would be empty, or
        large."""
        weights = {name: value for name, value in settings.items() if isinstance(value, Tensor)}
        known = {name for _, name, _, _ in Formatter().parse(KINDS[kind].torch)}
        plain = {name: value for name, value in settings.items() if name in known - set(weights)}
        step = Step(kind, (self.latest,) if of is None else of, plain, weights)
        grown = Network(self.network.shape, (*self.network.steps, step), self.network.dtype)
        if 0 < math.prod(grown.shapes[-1]) <= LARGEST:
            self.network = grown

    def grow(self) -> None:
        rank = len(self.shapes[-1])
        general: list[Callable[[], None]] = [
            self.activate,
            self.activate,
            self.join,
            self.join,
            self.linear,
        ]
        special = {2: [self.vector] * 4, 3: [self.token] * 4, 4: [self.image] * 4}.get(rank, [])
        self.rng.choice([*general, *special])()

    def close(self, saturated: bool) -> None:
        """A last layer of few outputs, or a number, or whatever is there."""
        if saturated:
            self.add("scale", by=self.rng.choice([1e-6, 1e6, 1e160, 1e-160, 1e-300]))
        ending = self.rng.random()
        if ending < 0.6:
            if len(self.shapes[-1]) > 2:
                self.add("flatten")
            if self.shapes[-1]:
                self.dense(self.rng.randint(1, 3))
        elif ending < 0.75:
            self.add(self.rng.choice(["total", "mean"]))
        if not self.network.steps:
            self.add("negative")

    def activate(self, kind: str | None = None) -> None:
        kind = kind or self.rng.choice(
            ["relu"] * 8 + ["tanh", "sigmoid", "leaky"] * 3 + list(POINTWISE)
        )
        choice = self.rng.choice
        settings: dict[str, dict[str, Any]] = {
            "leaky": {"alpha": choice([0.2, 0.01, -0.3, -3.0, 1.0, 2.5, 0.0])},
            "elu": {"alpha": choice([1.0, 3.0, 0.1])},
            "celu": {"alpha": choice([1.0, 3.0, 0.3])},
            "softplus": {
                "beta": choice([1.0, 5.0, 0.5]),
                "threshold": choice([20.0, 20.0, 1.0, 0.1]),
            },
            "gelu": {"approximate": choice(["none", "tanh"])},
            "hardtanh": dict(
                zip(
                    ("lo", "hi"),
                    choice([(-1.0, 1.0), (0.0, 6.0), (-0.2, 0.1), (2.0, 3.0)]),
                    strict=True,
                )
            ),
            "softshrink": {"lambd": choice([0.5, 0.0, 1.5])},
            "hardshrink": {"lambd": choice([0.5, 0.0])},
            "scale": {"by": choice([-2.0, 0.5, 1e3, 1e-3, 0.0])},
            "shift": {"by": choice([-1.0, 0.5, 100.0])},
        }
        self.add(kind, **settings.get(kind, {}))

    def join(
        self, kinds: Sequence[str] = ("add", "add", "sub", "mul", "max", "min", "concat")
    ) -> None:
        """A second operand of the same shape, earlier or new: residual, product, maximum,
        concatenation."""
        same = [i for i, shape in enumerate(self.shapes[:-1]) if shape == self.shapes[-1]]
        if not same:
            return self.activate()
        fitting = [kind for kind in kinds if kind != "concat" or len(self.shapes[-1]) > 1]
        other = self.rng.choice(same)
        pair = (self.latest, other) if self.rng.random() < 0.7 else (other, self.latest)
        return self.add(self.rng.choice(fitting), pair)

    def linear(self) -> None:
        rank = len(self.shapes[-1])
        kinds = ["negative"] + ["flip", "cumsum", "slice", "sum", "sort", "amax"] * (rank > 0)
        kind = self.rng.choice(kinds)
        self.add(kind, start=self.rng.choice([0, 1]), dim=self.rng.choice([-1, max(-rank, -2)]))

    def vector(self) -> None:
        """Weights are frequent; an older value is read sometimes, so that it is shared."""
        choice = self.rng.random()
        size = self.shapes[-1][-1]
        if choice < 0.75:
            earlier = [i for i, shape in enumerate(self.shapes) if len(shape) == 2]
            of = self.rng.choice(earlier) if self.rng.random() < 0.2 else self.latest
            self.dense(self.rng.choice([1, 2, 3, 4, size]), of)
        elif choice < 0.85:
            self.normalise("batch_norm", self.shapes[-1][1])
        elif choice < 0.93:
            self.add("layer_norm", w=self.noise(size), b=self.noise(size), eps=1e-5)
        else:
            self.add("softmax", dim=-1)

    def token(self) -> None:
        choice = self.rng.random()
        size = self.shapes[-1][-1]
        if choice < 0.4:
            self.dense(self.rng.choice([1, 2, 3, size]))
        elif choice < 0.65:
            self.attend()
        elif choice < 0.8:
            self.add(
                "layer_norm",
                w=self.noise(size),
                b=self.noise(size),
                eps=self.rng.choice([1e-5, 1e-1]),
            )
        elif choice < 0.9:
            self.add("softmax", dim=-1)
        else:
            self.add(self.rng.choice(["flatten", "transpose"]))

    def attend(self) -> None:
        """softmax(Q K^T) V, with what comes before as queries, keys and values."""
        source, size = self.latest, self.shapes[-1][-1]
        self.dense(size)
        query = self.latest
        self.add("transpose", (source,))
        self.add("matmul", (query, self.latest))
        self.add("scale", by=0.5)
        self.add("softmax", dim=-1)
        self.add("matmul", (self.latest, source))

    def image(self) -> None:
        channels, *sides = self.shapes[-1][1:]
        side, choice = min(sides), self.rng.random()
        draw = self.rng.choice
        if choice < 0.4:
            self.convolve(channels, side)
        elif choice < 0.62:
            kernel = min(draw([1, 2, 2, 3]), side)
            padding, dilation = draw([0, 0, kernel // 2]), draw([1, 1, 2])
            if dilation * (kernel - 1) + 1 <= side + 2 * padding:
                ceil = draw([False, True])
                self.add(
                    "max_pool",
                    kernel_size=kernel,
                    stride=draw([1, 2]),
                    padding=padding,
                    dilation=dilation,
                    ceil_mode=ceil,
                )
        elif choice < 0.7:
            kernel = min(draw([2, 3]), side)
            self.add(
                "avg_pool", kernel_size=kernel, stride=draw([1, 2]), padding=draw([0, kernel // 2])
            )
        elif choice < 0.8:
            self.normalise(
                draw(["batch_norm", "group_norm"]) if side > 1 else "batch_norm", channels
            )
        elif choice < 0.88:
            mode = draw(["constant", "reflect", "circular"]) if side > 1 else "constant"
            self.add("pad", sides=[1, 1, 0, 1], mode=mode)
        else:
            self.add(draw(["flatten", "transpose", "upsample"]))

    def convolve(self, channels: int, side: int) -> None:
        kernel, draw = min(self.rng.choice([1, 2, 3]), side), self.rng.choice
        if self.rng.random() < 0.2:
            weight = self.matrix(channels, 2 * kernel * kernel).reshape(channels, 2, kernel, kernel)
            padding = draw([0, kernel - 1])
            self.add(
                "conv_transpose",
                w=weight,
                b=self.noise(2),
                stride=draw([1, 2]),
                padding=padding,
                output_padding=0,
            )
            return
        groups = draw([1, channels])
        outputs = draw([1, 2]) * groups
        weight = self.matrix(outputs, channels // groups * kernel * kernel)
        weight, padding = weight.reshape(outputs, -1, kernel, kernel), draw([0, kernel // 2])
        dilation = draw([1, 1, 2]) if 2 * (kernel - 1) + 1 <= side + 2 * padding else 1
        stride = draw([1, 1, 2])
        bias = self.noise(outputs)
        self.add(
            "conv",
            w=weight,
            b=bias,
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    def normalise(self, kind: str, channels: int) -> None:
        weights = {"w": self.noise(channels), "b": self.noise(channels)}
        if kind == "batch_norm":
            weights |= {"mean": self.noise(channels), "var": self.noise(channels) ** 2}
            self.add(kind, eps=1e-5, **weights)
        else:
            self.add(
                kind,
                groups=self.rng.choice([1, channels]),
                eps=self.rng.choice([1e-5, 1e-1]),
                **weights,
            )

    def dense(self, outputs: int, of: int | None = None) -> None:
        source = self.latest if of is None else of
        bias = self.noise(outputs) * self.rng.choice([0.0, 1.0, 1.0])
        self.add("dense", (source,), w=self.matrix(outputs, self.shapes[source][-1]), b=bias)

    def noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.generator).double()

    def matrix(self, rows: int, columns: int) -> Tensor:
        """Ordinary, one-sided, repeated, zeroed, rank-one, integer, orthogonal-like and badly
        scaled weights."""
        weight = self.noise(rows, columns) * self.rng.choice([1.0, 1.0, 3.0, 0.3])
        style = self.rng.choice(
            ["plain"] * 6 + ["signed", "repeated", "zero", "rank", "integer", "scaled", "constant"]
        )
        if style == "signed":
            weight = weight.abs() * self.rng.choice([1, -1])
        elif style == "repeated":
            weight = weight[:1].expand(rows, columns).clone()
        elif style == "zero":
            weight[self.rng.randrange(rows)] = 0
        elif style == "rank":
            weight = self.noise(rows, 1) @ self.noise(1, columns)
        elif style == "integer":
            weight = weight.round()
        elif style == "scaled":
            weight = weight * 10.0 ** self.rng.choice([-6, -3, 3, 6])
        elif style == "constant":
            weight = torch.ones_like(weight)
        return weight.to(self.network.dtype).double()
