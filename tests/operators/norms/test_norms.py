"""Every engine against references: never below, and tight where it claims to be.

Covers autolip.operators.norms.dense and autolip.operators.norms.entry_sums.
"""

import math
from collections.abc import Iterator
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from autolip.errors import Refusal
from autolip.norms import Norm
from autolip.operators import Composition, Dense, Diagonal, Incidence, Operator, compose
from autolip.operators.norms import NormOptions, candidates, operator_norm
from autolip.operators.norms.dense import proved_norm, proved_norms
from autolip.operators.norms.entry_sums import column_squares
from autolip.testing.exact import is_exactly_semidefinite
from autolip.values import Certainty, Upper

PAIRS = [(p, q) for p in Norm for q in Norm]
EXACT = {
    (Norm.L1, Norm.L1): lambda a: a.abs().sum(0).max(),
    (Norm.LINF, Norm.LINF): lambda a: a.abs().sum(1).max(),
    (Norm.L1, Norm.L2): lambda a: a.norm(dim=0).max(),
    (Norm.L2, Norm.LINF): lambda a: a.norm(dim=1).max(),
    (Norm.L1, Norm.LINF): lambda a: a.abs().max(),
    (Norm.L2, Norm.L2): lambda a: torch.linalg.matrix_norm(a, 2),
}


def bound_of(
    operator: Operator, p: Norm = Norm.L2, q: Norm = Norm.L2, options: NormOptions | None = None
) -> Upper:
    bound = operator_norm(operator, p, q, options or NormOptions())
    assert isinstance(bound, Upper), bound
    return bound


def is_above_norm(matrix: Tensor | list[list[Fraction]], bound: float) -> bool:
    """Whether t^2 I - A^T A is positive semidefinite, decided in exact rational arithmetic."""
    rows = matrix.tolist() if isinstance(matrix, Tensor) else matrix
    a = [
        [Fraction(x) for x in row]
        for row in (rows if len(rows) >= len(rows[0]) else zip(*rows, strict=True))
    ]
    n = len(a[0])
    s = [
        [Fraction(bound) ** 2 * (i == j) - sum(row[i] * row[j] for row in a) for j in range(n)]
        for i in range(n)
    ]
    return is_exactly_semidefinite(s)


def attained(matrix: Tensor, p: Norm, q: Norm) -> float:
    """A lower bound on ||A||_{p -> q}: a few starts of the alternating maximisation."""
    signs = torch.randn(
        matrix.shape[1], 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    best = 0.0
    for _ in range(30):
        x = {Norm.L1: _vertex, Norm.L2: _unit, Norm.LINF: torch.sign}[p](signs)
        image = matrix @ x
        best = max(best, q.of_rows(image.T).max().item())
        signs = matrix.T @ {Norm.L1: torch.sign, Norm.L2: _unit, Norm.LINF: _vertex}[q](image)
    return best


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=0).clamp(min=1e-300)


def _vertex(x: Tensor) -> Tensor:
    return torch.zeros_like(x).scatter(0, x.abs().argmax(0, keepdim=True), 1.0) * x.sign()


def test_the_exact_reference_can_fail() -> None:
    matrix = torch.tensor([[3.0, 0.0], [4.0, 0.0]], dtype=torch.float64)
    assert is_above_norm(matrix, 5.0)
    assert not is_above_norm(matrix, math.nextafter(5.0, 0))


@pytest.mark.parametrize(("p", "q"), PAIRS, ids=lambda norm: norm.value)
def test_the_dispatch_on_every_operator_and_pair_of_norms(
    operator: Operator, p: Norm, q: Norm
) -> None:
    matrix = operator.matrix()
    bound = bound_of(operator, p, q)
    assert bound.value >= attained(matrix, p, q) * (1 - 1e-13)
    if (p, q) in EXACT and bound.certainty is Certainty.PROVED:
        truth = EXACT[p, q](matrix).item()
        assert truth * (1 - 1e-13) <= bound.value <= truth * (1 + 1e-8) + 1e-300


def test_every_engine_is_above_the_singular_value(operator: Operator) -> None:
    truth = torch.linalg.matrix_norm(operator.matrix(), 2).item() * (1 - 1e-13)
    seen = list(candidates(operator, Norm.L2, Norm.L2, NormOptions()))
    assert seen
    for candidate in seen:
        if isinstance(candidate.bound, Upper):
            assert candidate.bound.value >= truth, candidate


