"""What LipSDP proves, written out in rational arithmetic: its quadratic form and its lifted map."""

from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.graph.views import Edge, SlopeGraph, Vertex
from autolip.intervals import Interval
from autolip.methods.lipsdp.proof import lifted_map
from autolip.methods.lipsdp.proof.lifted_map import Lifted, Repaired, lifted, norm_bound
from autolip.methods.lipsdp.proof.quadratic_form import Form, form_of
from autolip.methods.lipsdp.relaxation.relaxation import Relaxation
from autolip.methods.lipsdp.statement import Statement
from autolip.norms import Norm
from autolip.operators import Dense
from autolip.operators.norms import NormOptions
from autolip.slopes import Between, Exact, Slope
from autolip.testing.exact import is_above_norm, rational
from autolip.values import Upper
from tests.roundings.rational import Matrix, minus, product, rand, randn, scaled, turned

SEEDS = range(12)


def chain(*slopes: Slope) -> SlopeGraph:
    """x -> ... -> y through one slope set after another."""
    names = [f"v{k}" for k in range(len(slopes) + 1)]
    vertices = [vertex(names[0], slopes[0].in_shape.numel())]
    for before, name, slope in zip(names, names[1:], slopes, strict=False):
        vertices.append(vertex(name, slope.out_shape.numel(), Edge(before, slope)))
    return SlopeGraph(names[0], tuple(vertices), names[-1])


def vertex(name: str, size: int, *edges: Edge) -> Vertex:
    shape = torch.Size([size])
    return Vertex(name, shape, edges, Interval.everywhere(shape), operation=name)


