"""A network whose Lipschitz constant solves a boolean quadratic problem, against brute force."""

import itertools

import pytest
import torch

from autolip import Everywhere, Norm
from autolip.capture.torch.export import capture_model
from autolip.errors import InputError
from autolip.methods import Bound, Problem, method_named
from autolip.methods.seqlip import (
    enumerate_patterns,
    maximise_exact,
)
from autolip.operators.norms import NormOptions
from autolip.reproduce.np_hardness import BooleanQuadratic, hard_network
from autolip.values import Upper


def integer_problem(n, seed):
    g = torch.Generator().manual_seed(seed)
    q = torch.randint(-9, 10, (n, n), generator=g).double()
    return BooleanQuadratic(q + q.T, torch.randint(-30, 31, (n,), generator=g).double())


def every_choice(n):
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=n))).double()


def solve(network):
    width = len(network.first)
    zero, one = torch.zeros(width).double(), torch.ones(width).double()
    return maximise_exact(network.second, network.first, zero, one)


@pytest.mark.parametrize("seed", range(8))
def test_exact_seqlip_solves_the_problem(seed):
    n = 3 + seed
    problem = integer_problem(n, seed)
    network = hard_network(problem)
    outcome = solve(network)
    best = problem.value(every_choice(n)).max().item()
    assert outcome.finished
    assert (
        round(network.maximum(outcome.attained))
        == best
        == round(network.maximum(outcome.upper.value))
    )
    assert problem.value(network.solution(outcome.pattern)).item() == best


def test_it_is_the_lipschitz_constant_of_the_network_as_a_function():
    """Every pattern of signs is attained at some input, and the largest gradient there is the exact
    answer."""
    network = hard_network(integer_problem(4, 1))
    module, half = network.module(), network.first[: len(network.first) // 2]
    signs = 2 * every_choice(5) - 1
    x = torch.linalg.solve(half, signs.T).T.requires_grad_()
    (gradient,) = torch.autograd.grad(module(x).sum(), x)
    assert gradient.norm(dim=1).max().item() == pytest.approx(solve(network).attained, rel=1e-12)
    assert module(x).flatten().tolist() == pytest.approx((x @ half.T).abs().sum(1).tolist())


def test_enumeration_agrees():
    problem = integer_problem(4, 2)
    network = hard_network(problem)
    zero, one = torch.zeros(10).double(), torch.ones(10).double()
    value, pattern = enumerate_patterns(network.second, network.first, zero, one)
    assert network.maximum(value.value) == pytest.approx(
        problem.value(every_choice(4)).max().item(), abs=1e-9
    )
    assert (
        problem.value(network.solution(pattern)).item()
        == problem.value(every_choice(4)).max().item()
    )


@pytest.mark.parametrize("seed", range(3))
def test_maximum_cut(seed):
    """The cut of a graph: sum over edges of s_i + s_j - 2 s_i s_j."""
    g = torch.Generator().manual_seed(seed)
    edges = torch.triu((torch.rand(8, 8, generator=g) < 0.5).double(), 1)
    weights = edges + edges.T
    problem = BooleanQuadratic(-weights, weights.sum(1))
    network = hard_network(problem)
    cuts = [
        sum(edges[i, j].item() for i in range(8) for j in range(8) if s[i] != s[j])
        for s in every_choice(8)
    ]
    assert round(network.maximum(solve(network).attained)) == max(cuts)


def test_the_problem_without_coefficients_has_maximum_zero():
    network = hard_network(BooleanQuadratic(torch.zeros(3, 3), torch.zeros(3)))
    assert network.maximum(solve(network).attained) == pytest.approx(0, abs=1e-12)


def test_what_is_no_problem_is_refused():
    with pytest.raises(InputError, match="symmetric"):
        BooleanQuadratic(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.zeros(2))
    with pytest.raises(InputError, match="finite"):
        BooleanQuadratic(torch.tensor([[float("inf")]]), torch.zeros(1))
    with pytest.raises(InputError, match="attains nothing"):
        hard_network(integer_problem(3, 0)).solution(torch.ones(8))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_method_solves_the_problem_from_the_network_alone(seed):
    """Captured as any network: the bound on its constant gives the maximum over all choices."""
    problem = integer_problem(8, seed)
    network = hard_network(problem)
    capture = capture_model(network.module().eval(), (torch.zeros(1, 9).double(),))
    posed = Problem.pose(capture.graph, Everywhere(), Norm.L2, Norm.L2, NormOptions())
    bound = method_named("seqlip-exact").bound(posed)
    assert isinstance(bound, Bound) and isinstance(bound.value, Upper) and bound.complete
    assert round(network.maximum(bound.value.value)) == problem.value(every_choice(8)).max().item()
