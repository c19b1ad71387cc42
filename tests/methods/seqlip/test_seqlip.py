"""SeqLip as a method: exact on chains, sound when truncated, glued elsewhere, estimates kept
apart.

Covers autolip.methods.seqlip.chain too.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, Everywhere, Norm, lipschitz
from autolip.budget import Budget
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError, Refusal
from autolip.graph.chains import stretches
from autolip.graph.graph import Graph
from autolip.methods import Bound, Method, Problem, SeqLip, Theorem3, method_named
from autolip.methods.autolip import Shortcut, walk
from autolip.methods.layerwise.method import flat_slopes
from autolip.methods.seqlip import block_bound, enumerate_patterns, theorem3_factor, truncated_bound
from autolip.methods.seqlip.chain import Chain, times
from autolip.methods.seqlip.inner.treatments import INNER, Limits
from autolip.methods.seqlip.truncation import Split, Splitter
from autolip.methods.stretchwise import StretchBound
from autolip.operators.norms import NormOptions
from autolip.regions import Region
from autolip.values import Certainty, Estimate, Upper

BOUNDS = ("seqlip", "seqlip-exact", "seqlip-relaxed", "theorem3")
ESTIMATES = ("seqlip-greedy", "seqlip-published")


@cache
def mlp(*widths: int, activation: nn.Module | None = None, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = [nn.Linear(a, b) for a, b in pairwise(widths)]
    return (
        nn.Sequential(*[m for layer in layers for m in (layer, activation or nn.ReLU())][:-1])
        .double()
        .eval()
    )


@cache
def captured(model: nn.Module, shape: tuple[int, ...]) -> Graph:
    return capture_model(model, (torch.zeros(shape, dtype=torch.float64),)).graph


def posed(model: nn.Module, x: Tensor, region: Region | None = None) -> Problem:
    graph = captured(model, tuple(x.shape))
    return Problem.pose(graph, region or Everywhere(), Norm.L2, Norm.L2, NormOptions())


def run(
    model: nn.Module, x: Tensor, method: str | Method, region: Region | None = None
) -> Bound | Refusal:
    problem = posed(model, x, region)
    chosen = method_named(method) if isinstance(method, str) else method
    return chosen.accepts(problem) or chosen.bound(problem)


def bound_of(
    model: nn.Module, x: Tensor, method: str | Method, region: Region | None = None
) -> Bound:
    found = run(model, x, method, region)
    assert isinstance(found, Bound), found
    return found


def value_of(model: nn.Module, x: Tensor, method: str | Method) -> float:
    return bound_of(model, x, method).value.value


def slopes_of(model: nn.Module, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """What the capture knows about each layer of slopes: a neuron that no input activates has the
    slope 0."""
    (stretch,) = stretches(posed(model, x).fused)
    return [flat_slopes(slope) for slope in stretch.slopes]


def by_enumeration(
    weights: Sequence[Tensor], slopes: Sequence[tuple[Tensor, Tensor]], rank: int | None = None
) -> float:
    """The published algorithm: leading singular directions, and every pattern of every pair."""
    decomposed = [torch.linalg.svd(w, full_matrices=False) for w in weights]
    factors = [(u[:, :rank], s[:rank], vh[:rank]) for u, s, vh in decomposed]
    total, last = 1.0, len(weights) - 1
    for k in range(last):
        (u, s, _), (_, t, vh) = factors[k], factors[k + 1]
        left = u * (s if k == 0 else s.sqrt())
        right = (t if k + 1 == last else t.sqrt())[:, None] * vh
        total *= enumerate_patterns(right, left, *slopes[k])[0].value
    return total


def weights_of(model: nn.Sequential) -> list[Tensor]:
    return [layer.weight.detach() for layer in model if isinstance(layer, nn.Linear)]


def attained_by_patterns(model: nn.Sequential, lo: float = 0.0) -> float:
    """The largest || W_K D W_{K-1} ... W_1 || over patterns that need not be consistent: below
    every SeqLip bound."""
    weights, best = weights_of(model), 0.0
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        matrix = weights[0]
        for weight in weights[1:]:
            slopes = torch.where(
                torch.rand(len(matrix), generator=generator) < 0.6, 1.0, lo
            ).double()
            matrix = weight @ (slopes[:, None] * matrix)
        best = max(best, torch.linalg.matrix_norm(matrix, 2).item())
    return best


@pytest.mark.parametrize("widths", [(3, 8, 2), (2, 9, 9, 1), (4, 8, 7, 8, 3), (30, 8, 40)])
def test_exact_is_the_published_enumeration(widths: tuple[int, ...]) -> None:
    model = mlp(*widths)
    reference = by_enumeration(
        weights_of(model), slopes_of(model, torch.zeros(1, widths[0]).double())
    )
    for name in ("seqlip", "seqlip-exact"):
        bound = bound_of(model, torch.zeros(1, widths[0]).double(), name)
        assert (
            isinstance(bound.value, Upper)
            and bound.value.certainty is Certainty.PROVED
            and bound.complete
        )
        assert reference * (1 - 1e-12) <= bound.value.value <= reference * (1 + 1e-9 * len(widths))


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_without_the_residual_the_truncation_is_the_published_one(rank: int) -> None:
    model, x = mlp(4, 8, 7, 8, 3), torch.zeros(1, 4).double()
    reference = by_enumeration(weights_of(model), slopes_of(model, x), rank)
    found = bound_of(model, x, SeqLip("exact", rank=rank, residual=False)).value
    assert isinstance(found, Estimate) and found.value == pytest.approx(reference, rel=3e-9)


def test_general_slopes() -> None:
    for activation, lo, hi in ((nn.LeakyReLU(0.25), 0.25, 1.0), (nn.SiLU(), -0.0998, 1.0998)):
        model = mlp(3, 7, 8, 2, activation=activation)
        value = value_of(model, torch.zeros(1, 3).double(), "seqlip-exact")
        ends = [(torch.full((n,), lo).double(), torch.full((n,), hi).double()) for n in (7, 8)]
        assert value == pytest.approx(by_enumeration(weights_of(model), ends), rel=1e-3)


@pytest.mark.parametrize(
    ("activation", "rank"), [(None, 1), (None, 5), (nn.LeakyReLU(0.1), 2), (None, 8)]
)
def test_every_rank_is_sound(activation: nn.Module | None, rank: int) -> None:
    model, x = mlp(5, 9, 8, 9, 3, activation=activation), torch.zeros(1, 5).double()
    lo = 0.1 if isinstance(activation, nn.LeakyReLU) else 0.0
    exact = value_of(model, x, "seqlip-exact")
    product_of_norms = value_of(model, x, "autolip")
    value = value_of(model, x, SeqLip("relaxed", rank=rank))
    assert attained_by_patterns(model, lo) <= value
    assert exact * (1 - 1e-9) <= value <= product_of_norms * (1 + 1e-6)


@pytest.mark.slow
def test_ranks_approach_the_whole() -> None:
    model, x = mlp(6, 11, 11, 11, 4), torch.zeros(1, 6).double()
    values = [value_of(model, x, SeqLip("relaxed", rank=rank)) for rank in (2, 6, 10)]
    assert values == sorted(values, reverse=True) and values[-1] < 0.9 * values[0]
    ignored = value_of(model, x, SeqLip("greedy", rank=2, residual=False))
    assert ignored < value_of(model, x, "seqlip-exact")


@pytest.mark.parametrize("name", ESTIMATES)
def test_greedy_is_an_estimate_from_below(name: str) -> None:
    model, x = mlp(4, 10, 10, 10, 2), torch.zeros(1, 4).double()
    bound = bound_of(model, x, name)
    assert isinstance(bound.value, Estimate)
    exact = value_of(model, x, "seqlip-exact")
    assert 0.999 * exact <= bound.value.value <= exact
    assert bound_of(model, x, name).value.value == bound.value.value


def test_an_estimate_is_no_bound_of_a_bracket() -> None:
    model, x = mlp(4, 10, 10, 2), torch.zeros(1, 4).double()
    result = lipschitz(model, (x,), method=["autolip", *ESTIMATES], lower=())
    assert [row.kind for row in result.bounds] == ["upper", "estimate", "estimate"]
    assert [row.method for row in result.bounds] == ["autolip", *ESTIMATES]
    assert result.upper is not None and result.upper.method == "autolip"
    assert result.bounds[1].value is not None and result.bounds[1].value < result.upper.value
    only = lipschitz(model, (x,), method=list(ESTIMATES), lower=())
    assert only.upper is None


def test_an_estimate_cannot_become_an_upper() -> None:
    """Neither by arithmetic, nor in a product along a graph, nor in a block bound."""
    guess: Any = Estimate(0.5)
    attempts: list[Callable[[], object]] = [
        lambda: Upper(1.0) * guess,
        lambda: Upper(1.0) + guess,
        lambda: Upper.least([Upper(1.0), guess]),
        lambda: block_bound(guess, Upper(0.1), Upper(0.1), Upper(0.1)),
        lambda: truncated_bound(
            guess, (Upper(1.0), Upper(0.1)), (Upper(1.0), Upper(0.1)), Upper(1.0)
        ),
    ]
    for attempt in attempts:
        with pytest.raises((TypeError, AttributeError)):
            attempt()
    assert isinstance(times(Upper(2.0), guess), Estimate) and isinstance(
        times(guess, Upper(2.0)), Estimate
    )
    problem = posed(mlp(4, 10, 10, 2), torch.zeros(1, 4))
    (stretch,) = stretches(problem.fused)
    with pytest.raises(TypeError, match="Estimate"):
        walk(problem, problem.fused, [Shortcut(stretch.source, stretch.sink, Norm.L2, guess)])


@pytest.mark.slow
def test_large_convolutions_without_their_matrices() -> None:
    """More rows and columns than are ever formed: leading directions by products alone, residuals
    by random vectors."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.Conv2d(8, 1, 3, 1, 1),
    ).double()  # fmt: skip
    x = torch.zeros(1, 1, 12, 12).double()
    options = NormOptions(finite_size=512)
    problem = Problem.pose(
        captured(model.eval(), tuple(x.shape)), Everywhere(), Norm.L2, Norm.L2, options
    )
    method = SeqLip("relaxed", rank=6)
    bound = method.bound(problem)
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper)
    points = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(1)).double()
    attained = max(_steepest(model, point) for point in points)
    assert attained <= bound.value.value <= value_of(model, x, "autolip") * (1 + 1e-2)
    split = Splitter(6, True, options).middle(stretches(problem.fused)[0].blocks[1])
    assert (
        isinstance(split, Split)
        and split.left is not None
        and split.left.scale.certainty is Certainty.CONFIDENT
    )


