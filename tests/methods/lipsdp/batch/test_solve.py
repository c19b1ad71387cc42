"""Answers to many questions at once, against single solves and against enumeration."""

import doctest
import itertools

import pytest
import torch
from torch import Tensor, nn

from autolip.budget import Budget
from autolip.graph.fixed import without_fixed
from autolip.graph.views import SlopeGraph
from autolip.methods.lipsdp.batch import solve
from autolip.methods.lipsdp.batch.questions import Answers, Questions
from autolip.methods.lipsdp.batch.solve import Batch, Care
from autolip.methods.lipsdp.batch.statements import posed
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.search.effort import Effort
from autolip.methods.lipsdp.search.rounds import Search
from autolip.norms import Norm
from autolip.operators.norms import NormOptions
from autolip.slopes import Between
from tests.methods.lipsdp.conftest import mlp, pose
from tests.methods.lipsdp.relaxation.test_elimination import Residual, Skipping

DTYPE = torch.float64
FINE = Care(
    tolerance=1e-4, dtype=DTYPE, rounds=((100, 1e-2), (200, 1e-3), (800, 1e-4), (800, 1e-5))
)


def drawn(batch: Batch, count: int, seed: int = 0) -> dict[str, Between]:
    """Intervals of slopes of all kinds: wide, narrow, single, of either sign, the first [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    slopes = {}
    for name, item in batch.relaxation.constraints.items():
        if item.gain is None:
            shape = (count, *item.out_shape)
            lo, width, kind = torch.rand((3, *shape), generator=generator, dtype=DTYPE)
            lo = torch.where(kind > 0.8, -lo, lo)
            hi = lo + torch.where(kind < 0.3, 0.0, width)
            lo[0], hi[0] = 0.0, 1.0
            slopes[name] = Between(lo, hi)
    return slopes


def batch_of(graph: SlopeGraph, p: Norm = Norm.L2) -> Batch:
    batch = Batch.of(graph, p)
    assert isinstance(batch, Batch), batch
    return batch


def answered(batch: Batch, questions: Questions, care: Care = FINE) -> Answers:
    found = batch.solve(questions, care=care)
    assert isinstance(found, Answers), found
    return found


def single(batch: Batch, questions: Questions, number: int) -> tuple[float, float]:
    """What one search proves of one question, and what it attains."""
    posed_alone = posed(batch.graph, batch.completed(questions), number)
    relaxation = Relaxation.of(without_fixed(posed_alone), batch.relaxation.p, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    effort = Effort.within(Budget.of(60.0), 1e-4, None, 0.01, 5000)
    search = Search(relaxation, effort, NormOptions()).run()
    assert search.best is not None, search.refusal
    return search.best.bound.value, search.iterate.primal


NETWORKS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "dense": (mlp(4, 6, 5, 3), (1, 4)),
    "deep": (mlp(3, 5, 4, 4, 3, 2, seed=3), (1, 3)),
    "wide input": (mlp(12, 4, 3, 2, seed=2), (1, 12)),
}


def other(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(0)
    if name == "skipping":
        return Skipping().double().eval(), (1, 3)
    if name == "norms":
        layers = nn.Linear(3, 4), nn.Softmax(1), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)
        return nn.Sequential(*layers).double().eval(), (1, 3)
    return Residual(nn.ReLU()).double().eval(), (1, 1, 8, 8)


SLOW = pytest.mark.slow
OTHERS = ("skipping", "norms", pytest.param("residual", marks=SLOW))


@pytest.mark.parametrize("name", [*NETWORKS, *OTHERS])
def test_every_answer_is_that_of_a_single_solve(name: str) -> None:
    """Above what a search attains alone, and within 1e-3 of what it proves."""
    network = NETWORKS.get(name) or other(name)
    batch = batch_of(pose(*network).lowered)
    outputs = batch.relaxation.graph.output_shape.numel()
    rows = torch.randn(2, 1, outputs, generator=torch.Generator().manual_seed(1), dtype=DTYPE)
    questions = Questions.crossed(drawn(batch, 3), rows)
    found = answered(batch, questions)
    for number, (value, attained) in enumerate(zip(found.value, found.attained, strict=True)):
        proved, reached = single(batch, questions, number)
        assert float(value) >= max(float(attained), reached * (1 - 1e-6))
        assert float(value) <= proved * (1 + 1e-3)


@pytest.mark.parametrize("p", [Norm.L2, Norm.LINF])
def test_whole_outputs_and_boxes(p: Norm) -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered, p)
    questions = Questions.each(drawn(batch, 3), torch.eye(3, dtype=DTYPE))
    found = answered(batch, questions)
    for number, value in enumerate(found.value):
        proved, reached = single(batch, questions, number)
        assert reached * (1 - 1e-6) <= float(value) <= proved * (1 + 1e-3)


def largest(weights: list[Tensor], slopes: list[Between], row: Tensor) -> float:
    """The largest length of a read-out over all corners of the slopes: it is convex in each."""
    ends = [torch.stack([s.lo.reshape(-1), s.hi.reshape(-1)]) for s in slopes]
    widths = [end.shape[1] for end in ends]
    best = 0.0
    for bits in itertools.product((0, 1), repeat=sum(widths)):
        matrix = weights[0]
        for chosen, end, weight in zip(
            torch.tensor(bits).split(widths), ends, weights[1:], strict=True
        ):
            slope = end.gather(0, chosen.unsqueeze(0))[0]
            matrix = weight @ (slope.unsqueeze(1) * matrix)
        best = max(best, torch.linalg.matrix_norm(row @ matrix, 2).item())
    return best


@pytest.mark.parametrize("seed", range(4))
def test_random_chains_with_random_slopes_against_enumeration(seed: int) -> None:
    """Quick or fine, warm or cold."""
    net = mlp(3, 4, 4, 2, seed=seed)
    weights = [part.weight.detach() for part in net if isinstance(part, nn.Linear)]
    batch = batch_of(pose(net, (1, 3)).lowered)
    slopes = drawn(batch, 4, seed)
    questions = Questions.each(slopes, torch.eye(2, dtype=DTYPE))
    exact = [
        largest(
            weights, [Between(s.lo[i], s.hi[i]) for s in slopes.values()], torch.eye(2).double()
        )
        for i in range(4)
    ]
    for care in (Care(rank=3, rounds=((10, 1e-2),)), FINE):
        found = answered(batch, questions, care)
        assert all(v >= e for v, e in zip(found.value.tolist(), exact, strict=True))
        again = batch.solve(questions, care=care, start=found.vectors)
        assert isinstance(again, Answers)
        assert all(v >= e for v, e in zip(again.value.tolist(), exact, strict=True))
    assert all(v <= 2 * e for v, e in zip(found.value.tolist(), exact, strict=True))


def test_children_start_from_their_parents() -> None:
    """A few steps from a parent's vectors are worth more than as many from anywhere."""
    batch = batch_of(pose(mlp(5, 12, 12, 1), (1, 5)).lowered)
    root = Questions.each(drawn(batch, 1), torch.ones(1, 1))
    parent = answered(batch, root)
    slopes = drawn(batch, 1)
    name = next(iter(slopes))
    at = int(parent.energies[name].flatten().argmax())
    lo, hi = (torch.cat([end, end]) for end in (slopes[name].lo, slopes[name].hi))
    lo.reshape(2, -1)[1, at], hi.reshape(2, -1)[0, at] = 1.0, 0.0
    rest = {k: Between(s.lo.repeat(2, 1, 1), s.hi.repeat(2, 1, 1)) for k, s in slopes.items()}
    children = Questions.each(rest | {name: Between(lo, hi)}, torch.ones(1, 1))
    few = Care(rounds=((8, 2e-3),), rank=parent.vectors.x.shape[1])
    warm = batch.solve(children, care=few, start=parent.vectors.taken(torch.tensor([0, 0])))
    cold = answered(batch, children, few)
    assert isinstance(warm, Answers)
    assert float(warm.value.mean()) < float(cold.value.mean())
    assert float(warm.value.max()) <= float(parent.value) * (1 + 1e-2)


