"""The lifted map: its norm proves what the factorisation proves, and refuses what does not hold."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from autolip.errors import Refusal
from autolip.methods.lipsdp.proof.lifted_map import Lifted, Repaired, _Map, lifted, norm_bound
from autolip.methods.lipsdp.proof.prove import by_factorisation, by_norm
from autolip.methods.lipsdp.search.rounds import ROUNDS, one_of_all_rounds
from autolip.methods.lipsdp.search.vector_power_method import Ascent
from autolip.methods.lipsdp.statement import Proved, Statement
from autolip.norms import Norm
from autolip.operators.block import Block
from autolip.operators.dense import Dense
from autolip.operators.diagonal import Diagonal
from autolip.operators.norms import NormOptions
from autolip.operators.norms.entry_sums import schur
from autolip.operators.norms.lanczos import lanczos
from autolip.values import Certainty
from tests.methods.lipsdp.conftest import mlp, pose, relaxed

MARGIN = 0.02


def statement(norm: str = "l2") -> Statement:
    relaxation = relaxed(pose(mlp(4, 9, 8, 3), (1, 4), norm))
    ascent = Ascent(relaxation, 6, torch.float64, margin=MARGIN)
    for _ in range(80):
        ascent.step()
    return ascent.statement()


@pytest.mark.parametrize("norm", ["l2", "linf:l2", "linf:l1"])
def test_agrees_with_the_factorisation(norm: str) -> None:
    made = statement(norm)
    form, norm_of_map = by_factorisation(made), by_norm(made, MARGIN, NormOptions())
    assert isinstance(form, Proved) and isinstance(norm_of_map, Proved)
    least, found = form.bound.value, norm_of_map.bound.value
    assert least <= found * (1 + 1e-9) <= least * 1.03


def test_lanczos_alone_is_confident() -> None:
    made = statement()
    bound = norm_bound(made, MARGIN, NormOptions(finite_size=1))
    assert not isinstance(bound, Refusal)
    assert bound.bound.certainty is Certainty.CONFIDENT and 0 < bound.bound.delta <= 1e-9


def test_the_map_is_of_norm_one_at_the_optimum() -> None:
    map_ = lifted(statement(), MARGIN)
    assert not isinstance(map_, Refusal)
    assert torch.linalg.matrix_norm(map_.operator.matrix(), 2).item() == pytest.approx(1, abs=2e-3)


class Skip(nn.Module):
    """Slopes away from 0, a value that is read twice, and the input in the output."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = mlp(4, 4), mlp(4, 4, seed=1)

    def forward(self, x: Tensor) -> Tensor:
        z = nn.functional.leaky_relu(self.first(x), 0.2)
        return self.second(nn.functional.elu(z) + z) - x


def drawn(network: nn.Module, width: int, norm: str = "l2") -> Lifted:
    """The lifted map of random multipliers, and of random weights of other norms than l2."""
    relaxation = relaxed(pose(network, (1, width), norm))
    graph, generator = relaxation.graph, torch.Generator().manual_seed(0)
    draw = lambda shape: torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5  # noqa: E731
    multipliers = {name: draw(item.blocks) for name, item in relaxation.constraints.items()}
    outputs = None if norm == "l2" else draw(graph.output_shape)
    inputs = None if norm == "l2" else draw(graph.input_shape)
    map_ = lifted(Statement(relaxation, multipliers, inputs, 2.0, outputs), MARGIN)
    assert not isinstance(map_, Refusal)
    return map_


@pytest.mark.parametrize("norm", ["l2", "linf:l1"])
@pytest.mark.parametrize(
    "network", [mlp(4, 9, 8, 3), Skip(), nn.Sequential(mlp(4, 5), nn.MaxPool1d(2, 1))]
)
def test_its_products_are_those_of_its_links(network: nn.Module, norm: str) -> None:
    block = drawn(network, 4, norm).operator
    assert isinstance(block, Block)
    plain = Block(block.source, block.sink, block.links, block.in_shape, block.out_shape)
    matrix = plain.matrix()
    rows = torch.eye(block.out_size, dtype=torch.float64)
    assert torch.allclose(
        block.mv(torch.eye(block.in_size, dtype=torch.float64)).T, matrix, rtol=1e-14, atol=1e-14
    )
    assert torch.allclose(block.rmv(rows), matrix, rtol=1e-14, atol=1e-14)


def with_weights(map_: _Map, error: float, factor: Callable[[Tensor], Tensor]) -> _Map:
    """The same map of matrices that are known up to `error`, their entries times a factor."""
    links = []
    for link in map_._inner:
        operator = link.operator
        if isinstance(operator, Dense):
            operator = Dense(operator.weight * factor(operator.weight), operator.in_shape, error)
        links.append(replace(link, operator=operator))
    return _Map(map_._reads, links, map_._writes)


@pytest.mark.parametrize("error", [1e-8, 1e-4])
@pytest.mark.parametrize(
    "network", [mlp(4, 9, 8, 3), Skip(), nn.Sequential(mlp(4, 5), nn.MaxPool1d(2, 1), mlp(4, 3))]
)
def test_errors_of_weights_move_it_by_at_most_its_deviation(
    network: nn.Module, error: float
) -> None:
    stored = drawn(network, 4).operator
    assert isinstance(stored, _Map)
    map_ = with_weights(stored, error, torch.ones_like)
    matrix, generator = map_.matrix(), torch.Generator().manual_seed(2)
    found, moved = map_.deviation(torch.linalg.matrix_norm(matrix, 2).item()), 0.0
    assert found is not None
    coin = lambda w: torch.randint(0, 2, w.shape, generator=generator).to(w) * 2 - 1  # noqa: E731
    for signs in (coin, coin, coin, torch.ones_like, torch.sign):
        meant = with_weights(stored, error, lambda w, signs=signs: 1 + error * signs(w)).matrix()  # type: ignore[misc]
        moved = max(moved, torch.linalg.matrix_norm(meant - matrix, 2).item())
    assert moved <= found.value <= 200 * moved