def test_upper_bounds_of_linf_to_l1_against_all_vertices() -> None:
    matrix = torch.randn(5, 9, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * 9).T
    for q, norm in ((Norm.L1, 1), (Norm.L2, 2)):
        truth = torch.linalg.vector_norm(matrix @ signs, ord=norm, dim=0).max().item()
        assert truth <= bound_of(Dense(matrix), Norm.LINF, q).value <= 2 * truth
    assert bound_of(Dense(matrix.abs()), Norm.LINF, Norm.L1).value == pytest.approx(
        matrix.abs().sum().item(), rel=1e-13
    )


def adversarial() -> dict[str, Tensor]:
    """Small matrices on which floating point or a solver may go wrong."""
    generator = torch.Generator().manual_seed(7)
    random = lambda m, n: torch.randn(m, n, generator=generator, dtype=torch.float64)  # noqa: E731
    orthogonal = torch.linalg.qr(random(6, 6))[0]
    spike = random(5, 7)
    spike[2, 3] = 1e12
    graded = torch.diag(torch.logspace(0, -300, 6, dtype=torch.float64))
    matrices = {
        "zero": torch.zeros(4, 3),
        "one": torch.tensor([[1.0]]),
        "negative": torch.tensor([[-3.7]]),
        "denormal": torch.tensor([[5e-324]], dtype=torch.float64),
        "denormals": random(4, 4) * 1e-310,
        "column": random(6, 1),
        "row": random(1, 6),
        "rank one": random(5, 1) @ random(1, 6),
        "nilpotent": torch.diag(torch.ones(4), 1),
        "repeated": orthogonal * 2.5,
        "nearly repeated": orthogonal
        @ torch.diag(1 + 1e-14 * torch.arange(6.0, dtype=torch.float64))
        @ orthogonal.T,
        "ones": torch.ones(6, 5),
        "checkerboard": (torch.arange(6)[:, None] + torch.arange(6)) % 2 * 2.0 - 1,
        "spike": spike,
        "huge": random(4, 5) * 1e150,
        "largest": torch.full((3, 3), 1e308, dtype=torch.float64),
        "tiny": random(5, 4) * 1e-150,
        "ill-scaled rows": random(6, 4)
        * torch.logspace(-150, 150, 6, dtype=torch.float64)[:, None],
        "ill-scaled columns": random(6, 4) * torch.logspace(150, -150, 4, dtype=torch.float64),
        "graded": graded,
        "graded, rotated": orthogonal @ graded @ orthogonal.T,
        "hilbert": 1
        / (
            1
            + torch.arange(8.0, dtype=torch.float64)[:, None]
            + torch.arange(8.0, dtype=torch.float64)
        ),
        "vandermonde": torch.linspace(0, 3, 7, dtype=torch.float64)[:, None] ** torch.arange(6),
        "cancelling": torch.tensor([[1.0, 1 + 2**-52], [1 - 2**-53, -1.0]], dtype=torch.float64),
        "wilkinson": torch.tril(-torch.ones(10, 10), -1) + torch.eye(10),
        "Pythagorean": torch.tensor([[3.0, 0.0], [4.0, 0.0]]),
    }
    matrices |= {
        f"random {m} x {n}": random(m, n)
        for m, n in [(2, 2), (3, 7), (7, 3), (8, 8), (12, 2), (10, 10)]
    }
    matrices |= {f"integers {n}": random(n, n).mul(3).round() for n in range(1, 9)}
    matrices |= {f"2^{e} random": random(4, 3) * 2.0**e for e in (-1070, -1000, -520, 520, 1000)}
    return {name: matrix.double() for name, matrix in matrices.items()}


@pytest.mark.parametrize("name", adversarial())
def test_adversarial_matrices_in_exact_arithmetic(name: str) -> None:
    matrix = adversarial()[name]
    for operator in (Dense(matrix), Dense(matrix).T):
        for candidate in candidates(operator, Norm.L2, Norm.L2, NormOptions()):
            value = candidate.bound.value if isinstance(candidate.bound, Upper) else math.inf
            assert value == math.inf or is_above_norm(matrix, value), candidate
    value = bound_of(Dense(matrix)).value
    assert value < math.inf or name == "largest"
    if 1e-320 < value < math.inf:
        assert not is_above_norm(matrix, value * (1 - 1e-8) - 2e-323)