def _steepest(model: nn.Module, point: Tensor) -> float:
    """The norm of the Jacobian at a point, from below by power steps."""
    value, direction = (
        0.0,
        torch.randn(point.shape, generator=torch.Generator().manual_seed(0)).double(),
    )
    for _ in range(30):
        direction = direction / direction.norm()
        image = torch.func.jvp(lambda z: model(z[None]), (point,), (direction,))[1]
        value = image.norm().item()
        (direction,) = torch.func.vjp(lambda z: model(z[None]), point)[1](image)
    return value


@pytest.mark.parametrize("inner", ["exact", "relaxed", "best"])
def test_without_the_residual_nothing_is_proved(inner: str) -> None:
    model, x = mlp(4, 10, 10, 2), torch.zeros(1, 4).double()
    assert isinstance(bound_of(model, x, SeqLip(inner, rank=3, residual=False)).value, Estimate)
    assert isinstance(bound_of(model, x, SeqLip(inner, residual=False)).value, Estimate)


class Residual(nn.Module):
    """A branch of two layers beside a skip."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.a, self.b, self.last = (
            nn.Linear(m, n) for m, n in ((5, 9), (9, 10), (10, 9), (9, 2))
        )

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        return self.last(torch.relu(h + self.b(torch.relu(self.a(h)))))


def test_the_branch_of_a_residual_block_is_a_stretch() -> None:
    model, x = Residual().double().eval(), torch.zeros(1, 5).double()
    first, a, b, last = (
        w.detach() for name, w in model.named_parameters() if name.endswith("weight")
    )
    norm = lambda w: torch.linalg.matrix_norm(w, 2).item()  # noqa: E731
    ends = [(torch.zeros(n).double(), torch.ones(n).double()) for n in (9, 10)]
    through = by_enumeration([first, a, b], ends)
    bound = bound_of(model, x, "seqlip-exact")
    assert bound.value.value == pytest.approx((norm(first) + through) * norm(last), rel=1e-6)
    assert any("joins branches" in note for note in bound.notes)
    assert isinstance(bound_of(model, x, "seqlip-greedy").value, Estimate)
    assert bound_of(model, x, "seqlip-greedy").value.value == pytest.approx(
        bound.value.value, rel=1e-3
    )


def test_convolutions_batch_norm_and_pooling_inside_blocks() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, 2, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(3, 4, 2), nn.ReLU(), nn.Flatten(), nn.Linear(4, 3),
    ).double()  # fmt: skip
    norm = model[1]
    norm.running_var.uniform_(0.5, 2)
    x = torch.zeros(1, 1, 8, 8).double()
    model.eval()
    exact, relaxed, low_rank = (
        value_of(model, x, m) for m in ("seqlip", "seqlip-relaxed", SeqLip(rank=4))
    )
    points = torch.randn(50, 1, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    jacobians = [
        torch.func.jacrev(lambda z: model(z[None]).flatten())(p).flatten(1) for p in points
    ]
    attained = max(torch.linalg.matrix_norm(j, 2).item() for j in jacobians)
    assert attained <= exact <= relaxed * (1 + 1e-6) < value_of(model, x, "autolip")
    assert attained <= low_rank


def test_stable_neurons_on_a_small_ball() -> None:
    """Where no neuron switches, the network is affine: SeqLip pays for cutting at the singular
    vectors only."""
    model, x = mlp(4, 8, 2), torch.randn(1, 4, generator=torch.Generator().manual_seed(5)).double()
    bound = bound_of(model, x, "seqlip-exact", Ball(x, 1e-6))
    jacobian = torch.func.jacrev(lambda z: model(z).flatten())(x).reshape(2, 4)
    assert bound.value.value == pytest.approx(
        torch.linalg.matrix_norm(jacobian, 2).item(), rel=1e-9
    )


def test_the_budget_ends_with_a_proved_bound() -> None:
    model, x = mlp(30, 30, 30, 30), torch.zeros(1, 30).double()
    stopped = bound_of(model, x, SeqLip("exact", nodes=2))
    assert isinstance(stopped.value, Upper) and not stopped.complete
    assert any("after" in note and "boxes" in note for note in stopped.notes)
    greedy = value_of(model, x, "seqlip-greedy")
    assert greedy <= stopped.value.value <= value_of(model, x, "seqlip-relaxed") * (1 + 1e-9)
    at_once = bound_of(model, x, SeqLip("exact", seconds=1e-9))
    assert not at_once.complete
    assert greedy <= at_once.value.value <= value_of(model, x, "autolip") * (1 + 1e-6)


@pytest.mark.parametrize("after", [0, 1, 4, 6])
def test_the_time_may_end_anywhere(after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether at a cut or at an inner problem: every layer's norm is in the bound, and nothing is
    lost."""
    model, x = mlp(4, 8, 7, 8, 3), torch.zeros(1, 4).double()
    problem = posed(model, x)
    (stretch,) = stretches(problem.fused)
    exact, product_of_norms = value_of(model, x, "seqlip-exact"), value_of(model, x, "autolip")
    chain = Chain(Splitter(None, True, NormOptions()), INNER["exact"], Limits(), Budget.of(1e6))
    looks = iter([False] * after)
    monkeypatch.setattr(Chain, "expired", property(lambda self: next(looks, True)))
    bound = chain.bound(stretch)
    assert isinstance(bound, StretchBound) and isinstance(bound.value, Upper)
    assert exact * (1 - 1e-9) <= bound.value.value <= product_of_norms * (1 + 1e-6)
    assert bound.complete == (after >= 6)


