"""Lanczos bounds: valid on hidden eigenvalues, as often as promised, cheap with a gap, honest about
floating point."""

import itertools
import math
import sys
import time

import pytest
import torch
from torch import Tensor

from autolip.budget import SPENT, Budget, metered
from autolip.errors import Refusal
from autolip.operators import Dense, Diagonal, Identity, Operator, Sum, Traced, compose
from autolip.operators.norms import NormOptions, lower_estimate
from autolip.operators.norms.krylov import Krylov
from autolip.operators.norms.lanczos import _excluded_above, lanczos, worst_vectors
from autolip.values import Certainty, Upper


def bound_of(operator: Operator, **options: float) -> Upper:
    bound = lanczos(operator, NormOptions(**options))  # type: ignore[arg-type]
    assert isinstance(bound, Upper), bound
    return bound


def spectrum(kind: str, n: int) -> Tensor:
    t = torch.linspace(0, 1, n, dtype=torch.float64)
    if kind == "one above a flat floor":
        return torch.where(t == 1, 1.0005, 1.0)
    if kind == "two close at the top":
        return torch.where(t == 1, 1.0, torch.where(t > 1 - 1.5 / n, 1 - 1e-7, 0.3 * t))
    return {
        "linear": t,
        "quadratic top": 1 - (1 - t) ** 2,
        "geometric": 10.0 ** (-9 * t),
        "identity": torch.ones_like(t),
        "rank one": (t == 1).double(),
        "tiny": t * 1e-300,
        "huge": t * 1e300,
    }[kind]


KINDS = [
    "one above a flat floor",
    "two close at the top",
    "linear",
    "quadratic top",
    "geometric",
    "identity",
    "rank one",
    "tiny",
    "huge",
]


@pytest.mark.parametrize("n", [1, 2, 10, 300])
@pytest.mark.parametrize("kind", KINDS)
def test_never_below_and_within_the_tolerance(kind: str, n: int) -> None:
    scale = spectrum(kind, n)
    truth = scale.max().item()
    if truth == 0:
        assert isinstance(
            lanczos(Diagonal(scale, (n,)), NormOptions()), Refusal
        )  # an image of 0 is no proof
        return
    bound = bound_of(Diagonal(scale, (n,)))
    assert bound.certainty is Certainty.CONFIDENT and bound.delta == 1e-9
    assert truth <= bound.value <= truth * (1 + 1.1e-3)


@pytest.mark.parametrize(("m", "n"), [(3, 40), (40, 3), (60, 60)])
def test_dense_matrices_of_any_shape(m: int, n: int) -> None:
    for seed in range(5):
        weight = torch.randn(
            m, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
        )
        truth = torch.linalg.svdvals(weight)[0].item()
        assert truth <= bound_of(Dense(weight), seed=seed).value <= truth * (1 + 1.1e-3)


def test_it_fails_at_most_as_often_as_promised_and_does_fail() -> None:
    """With delta = 0.2 the bound breaks exactly where the start vector hardly sees the top
    eigenvector."""
    scale = Diagonal(spectrum("two close at the top", 50) + 3 * (torch.arange(50) == 49), (50,))
    failures = sum(
        bound_of(scale, delta=0.2, seed=seed, tolerance=0.5).value < 4.0 for seed in range(400)
    )
    assert 0 < failures <= 0.2 * 400 + 3 * math.sqrt(400 * 0.2 * 0.8)


def test_a_start_vector_orthogonal_to_the_top_is_the_event(monkeypatch: pytest.MonkeyPatch) -> None:
    from autolip.operators.norms import lanczos as module

    start = torch.ones(50, dtype=torch.float64)
    start[-1] = 0
    monkeypatch.setattr(module, "_random_start", lambda size, seed, run=0: start / start.norm())
    assert bound_of(Diagonal(spectrum("one above a flat floor", 50), (50,))).value < 1.0005


def test_a_gap_makes_it_cheap() -> None:
    n = 20_000
    scale = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.5
    scale[123] = 1.0
    with metered() as meter:
        value = bound_of(Traced(lambda x: x * scale, (n,), terms=1), tolerance=1e-3).value
    assert 1 <= value <= 1.001
    assert meter.work <= 2 * 40 * n


