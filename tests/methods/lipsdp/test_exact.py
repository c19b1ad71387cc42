"""LipSDP is never below the exact constant of random networks, however badly they are scaled."""

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from autolip.methods.lipsdp.search import iterate
from autolip.norms import Norm
from benchmarks.lipsdp_random import Network, exact_constant, power, random_network, small_network


def bound(network: Network) -> float:
    best = power(network, Norm.L2, 1e-3, 2.0).best
    assert best is not None
    return best.bound.value


def test_the_constant_of_a_known_network() -> None:
    """|x_1| + 2 |x_2| has the gradient (1, 2) in every quadrant."""
    signs = torch.tensor([[1.0, 0], [-1, 0], [0, 1], [0, -1]], dtype=torch.float64)
    network = Network(
        [signs, torch.tensor([[1.0, 1, 2, 2]], dtype=torch.float64)], [torch.zeros(4).double()]
    )
    assert exact_constant(network) == (pytest.approx(math.sqrt(5)), 4)


def test_the_constant_is_attained_by_sampled_jacobians() -> None:
    """As many regions as different activation patterns of a dense sample, and the same largest
    norm."""
    network = random_network((2, 5, 4, 2), 3)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200_000, 2, generator=generator).double() * torch.logspace(
        -1, 3, 200_000
    ).double().unsqueeze(1)
    matrices = torch.eye(2, dtype=torch.float64).expand(len(x), 2, 2)
    for weight, bias in zip(network.weights[:-1], network.biases, strict=False):
        x, matrices = x @ weight.T + bias, weight @ matrices
        x, matrices = x.relu(), (x > 0).unsqueeze(2) * matrices
    sampled = torch.linalg.matrix_norm(network.weights[-1] @ matrices, 2).max().item()
    assert exact_constant(network)[0] == pytest.approx(sampled)


def test_never_below_the_constant() -> None:
    """Fifteen of the thousand that `python -m benchmarks.lipsdp_random exact 1000` tries."""
    for seed in range(15):
        network = small_network(seed)
        assert exact_constant(network)[0] <= bound(network), seed


def scaled(network: Network) -> list[Tensor]:
    factors = (1e6, 1e-6, 1e6, 1e-6)
    return [weight * factor for weight, factor in zip(network.weights, factors, strict=False)]


def dead(network: Network) -> list[Tensor]:
    """One neuron of every layer that nothing reaches, one that nothing hears."""
    weights = [weight.clone() for weight in network.weights]
    for weight, after in itertools.pairwise(weights):
        weight[0], after[:, 1] = 0, 0
    return weights


def doubled(network: Network) -> list[Tensor]:
    """Every hidden neuron twice, with half of its weight each, one of the halves negligible."""
    weights = list(network.weights)
    for k in range(len(weights) - 1):
        weights[k] = torch.cat([weights[k], weights[k], weights[k] * 1e-12])
        weights[k + 1] = torch.cat([weights[k + 1] / 2, weights[k + 1] / 2, weights[k + 1]], 1)
    return weights


@pytest.mark.parametrize("change", [scaled, dead, doubled])
@pytest.mark.parametrize("single", [False, True])
def test_badly_scaled(
    change: Callable[[Network], list[Tensor]], single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In float64, and with the ascent in float32: the proof is in float64 anyway."""
    monkeypatch.setattr(iterate, "SMALL_PASS", 0.0 if single else 2e6)
    for seed in range(2):
        plain = random_network((2, 5, 4, 2), seed)
        biases = [bias * 0 for bias in plain.biases]
        network = Network(change(plain), biases)
        small = Network(plain.weights, biases) if change is doubled else network
        assert exact_constant(small)[0] <= bound(network)
        assert bound(network) <= math.prod(
            torch.linalg.matrix_norm(w, 2).item() for w in network.weights
        )


def test_a_zero_layer_is_proved_to_be_nothing() -> None:
    plain = random_network((2, 5, 4, 2), 0)
    network = Network([plain.weights[0], plain.weights[1] * 0, plain.weights[2]], plain.biases)
    best = power(network, Norm.L2, 1e-3, 1.0).best
    assert exact_constant(network)[0] == 0
    assert best is None or best.bound.value <= 1e-6
