"""What is eliminated first changes the cost of a proof, not what it proves."""

from functools import cache

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from autolip.methods.lipsdp.proof.quadratic_form import Form, form_of
from autolip.methods.lipsdp.relaxation.elimination import LARGEST_GROUP, Blocks
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from tests.methods.lipsdp.conftest import mlp, pose, relaxed


class Residual(nn.Module):
    """A convolution, its pooled maxima, and a convolution around which they go."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.a, self.b, self.c = (
            nn.Conv2d(1, 3, 3, 2, 1),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Linear(12, 2),
        )
        self.activation, self.pool = activation, nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.pool(self.activation(self.a(x)))
        return self.c((y + self.activation(self.b(y))).flatten(1))


class Skipping(nn.Module):
    """Every operand reads the input and all earlier results: terms of a pair come from several."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (
            nn.Linear(3, 3),
            nn.Linear(3, 3),
            nn.Linear(3, 3),
            nn.PReLU(3),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.gelu(self.a(x)) + 0.5 * x
        return nn.functional.leaky_relu(self.b(y), 0.2) + self.d(self.c(y - 0.1 * x))


@cache
def relaxation(name: str) -> Relaxation:
    torch.manual_seed(0)
    if name == "dense":
        return relaxed(pose(mlp(5, 9, 8, 7, 3), (1, 5)))
    if name == "skipping":
        return relaxed(pose(Skipping().double().eval(), (1, 3)))
    activation = {"relu": nn.ReLU(), "leaky": nn.LeakyReLU(0.2), "gelu": nn.GELU()}[name]
    return relaxed(pose(Residual(activation).double().eval(), (1, 1, 8, 8)))


def network(name: str, seed: int) -> Statement:
    """With multipliers that grow towards the input, with noise."""
    generator, size, lam = torch.Generator().manual_seed(seed), 1.0, dict[str, Tensor]()
    for vertex, item in reversed(relaxation(name).constraints.items()):
        size *= 6.0
        noise = torch.randn(item.blocks, generator=generator, dtype=torch.float64) * 0.3
        lam[vertex] = size * torch.exp(noise)
    return Statement(relaxation(name), lam, None, size**0.5)


def test_layers_are_eliminated_as_long_as_their_groups_are_small() -> None:
    """All of a convolution's windows, so that the input and t remain; of dense layers every second
    one."""
    pooled = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 49, 3)
    )
    assert relaxed(pose(pooled.double().eval(), (1, 1, 16, 16))).order == 256 + 3
    width = LARGEST_GROUP // 2 + 1
    assert relaxed(pose(mlp(4, width, width, width, 2), (1, 4))).order == 4 + width + 2


def test_a_layer_that_is_coupled_is_not_eliminated_blindly() -> None:
    """Of a matrix that couples two blocks nothing is proved."""
    form = form_of(network("dense", 0))
    assert isinstance(form, Form) and form.complement(form.diagonal + 10) is not None
    first, *_ = form.blocks.eliminated
    kept = form.blocks.kept[form.blocks.kept != first[0]]
    split = type(form.blocks)((first[:1], first[1:], kept[:1]), kept[1:])
    assert split.complement(form.matrix, form.diagonal.numpy() + 10) is None


def test_a_block_that_is_not_definite_has_no_complement() -> None:
    matrix = sparse.csr_array([[0.0, 2.0], [2.0, 0.0]])
    blocks = Blocks((np.array([0]),), np.array([1]))
    definite = blocks.complement(matrix, np.array([4.0, 3.0]))
    assert definite is not None and definite.tolist() == [[2.0]]
    assert blocks.complement(matrix, np.array([-4.0, 3.0])) is None


def test_blocks_that_are_coupled_have_no_complement() -> None:
    matrix = sparse.csr_array([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    blocks = Blocks((np.array([0]), np.array([1])), np.array([2]))
    assert blocks.complement(matrix, np.full(3, 4.0)) is None