def test_it_stops_as_soon_as_the_bound_is_good_enough() -> None:
    """The number of steps follows the tolerance, long after the first hundred."""
    scale = torch.linspace(0, 0.997, 5000, dtype=torch.float64)
    scale[-1] = 1.0
    used = []
    for tolerance in (1e-2, 1e-3):
        with metered() as meter:
            value = bound_of(
                Traced(lambda x: x * scale, (5000,), terms=1), tolerance=tolerance
            ).value
        assert 1 <= value <= 1 + 1.1 * tolerance
        used.append(meter.work / 5000)
    assert 2 * 100 < used[-1] < 2 * 180 < 2 * 295
    assert used[0] < used[-1]


def test_bounds_at_every_step_come_from_one_event() -> None:
    """A deadline that has passed leaves a looser bound of the same event, or a reason."""
    assert isinstance(lanczos(Identity((5,)), NormOptions(budget=SPENT)), Refusal)


def test_a_hopeless_search_ends_early() -> None:
    operator = Diagonal(spectrum("quadratic top", 2000), (2000,))
    with metered() as whole:
        bound_of(Traced(lambda x: x * operator.scale, (2000,), terms=1))
    with metered() as early:
        refusal = lanczos(
            Traced(lambda x: x * operator.scale, (2000,), terms=1), NormOptions(known=1.0001)
        )
    assert isinstance(refusal, Refusal) and "cannot improve" in refusal.reason
    assert early.work < whole.work / 2


def test_products_that_underflow_are_refused() -> None:
    tiny = Diagonal(torch.tensor(1e-200, dtype=torch.float64), (4,))
    half = Diagonal(torch.tensor([1e-200, 1e-150, 1.0, 1.0], dtype=torch.float64), (4,))
    big = Diagonal(torch.tensor([1e300, 1e160, 1e-300, 1e-300], dtype=torch.float64), (4,))
    chain = compose(
        Diagonal(torch.tensor(1e300, dtype=torch.float64), (4,)),
        Dense(torch.eye(4)),
        tiny,
        Dense(torch.eye(4)),
        tiny,
    )
    assert bound_of(chain).value >= 1e-100
    refusal = lanczos(
        compose(big, Dense(torch.eye(4)), half, Dense(torch.eye(4)), half), NormOptions()
    )
    assert isinstance(refusal, Refusal) or refusal.value >= 0.9e-100