def test_slopes_of_the_other_sign_move_it_as_much() -> None:
    drawn_map = drawn(mlp(4, 9, 8, 3), 4).operator
    assert isinstance(drawn_map, _Map)
    stored = with_weights(drawn_map, 1e-6, torch.ones_like)
    turned = []
    for link in stored._inner:
        centre = link.operator.diagonal
        operator = link.operator if centre is None else Diagonal(-centre, link.operator.in_shape)
        turned.append(replace(link, operator=operator))
    found, same = (
        _Map(stored._reads, links, stored._writes).deviation(3.0)
        for links in (stored._inner, turned)
    )
    assert found is not None and turned != stored._inner and found == same


def test_the_deviation_of_a_deep_map_does_not_multiply_up() -> None:
    """Thirty layers, each of norm 2, halved by the slopes, and three times that by its absolute
    values."""
    stored = drawn(mlp(*[64] * 31), 64).operator
    assert isinstance(stored, _Map)
    map_ = with_weights(stored, 1e-15, lambda w: 2 / torch.linalg.matrix_norm(w, 2).expand_as(w))
    norm = torch.linalg.matrix_norm(map_.matrix(), 2).item()
    found, product = map_.deviation(norm), schur(map_, NormOptions())
    assert found is not None and not isinstance(product, Refusal)
    assert found.value < 1e-9 * norm and map_.relative_error * product.value > norm
    bound = lanczos(map_, NormOptions(tolerance=1e-3))
    assert not isinstance(bound, Refusal) and norm <= bound.value <= norm * (1 + 2e-3)


def test_weights_that_may_be_half_as_large_have_no_deviation_of_their_own() -> None:
    stored = drawn(mlp(4, 9, 8, 3), 4).operator
    assert isinstance(stored, _Map)
    assert with_weights(stored, 0.5, torch.ones_like).deviation(2.0) is None


def test_a_bound_chosen_among_rounds_fails_where_any_round_does() -> None:
    """Every round has a share of delta, and the bound carries all of them."""
    share = norm_bound(statement(), MARGIN, NormOptions(finite_size=1, delta=1e-9 / ROUNDS))
    assert not isinstance(share, Refusal)
    chosen = one_of_all_rounds(Proved(share.bound, statement())).bound
    assert chosen.value == share.bound.value
    assert share.bound.delta < chosen.delta == pytest.approx(ROUNDS * share.bound.delta)


def test_multipliers_that_do_not_hold_are_refused() -> None:
    """The first layer's multipliers much too small for what the second adds: no value makes H
    positive."""
    made = statement()
    first = next(iter(made.multipliers))
    wrong = replace(made, multipliers=made.multipliers | {first: made.multipliers[first] * 1e-20})
    assert isinstance(by_norm(wrong, MARGIN, NormOptions()), Refusal)
    assert isinstance(by_factorisation(wrong), Refusal)


@pytest.mark.parametrize("norm", ["l2", "linf:l2", "linf:l1"])
@pytest.mark.parametrize("noise", [0.3, 0.6])
def test_a_shortfall_is_repaired(norm: str, noise: float) -> None:
    """Multipliers that are off, graded by depth: the factorisation finds H positive, below the
    repaired value."""
    made, generator = statement(norm), torch.Generator().manual_seed(1)
    off = {
        k: lam * torch.exp(noise * torch.randn(lam.shape, generator=generator))
        for k, lam in made.multipliers.items()
    }
    disturbed = replace(made, multipliers=off)
    bound, repaired = (
        norm_bound(disturbed, MARGIN, NormOptions()),
        by_norm(disturbed, MARGIN, NormOptions()),
    )
    assert isinstance(bound, Repaired) and bound.growth > 1 and isinstance(repaired, Proved)
    again = by_factorisation(repaired.statement)
    assert isinstance(again, Proved) and again.bound.value <= repaired.bound.value * (1 + 1e-9)


def test_another_norm_is_stated_by_its_weights() -> None:
    made = statement("linf:l2")
    assert (
        made.relaxation.p is Norm.LINF and made.inputs is not None and bool((made.inputs > 0).all())
    )


@pytest.mark.parametrize("norm", ["l2", "linf:l1"])
def test_a_repair_counts_once_for_every_depth(norm: str) -> None:
    """|y| <= N g^K value |x|, and N is that of the map; multipliers grow by g^2 a depth."""
    made = statement(norm)
    fewer = {name: 0.25 * value for name, value in made.multipliers.items()}
    low = replace(made, multipliers=fewer, value=made.value / 2)
    map_, found = lifted(low, MARGIN), norm_bound(low, MARGIN, NormOptions())
    assert not isinstance(map_, Refusal) and isinstance(found, Repaired)
    of_map = torch.linalg.matrix_norm(map_.operator.matrix(), 2).item()
    scales = [torch.linalg.vector_norm(1 / part).item() for part in (map_.inputs, map_.outputs)]
    growth = of_map * map_.reach
    assert max(found.depths.values()) == 2 and growth > 1.01
    assert found.growth >= growth * (1 - 1e-12)
    factors = sorted(map(found.factor, made.multipliers))
    assert factors == pytest.approx([found.growth**2, found.growth**4])
    least = of_map * scales[0] * scales[1] * growth**2
    assert least * (1 - 1e-12) <= found.bound.value <= least * 1.01
