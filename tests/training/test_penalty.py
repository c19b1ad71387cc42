"""A penalty is an estimate of what its method proves, its gradient that of the converged value.

Covers autolip.training.estimates, autolip.training.envelope, autolip.training.calls,
autolip.training.passes and autolip.training.batching.
"""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from autolip import InputError, UnsupportedOperation, lipschitz
from autolip.regions import Ball
from autolip.training import Penalty, spectral_cap_

from .networks import Attention, Residual, conv, mlp

NETWORKS = {
    "mlp": (mlp, (1, 8)),
    "leaky": (lambda: mlp(activation=lambda: nn.LeakyReLU(-0.5)), (1, 8)),
    "sigmoid": (lambda: mlp((8, 16, 3), activation=nn.Sigmoid), (1, 8)),
    "residual": (Residual, (1, 8)),
    "conv": (conv, (1, 1, 8, 8)),
}


def proved(model: nn.Module, x: Tensor, method: str, **options: object) -> float:
    result = lipschitz(copy.deepcopy(model).eval(), x, method=method, lower=None, **options)
    assert result.upper is not None and result.upper.value is not None
    return result.upper.value


@pytest.mark.parametrize(
    "name, method",
    [
        pytest.param(name, method, marks=pytest.mark.slow if name in ("leaky", "conv") else ())
        for name in NETWORKS
        for method in ("lipsdp", "liplt", "autolip")
    ],
)
def test_the_settled_estimate_is_what_the_method_proves(name: str, method: str) -> None:
    make, shape = NETWORKS[name]
    model, x = make(), torch.zeros(shape)
    estimate = Penalty(model, x, method=method, columns=6).settle(600, 1e-6)
    bound = proved(model, x, method)
    assert estimate <= bound * (1 + 1e-5)
    assert estimate >= bound * (0.98 if method == "lipsdp" else 1 - 1e-3)


@pytest.mark.parametrize("method", ["lipsdp", "liplt", "autolip"])
def test_the_gradient_is_that_of_the_settled_value(method: str) -> None:
    model = mlp((4, 6, 5, 2)).double()
    penalty = Penalty(model, torch.zeros(1, 4).double(), method=method, columns=6)
    penalty.settle(4000, 1e-11)
    (gradient,) = torch.autograd.grad(penalty(), [model[2].weight])
    for index in ((0, 0), (3, 2)):
        values = []
        for step in (1e-4, -1e-4):
            other = copy.deepcopy(model)
            with torch.no_grad():
                other[2].weight[index] += step
            moved = Penalty(other, torch.zeros(1, 4).double(), method=method, columns=6)
            moved.load_state_dict(penalty.state_dict())
            values.append(moved.settle(4000, 1e-11))
        assert gradient[index].item() == pytest.approx(
            (values[0] - values[1]) / 2e-4, rel=5e-3, abs=1e-4
        )


def test_pairs_are_the_constants_of_the_differences() -> None:
    model, x = mlp(), torch.zeros(1, 8)
    penalty = Penalty(model, x, output="pairs", columns=6)
    for _ in range(400):
        found = penalty.constants()
    for (i, j), value in zip(penalty.pairs, found.tolist(), strict=True):
        bound = proved(model, x, "lipsdp", output=f"{i}-{j}")
        assert 0.98 * bound <= value <= bound * (1 + 1e-5)


@pytest.mark.slow
def test_the_gradient_of_one_pair_among_many() -> None:
    """Read off a second backward pass: as the single question's, which comes with the first."""
    model, x = mlp(), torch.zeros(1, 8)
    many = Penalty(model, x, output="pairs", columns=6)
    one = Penalty(model, x, output="0-2", columns=6)
    for _ in range(600):
        constants, single = many.constants(), one()
    (first,) = torch.autograd.grad(constants[many.pairs.index((0, 2))], [model[0].weight])
    (second,) = torch.autograd.grad(single, [model[0].weight])
    assert torch.allclose(first, second, rtol=2e-2, atol=2e-3 * float(second.abs().max()))


@pytest.mark.slow
def test_linf_inputs() -> None:
    model, x = mlp(), torch.zeros(1, 8)
    estimate = Penalty(model, x, norm="linf:l2", columns=8).settle(800, 1e-6)
    bound = proved(model, x, "lipsdp", norm="linf:l2")
    assert 0.97 * bound <= estimate <= bound * (1 + 1e-5)


def test_weights_are_read_at_every_call() -> None:
    model = mlp()
    penalty = Penalty(model, torch.zeros(1, 8), method="autolip")
    before = penalty.settle()
    with torch.no_grad():
        model[2].weight.mul_(3)
    assert penalty.settle() == pytest.approx(3 * before, rel=1e-4)