def test_cancellation_is_seen() -> None:
    """A - A + 1e-14 B has rounding errors as large as itself: the bound stays above."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(30, 30, generator=generator, dtype=torch.float64)
    b = torch.randn(30, 30, generator=generator, dtype=torch.float64) * 1e-14
    total = Sum((Dense(a), Dense(-a), Dense(b)))
    assert bound_of(total).value >= torch.linalg.svdvals(b)[0].item()


def test_relative_errors_are_added() -> None:
    weight = torch.rand(20, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    meant = torch.linalg.svdvals(weight * 1.01)[0].item()
    assert bound_of(Dense(weight, relative_error=0.01)).value >= meant
    opaque = Sum((Dense(weight, relative_error=0.01), Traced(lambda x: x * 0.5, (20,), terms=1)))
    assert (
        bound_of(opaque).value
        >= torch.linalg.svdvals(weight * 1.01 + 0.5 * torch.eye(20))[0].item()
    )


def test_the_recurrence_holds_up_to_its_defect() -> None:
    matrix = torch.randn(80, 80, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    matrix = matrix @ matrix.T
    start = torch.randn(80, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    space = Krylov(lambda v: matrix @ v, start, capacity=5)
    vectors = []
    for _ in range(30):
        vectors.append(space.vector)
        space.step()
    basis = torch.stack(vectors, 1)
    betas = torch.tensor(space.betas[:-1], dtype=torch.float64)
    tridiagonal = (
        torch.diag(torch.tensor(space.alphas, dtype=torch.float64)) + betas.diag(1) + betas.diag(-1)
    )
    rest = matrix @ basis - basis @ tridiagonal
    rest[:, -1] -= space.betas[-1] * space.vector
    size = matrix.norm().item()
    for column, defect in zip(rest.T, space.defects, strict=True):
        assert column.norm().item() <= defect + 1e-14 * size
    assert max(space.defects) <= 1e-11 * size


@pytest.mark.parametrize("hidden", [0.0, 1e-6, 1e-3, 0.5, 1.0])
def test_errors_of_the_products_cannot_hide_an_eigenvalue(hidden: float) -> None:
    """The inequality holds for products with an adversary's error of known size: here the top is
    hidden."""
    n, steps = 60, 12
    values = torch.linspace(0, 1, n, dtype=torch.float64)
    values[-1] = 2.0
    start = torch.randn(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    epsilon = (start / start.norm())[-1].abs().item()
    errors = [0.0]

    def product(v: Tensor) -> Tensor:
        error = torch.zeros_like(v)
        error[-1] = hidden * 2.0 * v[-1]
        errors.append(error.norm().item())
        return values * v - error

    space = Krylov(product, start, n)
    for _ in range(steps):
        space.step()
    assert _excluded_above(space, max(errors), epsilon) >= 2.0
    assert hidden < 0.5 or _excluded_above(space, 0.0, epsilon) < 2.0


def test_the_lower_estimate_is_below_and_close() -> None:
    weight = torch.randn(50, 40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    truth = torch.linalg.svdvals(weight)[0].item()
    values = [lower_estimate(Dense(weight), steps).value for steps in (1, 4, 16, 40)]
    assert values == sorted(values)
    assert 0.999 * truth <= values[-1] <= truth * (1 + 1e-12)
    assert lower_estimate(Dense(weight * 0)).value == 0


def test_the_same_seed_gives_the_same_bound() -> None:
    weight = torch.randn(30, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values = [bound_of(Dense(weight), seed=seed).value for seed in (0, 0, 1)]
    assert values[0] == values[1] != values[2]


def test_a_small_delta_takes_several_starts() -> None:
    """Where the epsilon of one start would drown in rounding errors, the largest of independent
    bounds is taken."""
    scale = torch.linspace(0, 1, 3000, dtype=torch.float64)
    one, several = (bound_of(Diagonal(scale, (3000,)), delta=delta) for delta in (1e-9, 1e-15))
    assert 1 <= one.value <= 1 + 1.1e-3 and 1 <= several.value <= 1 + 1.1e-3
    assert several.delta == 1e-15


def test_several_starts_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on whenever it is read: the second start has steps left, and the bound
    is looser only."""
    ticks = itertools.count(1)
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    operator, steps = Diagonal(spectrum("linear", 500), (500,)), {"delta": 1e-16, "tolerance": 1e-9}
    bound = bound_of(operator, **steps, budget=Budget(100.0))
    assert 1 + 1e-6 < bound.value < 1.1
    assert isinstance(lanczos(operator, NormOptions(**steps, budget=SPENT)), Refusal)  # type: ignore[arg-type]


def test_it_ends_where_a_bound_is_enough() -> None:
    operator = Dense(torch.diag(spectrum("quadratic top", 300)))
    with metered() as all_the_way:
        near = bound_of(operator)
    with metered() as soon:
        rough = bound_of(operator, enough=1.2)
    assert 1 <= near.value < rough.value <= 1.2
    assert soon.work < all_the_way.work / 2


@pytest.mark.parametrize("shape", [(30, 20), (20, 30)])
def test_the_worst_vectors_are_those_of_the_large_singular_values(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = torch.linalg.svdvals(matrix)
    above = 0.7 * values[0].item()
    found = worst_vectors(Dense(matrix), 20, 0, 0, above)
    assert torch.allclose((found @ matrix.T).norm(dim=1), values[values > above], rtol=1e-9)
    assert torch.allclose(found @ found.T, torch.eye(len(found), dtype=torch.float64), atol=1e-9)
    assert not len(worst_vectors(Dense(matrix), 20, 0, 0, 1.01 * values[0].item()))


def test_the_worst_vectors_do_not_depend_on_the_memory_of_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    matrix = torch.randn(30, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    monkeypatch.setattr(Krylov.__init__, "__defaults__", (8 * 20 * 3,))
    top = torch.linalg.svdvals(matrix)[0].item()
    found = worst_vectors(Dense(matrix), 20, 0, 0, 0.99 * top)
    assert (matrix @ found[0]).norm().item() == pytest.approx(top)


@pytest.mark.parametrize("largest", range(3))
def test_the_largest_of_several_runs_counts(largest: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only together do they fail as seldom as is claimed."""
    module = sys.modules[lanczos.__module__]
    operator = Dense(torch.eye(4, dtype=torch.float64))
    bounds = []
    for square in (1.0, 9.0):
        found = itertools.chain([1.0] * largest, [square], itertools.repeat(1.0))
        monkeypatch.setattr(module, "_run", lambda *given, found=found: next(found))
        bounds.append(bound_of(operator, delta=1e-40, seed=0).value)
    assert bounds[1] == pytest.approx(3 * bounds[0])
