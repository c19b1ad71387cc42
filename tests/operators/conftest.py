"""Operators of every kind and many shapes; a test with an argument `operator` runs on each of
them."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from autolip.operators import (
    Block,
    Convolution,
    Dense,
    Diagonal,
    Geometry,
    Identity,
    Incidence,
    Link,
    Operator,
    Sum,
    Traced,
    Zero,
    add,
    compose,
)

CONVOLUTIONS = {
    "1x1": ((4, 3, 1, 1), (3, 5, 5), Geometry((1, 1), (0, 0), (1, 1))),
    "same": ((4, 3, 3, 3), (3, 6, 5), Geometry((1, 1), (1, 1), (1, 1))),
    "even kernel": ((2, 3, 4, 2), (3, 7, 6), Geometry((1, 1), (2, 1), (1, 1))),
    "strided": ((4, 3, 3, 3), (3, 7, 8), Geometry((2, 3), (1, 1), (1, 1))),
    "stride beyond kernel": ((4, 3, 2, 2), (3, 9, 9), Geometry((3, 3), (0, 0), (1, 1))),
    "dilated": ((2, 2, 3, 3), (2, 9, 9), Geometry((1, 1), (2, 2), (2, 2))),
    "dilated and strided": ((2, 2, 3, 3), (2, 9, 10), Geometry((2, 2), (2, 1), (2, 3))),
    "grouped": ((6, 2, 3, 3), (4, 5, 5), Geometry((1, 1), (1, 1), (1, 1), groups=2)),
    "depthwise": ((6, 1, 3, 3), (3, 6, 6), Geometry((1, 1), (1, 1), (1, 1), groups=3)),
    "11x11 stride 4": ((2, 1, 11, 11), (1, 23, 23), Geometry((4, 4), (2, 2), (1, 1))),
    "one pixel": ((4, 3, 3, 3), (3, 1, 1), Geometry((1, 1), (1, 1), (1, 1))),
    "one dimension": ((4, 3, 5), (3, 11), Geometry((2,), (2,), (1,))),
    "three dimensions": ((2, 2, 3, 2, 3), (2, 4, 5, 3), Geometry((1, 2, 1), (1, 0, 1), (1, 1, 1))),
    "batched": ((4, 3, 3, 3), (2, 3, 5, 5), Geometry((1, 1), (1, 1), (1, 1))),
    "transposed": ((3, 4, 3, 3), (3, 4, 4), Geometry((1, 1), (1, 1), (1, 1), True)),
    "transposed, output padding": (
        (3, 4, 3, 3),
        (3, 4, 5),
        Geometry((2, 3), (1, 1), (1, 1), True, (1, 2)),
    ),
    "transposed, grouped, dilated": (
        (4, 3, 2, 3),
        (4, 5, 4),
        Geometry((2, 1), (0, 1), (1, 2), True, (1, 0), 2),
    ),
    "transposed, one dimension": ((3, 2, 4), (3, 6), Geometry((2,), (1,), (1,), True)),
    "transposed, three dimensions": (
        (2, 2, 2, 3, 2),
        (2, 3, 3, 2),
        Geometry((2, 1, 2), (0, 1, 0), (1, 1, 1), True),
    ),
}


def random(*shape: int) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64
    )


def convolution(name: str) -> Convolution:
    weight, in_shape, geometry = CONVOLUTIONS[name]
    return Convolution(random(*weight), in_shape, geometry)


def examples() -> Iterator[tuple[str, Operator]]:
    """Names and operators."""
    for name in CONVOLUTIONS:
        yield f"convolution: {name}", convolution(name)
        yield f"adjoint: {name}", convolution(name).T
    yield "dense: wide", Dense(random(3, 8))
    yield "dense: tall", Dense(random(9, 2))
    yield "dense: 1 x 1", Dense(random(1, 1))
    yield "dense: leading axes", Dense(random(4, 5), (2, 3, 5))
    yield "dense: one matrix each", Dense(random(3, 4, 5))
    yield "dense: broadcast batch", Dense(random(3, 4, 5), (2, 3, 5))
    yield "diagonal: full", Diagonal(random(3, 4), (3, 4))
    yield "diagonal: broadcast", Diagonal(random(3, 1), (2, 3, 4))
    yield "diagonal: scalar", Diagonal(torch.tensor(-0.3), (2, 3))
    yield "identity", Identity((2, 3))
    yield "zero", Zero((2, 3), (4,))
    yield "wiring: permutation", Incidence(lambda x: x.flip(0).T.reshape(-1), (3, 4))
    yield "wiring: slice", Incidence(lambda x: x[1:, ::2], (3, 4))
    yield "wiring: padding", Incidence(lambda x: torch.nn.functional.pad(x, (1, 2)), (3, 4))
    yield (
        "wiring: reflection",
        Incidence(lambda x: torch.nn.functional.pad(x, (2, 2), mode="reflect"), (1, 5)),
    )
    yield "wiring: broadcast", Incidence(lambda x: x.expand(4, 5), (5,))
    yield "wiring: sums", Incidence(lambda x: x.sum(1), (3, 4))
    yield "adjoint: broadcast", Incidence(lambda x: x.expand(4, 5), (5,)).T
    yield "adjoint: sums", Incidence(lambda x: x.sum(1), (3, 4)).T
    yield "adjoint: overlapping windows", Incidence(lambda x: x.unfold(0, 3, 1).sum(-1), (8,)).T
    yield "wiring: overlapping windows", Incidence(lambda x: x.unfold(0, 3, 1).sum(-1), (8,))
    yield "traced: Fourier", Traced(lambda x: torch.fft.rfft(x).real, (9,), terms=9)
    yield "traced: mean", Traced(lambda x: x.mean(-1), (3, 4), terms=4, nonnegative=True)
    yield from composites()


def composites() -> Iterator[tuple[str, Operator]]:
    conv, strided, deconv = (convolution(name) for name in ("same", "strided", "transposed"))
    norm = Diagonal(random(4, 1, 1), conv.out_shape)
    flat = Incidence(lambda x: x.reshape(-1), conv.out_shape)
    yield "batch norm after convolution", compose(norm, conv)
    yield "convolution after scaling", compose(conv, Diagonal(random(3, 1, 1), conv.in_shape))
    yield (
        "batch norm after transposed convolution",
        compose(Diagonal(random(4, 1, 1), deconv.out_shape), deconv),
    )
    yield (
        "transposed convolution after scaling",
        compose(deconv, Diagonal(random(3, 1, 1), deconv.in_shape)),
    )
    grouped = convolution("transposed, grouped, dilated")
    yield (
        "grouped transposed, scaled",
        compose(Diagonal(random(6, 1, 1), grouped.out_shape), grouped),
    )
    grouped = convolution("grouped")
    yield "scaled, grouped", compose(grouped, Diagonal(random(4, 1, 1), grouped.in_shape))
    yield "entrywise mask", compose(conv, Diagonal(random(3, 6, 5).sign(), conv.in_shape))
    yield "linear after convolution", compose(Dense(random(7, 120)), flat, conv)
    yield "two linears", compose(Dense(random(3, 6)), Dense(random(6, 4)))
    yield (
        "scaled linear",
        compose(Diagonal(random(3), (3,)), Dense(random(3, 6)), Diagonal(random(6), (6,))),
    )
    yield (
        "underflowing product",
        compose(
            Diagonal(torch.tensor(1e-200, dtype=torch.float64), (2,)), Dense(random(2, 2) * 1e-200)
        ),
    )
    yield "residual", add(compose(conv.T, conv), Identity(conv.in_shape))
    yield (
        "sum of diagonals",
        add(Diagonal(random(3), (3,)), Identity((3,)), Diagonal(random(3).abs(), (3,))),
    )
    yield (
        "sum of traced and dense",
        add(Traced(lambda x: x.cumsum(0), (5,), terms=5), Dense(random(5, 5))),
    )
    yield "adjoint of a composition", compose(strided.T, strided).T
    links = (Link("x", "a", conv), Link("x", "y", Identity(conv.in_shape)), Link("a", "y", conv.T))
    yield "block with a skip", Block("x", "y", links, conv.in_shape, conv.in_shape)
    yield "adjoint of a block", Block("x", "y", links, conv.in_shape, conv.in_shape).T
    parts = (compose(strided.T, strided), Diagonal(torch.tensor(2.0), strided.in_shape))
    yield "sum of a composition", Sum(parts)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "operator" in metafunc.fixturenames:
        named = dict(examples())
        metafunc.parametrize("operator", named.values(), ids=named.keys())
