"""What is transposed by hand is what autograd makes of it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from autolip.training import live, passes
from autolip.training.live import LiveNetwork
from autolip.training.passes import Adjoint, Sweep

Made = tuple[Sweep, dict[str, Tensor]]


class Tied(nn.Module):
    """A matrix that is used twice, a difference of two values, other shapes on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared, self.last = nn.Linear(6, 4), nn.Linear(4, 4), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        h = h - self.shared(torch.relu(self.shared(h)))
        h = h.unsqueeze(1).reshape(-1, 2, 2) + h.view(-1, 2, 2)
        return self.last(
            torch.cat(
                [h.flatten(1), torch.relu(x.unflatten(1, (2, 3)))[:, 0, :].repeat(1, 2)[:, :4]], 1
            )
        )


class Tokens(nn.Module):
    """Matrices that act on each of three tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(2, 5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x.view(-1, 3, 2))))


def images() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6, 2)
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {"tied": Tied, "tokens": Tokens, "images": images}


def bent(name: str, v: Tensor) -> tuple[Tensor, Adjoint]:
    """A nonlinear part as a diagonal map of its own."""
    generator = torch.Generator().manual_seed(len(name))
    scale = torch.randn(v.shape[1:], generator=generator).to(v)
    return scale * v, lambda q: scale * q


def passed(module: nn.Module, x: Tensor, q: Tensor) -> tuple[Sweep, Tensor]:
    """Columns forwards, others back; what arrives at the input."""
    network = LiveNetwork(module, (torch.zeros(1, *x.shape[1:]),), len(x))
    with torch.no_grad():
        sweep = network.sweep({network.input: x}, network.output, bent, network.weights()[0])
        back = sweep.back(q.reshape(sweep.result.shape))
    return sweep, back[network.input]


@pytest.mark.parametrize("name", NETWORKS)
def test_columns_and_weights_are_those_of_autograd(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = NETWORKS[name]()
    x, q = torch.randn(6, 6), torch.randn(6, module(torch.zeros(1, 6)).numel())
    by_hand, back = passed(module, x, q)
    monkeypatch.setattr(passes, "BY_HAND", {})
    monkeypatch.setattr(live, "_signs", lambda vertex, graph: [])
    traced, wanted = passed(module, x, q)
    assert torch.allclose(by_hand.result, traced.result, atol=1e-5)
    assert torch.allclose(back, wanted, atol=1e-5)
    ones = torch.ones(1)
    found, known = by_hand.weights(ones), traced.weights(ones)
    assert found.keys() == known.keys() and len(known) >= 2
    for weight, gradient in known.items():
        assert torch.allclose(found[weight], gradient, rtol=1e-4, atol=1e-5), weight


@pytest.mark.parametrize("name", NETWORKS)
def test_each_question_scales_its_own_columns(name: str) -> None:
    """Two questions of three columns: 2 and -3 times what they give."""
    torch.manual_seed(0)
    module = NETWORKS[name]()
    x, q = torch.randn(6, 6), torch.randn(6, module(torch.zeros(1, 6)).numel())
    scale = torch.tensor([2.0, -3.0])
    found = passed(module, x, q)[0].weights(scale)
    known = passed(module, x, q * scale.repeat_interleave(3)[:, None])[0].weights(torch.ones(1))
    for weight, gradient in known.items():
        assert torch.allclose(found[weight], gradient, rtol=1e-4, atol=1e-5), weight


def test_the_way_back_is_the_transpose() -> None:
    """<q, A x> = <A' q, x>."""
    torch.manual_seed(0)
    x, q = torch.randn(4, 6), torch.randn(4, 2)
    sweep, back = passed(Tied(), x, q)
    assert (sweep.result * q).sum().item() == pytest.approx((back * x).sum().item(), rel=1e-4)


def test_a_weight_that_does_not_learn_has_no_derivative() -> None:
    for module in (Tied(), images()):
        module.requires_grad_(False)
        last = list(module.children())[-1]
        last.requires_grad_(True)
        x = torch.randn(6, 6)
        found = passed(module, x, torch.randn(6, module(x[:1]).numel()))[0].weights(torch.ones(1))
        assert len(found) == 1
        assert next(iter(found.values())).shape == last.weight.shape