def test_a_question_leaves_when_it_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is easily proved, and what the relaxation exceeds, is not worked on."""
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    questions = Questions.each(drawn(batch, 3), torch.eye(3, dtype=DTYPE))
    found = answered(batch, questions)
    counted = list[int]()
    step = solve.Ascents.step

    def counting(self: solve.Ascents) -> None:
        counted.append(len(self))
        step(self)

    monkeypatch.setattr(solve.Ascents, "step", counting)
    wanted = found.value * torch.tensor([2.0, 0.5, 1 + 2e-4], dtype=DTYPE)
    decided = batch.solve(questions, wanted=wanted, care=FINE)
    assert isinstance(decided, Answers)
    assert float(decided.value[0]) <= float(wanted[0])
    assert float(decided.attained[1]) > float(wanted[1])
    assert float(decided.value[2]) <= float(wanted[2])
    assert counted[0] == 3 and counted[-1] == 1


def test_a_budget_that_is_spent_ends_the_climb() -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    questions = Questions.each(drawn(batch, 2), torch.eye(3, dtype=DTYPE))
    found = batch.solve(questions, care=FINE, budget=Budget.of(0.0))
    assert isinstance(found, Answers)
    assert bool((found.value > found.attained * (1 + FINE.tolerance)).any())


def test_slopes_that_are_not_given_are_the_networks() -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    first, second = batch.relaxation.constraints
    whole = {name: drawn(batch, 1)[name] for name in (first, second)}
    rows = torch.eye(3, dtype=DTYPE)
    for given in ({}, {first: whole[first]}):
        questions = Questions(given, rows.unsqueeze(0), torch.zeros(1, dtype=torch.int64))
        complete = answered(batch, Questions.each(whole, rows))
        assert torch.equal(answered(batch, questions).value, complete.value)


def test_what_cannot_be_meant_is_refused_at_once() -> None:
    batch = batch_of(pose(*NETWORKS["dense"]).lowered)
    name = next(iter(batch.relaxation.constraints))
    one = torch.ones(1, 1, 6, dtype=DTYPE)
    with pytest.raises(ValueError, match="no finite intervals"):
        Questions.each({name: Between(one, -one)}, torch.eye(3))
    for wrong in ({"another": Between(one, one)}, {name: Between(one[..., :2], one[..., :2])}):
        with pytest.raises(ValueError, match="has no slopes of shape"):
            batch.solve(Questions.each(wrong, torch.eye(3)))


def test_the_example_runs() -> None:
    assert doctest.testmod(solve).failed == 0 and doctest.testmod(solve).attempted > 0


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_values_far_from_one_are_found(scale: float) -> None:
    """Squares of the vectors stay within float32; multipliers and energies are those of the
    read-out as it is."""
    batch = batch_of(pose(mlp(3, 4, 4, 2, scale=scale), (1, 3)).lowered)
    near = batch_of(pose(mlp(3, 4, 4, 2), (1, 3)).lowered)
    rows, care = torch.eye(2, dtype=DTYPE), Care(rounds=((60, 3e-3),))
    found, like = (
        answered(one, Questions.each(drawn(one, 3), rows), care) for one in (batch, near)
    )
    torch.testing.assert_close(found.value, like.value * scale**3, rtol=1e-3, atol=0.0)
    last = list(batch.relaxation.constraints)[-1]
    factor = scale**2
    torch.testing.assert_close(
        found.multipliers[last][0], like.multipliers[last][0] * factor, rtol=0.1, atol=0.0
    )