def test_running_statistics_count_in_training_mode_too() -> None:
    model = conv().train()
    penalty = Penalty(model, torch.zeros(1, 1, 8, 8), method="autolip")
    before = penalty.settle()
    assert model.training
    norm = model[1]
    assert isinstance(norm, nn.BatchNorm2d)
    norm.running_var.mul_(4)
    assert penalty.settle() == pytest.approx(before / 2, rel=1e-3)


def test_a_frozen_part_stays_in_evaluation_mode() -> None:
    model = conv().train()
    model[1].eval()
    Penalty(model, torch.zeros(1, 1, 8, 8), method="autolip")
    spectral_cap_(model, 10.0, torch.zeros(1, 1, 8, 8))
    assert model.training and model[0].training and not model[1].training


@pytest.mark.parametrize(
    "wrap", [nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm]
)
def test_parametrised_weights_pass_their_gradient_on(wrap: object) -> None:
    model = mlp((4, 6, 2))
    model[0] = wrap(model[0])  # type: ignore[operator]
    penalty = Penalty(model.eval(), torch.zeros(1, 4))
    assert penalty.settle(500) == pytest.approx(
        proved(model, torch.zeros(1, 4), "lipsdp"), rel=0.02
    )
    penalty().backward()
    (original,) = [
        p for name, p in model.named_parameters() if name.endswith(("original", "original1"))
    ]
    assert original.grad is not None and bool((original.grad != 0).any())


def test_a_batch_or_a_vector_as_the_example() -> None:
    """An input without a batch axis is one column of a vectorised pass; the value is the same."""
    model = mlp()
    whole = Penalty(model, torch.zeros(7, 8), columns=6).settle(500, 1e-7)
    vector = Penalty(model, torch.zeros(8), columns=6).settle(500, 1e-7)
    assert whole == pytest.approx(vector, rel=1e-3)


@pytest.mark.parametrize("every", [1, 3])
def test_an_interrupted_training_goes_on_with_the_same_state(every: int) -> None:
    """By the bit, Adam's state and the place among lazy calls included, through a file."""

    def parts(seed: int) -> dict[str, Any]:
        model = mlp(seed=seed)
        optimiser = torch.optim.Adam(model.parameters(), 0.01)
        penalty = Penalty(model, torch.zeros(1, 8), every=every, seed=seed)
        return {"model": model, "optimiser": optimiser, "penalty": penalty}

    def trained(steps: int, model: nn.Module, optimiser: Any, penalty: Penalty) -> None:
        for _ in range(steps):
            optimiser.zero_grad()
            loss = model(torch.ones(2, 8)).square().sum() + penalty().log()
            loss.backward()
            optimiser.step()

    whole = parts(0)
    trained(5, **whole)
    file = io.BytesIO()
    torch.save({name: part.state_dict() for name, part in whole.items()}, file)
    file.seek(0)
    stored = torch.load(file, weights_only=True)
    resumed = parts(9)
    for name, part in resumed.items():
        part.load_state_dict(stored[name])
    trained(5, **whole)
    trained(5, **resumed)
    for name in ("model", "penalty"):
        again = resumed[name].state_dict()
        assert whole[name].state_dict().keys() == again.keys()
        for key, value in whole[name].state_dict().items():
            assert torch.equal(value, again[key]), key


def test_gradients_add_up_over_small_batches() -> None:
    """Accumulation: half the penalty with each half of a batch is the penalty with all of it."""
    model = mlp()
    x = torch.randn(8, 8)
    penalty = Penalty(model, x[:1], columns=6)
    penalty.settle(500, 1e-7)
    (model(x).square().mean() + penalty()).backward()
    wanted = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    for half in x.split(4):
        ((model(half).square().mean() + penalty()) / 2).backward()
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        assert parameter.grad is not None and gradient is not None
        assert torch.allclose(parameter.grad, gradient, rtol=1e-2, atol=1e-3)


def test_the_state_holds_no_weights() -> None:
    model = mlp()
    names = Penalty(model, torch.zeros(1, 8)).state_dict()
    assert names and not set(names) & set(model.state_dict())
    assert not list(Penalty(model, torch.zeros(1, 8)).parameters())


def test_a_target_is_zero_below_it() -> None:
    model = mlp()
    constant = Penalty(model, torch.zeros(1, 8)).settle()
    below = Penalty(model, torch.zeros(1, 8), target=2 * constant)
    below.settle()
    assert below().item() == 0
    above = Penalty(model, torch.zeros(1, 8), target=constant / 2)
    above.settle()
    assert above().item() == pytest.approx(torch.log(torch.tensor(2.0)).item(), rel=1e-2)


