"""Every method where numbers leave floating point on the way: the constant stays below the bound,
or is refused."""

import math
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.errors import Refusal
from autolip.methods import METHODS, Problem
from autolip.norms import Norm, parse_norms
from autolip.operators.norms import NormOptions
from autolip.regions import Ball, Box, Everywhere, Region
from autolip.values import Upper

SOLVERS = {"lipsdp-cvxpy", "seqlip-sdp"}
"""What takes seconds and shares its proofs with lipsdp."""


def scaled_chain(*factors: float) -> nn.Sequential:
    """x -> relu(factor x) and so on, two entries wide."""
    layers: list[nn.Module] = []
    for factor in factors:
        layer = nn.Linear(2, 2, bias=False).double()
        layer.weight.data = factor * torch.eye(2, dtype=torch.float64)
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def uppers(
    model: nn.Module,
    size: int,
    p: Norm = Norm.L2,
    q: Norm | None = None,
    region: Region | None = None,
) -> dict[str, float]:
    """What the methods say that say something; estimates are none of it."""
    graph = capture_model(model, (torch.zeros(1, size, dtype=torch.float64),), 0).graph
    problem = Problem.pose(graph, region or Everywhere(), p, q or p, NormOptions())
    answers = {
        name: make().answer(problem) for name, make in METHODS.items() if name not in SOLVERS
    }
    failed = {name: str(answer) for name, answer in answers.items() if "failed with" in str(answer)}
    assert not failed
    values = {name: getattr(answer, "value", None) for name, answer in answers.items()}
    return {name: value.value for name, value in values.items() if isinstance(value, Upper)}


@pytest.mark.parametrize(
    "factors",
    [
        (1e160, 1e160, 1e160),
        (1e-160, 1e-160, 1e-160),
        (1e160, 1e-160),
        (1e-160, 1e160),
        (1e160, 1e160, 1e-160, 1e-160),
        (1e-300, 1e-20, 1e-10),
        (5e-324, 0.5),
        (1e-170, 1e170, 3.0),
        (1e30,) * 12,
        (1e-30,) * 12,
    ],
    ids=lambda factors: f"{factors[0]:g} and {len(factors) - 1} more",
)
def test_chains_of_known_constants(factors: tuple[float, ...]) -> None:
    exact = math.prod(map(Fraction, factors))
    for norm in (Norm.L2, Norm.L1):
        found = uppers(scaled_chain(*factors), 2, norm)
        assert "autolip" in found and "rescaled" in found
        low = {
            name: value
            for name, value in found.items()
            if math.isfinite(value) and Fraction(value) < exact
        }
        assert not low and min(found.values()) > 0


class Squared(nn.Module):
    """x -> b (a x)^2, entry by entry."""

    def __init__(self, a: float, b: float) -> None:
        super().__init__()
        self.first, self.last = scaled_chain(a), scaled_chain(b)

    def forward(self, x: Tensor) -> Tensor:
        z = self.first(x)
        return self.last(z * z)


@pytest.mark.parametrize(
    ("a", "b", "radius"),
    [
        (1e160, 1e-160, 1e-160),
        (1e-160, 1e160, 1e160),
        (1e-100, 1.0, 1e-100),
        (1e-160, 1.0, 1e-160),
        (1e150, 1e150, 1.0),
    ],
)
def test_squares_of_known_constants_on_balls(a: float, b: float, radius: float) -> None:
    """2 a^2 b r on the linf ball of radius r about 0."""
    exact = 2 * Fraction(a) ** 2 * Fraction(b) * Fraction(radius)
    region = Ball(torch.zeros(1, 2, dtype=torch.float64), radius, "linf")
    for norm in (Norm.L2, Norm.L1):
        found = uppers(Squared(a, b).eval(), 2, norm, region=region)
        assert "autolip" in found and not any(
            math.isfinite(x) and Fraction(x) < exact for x in found.values()
        )