def stated(inner: Dense, slopes: Between, outer: Dense, lam: Tensor, **others: Tensor) -> Statement:
    graph = chain(Exact(inner), slopes, Exact(outer))
    p = Norm.LINF if "inputs" in others else Norm.L2
    relaxation = Relaxation.of(graph, p, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    return Statement(relaxation, {"v2": lam}, others.get("inputs"), 1.0)


def exact_form(a: Matrix, b: Matrix, lo: Tensor, hi: Tensor, lam: Tensor) -> list[list[Fraction]]:
    """lam (z - lo v) (z - hi v) + t^2 - 2 t y in the order z, t, x, with v = B x and y = A z."""
    low, high, weights = ([Fraction(x) for x in end.tolist()] for end in (lo, hi, lam))
    sums = [-w * (x + y) / 2 for w, x, y in zip(weights, low, high, strict=True)]
    ends = [w * x * y for w, x, y in zip(weights, low, high, strict=True)]
    cross, square = scaled(sums, b), product(turned(b), scaled(ends, b))
    n, m, k = len(weights), len(a), len(b[0])
    rows = [[w * (i == j) for j in range(n)] for i, w in enumerate(weights)]
    for i in range(n):
        rows[i] += [-row[i] for row in a] + cross[i]
    rows += [
        [-x for x in a[i]] + [Fraction(i == j) for j in range(m)] + [Fraction(0)] * k
        for i in range(m)
    ]
    rows += [[row[i] for row in cross] + [Fraction(0)] * m + square[i] for i in range(k)]
    return rows


def covers(form: Form, meant: list[list[Fraction]]) -> bool:
    found = rational(torch.from_numpy(form.matrix.toarray()))
    return is_above_norm(minus(found, meant), Fraction(form.slack) ** 2)


def test_the_entries_of_a_form() -> None:
    """With squares and without: their own rounding hides that of all other terms."""
    for seed in SEEDS:
        a, b, lam = randn(seed, 2, 3), randn(seed + 99, 3, 2), rand(seed, 3) + 0.6
        lo = (rand(seed + 50, 3) - 0.5) * (seed % 2)
        slopes = Between(lo, lo + rand(seed + 70, 3))
        form = form_of(stated(Dense(b), slopes, Dense(a), lam))
        assert isinstance(form, Form)
        assert covers(form, exact_form(rational(a), rational(b), slopes.lo, slopes.hi, lam))


def test_squares_that_cancel() -> None:
    """Products of slopes of both signs, and weights whose squares outweigh all else."""
    a, lam = randn(0, 1, 4), torch.ones(4, dtype=torch.float64)
    for seed in SEEDS:
        b = randn(seed, 4, 1) * 2.0**30
        lo = torch.tensor([-0.1, 1.0, 1.0, -1.0], dtype=torch.float64) * (rand(seed, 4) + 0.5)
        hi = lo.abs() + rand(seed + 50, 4)
        ends = lo * hi * b[:, 0] ** 2
        b[-1] *= (-ends[:-1].sum() / ends[-1]).sqrt()
        form = form_of(stated(Dense(b), Between(lo, hi), Dense(a), lam))
        assert isinstance(form, Form)
        assert covers(form, exact_form(rational(a), rational(b), lo, hi, lam))


def test_one_square_alone() -> None:
    """No sum: the roundings of the factor and of both products are all there is."""
    a = torch.ones(1, 1, dtype=torch.float64)
    for seed in range(60):
        b, lam = randn(seed, 1, 1) * 2.0**30, rand(seed + 20, 1) + 0.6
        lo, hi = -rand(seed + 50, 1) - 0.5, rand(seed + 70, 1) + 0.5
        form = form_of(stated(Dense(b), Between(lo, hi), Dense(a), lam))
        assert isinstance(form, Form)
        assert covers(form, exact_form(rational(a), rational(b), lo, hi, lam))


@pytest.mark.parametrize("lowest", [-1.0, 0.0])
def test_a_form_whose_entries_are_known_up_to_an_error(lowest: float) -> None:
    """With slopes in [-1, 1] only the operand's square is there, with [0, 1] only its product."""
    a, one = torch.zeros(1, 3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)
    for error in (2.0**-20, 0.5):
        b = randn(0, 3, 1)
        inner = Dense(b, relative_error=error)
        form = form_of(stated(inner, Between(lowest * one, one), Dense(a), one))
        for moved in (b * (1 + error), b * (1 - error)):
            meant = exact_form(rational(a), rational(moved), lowest * one, one, one)
            assert isinstance(form, Form) and covers(form, meant)


def test_squares_of_two_neurons_add_their_errors() -> None:
    """Each reads the input by an entry of its own, known up to a half of itself."""
    one = torch.ones(1, dtype=torch.float64)
    inner = [Exact(Dense(one[None] * size, relative_error=0.5)) for size in (1.0, 3.0)]
    vertices = [vertex("x", 1)]
    for number, slope in enumerate(inner):
        vertices.append(vertex(f"v{number}", 1, Edge("x", slope)))
        vertices.append(vertex(f"z{number}", 1, Edge(f"v{number}", Between(-one, one))))
    none = Exact(Dense(torch.zeros(1, 1, dtype=torch.float64)))
    vertices.append(vertex("y", 1, Edge("z0", none), Edge("z1", none)))
    relaxation = Relaxation.of(SlopeGraph("x", tuple(vertices), "y"), Norm.L2, Norm.L2)
    assert isinstance(relaxation, Relaxation)
    form = form_of(Statement(relaxation, {"z0": one, "z1": one}, None, 1.0))
    assert isinstance(form, Form)
    stored, meant = -(1.0 + 9.0), -(1.5**2 + 4.5**2)
    assert form.matrix[-1, -1] == stored and form.slack >= stored - meant


def mapped(
    lam: Tensor, radius: float = 0.5, entries: int = 1, **others: Tensor
) -> tuple[Statement, Lifted]:
    """One neuron, the sum of all inputs, and its lifted map."""
    one, ones = (Dense(torch.ones(1, n, dtype=torch.float64)) for n in (1, entries))
    made = stated(ones, Between(lam * 0, lam * 0 + 2 * radius), one, lam, **others)
    found = lifted(made, 0.02)
    assert isinstance(found, Lifted)
    return made, found


def test_the_reach_of_a_lifted_map() -> None:
    """rho / (e d) for the entries e, d that the map has."""
    for seed in range(60):
        radius = rand(seed + 99, 1).item() + 0.1
        _, found = mapped(rand(seed, 1) + 0.5, radius)
        (e, _), (_, d) = rational(found.operator.matrix())
        assert Fraction(radius) <= e * d * Fraction(found.reach)


def test_the_bound_of_a_lifted_map(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its norm, multiplied by the lengths of the weights and by what a repair costs."""
    entries = 4000
    for seed in (*SEEDS, 91, 294, 324):
        inputs = (rand(seed + 99, 1) + 0.5).expand(entries)
        made, found = mapped(rand(seed, 1) + 0.5, entries=entries, inputs=inputs)
        norm = found.limit * (1 + rand(seed + 50, 1).item() * (seed < 50))
        monkeypatch.setattr(lifted_map, "operator_norm", lambda *_, n=norm, **__: Upper(n))
        bound = norm_bound(made, 0.02, NormOptions())
        assert isinstance(bound, Repaired)
        assert Fraction(bound.growth) >= Fraction(norm) * Fraction(found.reach)
        length = Fraction(norm) * Fraction(bound.growth) / Fraction(found.inputs[0].item())
        assert Fraction(bound.bound.value) ** 2 >= length**2 * entries