@pytest.mark.parametrize("output", ["all", "pairs"])
def test_the_gradient_above_a_target_is_that_of_the_logarithm_of_the_largest(output: str) -> None:
    """0 below it; the same state improves by the same step for each of the four."""
    model = mlp()
    plain = Penalty(model, torch.zeros(1, 8), output=output)
    constant = plain.settle()
    (wanted,) = torch.autograd.grad(plain.constants().max().log(), [model[0].weight])
    for target, factor in ((constant / 2, 1), (constant * 2, 0)):
        other = Penalty(model, torch.zeros(1, 8), output=output, target=target)
        other.settle()
        (found,) = torch.autograd.grad(other(), [model[0].weight])
        assert torch.allclose(found, factor * wanted, rtol=1e-5, atol=1e-7)


def test_lazy_calls_have_the_same_gradient_on_average() -> None:
    model = mlp()
    each, lazy = (Penalty(model, torch.zeros(1, 8), every=n) for n in (1, 3))
    each.settle(500, 1e-7)
    lazy.load_state_dict(each.state_dict())
    (wanted,) = torch.autograd.grad(each(), [model[0].weight])
    total = torch.zeros_like(wanted)
    for _ in range(3):
        value = lazy()
        if value.requires_grad:
            total += torch.autograd.grad(value, [model[0].weight])[0] / 3
        assert value.item() == pytest.approx(each().item(), rel=1e-4)
    assert torch.allclose(total, wanted, rtol=1e-2, atol=1e-4)


def test_half_precision_weights_and_autocast() -> None:
    model = mlp()
    wanted = Penalty(model, torch.zeros(1, 8)).settle()
    penalty = Penalty(model, torch.zeros(1, 8))
    with torch.autocast("cpu", torch.bfloat16):
        assert penalty.settle() == pytest.approx(wanted, rel=1e-3)
        assert penalty().dtype == torch.float32
    model.bfloat16()
    assert penalty.settle() == pytest.approx(wanted, rel=2e-2)
    penalty().backward()
    assert model[0].weight.grad is not None and model[0].weight.grad.dtype == torch.bfloat16


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lipsdp", "liplt"])
def test_around_samples_it_is_what_is_proved_of_secants_from_each(method: str) -> None:
    model = mlp(activation=nn.Tanh)
    x = 2 * torch.randn(2, 8)
    penalty = Penalty(model, x[:1], method=method, columns=6, samples=x, radius=0.5)
    penalty.settle(400, 1e-7)
    for point, estimate in zip(x, penalty.constants().tolist(), strict=True):
        where = {"region": Ball(point[None], 0.5), "secants": "centre"}
        assert estimate == pytest.approx(proved(model, point[None], method, **where), rel=0.01)


@pytest.mark.slow
def test_attention_has_a_penalty_around_samples_that_follows_the_weights() -> None:
    model = Attention()
    x = torch.randn(2, 3, 4)
    with pytest.raises(UnsupportedOperation, match="region"):
        Penalty(model, x[:1])
    penalty = Penalty(model, x[:1], samples=x, radius=0.1)
    penalty.settle()
    for point, estimate in zip(x, penalty.constants().tolist(), strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda z: model(z[None])[0], point)
        assert estimate >= 0.99 * float(torch.linalg.matrix_norm(jacobian.reshape(3, -1), 2))
    penalty().backward()
    for layer in (model.query, model.key, model.value, model.last):
        assert layer.weight.grad is not None and bool((layer.weight.grad != 0).any())
    before = penalty.settle()
    with torch.no_grad():
        model.query.weight.zero_(), model.query.bias.zero_()
    penalty.around(x)
    assert penalty.settle() < before


def test_a_last_layer_of_zeros_does_not_stop_it() -> None:
    model = mlp()
    nn.init.zeros_(model[4].weight)
    penalty = Penalty(model, torch.zeros(1, 8))
    assert penalty.settle(20) < 1e-6
    nn.init.orthogonal_(model[4].weight)
    assert penalty.settle() == pytest.approx(proved(model, torch.zeros(1, 8), "lipsdp"), rel=0.02)


def test_infinite_slopes_are_refused_with_their_place_and_finite_on_a_region() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) ** 2

    model, x = Square(), torch.zeros(1, 4)
    with pytest.raises(UnsupportedOperation, match=r"test_penalty\.py.*region"):
        Penalty(model, x)
    assert Penalty(model, x, region=Ball(x, 0.5)).settle() > 0


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "spectral"}, "choose from autolip, liplt, lipsdp"),
        ({"columns": 0}, "columns is 0"),
        ({"every": 0}, "every is 0"),
        ({"target": float("nan")}, "target is nan"),
        ({"norm": "l1"}, "does not take l1:l1"),
        ({"norm": "linf:l2", "method": "autolip"}, "does not take linf:l2"),
        ({"output": "7"}, "output 7 does not exist"),
        ({"samples": torch.zeros(2, 8)}, "samples need a radius"),
        ({"radius": 0.1}, "no samples"),
    ],
)
def test_what_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Penalty(mlp(), torch.zeros(1, 8), **options)  # type: ignore[arg-type]