class Through(nn.Module):
    """A function of two affine maps of the input, and one after it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c, self.kind = nn.Linear(3, 4), nn.Linear(3, 4), nn.Linear(4, 3), kind

    def forward(self, x: Tensor) -> Tensor:
        v, w = self.a(x), self.b(x)
        z = {
            "square": lambda: v * v,
            "exp": lambda: torch.exp(v),
            "jump": lambda: nn.functional.hardshrink(v),
            "sign": lambda: torch.sign(v),
            "root": lambda: torch.sqrt(v.abs()),
            "gate": lambda: v * torch.sigmoid(w),
            "product": lambda: v * w,
            "reciprocal": lambda: 1 / v,
            "quotient": lambda: v / (v.sum(1, keepdim=True) + 1e-6),
        }[self.kind.removeprefix("skip ").removeprefix("first ")]()
        if self.kind.startswith("skip "):
            return x + self.c(z)
        return (
            self.c(torch.relu(self.c(z) @ self.c.weight))
            if self.kind.startswith("first ")
            else self.c(z)
        )


KINDS = [
    "square",
    "exp",
    "jump",
    "sign",
    "root",
    "gate",
    "product",
    "reciprocal",
    "quotient",
    "skip square",
]


@pytest.mark.parametrize("kind", [*KINDS, "first square"])
@pytest.mark.parametrize("norms", ["l1:l1", "linf:linf", "l2:l1", "l2:l2"])
def test_what_has_no_finite_constant_has_no_finite_bound(kind: str, norms: str) -> None:
    """Weights of an infinite slope were 1 / inf = 0, and 0 times infinity made a bound of 0."""
    assert set(uppers(Through(kind).double().eval(), 3, *parse_norms(norms)).values()) == {math.inf}


def test_a_zero_map_blocks_an_infinite_slope_on_either_side() -> None:
    """x -> B (A x)^2 with A or B zero is constant: 0 is the bound, and a proof."""
    for name in ("a", "c"):
        model = Through("square").double().eval()
        getattr(model, name).weight.data.zero_()
        assert uppers(model, 3)["autolip"] == 0
        assert uppers(model, 3, Norm.L1)["rescaled"] == 0


class Towers(nn.Module):
    """Two halves of the input apart, joined by a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 5), nn.Linear(4, 5), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.c(torch.cat([torch.tanh(self.a(x[:, :4])), torch.tanh(self.b(x[:, 4:]))], 1))


class Unrolled(nn.Module):
    """A recurrent cell over three steps."""

    def __init__(self, cell: type[nn.Module]) -> None:
        super().__init__()
        self.cell = cell(3, 4, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.cell(x.reshape(1, 3, 3))[0].flatten(1)


def degenerate(kind: str) -> nn.Module:
    """A chain with a layer that is not of full rank."""
    model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 3))
    weight = model[2].weight.data
    if kind == "duplicated":
        weight[1] = weight[0]
    elif kind == "pruned":
        weight[1], model[4].weight.data[:, 2] = 0, 0
    elif kind == "rank one":
        weight[:] = torch.outer(torch.randn(6), torch.randn(6))
    elif kind == "tiny row":
        weight[1] *= 1e-30
    return model


MODELS = {
    "towers": Towers,
    "rnn": lambda: Unrolled(nn.RNN),
    "gru": lambda: Unrolled(nn.GRU),
    **{
        kind: lambda kind=kind: degenerate(kind)
        for kind in ("duplicated", "pruned", "rank one", "tiny row")
    },
}


@pytest.mark.parametrize("name", MODELS)
def test_rescaled_on_layers_of_deficient_rank(name: str) -> None:
    """Singular values of 0 have singular vectors of norm 1; the bound stays between what is
    attained and AutoLip's."""
    torch.manual_seed(0)
    model = MODELS[name]().double().eval()
    size = 9 if name in ("rnn", "gru") else 8
    graph = capture_model(model, (torch.zeros(1, size, dtype=torch.float64),), 0).graph
    problem = Problem.pose(graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    plain, mine = (
        METHODS[method]().bound(problem).value.value for method in ("autolip", "rescaled")
    )  # type: ignore[union-attr]
    jacobian = torch.func.jacrev(lambda x: model(x))(
        torch.zeros(1, size, dtype=torch.float64)
    ).flatten(1)
    assert torch.linalg.matrix_norm(jacobian.reshape(-1, size), 2).item() <= mine <= plain
    assert name not in ("towers", "rank one") or mine < 0.98 * plain


@pytest.mark.parametrize("region", [Everywhere(), Box(-1.0, 1.0), Box(1.0, 2.0)])
@pytest.mark.parametrize("factors", [(1e30,) * 12, (1e50,) * 7])
def test_pieces_of_networks_that_overflow_are_not_left_out(
    factors: tuple[float, ...], region: Region
) -> None:
    """Values beyond the largest double are no numbers where they cancel: any piece is possible."""
    model = scaled_chain(*factors)
    graph = capture_model(model, (torch.zeros(1, 2, dtype=torch.float64),), 0).graph
    problem = Problem.pose(graph, region, Norm.L2, Norm.L2, NormOptions(budget=Budget.of(10.0)))
    found = METHODS["exact"]().answer(problem)
    assert not isinstance(found, Refusal) and found.value.value == math.inf
