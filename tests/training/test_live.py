"""The weights are those of the user's own module, however it is wrapped and wherever it is."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, nn

from autolip.training import Penalty

from .networks import mlp

TWO_PROCESSES = """
import sys
from tests.training.test_live import shared_gradient
shared_gradient(int(sys.argv[1]), sys.argv[2])
"""

ON_THE_LAZY_DEVICE = """
import json
import torch, torch._lazy.ts_backend
from tests.training.test_live import moved
torch._lazy.ts_backend.init()
print(json.dumps([moved("cpu"), moved("lazy:0")]))
"""


def batch(rank: int) -> torch.Tensor:
    """What one of several processes trains on."""
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(rank))


def shared_gradient(rank: int, folder: str) -> None:
    """One of two processes that train together: the gradient of a step is left in a file."""
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/group", rank=rank, world_size=2
    )
    try:
        model = nn.parallel.DistributedDataParallel(mlp())
        penalty = Penalty(model, torch.zeros(1, 8))
        penalty.settle(50)
        (model(batch(rank)).square().mean() + penalty()).backward()
        gradients = {name: p.grad for name, p in model.module.named_parameters()}
        torch.save([gradients, penalty.state_dict()], f"{folder}/{rank}.pt")
    finally:
        distributed.destroy_process_group()


def moved(device: str) -> list[Any]:
    """The estimate of a model that was moved after its penalty was made; where its state is."""
    model = mlp((4, 6, 6, 3), activation=nn.Tanh)
    penalty = Penalty(model, torch.zeros(1, 4))
    penalty.settle(20)
    model.to(device)
    with torch.no_grad():
        value = penalty()
    places = {part.device.type for part in penalty.estimators.buffers()}
    return [value.item(), sorted(places)]


@pytest.mark.slow
def test_two_processes_train_as_one_with_both_batches(tmp_path: Path) -> None:
    """DistributedDataParallel: gradients are the mean, and every process has the same state."""
    command = [sys.executable, "-c", TWO_PROCESSES]
    started = [subprocess.Popen([*command, str(rank), str(tmp_path)]) for rank in (0, 1)]
    assert [process.wait(timeout=600) for process in started] == [0, 0]
    (first, state), (second, other) = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    model = mlp()
    penalty = Penalty(model, torch.zeros(1, 8))
    penalty.settle(50)
    (model(torch.cat([batch(0), batch(1)])).square().mean() + penalty()).backward()
    for name, parameter in model.named_parameters():
        assert torch.equal(first[name], second[name])
        assert torch.allclose(first[name], parameter.grad, rtol=1e-4, atol=1e-5)
    assert all(torch.equal(state[name], other[name]) for name in state)


@pytest.mark.slow
def test_a_compiled_model_is_its_module() -> None:
    model = mlp()
    compiled = torch.compile(model)
    penalty = Penalty(compiled, torch.zeros(1, 8))
    assert penalty.settle() == pytest.approx(Penalty(model, torch.zeros(1, 8)).settle(), rel=1e-4)
    (compiled(torch.ones(2, 8)).sum() + penalty()).backward()
    before = model[0].weight.grad
    model.zero_grad()
    (model(torch.ones(2, 8)).sum() + penalty()).backward()
    assert torch.allclose(model[0].weight.grad, before, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_state_follows_the_model_to_another_device() -> None:
    """PyTorch's lazy device stands for a GPU, see tests/test_devices.py."""
    command = [sys.executable, "-c", ON_THE_LAZY_DEVICE]
    found = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert found.returncode == 0, found.stderr
    (here, on_the_processor), (there, elsewhere) = json.loads(found.stdout)
    assert there == pytest.approx(here, rel=1e-5)
    assert (on_the_processor, elsewhere) == (["cpu"], ["lazy"])


def test_the_state_is_as_precise_as_the_weights() -> None:
    model = mlp()
    penalty = Penalty(model, torch.zeros(1, 8))
    single = penalty.settle(500, 1e-7)
    model.double()
    value = penalty()
    value.backward()
    assert value.dtype == torch.float64 == model[0].weight.grad.dtype
    assert value.item() == pytest.approx(single, rel=1e-4)


def test_weights_that_do_not_learn_are_left_alone() -> None:
    """A frozen layer has no gradient; with all of them frozen there is none to ask for."""
    model = mlp()
    penalty = Penalty(model, torch.zeros(1, 8))
    model[0].requires_grad_(False)
    penalty().backward()
    assert model[0].weight.grad is None and model[2].weight.grad is not None
    model.requires_grad_(False)
    assert not penalty().requires_grad
