"""Symbol bounds against dense singular values and against the supremum found by the aliasing
formula.

Covers autolip.operators.norms.symbol.search too.
"""

import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch

from autolip.budget import SPENT
from autolip.errors import Refusal
from autolip.operators import Convolution, Geometry, compose
from autolip.operators.norms.engine import NormOptions
from autolip.operators.norms.symbol import bound as symbol
from autolip.operators.norms.symbol import cells as symbol_cells
from autolip.operators.norms.symbol import polynomial as symbol_polynomial
from autolip.operators.norms.symbol.bound import norm_of_symbol, symbol_norm
from autolip.operators.norms.symbol.polynomial import symbol_gram, waves
from autolip.operators.norms.symbol.search import Search, Summit
from autolip.values import Certainty, Upper

OPTIONS = NormOptions()


@dataclasses.dataclass(frozen=True)
class Case:
    """A convolution: channels, kernel, image; everything per axis, output first."""

    out: int
    inp: int
    kernel: tuple[int, ...]
    image: tuple[int, ...]
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1
    transposed: bool = False
    output_padding: int = 0
    fill: str = "normal"

    def operator(self, seed: int = 0) -> Convolution:
        generator = torch.Generator().manual_seed(
            seed + 7919 * self.out + 31 * self.inp + sum(self.kernel)
        )
        lead = (
            (self.inp, self.out // self.groups)
            if self.transposed
            else (self.out, self.inp // self.groups)
        )
        weight = torch.randn(*lead, *self.kernel, dtype=torch.float64, generator=generator)
        weight = FILLS[self.fill](weight)
        axes = len(self.kernel)
        geometry = Geometry(
            (self.stride,) * axes,
            (self.padding,) * axes,
            (self.dilation,) * axes,
            self.transposed,
            (self.output_padding,) * axes,
            self.groups,
        )
        return Convolution(weight, (self.inp, *self.image), geometry)


def _one_enormous(weight: torch.Tensor) -> torch.Tensor:
    weight.view(-1)[weight.numel() // 2] = 1e30
    return weight


FILLS = {
    "normal": lambda w: w,
    "zero": torch.zeros_like,
    "ones": torch.ones_like,
    "positive": torch.abs,
    "enormous": _one_enormous,
    "denormal": lambda w: w * 1e-310,
    "huge": lambda w: w * 1e300,
    "lopsided": lambda w: w * torch.logspace(0, -200, w.numel(), dtype=w.dtype).view_as(w),
    "smooth": lambda w: w * 0.01 + 1,
    "checkerboard": lambda w: w * 0 + (-1.0) ** torch.arange(w.shape[-1], dtype=w.dtype),
}

CASES = [
    Case(3, 2, (3, 3), (6, 6), padding=1),
    Case(2, 5, (3, 3), (5, 7), padding=1),
    Case(4, 4, (1, 1), (5, 5)),
    Case(4, 3, (1, 1), (5, 5), stride=2),
    Case(4, 3, (2, 2), (9, 9), stride=3),
    Case(3, 3, (2, 2), (6, 6)),
    Case(3, 3, (4, 4), (7, 7), stride=2, padding=1),
    Case(2, 3, (4, 4), (8, 8), padding=2),
    Case(3, 2, (3, 3), (7, 7), padding=2, dilation=2),
    Case(3, 2, (3, 3), (9, 9), padding=2, dilation=2, stride=2),
    Case(3, 2, (3, 3), (9, 9), padding=3, dilation=3, stride=2),
    Case(3, 2, (3, 3), (9, 9), padding=2, dilation=2, stride=3),
    Case(2, 2, (3, 3), (13, 13), padding=2, dilation=6, stride=4),
    Case(6, 6, (3, 3), (6, 6), padding=1, groups=6),
    Case(12, 6, (3, 3), (6, 6), padding=1, groups=6),
    Case(6, 12, (3, 3), (6, 6), padding=1, groups=3, stride=2),
    Case(8, 8, (3, 3), (6, 6), padding=1, groups=2),
    Case(24, 24, (3, 3), (5, 5), padding=1, groups=2),
    Case(3, 3, (3, 3), (1, 1), padding=1),
    Case(5, 2, (5, 5), (1, 1), padding=2),
    Case(8, 3, (11, 11), (23, 23), stride=4, padding=2),
    Case(8, 3, (7, 7), (14, 14), stride=2, padding=3),
    Case(3, 4, (3, 3), (5, 5), stride=2, padding=1, transposed=True, output_padding=1),
    Case(4, 2, (4, 4), (5, 5), stride=2, padding=1, transposed=True),
    Case(4, 4, (3, 3), (4, 4), stride=2, padding=1, transposed=True, groups=2, output_padding=1),
    Case(4, 4, (3, 3), (4, 4), stride=3, transposed=True, groups=4, dilation=2),
    Case(2, 3, (1, 3), (6, 6)),
    Case(2, 3, (3, 1), (6, 6)),
    Case(2, 3, (2, 5), (7, 7), stride=2),
    Case(3, 2, (3,), (12,), padding=1),
    Case(3, 2, (2,), (12,)),
    Case(2, 2, (9,), (20,), stride=2, padding=4),
    Case(2, 2, (5,), (9,), stride=3, transposed=True, output_padding=1),
    Case(1, 1, (16,), (33,), padding=8),
    Case(2, 2, (3, 3, 3), (4, 4, 4), padding=1),
    Case(2, 1, (2, 2, 2), (4, 4, 4), stride=2),
    Case(1, 2, (2, 3, 2), (4, 4, 4)),
    Case(2, 2, (3, 3, 3), (5, 5, 5), stride=2, padding=1),
    *[Case(3, 3, (3, 3), (5, 5), padding=1, fill=fill) for fill in FILLS],
    *[Case(4, 6, (2, 3), (6, 6), stride=2, groups=2, fill=fill) for fill in FILLS],
    Case(1, 1, (3, 3), (6, 6), padding=1, fill="ones"),
    Case(1, 1, (2, 2), (6, 6), fill="checkerboard"),
]


def finite_norm(operator: Convolution) -> float:
    matrix = operator.matrix()
    scale = matrix.abs().max().item()
    return 0.0 if scale == 0 else torch.linalg.matrix_norm(matrix / scale, 2).item() * scale


def aliased_norms(operator: Convolution, frequencies: np.ndarray) -> np.ndarray:
    """||A|| on signals of one output frequency each, from the transfer function W^: no polyphase
    matrix.

    y^(w) = s^-axes sum_j W^((w + 2 pi j) / s) x^((w + 2 pi j) / s), of norm ||[W^(theta_j)]_j|| /
    sqrt(s^axes).
    """
    geometry, weight = operator.geometry, operator.weight.numpy()
    weight = weight.reshape(geometry.groups, -1, *weight.shape[1:])
    offsets = np.stack(
        np.meshgrid(*[np.arange(k) for k in weight.shape[3:]], indexing="ij"), -1
    ).reshape(-1, geometry.dims)
    blocks = []
    for shift in itertools.product(*[range(s) for s in geometry.stride]):
        thetas = (frequencies + 2 * np.pi * np.array(shift)) / np.array(geometry.stride)
        waves = np.exp(1j * thetas @ (offsets * np.array(geometry.dilation)).T)
        blocks.append(np.einsum("goit,ft->fgoi", weight.reshape(*weight.shape[:3], -1), waves))
    stacked = np.concatenate(blocks, 3) / math.sqrt(math.prod(geometry.stride))
    return np.linalg.norm(stacked, 2, axis=(2, 3)).max(1)


def with_weight(
    operator: Convolution, weight: torch.Tensor, relative_error: float = 0.0
) -> Convolution:
    """The same geometry with another kernel."""
    return Convolution(weight, operator.in_shape, operator.geometry, relative_error)


def supremum(operator: Convolution) -> float:
    """sup over frequencies, by a grid and local searches from its best points."""
    scale = operator.weight.abs().max().item()
    if scale == 0:
        return 0.0
    operator = with_weight(operator, operator.weight / scale)
    axes = operator.geometry.dims
    line = np.linspace(-np.pi, np.pi, {1: 256, 2: 32, 3: 8}[axes])
    grid = np.stack(np.meshgrid(*[line] * axes, indexing="ij"), -1).reshape(-1, axes)
    values = aliased_norms(operator, grid)
    best, width = values.max(), line[1] - line[0]
    pattern = np.array(list(itertools.product((-1.0, -0.5, 0.0, 0.5, 1.0), repeat=axes)))
    for start in np.argsort(-values)[:8]:
        centre, step = grid[start], width
        for _ in range(24):
            around = centre + pattern * step
            found = aliased_norms(operator, around)
            centre, step = around[found.argmax()], step / 2
            best = max(best, found.max())
    return float(best) * scale


def bound(operator: Convolution, options: NormOptions = OPTIONS) -> Upper:
    result = symbol_norm(operator, options)
    assert isinstance(result, Upper)
    return result


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bound_is_above_the_finite_norm_and_within_the_tolerance_of_the_supremum(
    case: Case,
) -> None:
    operator = case.operator()
    upper = bound(operator)
    assert upper.certainty is Certainty.PROVED
    assert finite_norm(operator) <= upper.value * (1 + 1e-14)
    reference = supremum(operator)
    assert reference <= upper.value * (1 + 1e-14)
    assert upper.value <= reference * (1 + OPTIONS.tolerance + 1e-7) + 1e-320


@pytest.mark.parametrize("seed", range(20))
def test_random_shapes(seed: int) -> None:
    draw = np.random.default_rng(seed)
    groups = int(draw.integers(1, 4))
    kernel = tuple(int(k) for k in draw.integers(1, 5, size=2))
    case = Case(
        groups * int(draw.integers(1, 4)),
        groups * int(draw.integers(1, 4)),
        kernel,
        tuple(int(n) for n in draw.integers(10, 13, size=2)),
        stride=int(draw.integers(1, 4)),
        padding=int(draw.integers(0, 3)),
        dilation=int(draw.integers(1, 4)),
        groups=groups,
        transposed=bool(draw.integers(0, 2)),
    )
    operator = case.operator(seed)
    value, reference = bound(operator).value, supremum(operator)
    assert max(finite_norm(operator), reference) <= value * (1 + 1e-14)
    assert value <= reference * (1 + OPTIONS.tolerance + 1e-7)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_tolerance_is_met(tolerance: float) -> None:
    operator = Case(5, 4, (3, 3), (8, 8), padding=1).operator()
    value = bound(operator, NormOptions(tolerance=tolerance)).value
    assert supremum(operator) <= value <= supremum(operator) * (1 + tolerance + 1e-8)


def test_image_size_does_not_matter_but_the_finite_norm_approaches_the_bound() -> None:
    small = Case(2, 2, (3, 3), (4, 4), padding=1).operator()
    large = small.on((2, 24, 24))
    assert bound(small) == bound(large)
    assert finite_norm(small) < finite_norm(large) < bound(large).value < 1.02 * finite_norm(large)


def test_one_by_one_kernels_are_tight() -> None:
    operator = Case(40, 64, (1, 1), (3, 3)).operator()
    exact = torch.linalg.matrix_norm(operator.weight[:, :, 0, 0], 2).item()
    assert exact <= bound(operator).value <= exact * (1 + 1e-8)


def test_kernel_known_up_to_an_error_is_bounded_with_it() -> None:
    operator = Case(3, 3, (3, 3), (6, 6), padding=1, fill="positive").operator()
    vague = with_weight(operator, operator.weight, 1e-3)
    largest = with_weight(operator, operator.weight * (1 + 1e-3))
    assert supremum(largest) <= bound(vague, NormOptions(tolerance=1e-7)).value


def test_a_scale_per_channel_is_folded() -> None:
    from autolip.operators import Diagonal

    operator = Case(3, 3, (3, 3), (6, 6), padding=1).operator()
    scale = torch.tensor([2.0, -0.5, 0.1], dtype=torch.float64).view(3, 1, 1)
    folded = compose(Diagonal(scale, operator.out_shape), operator)
    assert isinstance(folded, Convolution)
    assert torch.linalg.matrix_norm(folded.matrix(), 2).item() <= bound(folded).value


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_undefined_entries_are_refused(poison: float) -> None:
    operator = Case(2, 2, (3, 3), (4, 4)).operator()
    weight = operator.weight.clone()
    weight[0, 0, 0, 0] = poison
    assert isinstance(symbol_norm(with_weight(operator, weight), OPTIONS), Refusal)


def test_a_known_bound_that_cannot_be_improved_ends_the_search() -> None:
    operator = Case(3, 3, (3, 3), (6, 6), padding=1, fill="huge").operator()
    value = bound(operator).value
    assert isinstance(symbol_norm(operator, NormOptions(known=value * 0.99)), Refusal)
    assert bound(operator, NormOptions(known=value * 1.01)).value == value


def test_past_the_deadline_the_bound_is_looser_but_sound() -> None:
    operator = Case(8, 8, (3, 3), (6, 6), padding=1).operator()
    late = bound(operator, NormOptions(tolerance=1e-6, budget=SPENT))
    assert supremum(operator) <= late.value <= 1.3 * supremum(operator)


def test_a_centre_speaks_for_its_cell() -> None:
    gram = symbol_gram(Case(2, 3, (3, 4), (5, 5)).operator().weight, (1, 1), (1, 1), 1)
    cells = symbol_cells.cover(gram.degrees, 0.9, 1)
    highest = supremum(Case(2, 3, (3, 4), (5, 5)).operator())
    norms = torch.linalg.eigvalsh(
        gram.at(cells.groups, waves(cells.points, cells.counts, gram.lags))
    )[:, -1].sqrt()
    assert cells.reach(gram.degrees) <= 0.9
    assert norms.max().item() >= highest * math.cos(cells.reach(gram.degrees))


@pytest.mark.parametrize("degrees", [(1.0,), (1.0, 1.0), (0.5, 1.5), (1.0, 0.5, 1.5)])
def test_cells_and_their_children_cover_the_torus(degrees: tuple[float, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    cells = symbol_cells.cover(degrees, 1.4, 1)
    frequencies = (
        torch.rand(500, len(degrees), dtype=torch.float64, generator=generator) * 2 * math.pi
    )
    for _ in range(3):
        assert _covered(cells, degrees, frequencies).all()
        assert not _covered(cells[: len(cells) // 2], degrees, frequencies).all()
        half = cells.reach(degrees) / 2
        cells = cells.split()
        assert cells.reach(degrees) == pytest.approx(half)


def _covered(
    cells: symbol_cells.Cells, degrees: tuple[float, ...], frequencies: torch.Tensor
) -> torch.Tensor:
    """Which frequencies lie, up to sign, within the reach of a centre in the weighted l1
    distance."""
    centres = cells.points * torch.tensor(
        [math.pi / count for count in cells.counts], dtype=torch.float64
    )
    nearest = []
    for sign in (1, -1):
        gap = (sign * frequencies[:, None] - centres).remainder(2 * math.pi)
        gap = torch.minimum(gap, 2 * math.pi - gap) * torch.tensor(degrees, dtype=torch.float64)
        nearest.append(gap.sum(-1).amin(1))
    return torch.minimum(*nearest) <= cells.reach(degrees) * (1 + 1e-9)


def test_computed_gram_matrix_is_within_its_error() -> None:
    operator = Case(5, 4, (3, 5), (8, 8)).operator()
    gram = symbol_gram(operator.weight, (1, 1), (1, 1), 1)
    for p in ([3, 5], [0, 7], [-4, 11]):
        points, counts = torch.tensor([p]), (7, 13)
        exact = np.zeros((5, 4), dtype=np.clongdouble)
        angles = [
            np.longdouble(np.pi) * p[a] / counts[a] + _pi_tail() * p[a] / counts[a]
            for a in range(2)
        ]
        for i, j in itertools.product(range(3), range(5)):
            wave = np.exp(1j * (i * angles[0] + j * angles[1]).astype(np.clongdouble))
            exact += operator.weight[:, :, i, j].numpy().astype(np.longdouble) * wave
        product = exact @ exact.conj().T if gram.side == 5 else exact.T @ exact.conj()
        got = gram.at(torch.tensor([0]), waves(points, counts, gram.lags))[0].numpy()
        assert np.linalg.norm((got - product).astype(complex), 2) <= gram.error


def _pi_tail() -> np.longdouble:
    return np.longdouble(1.2246467991473532e-16)


# A planted mistake has to be seen

PLANTS = [
    Case(3, 2, (3, 3), (6, 6), padding=1),
    Case(4, 2, (3, 3), (7, 7), stride=2),
    Case(3, 3, (4,), (9,), stride=2),
    Case(1, 1, (5, 5), (9, 9), padding=2, fill="ones"),
]


def is_sound_and_tight(case: Case) -> bool:
    """The engine's bound is above both references and within its tolerance; its proof alone refuses
    less."""
    operator = case.operator()
    value, reference = bound(operator).value, supremum(operator)
    sound = max(finite_norm(operator), reference) <= value * (1 + 1e-13)
    return (
        sound and value <= reference * 1.00101 and not _proves_too_much(operator, reference * 0.999)
    )


def _proves_too_much(operator: Convolution, too_small: float) -> bool:
    """Whether the proof accepts a number below the supremum, on some cover of the torus."""
    geometry = operator.geometry
    gram = symbol_polynomial.symbol_gram(
        operator.weight, geometry.stride, geometry.dilation, geometry.groups
    )
    covers = [
        symbol_cells.cover(gram.degrees, reach, gram.groups)
        for reach in (1.2, 0.9, 0.5, 0.3, 0.1, 0.05)
    ]
    covers += [cells.split().split().split() for cells in covers[:3]]
    return any(bool(symbol.settled(gram, cells, too_small).all()) for cells in covers)


def _patched(target: object, name: str, value: object) -> object:
    return lambda patch: patch.setattr(target, name, value)


def _around(module: object, name: str, change: object) -> object:
    """Replace a function by a change of it."""
    return _patched(module, name, change(getattr(module, name)))  # type: ignore[operator]


MISTAKES = {
    "stride": _around(
        symbol_polynomial, "polyphase", lambda f: lambda w, s, d, g: f(w, [1] * len(s), d, g)
    ),
    "stride phase": _around(
        symbol_polynomial,
        "polyphase",
        lambda f: lambda w, s, d, g: f(w, [step + 1 for step in s], d, g),
    ),
    "kernel": _around(
        symbol_polynomial, "polyphase", lambda f: lambda w, s, d, g: f(w[..., 1:], s, d, g)
    ),
    "lag": _around(symbol_polynomial, "half_lags", lambda f: lambda taps: f(taps)[:-1]),
    "grid offset": _around(
        symbol, "waves", lambda f: lambda p, counts, lags: f(p + 3, counts, lags)
    ),
    "half of the grid": _around(
        symbol_cells, "cover", lambda f: lambda *args: f(*args)[f(*args).points[:, 0] > 0]
    ),
    "reach": _patched(symbol_cells.Cells, "reach", lambda cells, degrees: 0.0),
    "degree": _patched(
        symbol_polynomial.SymbolGram,
        "degrees",
        property(lambda gram: tuple((t - 1) / 4 for t in gram.taps)),
    ),
    "children": _around(symbol_cells, "_moves", lambda f: lambda axes: f(axes)[:1]),
    "threshold": _around(
        symbol, "settled", lambda f: lambda gram, cells, t: f(gram, cells, t * 1.002)
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_seen(monkeypatch: pytest.MonkeyPatch, mistake: str) -> None:
    MISTAKES[mistake](monkeypatch)  # type: ignore[operator]
    assert not all(is_sound_and_tight(case) for case in PLANTS)


def test_without_a_mistake_nothing_is_seen() -> None:
    assert all(is_sound_and_tight(case) for case in PLANTS)


def test_cells_away_from_the_peak_prove_nothing_about_it() -> None:
    operator = Case(1, 1, (5, 5), (9, 9), padding=2, fill="ones").operator()
    gram = symbol_gram(operator.weight, (1, 1), (1, 1), 1)
    cells = symbol_cells.cover(gram.degrees, 0.3, 1)
    away = cells[(cells.points.abs() * math.pi / torch.tensor(cells.counts)).amin(1) > 0.5]
    assert norm_of_symbol(gram, None, OPTIONS) >= 25
    assert symbol.settled(gram, away, 20.0).all()
    assert not symbol.settled(gram, cells, 24.9).all()


@pytest.mark.parametrize("frequencies", [1, 48])
def test_a_search_that_starts_low_is_raised(
    frequencies: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To at least what is met at the frequencies compared, were it one alone."""
    case = Case(3, 3, (3, 3), (5, 5))
    operator = case.operator()
    gram = symbol_gram(operator.weight, (1, 1), (1, 1), 1)
    search = Search(gram, 0)
    monkeypatch.setattr(
        search, "best", lambda: Summit(0, torch.zeros(2, dtype=torch.float64), 1e-6)
    )
    monkeypatch.setattr(symbol, "RAKE", frequencies)
    found = symbol.highest(gram, search).norm
    assert (
        (0.98 if frequencies > 1 else 0.3) * supremum(operator)
        <= found
        <= supremum(operator) * (1 + 1e-3)
    )
