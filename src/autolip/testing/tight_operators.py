"""Operators with known norms: entries are small integers and powers of two, so that their matrices
are exact."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

from autolip.operators import (
    Block,
    Composition,
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
)
from autolip.testing.operators import operator_kinds
from autolip.testing.tight import TightOperator


def tight_operators() -> tuple[TightOperator, ...]:
    """Every operator of the zoo, in a fixed order, and the examples that classes of operators
    give."""
    makers = (_dense, _wired, _convolutions, _composed, _examples)
    return tuple(TightOperator(name, operator) for make in makers for name, operator in make())


def _examples() -> Iterator[tuple[str, Operator]]:
    for kind in operator_kinds():
        if "examples" in vars(kind):
            for number, operator in enumerate(kind.examples(), start=1):
                yield f"{kind.__name__} {number}", operator


def tensor(rows: object) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _dense() -> Iterator[tuple[str, Operator]]:
    column = tensor([[1.0], [-2.0], [2.0]])
    turn = tensor([[3.0, -4.0], [4.0, 3.0]])
    yield "one entry", Dense(tensor([[-3.0]]))
    yield "rank one", Dense(column @ tensor([[2.0, -1.0, 4.0, 0.0]]))
    yield "ones", Dense(torch.ones(4, 3, dtype=torch.float64))
    yield "a turn", Dense(turn)
    yield (
        "Hadamard",
        Dense(torch.kron(tensor([[1.0, 1.0], [1.0, -1.0]]), tensor([[1.0, 1.0], [1.0, -1.0]]))),
    )
    yield (
        "integers",
        Dense(tensor([[1.0, -2.0, 3.0, 0.0], [4.0, 1.0, -1.0, 2.0], [0.0, 5.0, 1.0, -3.0]])),
    )
    yield "positive integers", Dense(tensor([[1.0, 2.0, 3.0], [4.0, 0.0, 1.0]]))
    yield "duplicated rows", Dense(torch.cat([turn, turn, turn]))
    yield "zero rows", Dense(torch.cat([turn, torch.zeros(2, 2, dtype=torch.float64)]))
    yield "huge", Dense(turn * 2.0**530)
    yield "tiny", Dense(turn * 2.0**-530)
    yield "subnormal", Dense(turn * 2.0**-1070)
    yield "graded", Dense(torch.diag(tensor([2.0**300, 1.0, 2.0**-300])))
    yield "a batch", Dense(torch.stack([turn, 2 * turn, -turn]))
    yield "transposed", Dense(tensor([[1.0, -2.0, 3.0], [4.0, 1.0, -1.0]])).T


def _wired() -> Iterator[tuple[str, Operator]]:
    yield "diagonal", Diagonal(tensor([-3.0, 1.0, 2.0]), (3,))
    yield "identity", Identity((4,))
    yield "zero", Zero((3,), (2,))
    yield "copies", Incidence(lambda x: x.expand(5, 2).contiguous(), (2,))
    yield "sums", Incidence(lambda x: x.expand(5, 2).contiguous(), (2,)).T
    yield "a slice", Incidence(lambda x: x[1:], (4,))
    yield "running sums", Traced(lambda x: x.cumsum(0), (5,), terms=5, nonnegative=True)
    yield "differences", Traced(lambda x: x[1:] - x[:-1], (6,), terms=2)
    yield (
        "sums over windows",
        Traced(lambda x: x.unfold(0, 3, 1).sum(-1), (7,), terms=3, nonnegative=True),
    )


def _convolutions() -> Iterator[tuple[str, Operator]]:
    plain = Geometry((1,), (1,), (1,))
    yield (
        "convolution 1",
        Convolution(tensor([[[2.0]], [[-1.0]]]), (1, 1, 6), Geometry((1,), (0,), (1,))),
    )
    yield "convolution 3", Convolution(tensor([[[1.0, 2.0, 1.0]]]), (1, 1, 9), plain)
    yield (
        "convolution of two channels",
        Convolution(
            tensor([[[1.0, 0.0, -1.0], [2.0, 1.0, 0.0]], [[0.0, 1.0, 1.0], [1.0, -3.0, 1.0]]]),
            (1, 2, 6),
            plain,
        ),
    )
    yield (
        "strided",
        Convolution(tensor([[[1.0, -2.0]], [[3.0, 1.0]]]), (1, 1, 10), Geometry((2,), (0,), (1,))),
    )
    yield "dilated", Convolution(tensor([[[1.0, -1.0]]]), (1, 1, 8), Geometry((1,), (2,), (2,)))
    yield (
        "grouped",
        Convolution(
            tensor([[[1.0, 2.0]], [[3.0, -1.0]]]), (1, 2, 6), Geometry((1,), (0,), (1,), groups=2)
        ),
    )
    yield (
        "transposed convolution",
        Convolution(tensor([[[1.0, 3.0]]]), (1, 1, 5), Geometry((2,), (0,), (1,), transposed=True)),
    )
    kernel = tensor([[[[1.0, 0.0], [-2.0, 1.0]]]])
    yield "two axes", Convolution(kernel, (1, 1, 3, 3), Geometry((1, 1), (0, 0), (1, 1)))
    yield (
        "pointwise, two axes",
        Convolution(tensor([[[[3.0]]], [[[4.0]]]]), (1, 1, 2, 2), Geometry((1, 1), (0, 0), (1, 1))),
    )


def _composed() -> Iterator[tuple[str, Operator]]:
    a = Dense(tensor([[1.0, 2.0], [-1.0, 1.0], [3.0, 0.0]]))
    b = Dense(tensor([[2.0, -1.0, 1.0], [0.0, 1.0, 4.0]]))
    turn = Dense(tensor([[3.0, -4.0], [4.0, 3.0]]))
    other = Dense(tensor([[0.0, 2.0], [-2.0, 0.0]]))
    ones = Dense(torch.ones(2, 2, dtype=torch.float64))
    conv = Convolution(tensor([[[1.0, 1.0]]]), (1, 1, 8), Geometry((1,), (0,), (1,)))
    after = Convolution(tensor([[[1.0, 2.0]]]), (1, 1, 7), Geometry((1,), (0,), (1,)))
    wrapped = Incidence(lambda x: F.pad(x, (1, 1), mode="circular"), (1, 1, 6))
    kernel = tensor([[[1.0, 2.0, -1.0]]])
    yield (
        "circular convolution",
        Composition((Convolution(kernel, (1, 1, 8), Geometry((1,), (0,), (1,))), wrapped)),
    )
    yield "composition", Composition((b, a))
    yield "composition of turns", Composition((turn, other))
    yield "composition of ones", Composition((ones, ones))
    yield (
        "composition that cancels",
        Composition((Dense(tensor([[1.0, -1.0]])), Dense(tensor([[1.0], [1.0]])))),
    )
    yield "convolutions composed", Composition((after, conv))
    yield "sum", Sum((turn, other))
    yield "sum of one sign", Sum((ones, Identity((2,))))
    yield "sum that cancels", Sum((turn, Dense(-turn.weight)))
    yield "adjoint of a composition", Composition((b, a)).T
    links = (Link("x", "h", a), Link("x", "y", ones), Link("h", "y", b))
    yield "block with a skip", Block("x", "y", links, torch.Size((2,)), torch.Size((2,)))
    positive = (Link("x", "h", ones), Link("x", "y", ones), Link("h", "y", ones))
    yield "block of one sign", Block("x", "y", positive, torch.Size((2,)), torch.Size((2,)))