@pytest.mark.parametrize("name", adversarial())
def test_adversarial_column_norms_in_exact_arithmetic(name: str) -> None:
    matrix = adversarial()[name]
    entries = [[abs(Fraction(x)) for x in row] for row in matrix.T.tolist()]
    operator = Dense(matrix)
    sums = max(sum(column) for column in entries)
    squares = max(sum(x * x for x in column) for column in entries)
    assert bound_of(operator, Norm.L1, Norm.L1).value >= sums
    assert Fraction(bound_of(operator, Norm.L1, Norm.LINF).value) == max(
        max(column) for column in entries
    )
    assert bound_of(operator, Norm.LINF, Norm.L1).value >= sum(sum(c) for c in entries) / len(
        entries
    )
    l2 = bound_of(operator, Norm.L1, Norm.L2).value
    assert l2 == math.inf or Fraction(l2) ** 2 >= squares
    assert (
        l2 == math.inf
        or Fraction(l2) ** 2 <= squares * (1 + Fraction(1, 10**12)) + Fraction(2) ** -2140
    )


def test_batches_of_matrices_take_the_largest() -> None:
    weight = torch.randn(
        40, 20, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    weight[17] *= 3
    truth = torch.linalg.matrix_norm(weight, 2).max().item()
    assert truth * (1 - 1e-13) <= bound_of(Dense(weight)).value <= truth * (1 + 1e-9)
    assert bound_of(Dense(weight[17], (2, 3, 30))).value == pytest.approx(truth, rel=1e-9)


@pytest.mark.parametrize("shape", [(1000, 1000), (300, 1000), (1000, 700)])
@pytest.mark.parametrize("kind", ["random", "orthogonal", "positive", "one spike"])
def test_the_excess_of_the_dense_proof_is_below_1e_8(shape: tuple[int, int], kind: str) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    if kind == "orthogonal":
        matrix = torch.linalg.qr(matrix if shape[0] >= shape[1] else matrix.T)[0]
    if kind == "positive":
        matrix = matrix.abs()
    if kind == "one spike":
        matrix[3, 5] = 1e6
    truth = torch.linalg.svdvals(matrix)[0].item()
    assert truth * (1 - 1e-14) <= proved_norm(matrix) <= truth * (1 + 1e-8)


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.999999, 1.0, 1.001, math.inf])
def test_the_dense_proof_does_not_trust_its_guess(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    from autolip.operators.norms import dense

    honest = dense._guess
    monkeypatch.setattr(dense, "_guess", lambda gram: (honest(gram) * factor).clamp(max=1e6))
    for name, matrix in adversarial().items():
        value = proved_norm(matrix)
        assert value == math.inf or is_above_norm(matrix, value), name


def test_the_dense_proof_accounts_for_its_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From guesses that creep up, the first that passes may be below the norm: the Gram matrix
    itself is rounded."""
    from autolip.operators.norms import dense

    accepted: list[float] = []

    def creeping(guess: Tensor, excess: Tensor) -> Iterator[Tensor]:
        for step in range(-60, 10_000):
            accepted.append(guess.item() * (1 + step * 2.0**-53))
            yield torch.full_like(guess, accepted[-1])

    monkeypatch.setattr(dense, "rising", creeping)
    too_small = 0
    for seed in range(6):
        entry = torch.rand(1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        square = Fraction(entry.item()) ** 2 * 20_000
        assert Fraction(proved_norm(entry.expand(20_000, 1))) ** 2 >= square
        too_small += Fraction(math.sqrt(accepted[-1]) * (1 + 2.0**-50)) ** 2 < square
    assert too_small > 0


def test_a_batch_of_matrices_each_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    sizes = 10.0 ** torch.tensor([-170.0, -3.0, 0.0, 2.0, 160.0], dtype=torch.float64)
    batch = torch.randn(5, 7, 4, generator=generator, dtype=torch.float64) * sizes[:, None, None]
    batch = torch.cat([batch, torch.zeros(1, 7, 4, dtype=torch.float64)])
    for matrix, value in zip(batch, proved_norms(batch), strict=True):
        truth = torch.linalg.matrix_norm(matrix, 2).item()
        assert truth * (1 - 1e-14) <= value <= truth * (1 + 1e-8)
    batch[2, 0, 0] = math.nan
    assert [value == math.inf for value in proved_norms(batch)] == [
        False,
        False,
        True,
        False,
        False,
        False,
    ]


def test_materialising_accounts_for_its_rounding() -> None:
    """A B with B in the null space of A, up to rounding: the product is its own rounding error."""
    too_small = 0
    for seed in range(10):
        a = torch.randn(3, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        b = torch.linalg.svd(a)[2][3:].T.contiguous()
        product = [
            [
                sum(Fraction(x) * Fraction(y) for x, y in zip(r, c, strict=True))
                for c in b.T.tolist()
            ]
            for r in a.tolist()
        ]
        operator = Composition((Dense(a), Dense(b)))
        bound = bound_of(operator).value
        assert is_above_norm(product, bound) and bound < 1e-12
        too_small += not is_above_norm(product, proved_norm(operator.matrix()))
    assert too_small > 0


def test_squares_of_columns_do_not_underflow() -> None:
    squares = column_squares(Dense(torch.tensor([[1.0, 1e-200], [0.0, 0.0]], dtype=torch.float64)))
    assert squares is not None
    sums, exponent = squares
    assert [
        Fraction(x) * 4**exponent >= Fraction(y) ** 2
        for x, y in zip(sums.tolist(), (1.0, 1e-200), strict=True)
    ] == [True] * 2


def test_entries_that_are_not_numbers_give_infinity() -> None:
    for bad in (math.nan, math.inf):
        matrix = torch.tensor([[1.0, bad]], dtype=torch.float64)
        for p, q in PAIRS:
            assert bound_of(Dense(matrix), p, q).value == math.inf


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_spaces_have_norm_zero(shape: tuple[int, int]) -> None:
    for p, q in PAIRS:
        assert bound_of(Dense(torch.zeros(shape)), p, q) == Upper(0.0)


def test_relative_errors_widen_every_bound() -> None:
    matrix = torch.randn(6, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    meant = matrix * (1 + 1e-6)
    factors = (
        Dense(torch.eye(6)),
        Diagonal(torch.tensor(1.0), (6,)),
        Dense(matrix, relative_error=1e-6),
    )
    for operator in (
        Dense(matrix, relative_error=1e-6),
        Dense(matrix.T, relative_error=1e-6).T,
        Composition(factors),
    ):
        for p, q in EXACT:
            assert bound_of(operator, p, q).value >= EXACT[p, q](meant).item() * (1 - 1e-14)
    scale = Diagonal(matrix[:, 0], (6,), relative_error=1e-6)
    assert bound_of(scale).value >= meant[:, 0].abs().max().item()


@pytest.mark.parametrize("p", Norm)
def test_isometries_do_not_change_a_norm(p: Norm) -> None:
    matrix = Dense(
        torch.randn(4, 6, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    )
    turned = compose(
        Incidence(lambda x: x.flip(0), (4,)), matrix, Incidence(lambda x: x.reshape(6), (2, 3))
    )
    assert bound_of(turned, p, p) == bound_of(matrix, p, p)


def test_wiring_has_exact_norms() -> None:
    broadcast = Incidence(lambda x: x.expand(7, 5), (5,))
    pairs = [
        (broadcast, Norm.L2, math.sqrt(7)),
        (broadcast, Norm.L1, 7.0),
        (broadcast, Norm.LINF, 1.0),
    ]
    pairs += [
        (broadcast.T, Norm.L2, math.sqrt(7)),
        (broadcast.T, Norm.L1, 1.0),
        (broadcast.T, Norm.LINF, 7.0),
    ]
    for operator, p, value in pairs:
        assert value <= bound_of(operator, p, p).value <= math.nextafter(value, math.inf)
    assert bound_of(Incidence(lambda x: x[2:], (5,))) == Upper(1.0)


def test_nothing_known_is_refused_with_reasons() -> None:
    from autolip.operators import Traced

    opaque = Traced(lambda x: x.cumsum(0) - x, (5,), terms=5)
    refusal = operator_norm(opaque, Norm.L1, Norm.L1, NormOptions(proved_only=True))
    assert isinstance(refusal, Refusal)
    assert "no bound on the entries" in refusal.reason and "through l2" in refusal.reason
    assert bound_of(opaque).certainty is Certainty.CONFIDENT
