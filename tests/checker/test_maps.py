"""The checker's linear maps against PyTorch, their adjoints, their rounding bounds."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from autolip.certificates.encode import Encoder, Tensors
from autolip.graph.views import Edge, Vertex
from autolip.intervals import Interval
from autolip.operators import (
    Convolution,
    Dense,
    Diagonal,
    Geometry,
    Identity,
    Incidence,
    Operator,
    Sum,
    Zero,
    compose,
)
from autolip.slopes import Exact
from autolip_check.container import Rejected
from autolip_check.graph import Section, read_network
from autolip_check.maps import build, gamma

torch.manual_seed(0)
KERNEL = torch.randn(4, 3, 3, 2, dtype=torch.float64)
OPERATORS: dict[str, Operator] = {
    "dense": Dense(torch.randn(5, 4), (2, 3, 4)),
    "dense batch": Dense(torch.randn(3, 5, 4), (2, 3, 4)),
    "diagonal": Diagonal(torch.randn(3, 1), (2, 3, 4), 1e-15),
    "convolution": Convolution(KERNEL, (1, 6, 9, 8), Geometry((2, 1), (1, 0), (2, 1), groups=2)),
    "no lead": Convolution(KERNEL[:, :, 0], (3, 8), Geometry((3,), (2,), (1,))),
    "transposed": Convolution(KERNEL, (4, 5, 4), Geometry((2, 3), (1, 0), (1, 2), True, (1, 2))),
    "adjoint": Convolution(KERNEL, (3, 7, 6), Geometry((2, 2), (1, 1), (1, 1))).T,
    "reshape": Incidence(lambda x: x.permute(1, 0, 2).reshape(-1, 2), (3, 4, 2)),
    "select": Incidence(lambda x: x[..., [3, 0, 0]], (2, 5)),
    "pad": Incidence(lambda x: torch.nn.functional.pad(x, (1, 2)), (2, 3)),
    "flip": Incidence(lambda x: x.flip(0), (4, 2)),
    "sum": Incidence(lambda x: x.sum(1), (3, 4)),
    "expand": Incidence(lambda x: x.expand(3, 4), (1, 4)),
    "overlap": Incidence(lambda x: x.cumsum(0), (5, 2)),
    "overlap adjoint": Incidence(lambda x: x.cumsum(0), (5, 2)).T,
    "scalar": Incidence(lambda x: x.sum(), (3,)),
    "zero": Zero((2, 3), (4,)),
    "composed": compose(
        Dense(torch.randn(2, 6)),
        Incidence(lambda x: x.reshape(-1), (2, 3)),
        Diagonal(torch.randn(3), (2, 3)),
    ),
    "added": Sum(
        (
            Dense(torch.randn(3, 3)),
            Identity((3,)),
            compose(Zero((2,), (3,)), Dense(torch.randn(2, 3))),
        )
    ),
}


def section(operator: Operator) -> Section:
    """The operator as the only operation of a network that the checker has read."""
    tensors = Tensors()
    encoder = Encoder(tensors, {})
    everywhere = Interval.everywhere
    encoder.vertex(Vertex("x", operator.in_shape, (), everywhere(operator.in_shape)))
    encoder.vertex(
        Vertex(
            "y", operator.out_shape, (Edge("x", Exact(operator)),), everywhere(operator.out_shape)
        )
    )
    graph = {
        "input": "x",
        "output": "y",
        "region": {"kind": "everywhere"},
        "vertices": encoder.vertices,
    }
    return Section(read_network(graph, tensors.arrays), ("x",))


@pytest.mark.parametrize("name", OPERATORS)
def test_products_agree_with_the_operator(name: str) -> None:
    operator, checked = OPERATORS[name], section(OPERATORS[name])
    x = torch.randn(3, *operator.in_shape, dtype=torch.float64)
    y = torch.randn(3, *operator.out_shape, dtype=torch.float64)
    forward = checked.act({"x": x.numpy()}).get("y", np.zeros(y.shape))
    backward = checked.act({"y": y.numpy()}, back=True).get("x", np.zeros(x.shape))
    assert forward == pytest.approx(operator.mv(x).numpy(), abs=1e-12)
    assert backward == pytest.approx(operator.rmv(y).numpy(), abs=1e-12)
    assert (forward * y.numpy()).sum() == pytest.approx((backward * x.numpy()).sum())


@pytest.mark.parametrize("name", OPERATORS)
def test_absolute_products_are_those_of_the_absolute_matrix(name: str) -> None:
    operator, checked = OPERATORS[name], section(OPERATORS[name])
    majorant = operator.majorant()
    assert majorant is not None
    x = torch.rand(2, *operator.in_shape, dtype=torch.float64)
    pushed = checked.act({"x": x.numpy()}, absolute=True).get(
        "y", np.zeros((2, *operator.out_shape))
    )
    assert pushed == pytest.approx(majorant.mv(x).numpy())
    y = torch.rand(2, *operator.out_shape, dtype=torch.float64)
    pulled = checked.act({"y": y.numpy()}, back=True, absolute=True).get(
        "x", np.zeros((2, *operator.in_shape))
    )
    assert pulled == pytest.approx(majorant.rmv(y).numpy())


@pytest.mark.parametrize("name", ["dense", "convolution", "transposed", "overlap", "composed"])
def test_rounding_stays_within_its_bound(name: str) -> None:
    """Against exact arithmetic on the dense matrix, which holds stored numbers only where it is a
    single leaf."""
    operator, checked = OPERATORS[name], section(OPERATORS[name])
    x = torch.randn(operator.in_size, dtype=torch.float64)
    shaped = x.reshape(1, *operator.in_shape).numpy()
    got = checked.act({"x": shaped})["y"].reshape(-1)
    allowed = gamma(checked.terms()) * checked.act({"x": np.abs(shaped)}, absolute=True)[
        "y"
    ].reshape(-1)
    for row, value, slack in zip(
        operator.matrix().tolist(), got.tolist(), allowed.tolist(), strict=True
    ):
        exact = sum(
            (Fraction(a) * Fraction(b) for a, b in zip(row, x.tolist(), strict=True)), Fraction(0)
        )
        assert abs(Fraction(value) - exact) <= Fraction(slack) * 2


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "sort", "in": [3]},
        {"op": "diagonal", "in": [3], "weight": 1.0, "error": 0.0, "more": 1},
        {"op": "diagonal", "in": [3], "weight": 1.0, "error": -1.0},
        {"op": "diagonal", "in": [3], "weight": 1e-200, "error": 0.0},
        {"op": "diagonal", "in": [-3], "weight": 1.0, "error": 0.0},
        {"op": "gather", "in": [3], "out": [2], "index": [2, 1]},
        {"op": "gather", "in": [3], "out": [2], "index": [0, -1]},
        {"op": "gather", "in": [3], "out": [2], "index": [0, 0.5]},
    ],
)
def test_what_is_not_known_is_refused(entry: dict) -> None:
    with pytest.raises(Rejected):
        build(entry, {}, (3,), (2,) if "out" in entry else (3,))
