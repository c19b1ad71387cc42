"""Networks as other libraries make them; each is skipped where its library is not installed."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import Ball, lipschitz
from autolip.capture.weights import load_weights
from autolip.regions import Everywhere

EDGES = torch.tensor([[0, 1, 1, 2, 2, 3, 3, 4, 4, 0], [1, 0, 2, 1, 3, 2, 4, 3, 0, 4]])
OBSERVATION = torch.tensor([[0.1, -0.2, 0.3, 0.4]])
NODES = torch.linspace(-1, 1, 15).reshape(5, 3)


def bracketed(model: Any, inputs: Any, most: float, region: Any = None, **options: Any) -> None:
    """Upper over lower is at most so much."""
    torch.manual_seed(0)
    found = lipschitz(model, inputs, region=region or Everywhere(), time_budget=30, **options)
    assert found.upper is not None and found.lower is not None
    assert 0 < found.lower.value <= found.upper.value <= most * found.lower.value


def spaces() -> Any:
    spaces = pytest.importorskip("gymnasium").spaces
    pytest.importorskip("stable_baselines3")
    return spaces.Box(-1.0, 1.0, (4,)), spaces.Box(-1.0, 1.0, (2,)), spaces.Discrete(3)


@pytest.mark.slow
def test_policies_of_stable_baselines() -> None:
    seen, moves, choices = spaces()
    from stable_baselines3.common.policies import ActorCriticPolicy
    from stable_baselines3.dqn.policies import DQNPolicy
    from stable_baselines3.sac.policies import SACPolicy
    from stable_baselines3.td3.policies import TD3Policy

    torch.manual_seed(0)
    small = {"net_arch": [16, 16]}
    actor = ActorCriticPolicy(seen, moves, lambda _: 1e-3, **small).eval()
    bracketed(actor, (OBSERVATION, True), 10, outputs=0)
    bracketed(actor.predict_values, OBSERVATION, 10)
    chooser = ActorCriticPolicy(seen, choices, lambda _: 1e-3, **small).eval()
    bracketed(lambda x: chooser.get_distribution(x).distribution.probs, OBSERVATION, 10)
    bracketed(SACPolicy(seen, moves, lambda _: 1e-3, **small).eval().actor, (OBSERVATION, True), 10)
    bracketed(TD3Policy(seen, moves, lambda _: 1e-3, **small).eval().actor, OBSERVATION, 10)
    bracketed(DQNPolicy(seen, choices, lambda _: 1e-3, **small).eval().q_net, OBSERVATION, 10)


@pytest.mark.slow
def test_an_archive_of_stable_baselines(tmp_path: Any) -> None:
    seen, moves, _ = spaces()
    gymnasium = pytest.importorskip("gymnasium")
    from stable_baselines3 import PPO
    from stable_baselines3.common.policies import ActorCriticPolicy

    class World(gymnasium.Env):  # type: ignore[misc, name-defined]
        observation_space, action_space = seen, moves

        def reset(self, **options: Any) -> Any:
            return seen.sample(), {}

    learner = PPO("MlpPolicy", World())
    learner.save(tmp_path / "ppo.zip")
    policy = ActorCriticPolicy(seen, moves, lambda _: 0.0)
    load_weights(policy, tmp_path / "ppo.zip")
    torch.testing.assert_close(policy.state_dict(), learner.policy.state_dict())


LAYERS: dict[str, tuple[Callable[[Any], nn.Module], bool]] = {
    "GCNConv": (lambda geometric: geometric.GCNConv(3, 4), False),
    "SAGEConv": (lambda geometric: geometric.SAGEConv(3, 4), False),
    "SAGEConv, max": (lambda geometric: geometric.SAGEConv(3, 4, aggr="max"), False),
    "GINConv": (lambda geometric: geometric.GINConv(nn.Linear(3, 4)), False),
    "ChebConv": (lambda geometric: geometric.ChebConv(3, 4, 3), False),
    "GATConv": (lambda geometric: geometric.GATConv(3, 4), True),
    "GATv2Conv": (lambda geometric: geometric.GATv2Conv(3, 4), True),
    "TransformerConv": (lambda geometric: geometric.TransformerConv(3, 4), True),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_pytorch_geometric(name: str) -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    torch.manual_seed(0)
    make, local = LAYERS[name]
    region = Ball(NODES, 0.01) if local else None
    bracketed(make(geometric).eval(), (NODES, EDGES), 10, region)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4"])
def test_fixed_steps_of_torchdiffeq(method: str) -> None:
    odeint = pytest.importorskip("torchdiffeq").odeint
    torch.manual_seed(0)
    field = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
    times = torch.linspace(0, 1, 4)

    def flow(y: Tensor) -> Tensor:
        return odeint(lambda t, y: field(y), y, times, method=method)[-1]

    bracketed(flow, (torch.zeros(1, 3),), 10)