def test_what_breaks_every_chain_is_named() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.Softmax(-1), nn.Linear(6, 2)).double().eval()
    refusal = run(model, torch.zeros(1, 4).double(), "seqlip")
    assert isinstance(refusal, Refusal) and "softmax" in str(refusal) and "1" in str(refusal)


@pytest.mark.parametrize("method", ["seqlip", "theorem3"])
def test_of_an_affine_network_the_bound_is_its_norm(method: str) -> None:
    layer = nn.Linear(3, 2).double().eval()
    norm = torch.linalg.matrix_norm(layer.weight.detach(), 2).item()
    value = value_of(layer, torch.zeros(1, 3).double(), method)
    assert norm <= value <= norm * (1 + 1e-9)


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(InputError, match="choose from best, exact, greedy, relaxed"):
        SeqLip("sharpest")
    with pytest.raises(InputError, match="at least one singular direction"):
        SeqLip(rank=0)


def test_theorem_3_is_sharper_than_published_and_above_seqlip() -> None:
    """Fast falling spectra: the published formula, evaluated on the decompositions."""
    torch.manual_seed(0)
    model = mlp(20, 20, 20, 20)
    for layer in model:
        if isinstance(layer, nn.Linear):
            u, s, vh = torch.linalg.svd(layer.weight.detach())
            layer.weight.data = (u * torch.cat([s[:1], 0.01 * s[1:]])) @ vh
    x = torch.zeros(1, 20).double()
    factors = [torch.linalg.svd(w) for w in weights_of(model)]
    published = math.prod(s[0].item() for _, s, _ in factors)
    for (u, s, _), (_, t, vh), ends in zip(factors, factors[1:], ((2, 1), (1, 2)), strict=False):
        ratios = [(z[1] / z[0]).item() ** power for z, power in zip((s, t), ends, strict=True)]
        published *= theorem3_factor(u[:, 0], vh[0], *ratios).value
    bound = bound_of(model, x, Theorem3())
    assert isinstance(bound.value, Upper)
    assert value_of(model, x, "seqlip-exact") <= bound.value.value <= published * (1 + 1e-6)
    assert bound.value.value < 0.5 * value_of(model, x, "autolip")


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_are_above_estimates(name: str) -> None:
    model, x = mlp(5, 9, 8, 9, 3), torch.zeros(1, 5).double()
    assert attained_by_patterns(model) <= value_of(model, x, name)
    assert value_of(model, x, "seqlip-greedy") <= value_of(model, x, name)
