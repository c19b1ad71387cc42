"""The ideal scenario: the limits, the product bound of prefixes, and the published shape."""

import math
from pathlib import Path

import pytest
import torch

from autolip.methods.seqlip import ideal_network, pi_limit, relax, theorem3_bound
from autolip.reproduce.ideal import (
    FINITE,
    LIMIT,
    IdealExperiment,
    _Split,
    column,
    finite_limit,
    prefixes,
)
from autolip.reproduce.outcome import Outcome
from autolip.reproduce.steps import Steps

pytestmark = pytest.mark.slow

TINY = IdealExperiment(depths=3, width=12, ratios=(0.3, 0.0), draws=2, limit_draws=30)


def silent(text: str, done: int, total: int) -> None:
    """No progress."""


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return TINY.run(Steps(tmp_path_factory.mktemp("steps")), 0, silent)


def test_the_limit_at_finite_width_is_the_mean_over_unit_vectors() -> None:
    generator = torch.Generator().manual_seed(0)
    n, draws = 9, 200_000
    u, v = (
        torch.nn.functional.normalize(torch.randn(draws, n, generator=generator).double(), dim=1)
        for _ in range(2)
    )
    g = u * v
    largest = torch.maximum(g.clamp(min=0).sum(1), (-g).clamp(min=0).sum(1))
    error = largest.std().item() / draws**0.5
    assert abs(largest.mean().item() - finite_limit(2, n)) < 4 * error
    assert finite_limit(4, n) == pytest.approx(finite_limit(2, n) ** 3)


def test_the_limit_at_finite_width_tends_to_that_at_infinite_width() -> None:
    away = [finite_limit(5, n) / pi_limit(5) - 1 for n in (10, 100, 10_000, 10**8)]
    assert away == sorted(away, reverse=True) and 0 < away[-1] < 1e-3


@pytest.mark.parametrize("ratio", [0.5, 0.0])
def test_prefixes_bound_the_networks_they_stand_for(ratio: float) -> None:
    layers = ideal_network(3, 8, ratio, seed=2)
    bounds = list(prefixes([_Split.of(layer) for layer in layers], relax))
    assert len(bounds) == 3
    x = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0)).double()
    jacobian = torch.eye(8).double().expand(5000, 8, 8)
    for depth, bound in enumerate(bounds):
        jacobian = layers[depth].weight @ jacobian
        x = x @ layers[depth].weight.T
        attained = torch.linalg.matrix_norm(jacobian, 2).max().item()
        assert 0.3 * bound.value <= attained <= bound.value <= 1 + 1e-10
        jacobian = (x > 0).double()[:, :, None] * jacobian
        x = x.relu()


def test_without_a_second_singular_value_theorem_3_is_exact() -> None:
    layers = [_Split.of(layer) for layer in ideal_network(4, 10, 0.0, seed=1)]
    theorem, relaxed = (list(prefixes(layers, inner)) for inner in (theorem3_bound, relax))
    exact = 1.0
    for k, (a, b) in enumerate(zip(theorem, relaxed, strict=True)):
        if k:
            g = layers[k - 1].whole_below[:, 0] * layers[k].whole_above[0]
            exact *= max(g.clamp(min=0).sum().item(), (-g).clamp(min=0).sum().item())
        assert a.value == pytest.approx(exact, rel=1e-7) == b.value


def test_the_outcome_says_what_each_number_is(outcome: Outcome) -> None:
    for network in outcome.networks:
        proved, greedy, theorem = (
            outcome.cells[column(measure, 0.3), network.label]
            for measure in ("SeqLip", "Greedy SeqLip", "Theorem 3")
        )
        assert (proved.kind, greedy.kind, theorem.kind) == ("upper", "estimate", "upper")
        assert greedy.value <= proved.value * (1 + 1e-9) and proved.value <= theorem.value * (
            1 + 1e-9
        )
        assert outcome.value(LIMIT, network.label) == pytest.approx(math.pi ** (1 - network.depth))
        assert outcome.cells[FINITE, network.label].kind == "theory"


def test_the_ideal_scenario_meets_its_limit_within_sampling_error(outcome: Outcome) -> None:
    for network in outcome.networks[1:]:
        key = column("SeqLip", 0.0), network.label
        assert abs(outcome.value(*key) - finite_limit(network.depth, 12)) < 3 * outcome.spread[key]
        assert any(remark.startswith(f"{network.label}, r = 0") for remark in outcome.remarks)


def test_means_are_means_and_deviations_their_standard_errors(outcome: Outcome) -> None:
    draws = [TINY.draw(0.3, seed) for seed in (0, 1)]
    key = column("Greedy SeqLip", 0.3), "3 layers"
    values = [draw["Greedy SeqLip"][2] for draw in draws]
    assert outcome.value(*key) == pytest.approx(sum(values) / 2)
    assert outcome.spread[key] == pytest.approx(abs(values[0] - values[1]) / 2)
    proved = sum(draw["SeqLip"][2] for draw in draws) / 2
    assert proved <= outcome.value(column("SeqLip", 0.3), "3 layers") <= proved * (1 + 1e-12)


def test_an_interrupted_run_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, done = IdealExperiment.draw, []

    def counted(self: IdealExperiment, ratio: float, seed: int) -> dict[str, object]:
        if ratio == 0.3:
            if done == [0] and not resumed:
                raise KeyboardInterrupt
            done.append(seed)
        return draw(self, ratio, seed)

    monkeypatch.setattr(IdealExperiment, "draw", counted)
    resumed = False
    with pytest.raises(KeyboardInterrupt):
        TINY.run(Steps(tmp_path), 0, silent)
    resumed = True
    outcome = TINY.run(Steps(tmp_path), 0, silent)
    assert done == [0, 1], "no step twice, none left out"
    assert len(outcome.cells) == 3 * (3 + 1 + 2)
