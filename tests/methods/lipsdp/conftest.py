"""Small networks whose exact constants or relaxations can be computed by other means."""

import itertools

import torch
from torch import Tensor, nn

from autolip.capture.torch.export import capture_model
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods import Problem
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.norms import parse_norms
from autolip.operators.norms import NormOptions
from autolip.regions import Everywhere, Region


def mlp(
    *widths: int, seed: int = 0, activation: nn.Module | None = None, scale: float = 1.0
) -> nn.Sequential:
    """A random network without biases."""
    generator = torch.Generator().manual_seed(seed)
    layers: list[nn.Module] = []
    for n, m in itertools.pairwise(widths):
        linear = nn.Linear(n, m, bias=False).double()
        linear.weight.data = (
            torch.randn(m, n, generator=generator, dtype=torch.float64) * scale * (2 / n) ** 0.5
        )
        layers += [linear, activation or nn.ReLU()]
    return nn.Sequential(*layers[:-1]).eval()


def pose(
    model: nn.Module, shape: tuple[int, ...], norm: str = "l2", region: Region | None = None
) -> Problem:
    capture = capture_model(model, (torch.zeros(shape, dtype=torch.float64),))
    p, q = parse_norms(norm)
    return Problem.pose(capture.graph, region or Everywhere(), p, q, NormOptions())


def stated(problem: Problem) -> SlopeGraph:
    return without_fixed(problem.lowered)


def relaxed(problem: Problem) -> Relaxation:
    """The relaxation of a problem, in its norms."""
    relaxation = Relaxation.of(stated(problem), problem.p, problem.q)
    assert isinstance(relaxation, Relaxation), relaxation
    return relaxation


def patterns(weights: list[Tensor]) -> float:
    """max over all activation patterns of ||W_K D ... D W_1||: at least the Lipschitz constant."""
    best = 0.0
    widths = [len(w) for w in weights[:-1]]
    for bits in itertools.product((0.0, 1.0), repeat=sum(widths)):
        signs, matrix = torch.tensor(bits, dtype=torch.float64).split(widths), weights[0]
        for sign, weight in zip(signs, weights[1:], strict=True):
            matrix = weight @ (sign.unsqueeze(1) * matrix)
        best = max(best, torch.linalg.matrix_norm(matrix, 2).item())
    return best
